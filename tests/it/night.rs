//! On call at night: what is wrong stands in the first lines of `status`, in `/readyz?verbose` without people, and in a
//! metric.

use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::until;

struct Stage {
    files: Installation,
    issuer: DevIssuer,
    offboard: Offboard,
}

/// Where nobody listens.
const NOWHERE: &str = "http://127.0.0.1:1";

impl Stage {
    async fn start() -> Self {
        let (files, issuer) = (Installation::new(""), DevIssuer::start().await);
        files.write_people(&["id: alice, email: alice@example.com", "id: bob, email: bob@example.com"]);
        files.write("20-rules.yaml", &rules(&files, &issuer, ""));
        let offboard = files.start().await;
        offboard.knows("hr", 2).await;
        offboard.has_keys("dev").await;
        Self { files, issuer, offboard }
    }

    fn run(&self, arguments: &[&str]) -> String {
        let (code, out, error) = self.offboard.run(&self.files.token_file(), arguments);
        assert_eq!(code, 0, "{arguments:?}: {error}");
        out
    }

    /// The first lines of `status`, up to the empty one.
    fn first(&self) -> String {
        self.run(&["status", "-o", "table"]).split("\n\n").next().unwrap().to_owned()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.run(&["status", "-o", "json"])).unwrap()
    }

    async fn readyz(&self) -> String {
        let answer = self.offboard.ops("/readyz?verbose").await;
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap()
    }

    /// Waits until the first lines hold each of these.
    async fn says(&self, wanted: &[&str]) -> String {
        let mut last = String::new();
        until("status says what is wrong", async || {
            last = self.first();
            wanted.iter().all(|text| last.contains(text)).then_some(())
        })
        .await;
        last
    }
}

fn rules(files: &Installation, issuer: &DevIssuer, others: &str) -> String {
    let people = files.path("people/people.yaml").display().to_string();
    format!(
        "authorization: none\n\
         issuers:\n- {{ name: dev, issuer: '{}', audiences: [mesh], jwks: {{ discovery: true }} }}\n\
         sources: [{{ name: hr, kind: file, issuer: dev, path: {people}, poll: 1s }}]\n{others}",
        issuer.url
    )
}

#[tokio::test]
async fn where_nothing_is_wrong_one_line_says_so() {
    let stage = Stage::start().await;
    assert_eq!(stage.first(), "nothing is wrong");
    assert_eq!(stage.readyz().await, "ok\nnothing is wrong\n");
    let status = stage.json();
    assert_eq!(status["ready"], true);
    let none = |value: &serde_json::Value| value.as_array().is_none_or(Vec::is_empty);
    assert!(none(&status["wrong"]) && none(&status["by_choice"]), "{status}");
}

#[tokio::test]
async fn a_bad_reload_says_its_errors_until_a_good_one() {
    let stage = Stage::start().await;
    let bad = "revocations: [{ person: mallory@example.com, reason: 7 }]\npeople: { unknown: mallory@example.com }\n";
    stage.files.write("30-bad.yaml", bad);
    let first = stage.says(&["configuration: not reloaded since ", "30-bad.yaml:2: people.unknown: "]).await;
    assert!(first.starts_with("wrong now:\n  configuration: not reloaded since "), "{first}");
    let wrong = &stage.json()["wrong"][0];
    assert_eq!(wrong["area"], "configuration");
    assert!(wrong["details"].as_array().unwrap().iter().any(|error| error.as_str().unwrap().contains("30-bad.yaml:2")));
    let everybody = stage.readyz().await;
    assert!(everybody.contains("warning: configuration: not reloaded since "), "{everybody}");
    assert!(
        !everybody.contains("30-bad") && !everybody.contains("mallory"),
        "what stands in files is not for everybody"
    );

    stage.files.write("30-bad.yaml", "people: { unknown: allow }\n");
    until("nothing is wrong", async || (stage.first() == "nothing is wrong").then_some(())).await;
    stage.files.write("30-bad.yaml", bad);
    stage.says(&["not reloaded since"]).await;
    let mut stage = stage;
    stage.offboard.process.stop(std::time::Duration::from_secs(20));
    stage.offboard = stage.files.start().await;
    stage.says(&["configuration: not reloaded since ", "30-bad.yaml:2: people.unknown: "]).await;
}

