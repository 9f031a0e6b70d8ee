//! What the trail keeps: what a leaver tried, what a mover had, what a reload changed, when somebody was last let in.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{PEOPLE, Stage};
use crate::support::offboard::Offboard;
use crate::support::process::Process;
use crate::support::proxy::CALLER;
use crate::support::until;

impl Stage {
    /// Records of the trail, once one of them is as wanted.
    async fn recorded(&self, kind: &str, is: impl Fn(&Value) -> bool) -> Vec<Value> {
        until(&format!("a record of kind {kind}"), async || {
            let mut records = Vec::new();
            for file in std::fs::read_dir(self.files.path("audit")).unwrap() {
                let text = std::fs::read_to_string(file.unwrap().path()).unwrap_or_default();
                records.extend(text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()));
            }
            records.retain(|record| record["kind"] == kind);
            records.iter().any(&is).then_some(records)
        })
        .await
    }

    fn tail(&self, name: &str, arguments: &[&str]) -> Process {
        let mut command = Offboard::command();
        command.args(["audit", "tail"]).args(arguments);
        command.arg("--server").arg(format!("http://{}", self.offboard.control));
        command.arg("--token-file").arg(self.files.token_file());
        Process::start(name, &self.files.path(""), &mut command)
    }
}

/// The records that a tail has printed, once they are as wanted.
async fn printed(tail: &Process, are: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    until("the tail has printed it", async || {
        let output = tail.output();
        let records: Vec<Value> = output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        are(&records).then_some(records)
    })
    .await
}

fn tried(records: &[Value]) -> Vec<String> {
    let single = records.iter().filter(|record| record["decision"] == "deny" && record["count"].is_null());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    single.map(|record| format!("{} {}", text(&record["method"]), text(&record["path"]))).collect()
}

#[tokio::test]
async fn what_a_leaver_tried_is_told_from_the_start_and_as_it_happens() {
    let stage = Stage::start().await;
    let (token, mut proxy) = (stage.token("e9").await, stage.proxy.clone());
    stage.revoke(&["--person", "hr/e9"]);
    for what in [("GET", "/v1/orders?card=4711"), ("GET", "/v1/orders"), ("POST", "/v1/orders"), ("GET", "/admin")] {
        assert!(!proxy.ask_for(what, &token).await.unwrap().allowed);
    }
    assert_eq!(stage.reason(&stage.token("e1").await).await, "allowed");
    let expected = ["GET /v1/orders", "POST /v1/orders", "GET /admin"];
    let tail = stage.tail("tail", &["--person", "zoe@example.com", "--since", "1h"]);
    let records = printed(&tail, |records| tried(records).len() == 3).await;
    assert_eq!(tried(&records), expected);
    assert!(records.iter().all(|record| record["person"] == "hr/e9"), "{records:?}");
    assert!(records.iter().any(|record| record["kind"] == "revocation"), "from before the tail: {records:?}");
    let denied = records.iter().find(|record| record["decision"] == "deny").unwrap();
    assert_eq!((&denied["address"], &denied["service"]), (&json!(CALLER), &json!("default")));
    assert!(!tail.output().contains("4711"), "no query");

    proxy.ask_for(("DELETE", "/v1/orders/7"), &token).await.unwrap();
    let records = printed(&tail, |records| tried(records).len() > 3).await;
    assert_eq!(tried(&records).last().unwrap(), "DELETE /v1/orders/7");
    let seqs: Vec<u64> = records.iter().map(|record| record["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted_by(|one, next| one < next), "each once, in order: {seqs:?}");

    assert!(stage.refused(&["audit", "tail", "--person", "nobody"]).contains("`nobody` matches nobody"));
    assert!(stage.refused(&["audit", "tail", "--person", "smith"]).contains("`smith` matches several people"));
    assert_eq!(stage.run(&["audit", "tail", "--since", "yesterday"]).0, 2);
}

#[tokio::test]
async fn a_mover_is_recorded_with_the_groups_and_roles_of_before_and_after() {
    let stage = Stage::start().await;
    stage.files.write(
        "30-roles.yaml",
        "roles: [{ name: cook, permissions: [{ methods: [GET] }] }]\n\
         bindings: [{ role: cook, issuer: dev, groups: [kitchen] }]\n",
    );
    let changed = |record: &Value| record["after"]["roles"].is_object();
    let reloads = stage.recorded("reload", changed).await;
    let reload = reloads.iter().find(|record| changed(record)).unwrap();
    assert_eq!((&reload["before"]["roles"], &reload["before"]["bindings"]), (&json!({}), &json!([])));
    assert_eq!(reload["after"]["roles"]["cook"]["permissions"][0]["methods"], json!(["GET"]));
    assert_eq!(reload["after"]["bindings"][0]["groups"], json!(["kitchen"]));
    assert!(reload["after"]["services"].is_null(), "only what changed: {reload}");

    let with = |row: &str| stage.files.write_people(&[&PEOPLE[..5], &[row]].concat());
    with("id: e9, email: zoe@example.com, groups: [kitchen, bar]");
    let is_cook = |record: &Value| record["person"] == "hr/e9" && record["after"]["roles"] == json!(["cook"]);
    let records = stage.recorded("source", is_cook).await;
    let moved = records.iter().find(|record| is_cook(record)).unwrap();
    assert_eq!(moved["before"], json!({ "groups": [], "roles": [] }));
    assert_eq!(moved["after"], json!({ "groups": ["bar", "kitchen"], "roles": ["cook"] }));
    with("id: e9, email: zoe@example.com, groups: [bar]");
    let lost = |record: &Value| record["before"]["roles"] == json!(["cook"]);
    let records = stage.recorded("source", lost).await;
    let moved = records.iter().find(|record| lost(record)).unwrap();
    assert_eq!(moved["after"], json!({ "groups": ["bar"], "roles": [] }));
    let unmoved = |record: &Value| record["person"] == "hr/e1" && record["before"].is_object();
    assert!(!records.iter().any(unmoved), "somebody who only joined moved nowhere");
}

#[tokio::test]
async fn a_kill_loses_no_last_use_of_longer_ago() {
    let mut stage = Stage::start().await;
    assert_eq!(stage.reason(&stage.token("e9").await).await, "allowed");
    let path = stage.files.path("audit/last-allows.jsonl");
    let kept = || std::fs::read_to_string(&path).unwrap_or_default().contains("\"e9\"");
    until("the last use is kept", async || kept().then_some(())).await;
    stage.offboard.process.signal(Signal::KILL);
    stage.offboard.process.wait(Duration::from_secs(5)).unwrap();
    stage.scenario.offboard = stage.files.start().await;
    let seen = stage.rows(&["person", "hr/e9"]).pop().unwrap();
    assert!(seen["last_allowed"][0].as_str().unwrap().starts_with("default 2"), "{seen}");
}
