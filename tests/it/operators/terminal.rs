//! What a terminal shows: tables that fit it, and every key where programs read.

use std::process::Command;

use serde_json::Value;

use super::Stage;
use crate::support::offboard::Offboard;

/// Runs a command on a terminal of this many columns and prints what it showed.
const ON_A_TERMINAL: &str = "
import fcntl, os, pty, struct, sys, termios
child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('HHHH', 24, int(sys.argv[1]), 0, 0))
    os.execv(sys.argv[2], sys.argv[2:])
shown = b''
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:
        break
    if not piece:
        break
    shown += piece
sys.stdout.buffer.write(shown.replace(b'\\r\\n', b'\\n'))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
";

impl Stage {
    /// What the command shows on a terminal of this many columns.
    fn shown(&self, columns: usize, arguments: &[&str]) -> String {
        let mut command = Command::new("python3");
        command.args(["-c", ON_A_TERMINAL, &columns.to_string(), env!("CARGO_BIN_EXE_offboard")]).args(arguments);
        command.args(["--server", &format!("http://{}", self.offboard.control)]);
        command.arg("--token-file").arg(self.files.token_file());
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }
}

#[tokio::test]
async fn a_table_fits_the_terminal() {
    let stage = Stage::start().await;
    let reason = "left on Friday, said the works council, after a long talk about it";
    let target = ["--person", "hr/e1", "--expires", "2027-12-01T00:00:00Z"];
    let told = stage.said(&[&["revoke"], &target[..], &["--reason", reason]].concat());
    let id = told.lines().find_map(|line| line.strip_prefix("revoked: ")?.split(' ').next()).unwrap().to_owned();

    let wide = stage.shown(400, &["revocations"]);
    assert!(wide.contains(reason) && wide.starts_with("ID ") && !wide.contains("ENDED"), "{wide}");
    for columns in [150, 100, 40] {
        let shown = stage.shown(columns, &["revocations"]);
        assert!(shown.contains(&id), "{shown}");
        let longest = shown.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= columns.max(id.len() + 20), "{columns}: {shown}");
    }
    let cut = stage.shown(150, &["revocations"]);
    assert!(cut.contains("left on ") && cut.contains('…') && cut.contains("-o json shows"), "{cut}");
    let record = stage.shown(40, &["revocations"]);
    assert!(record.starts_with("id ") && !record.contains('…'), "each row is a record: {record}");
    assert!(stage.shown(60, &["people", "--status", "suspended"]).contains("hr/e5"));
}

#[tokio::test]
async fn programs_find_every_key_and_no_name_that_does_not_exist() {
    let stage = Stage::start().await;
    let keys = |row: &Value| row.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let people = stage.rows(&["people"]);
    assert_eq!(people.len(), 6);
    assert!(people.iter().all(|row| keys(row) == keys(&people[0])), "{people:?}");
    let suspended = people.iter().find(|row| row["id"] == "hr/e5").unwrap();
    assert_eq!((&suspended["email"], &suspended["groups"]), (&Value::Null, &serde_json::json!([])));
    let source = stage.rows(&["source", "show", "hr"]);
    assert!(source[0]["held_at"].is_null() && source[0]["missing"] == serde_json::json!([]), "{source:?}");
    let expected = stage.rows(&["source", "expect", "hr", "--max", "35%", "--until", "2h"]);
    assert_eq!((&expected[0]["name"], &expected[0]["max"]), (&"hr".into(), &"35%".into()));

    let told = stage.refused(&["people", "--source", "hrr"]);
    assert!(told.contains("unknown source `hrr`; configured are: hr"), "{told}");
    assert!(stage.rows(&["people", "--source", "hr", "--status", "departed"]).is_empty(), "nobody has left");
}

#[tokio::test]
async fn what_is_checked_without_a_server_has_every_key_too() {
    let stage = Stage::start().await;
    let config = stage.files.path("config");
    let of = |arguments: &[&str]| -> (Option<i32>, Value) {
        let done = Offboard::command().args(arguments).args(["-o", "json"]).output().unwrap();
        (done.status.code(), serde_json::from_slice(&done.stdout).unwrap())
    };
    let (code, valid) = of(&["validate", "--config", config.to_str().unwrap()]);
    assert_eq!((code, &valid["valid"], &valid["errors"]), (Some(0), &true.into(), &serde_json::json!([])), "{valid}");
    stage.files.write("90-wrong.yaml", "people: { unknwon: deny }\n");
    let (code, invalid) = of(&["validate", "--config", config.to_str().unwrap()]);
    let error = &invalid["errors"][0];
    assert_eq!((code, &invalid["valid"], &error["line"]), (Some(1), &false.into(), &1.into()), "{invalid}");
    assert!(error["what"].as_str().unwrap().contains("did you mean `unknown`"), "{invalid}");
    let (code, proven) = of(&["audit", "verify", "--path", stage.files.path("audit").to_str().unwrap()]);
    assert_eq!((code, &proven["proven"], &proven["broken"]), (Some(0), &true.into(), &Value::Null), "{proven}");
    let (code, nothing) = of(&["audit", "verify", "--path", config.to_str().unwrap()]);
    assert_eq!((code, &nothing["proven"], &nothing["from"]), (Some(1), &false.into(), &Value::Null), "{nothing}");
}
