//! `--help` of every command, as a newcomer reads it: `tests/golden/help.txt`.

use clap::{Command, CommandFactory as _};
use offboard::cli::Cli;

use crate::support::golden;
use crate::support::offboard::Offboard;

/// The words that lead to each command, parents first.
fn commands(command: &Command, words: &[String], found: &mut Vec<Vec<String>>) {
    found.push(words.to_vec());
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        commands(inner, &[words, &[inner.get_name().to_owned()]].concat(), found);
    }
}

#[test]
fn every_command_explains_itself() {
    let (cli, mut all) = (Cli::command(), Vec::new());
    commands(&cli, &[], &mut all);
    let mut text = String::new();
    for words in &all {
        // Nothing of whoever runs the tests may show.
        let done = Offboard::command()
            .args(words)
            .arg("--help")
            .env("OFFBOARD_SERVER", "http://elsewhere:1")
            .env("OFFBOARD_TOKEN_FILE", "/elsewhere")
            .output()
            .unwrap();
        assert_eq!(done.status.code(), Some(0), "{words:?}");
        let help = String::from_utf8(done.stdout).unwrap();
        let is_leaf = !help.contains("\nCommands:\n");
        assert!(!is_leaf || help.contains("\nExample"), "{words:?} has no example:\n{help}");
        for line in help.lines().filter(|line| !line.starts_with("      --")) {
            assert!(line.chars().count() <= 130, "{words:?}: too long to read: {line}");
        }
        text += &format!("$ {} --help\n{help}\n", [&["offboard".to_owned()], &words[..]].concat().join(" "));
    }
    golden("help.txt", &text);
}

/// What an example shows is at least understood: each is parsed.
#[test]
fn every_example_is_a_command() {
    let text = std::fs::read_to_string(crate::support::root().join("tests/golden/help.txt")).unwrap();
    let examples = text.lines().filter_map(|line| line.strip_prefix("  ")).filter_map(|line| {
        let line = line.split(" >").next().unwrap();
        line.find("offboard ").filter(|at| *at == 0 || line.starts_with("OFFBOARD__")).map(|at| &line[at..])
    });
    let mut many = 0;
    for example in examples {
        many += 1;
        let parsed = Cli::command().try_get_matches_from(split(example));
        assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
    }
    assert!(many > 15, "{many}");
}

/// Words as a shell splits them, as far as examples need it.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut quote, mut word) = (Vec::new(), None, String::new());
    for char in line.chars() {
        match (quote, char) {
            (None, '"' | '\'') => quote = Some(char),
            (Some(open), close) if open == close => quote = None,
            (None, ' ') => words.push(std::mem::take(&mut word)),
            _ => word.push(char),
        }
    }
    words.push(word);
    words
}
