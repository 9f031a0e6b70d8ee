//! The audit trail's disk is full: who has to go goes all the same, what weakens waits, and all of it is written down
//! once there is room.

use std::path::Path;
use std::process::Command;

use offboard::domain::id::RevocationId;

use crate::support::installation::Installation;
use crate::support::offboard::Offboard;
use crate::support::{Scratch, root, until};

/// `tests/shim/faults.c`, compiled.
fn shim(scratch: &Path) -> std::path::PathBuf {
    let library = scratch.join("faults.so");
    let source = root().join("tests/shim/faults.c");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
    assert!(cc.status().unwrap().success(), "the shim does not compile");
    library
}

#[tokio::test]
async fn a_full_audit_disk_holds_nobody_here() {
    let scratch = Scratch::new();
    let files = Installation::new("authorization: none\npeople: { unknown: allow }\n");
    let plan = scratch.path().join("plan");
    let mut command = Offboard::command();
    command.args(["serve", "--config"]).arg(files.path("config"));
    command.env("LD_PRELOAD", shim(scratch.path())).env("FAULT_PLAN", &plan);
    let offboard = Offboard::started(scratch.path(), &mut command).await;
    until("it is ready", async || offboard.ops("/readyz").await.status().is_success().then_some(())).await;
    let token = files.token_file();
    let revoke = ["revoke", "--person", "mallory@example.com", "--reason", "left"];
    let (code, out, error) = offboard.run(&token, &revoke);
    assert_eq!(code, 0, "{error}");
    let id = out.split_whitespace().find(|word| word.parse::<RevocationId>().is_ok());
    let id = id.unwrap_or_else(|| panic!("no id in {out}"));

    std::fs::write(&plan, "full 1000000 .jsonl\n").unwrap();
    let (code, _, error) = offboard.run(&token, &["revoke", "--person", "eve@example.com", "--reason", "left too"]);
    assert_eq!(code, 0, "{error}");
    let (code, _, error) = offboard.run(&token, &["restore", id, "--reason", "back"]);
    assert_eq!((code, error.contains("audit.path")), (3, true), "{error}");
    assert!(offboard.metric("offboard_audit_failures_total").await > Some(0.0));
    assert_eq!(offboard.metric("offboard_audit_lost_total").await, Some(0.0));
    let (_, status, _) = offboard.run(&token, &["status", "-o", "table"]);
    assert!(status.starts_with("wrong now:\n  audit: cannot be written; "), "{status}");
    let verbose = async || offboard.ops("/readyz?verbose").await.text().await.unwrap();
    assert!(verbose().await.contains("warning: audit: cannot be written; "), "{}", verbose().await);

    std::fs::remove_file(&plan).unwrap();
    let trail = || -> String {
        let files = std::fs::read_dir(files.path("audit")).unwrap().filter_map(Result::ok);
        files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect()
    };
    until("what happened is written down", async || trail().contains("eve@example.com").then_some(())).await;
    until("nothing is wrong", async || verbose().await.contains("nothing is wrong").then_some(())).await;
    assert_eq!(offboard.metric("offboard_audit_lost_total").await, Some(0.0));
}
