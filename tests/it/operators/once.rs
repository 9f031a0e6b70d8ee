//! A change that is sent again is made once, and answered alike; the same revocation twice is one.

use std::time::Duration;

use offboard::control::proto::control_client::ControlClient;
use offboard::control::proto::{RevokeRequest, RevokeResponse, Target, target};
use rustix::process::Signal;
use tonic::{Code, Request, Status};

use super::Stage;
use crate::support::installation::BOOTSTRAP_TOKEN;
use crate::support::offboard::Offboard;
use crate::support::until;
use crate::support::wire::Wire;

async fn revoke(offboard: &Offboard, key: &str, person: &str) -> Result<RevokeResponse, Status> {
    let mut control = ControlClient::connect(format!("http://{}", offboard.control)).await.unwrap();
    let target = Some(Target { target: Some(target::Target::Person(person.to_owned())) });
    let mut request = Request::new(RevokeRequest { target, reason: "left".into(), ..RevokeRequest::default() });
    request.metadata_mut().insert("authorization", format!("Bearer {BOOTSTRAP_TOKEN}").parse().unwrap());
    request.metadata_mut().insert("idempotency-key", key.parse().unwrap());
    control.revoke(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_key_outlives_the_server_and_belongs_to_one_request() {
    let mut stage = Stage::start().await;
    let first = revoke(&stage.offboard, "k-1", "hr/e1").await.unwrap();
    stage.offboard.process.signal(Signal::KILL);
    stage.offboard.process.wait(Duration::from_secs(5)).unwrap();
    let scenario = &mut stage.scenario;
    scenario.offboard = scenario.files.start().await;
    assert_eq!(revoke(&stage.offboard, "k-1", "hr/e1").await.unwrap().id, first.id);
    stage.said(&["restore", &first.id, "--reason", "back"]);
    assert_eq!(revoke(&stage.offboard, "k-1", "hr/e1").await.unwrap().id, first.id);
    let standing = stage.rows(&["revocations", "--person", "hr/e1"]);
    assert!(standing.iter().all(|row| row["left_cut_off"].is_string()), "a late retry revokes nobody: {standing:?}");
    let refused = revoke(&stage.offboard, "k-1", "hr/e9").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(refused.message().contains("was used for another request"), "{refused}");
    assert_eq!(revoke(&stage.offboard, "a b", "hr/e9").await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(stage.revoked().len(), 1);
}

/// The answer is lost on its way; the command asks again, and hears what the first one did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_whose_answer_was_lost_asks_again_and_acts_once() {
    let stage = Stage::start().await;
    let id = stage.revoke(&["--person", "hr/e1"]);
    let wire = Wire::to(stage.offboard.control.port()).await;
    wire.mute();
    let mut command = Offboard::command();
    command.args(["restore", &id, "--reason", "back", "--server", &format!("http://127.0.0.1:{}", wire.port)]);
    command.arg("--token-file").arg(stage.files.token_file());
    let running = tokio::task::spawn_blocking(move || command.output().unwrap());
    let stands = |row: &serde_json::Value| row["id"] == id.as_str();
    until("it is restored", async || (!stage.rows(&["revocations"]).iter().any(stands)).then_some(())).await;
    wire.cut();
    wire.mend();
    let done = running.await.unwrap();
    assert!(done.status.success(), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stdout).contains(&format!("restored: {id}")), "{done:?}");
}

#[tokio::test]
async fn the_same_revocation_twice_is_one_and_says_since_when_and_by_whom() {
    let stage = Stage::start().await;
    let id = stage.revoke(&["--person", "hr/e1"]);
    let again = ["revoke", "--person", "hr/e1", "--reason", "still"];
    let told = stage.said(&again);
    let words = format!("revoked already: {id} stands already, since 2");
    assert!(
        told.contains(&words) && told.contains("by bootstrap; nothing was added (durable and enforced; "),
        "{told}"
    );
    let told = stage.said(&[&again[..], &["--dry-run"]].concat());
    assert!(told.contains(&format!("{id} stands already, since 2")), "{told}");
    let told = stage.said(&["revoke", "--person", "hr/e1", "--person", "hr/e9", "--reason", "still"]);
    assert!(told.contains(&format!("revoked already: hr/e1: {id} stands already")), "{told}");
    assert!(told.contains("1 revoked of 2, 1 stood already (durable"), "{told}");
    assert_eq!(stage.revoked().len(), 2);
    stage.said(&["restore", &id, "--reason", "back"]);
    assert_ne!(stage.revoke(&["--person", "hr/e1"]), id, "what has ended stands no more");
}
