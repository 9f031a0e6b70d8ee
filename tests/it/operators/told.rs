//! What `status`, `validate`, the log and `audit verify` say is so.

use std::fs;
use std::path::Path;

use super::{Stage, rules};
use crate::support::offboard::Offboard;
use crate::support::{Scratch, until};

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let done = Offboard::command().args(arguments).output().unwrap();
    (done.status.code(), format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)))
}

impl Stage {
    fn status(&self) -> serde_json::Value {
        self.rows(&["status"]).pop().unwrap()
    }
}

#[tokio::test]
async fn the_last_configured_revocation_goes_with_an_empty_list_and_not_with_the_key() {
    let stage = Stage::start().await;
    let token = stage.token("e4").await;
    let list = "revocations:\n- { person: hr/e4, reason: HR-12 }\n";
    stage.files.write("30-revocations.yaml", list);
    stage.becomes(&token, "revoked_person").await;
    assert!(stage.status()["revocations_kept"].is_null(), "{}", stage.status());

    fs::remove_file(stage.files.path("config/30-revocations.yaml")).unwrap();
    let words = "`revocations` is not configured: 1 that an earlier configuration listed stay in force";
    until("the log says so", async || stage.offboard.process.output().contains(words).then_some(())).await;
    assert_eq!(stage.reason(&token).await, "revoked_person");
    let kept = stage.status()["revocations_kept"].as_str().unwrap().to_owned();
    assert!(
        kept.starts_with("1 of an earlier configuration") && kept.contains("`revocations: []` ends them"),
        "{kept}"
    );
    let config = stage.files.path("config").display().to_string();
    let (code, told) = run(&["validate", "--config", &config]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("taking the last entry out needs `revocations: []`"), "{told}");

    stage.files.write("30-revocations.yaml", "revocations: []\n");
    stage.becomes(&token, "issued_before_cutoff").await;
    assert!(stage.status()["revocations_kept"].is_null(), "{}", stage.status());
}

#[tokio::test]
async fn each_service_says_whether_it_enforces() {
    let stage = Stage::start().await;
    let both = "enforcement: observe\nservices:\n- { name: payments, hosts: [payments.example.com], enforcement: enforce }\n\
                - { name: orders, hosts: [orders.example.com] }\n";
    stage.files.write("20-rules.yaml", &format!("{both}{}{}", rules(&stage.files), stage.issuer.section()));
    let words = "\"config.enforcement\":\"enforce: payments; observe: default, orders\"";
    until("the log says so", async || stage.offboard.process.output().contains(words).then_some(())).await;
    let status = stage.status();
    assert_eq!(status["enforcement"], "observe", "of the top level");
    let service = |name: &str, enforcement: &str| serde_json::json!({ "name": name, "enforcement": enforcement });
    let services = [service("default", "observe"), service("payments", "enforce"), service("orders", "observe")];
    assert_eq!(status["services"], serde_json::json!(services));

    let config = stage.files.path("config").display().to_string();
    let (code, told) = run(&["validate", "--config", &config]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.ends_with("enforcement: enforce: payments; observe: default, orders\nvalid\n"), "{told}");
    let warned = "enforcement: observe: requests are never denied, except to `payments`, which enforce";
    assert!(told.contains(warned), "{told}");
    fs::write(stage.files.path("config/20-rules.yaml"), format!("enforcement: observe\n{}", stage.issuer.section()))
        .unwrap();
    let (_, told) = run(&["validate", "--config", &config]);
    assert!(told.contains("observe: requests are never denied\n"), "{told}");
}

#[test]
fn validate_finds_files_that_are_named_and_absent() {
    let scratch = Scratch::new();
    let file = scratch.path().join("offboard.yaml");
    let at = |name: &str| scratch.path().join(name).display().to_string();
    fs::write(scratch.path().join("ca.pem"), "").unwrap();
    let text = format!(
        "store: {{ path: {store} }}\nserver:\n  control: {{ bootstrap_token_sha256_file: {hash} }}\n\
         issuers:\n- name: corp\n  issuer: https://idp.example.com\n  audiences: [mesh]\n  jwks: {{ discovery: true, ca_file: {ca} }}\n\
         sources:\n- name: hr\n  kind: file\n  issuer: corp\n  path: {people}\n\
         - name: okta\n  kind: okta\n  issuer: corp\n  url: https://x.okta.com\n  token_file: {token}\n",
        store = at("store"),
        hash = at("hash"),
        ca = at("ca.pem"),
        people = at("people.yaml"),
        token = at("token"),
    );
    fs::write(&file, text).unwrap();
    let (code, told) = run(&["validate", "--config", file.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{told}");
    let absent: Vec<&str> = told.lines().filter(|line| line.contains("does not exist here")).collect();
    let line = |line: u32, key: &str, name: &str| {
        format!("warning: {}:{line}: {key}: `{}` does not exist here", file.display(), at(name))
    };
    let expected = [
        line(3, "server.control.bootstrap_token_sha256_file", "hash"),
        line(13, "sources[0].path", "people.yaml"),
        line(18, "sources[1].token_file", "token"),
    ];
    assert_eq!(absent, expected, "{told}");
}

fn verify(dir: &Path) -> (Option<i32>, String) {
    run(&["audit", "verify", "--path", dir.to_str().unwrap()])
}

#[tokio::test]
async fn only_a_whole_trail_is_proven() {
    let mut stage = Stage::start().await;
    stage.revoke(&["--person", "hr/e1"]);
    stage.offboard.process.stop(std::time::Duration::from_secs(20));
    let dir = stage.files.path("audit");
    let (code, told) = verify(&dir);
    assert_eq!(code, Some(0), "{told}");
    let file = fs::read_dir(&dir).unwrap().map(|file| file.unwrap().path());
    let file = file.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    let file = file.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("audit-")).max().unwrap();
    let text = fs::read_to_string(&file).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let member = |name: &str| last[name].as_str().unwrap().to_owned();
    assert!(told.starts_with(&format!("{}: {} records are proven, 1 to ", dir.display(), last["seq"])), "{told}");
    assert!(told.ends_with(&format!(" to {}; last hash {}\n", member("time"), member("hash"))), "{told}");

    let cut = text.trim_end().rsplit_once('\n').unwrap().0.to_owned() + "\n";
    fs::write(&file, cut).unwrap();
    let (code, told) = verify(&dir);
    assert_eq!((code, told.contains("not proven")), (Some(1), true), "its tail is cut: {told}");
    fs::remove_file(dir.join("head.json")).unwrap();
    let (code, told) = verify(&dir);
    assert_eq!((code, told.contains("not proven")), (Some(1), true), "and so is what told of it: {told}");

    for other in [stage.files.path("config"), stage.files.path("people")] {
        let (code, told) = verify(&other);
        assert_eq!((code, told.contains("not proven: a record is missing")), (Some(1), true), "no trail: {told}");
    }
    assert_eq!(verify(Path::new("/nowhere")).0, Some(3));
}
