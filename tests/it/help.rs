//! `--help` of every command, as people read it: `tests/golden/help.txt`.

use crate::support::golden;
use crate::support::offboard::Offboard;

/// What `offboard COMMAND… --help` prints, and after it the same of each command below it.
fn help(command: &[String], told: &mut String) {
    let mut asked = Offboard::command();
    asked.args(command).arg("--help").env_remove("OFFBOARD_SERVER").env_remove("OFFBOARD_TOKEN_FILE");
    let done = asked.output().unwrap();
    assert!(done.status.success(), "{command:?}");
    let text = String::from_utf8(done.stdout).unwrap();
    let name = std::iter::once("offboard").chain(command.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
    *told += &format!("$ {name} --help\n{text}\n");
    let below = text.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = below.filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    for name in names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        help(&[command, &[name.to_owned()]].concat(), told);
    }
}

#[test]
fn every_command_explains_itself() {
    let mut told = String::new();
    help(&[], &mut told);
    golden("help.txt", &told);
    for part in told.split("$ offboard").filter(|part| part.contains("Usage:") && !part.contains("Commands:")) {
        let name = part.lines().next().unwrap_or_default();
        let plain = ["schema", "status"].iter().any(|plain| name.contains(plain));
        assert!(plain || part.contains("Example"), "offboard{name}: has an example");
    }
}
