//! `offboard watch`: other systems follow what changes.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::Stage;
use crate::support::offboard::Offboard;
use crate::support::process::Process;
use crate::support::until;

impl Stage {
    fn watch(&self, name: &str, arguments: &[&str]) -> Process {
        let mut command = Offboard::command();
        command.arg("watch").args(arguments).arg("--server").arg(format!("http://{}", self.offboard.control));
        command.arg("--token-file").arg(self.files.token_file());
        Process::start(name, &self.files.path(""), &mut command)
    }
}

/// The lines that were printed, once one of them is of this kind.
async fn printed(watch: &Process, kind: &str) -> Vec<Value> {
    until(&format!("{kind} is printed"), async || {
        let output = watch.output();
        let lines: Vec<Value> = output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        lines.iter().any(|line| line["kind"] == kind).then_some(lines)
    })
    .await
}

#[tokio::test]
async fn changes_are_followed_across_a_restart_of_the_server() {
    let mut stage = Stage::start().await;
    let mut watch = stage.watch("first", &[]);
    printed(&watch, "watching").await;
    let id = stage.revoke(&["--person", "hr/e1"]);
    let revoked = printed(&watch, "revoked").await.pop().unwrap();
    assert_eq!((&revoked["id"], &revoked["people"][0]), (&Value::from(id.as_str()), &Value::from("hr/e1")));
    assert_eq!((&revoked["reason"], &revoked["actor"]), (&Value::from("HR-12"), &Value::from("bootstrap")));
    assert!(revoked["expires"].is_null() && revoked["cause"].is_null() && revoked["groups"].is_array(), "{revoked}");

    stage.offboard.process.signal(Signal::KILL);
    let ended = watch.wait(Duration::from_secs(10)).unwrap();
    assert_eq!(ended.code(), Some(3), "{}", watch.output());
    let epoch = revoked["epoch"].as_str().unwrap();
    assert!(watch.output().contains(&format!("go on with `offboard watch --since {epoch}`")), "{}", watch.output());

    let scenario = &mut stage.scenario;
    scenario.offboard.process.wait(Duration::from_secs(5)).unwrap();
    scenario.offboard = scenario.files.start().await;
    stage.said(&["restore", &id, "--reason", "back"]);
    let mut watch = stage.watch("second", &["--since", epoch]);
    let changes = printed(&watch, "ended").await;
    assert!(changes.iter().all(|change| change["kind"] != "revoked"), "it was told before: {changes:?}");
    let ended = changes.iter().find(|change| change["kind"] == "ended").unwrap();
    assert_eq!((&ended["id"], &ended["cause"]), (&Value::from(id.as_str()), &Value::from("restored")));
    assert!(ended["left_cut_off"].is_string(), "{ended}");

    // A server that stops does not wait for its readers.
    stage.offboard.process.signal(Signal::TERM);
    let ended = watch.wait(Duration::from_secs(10)).unwrap();
    assert_eq!(ended.code(), Some(3), "{}", watch.output());
    assert!(watch.output().contains("the server is stopping"), "{}", watch.output());
}

#[tokio::test]
async fn an_epoch_of_an_older_generation_is_answered_by_what_stands_and_one_ahead_is_refused() {
    let mut stage = Stage::start().await;
    let id = stage.revoke(&["--person", "hr/e1"]);
    assert!(stage.refused(&["watch", "--since", "0.4711"]).contains("epoch 0.4711 is not reached here"));
    assert_eq!(stage.run(&["watch", "--since", "yesterday"]).0, 2);

    // Without its high-water mark the store begins a new generation.
    stage.offboard.process.stop(Duration::from_secs(20));
    std::fs::remove_file(stage.files.path("store/seen")).unwrap();
    stage.scenario.offboard = stage.files.start().await;
    let watch = stage.watch("standing", &["--since", "0.1"]);
    let told = printed(&watch, "standing_complete").await;
    let standing = told.iter().find(|change| change["id"] == id.as_str()).unwrap();
    assert_eq!((&standing["kind"], &standing["standing"]), (&Value::from("standing"), &Value::from("revoked")));
    let people = told.iter().filter(|change| change["standing"] == "person").count();
    assert_eq!(people, super::PEOPLE.len());
    let complete = told.last().unwrap()["epoch"].as_str().unwrap();
    assert!(complete.starts_with("1."), "{complete}");
}