#[tokio::test]
async fn sources_and_issuers_in_trouble_say_what_fails() {
    let stage = Stage::start().await;
    let people = stage.files.path("people/people.yaml");
    let dead = format!(
        "services:\n- {{ name: docs, no_credentials: pass, foreign_credentials: pass }}\n- {{ name: wiki, enforcement: observe }}\n\
         issuers: [{{ name: dead, issuer: '{NOWHERE}', audiences: [mesh], jwks: {{ discovery: true }} }}]\n"
    );
    stage.files.write("30-more.yaml", &dead);
    std::fs::write(people.with_file_name(".staged"), "people: [{ id: alice, id: secret-name }\n").unwrap();
    std::fs::rename(people.with_file_name(".staged"), &people).unwrap();
    let wanted = ["issuer dead: no keys: its tokens are answered `not_ready`", "source hr: failed "];
    let first = stage.says(&wanted).await;
    let chosen = "by choice:\n  service docs: lets through what shows no credential of ours: `no_credentials: pass`, \
                  `foreign_credentials: pass`\n  enforcement: `observe`: nothing is denied to wiki";
    assert!(first.ends_with(chosen), "{first}");
    let everybody = stage.readyz().await;
    for line in ["warning: issuer dead: no keys", "warning: source hr: failed ", "note: service docs: lets through"] {
        assert!(everybody.contains(line), "{everybody}");
    }
    let status = stage.json();
    let wrong = status["wrong"].as_array().unwrap();
    let details = |area: &str| wrong.iter().find(|one| one["area"] == area).unwrap()["details"].to_string();
    assert!(details("issuer dead").contains("Connection refused"), "{status}");
    assert!(!everybody.contains("Connection refused"), "{everybody}");
    assert!(details("source hr").len() > 10, "{status}");

    for series in ["offboard_jwks_keys", "offboard_jwks_last_success_timestamp_seconds"] {
        let series = format!("{series}{{issuer=\"dead\"}}");
        assert_eq!(stage.offboard.metric(&series).await, Some(0.0), "{series}");
    }
    let errors = "offboard_jwks_errors_total{issuer=\"dead\"}";
    until("its errors count", async || (stage.offboard.metric(errors).await > Some(0.0)).then_some(())).await;
    let enforces = |service: &str| format!("offboard_service_enforcement{{service=\"{service}\"}}");
    assert_eq!(stage.offboard.metric(&enforces("docs")).await, Some(1.0));
    assert_eq!(stage.offboard.metric(&enforces("wiki")).await, Some(0.0));
}

#[tokio::test]
async fn who_is_exempted_is_told_to_operators_only() {
    let stage = Stage::start().await;
    stage.run(&["exempt", "alice@example.com", "--expires", "1h", "--reason", "payday"]);
    let first = stage.first();
    assert!(first.starts_with("nothing is wrong\nby choice:\n  exemptions: 1 in force\n      e"), "{first}");
    assert!(first.contains(": alice@example.com until ") && first.ends_with(", by bootstrap: payday"), "{first}");
    let everybody = stage.readyz().await;
    assert_eq!(everybody, "ok\nnote: exemptions: 1 in force\n");
}

#[tokio::test]
async fn the_gauge_of_revocations_is_the_number_of_those_listed() {
    let stage = Stage::start().await;
    let listed = || stage.run(&["revocations", "-o", "json"]).lines().count();
    let gauge = async || stage.offboard.metric("offboard_revocations").await;
    assert_eq!((listed(), gauge().await), (0, Some(0.0)));
    let person = ["revoke", "--person", "alice@example.com", "--reason", "left"];
    let told = stage.run(&person);
    let id = told.lines().find_map(|line| line.strip_prefix("revoked: ")).unwrap().split(' ').next().unwrap();
    stage.run(&["revoke", "--person", "hr/bob", "--issued-before", "1m", "--reason", "a lost laptop"]);
    stage.run(&["revoke", "--session", &stage.issuer.url, "s1", "--reason", "a lost laptop"]);
    assert_eq!((listed(), gauge().await), (3, Some(3.0)), "one of several names is one");
    let people = "offboard_revocations{target=\"person\"}";
    assert_eq!(stage.offboard.metric(people).await, Some(2.0));
    stage.run(&["restore", id, "--reason", "back"]);
    assert_eq!((listed(), gauge().await), (2, Some(2.0)), "what it left is none");
    stage.files.write_people(&["id: alice, email: alice@example.com", "id: bob, status: departed"]);
    until("bob left", async || (gauge().await == Some(3.0)).then_some(())).await;
    assert_eq!(listed(), 3);
    let status = stage.json();
    assert_eq!(status["revocations"], serde_json::json!({ "person": 2, "session": 1 }));
}
