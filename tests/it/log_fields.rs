//! Names of the members of log lines: a store of logs that reads `error.kind` as a member of an object `error` refuses every
//! line in which `error` is a text.

use std::collections::BTreeMap;
use std::path::Path;

/// What every line has, and what the line with the addresses has.
const ELSEWHERE: [&str; 9] = ["timestamp", "level", "message", "target", "authz", "control", "ops", "push", "replica"];

/// The names in `text`, which is source code: those of its log macros, and the constants for them.
fn named(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for part in text.split("tracing::").skip(1) {
        let Some((level, rest)) = part.split_once("!(") else { continue };
        if !["error", "warn", "info", "debug", "trace"].contains(&level) {
            continue;
        }
        // The message is the first text that is not the value of a field.
        for field in rest.split(',') {
            let field = field.trim();
            let (name, value) = field.split_once(" = ").unwrap_or((field, ""));
            let bare = name.trim_start_matches(['%', '?']);
            let is_name = !bare.is_empty() && bare.chars().all(|char| char.is_ascii_lowercase() || "._".contains(char));
            if !is_name {
                break;
            }
            names.push(bare.to_owned());
            if value.contains(");") {
                break;
            }
        }
    }
    let constants = text.lines().filter_map(|line| line.trim().strip_prefix("pub const ")?.split_once(": &str = \""));
    let fields = text.contains("pub mod fields");
    names.extend(constants.filter(|_| fields).filter_map(|(_, value)| Some(value.split_once('"')?.0.to_owned())));
    names
}

fn read(directory: &Path, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, found);
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            found.extend(named(&text).into_iter().map(|name| (name, path.display().to_string())));
        }
    }
}

#[test]
fn no_member_of_a_log_line_is_both_a_text_and_an_object() {
    let mut found: BTreeMap<String, String> =
        ELSEWHERE.iter().map(|name| ((*name).to_owned(), "every line".to_owned())).collect();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    for expected in ["error.message", "error.kind", "source.name", "call.actor", "check.reason", "store.volatile"] {
        assert!(found.contains_key(expected), "the test overlooks `{expected}`: {found:?}");
    }
    for (name, place) in &found {
        let inside = found.iter().find(|(other, _)| other.starts_with(&format!("{name}.")));
        assert_eq!(inside, None, "`{name}` of {place}");
    }
}
