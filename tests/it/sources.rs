//! `offboard source …`, as an operator at night has it: a listing that leaves out too many is held back, shown, and
//! confirmed, discarded or announced.

use serde_json::Value;

use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::until;

const PEOPLE: usize = 40;

fn row(number: usize) -> String {
    format!("id: p{number}, email: p{number}@example.com, groups: [eng]")
}

fn write(files: &Installation, numbers: std::ops::Range<usize>) {
    let rows: Vec<String> = numbers.map(row).collect();
    files.write_people(&rows.iter().map(String::as_str).collect::<Vec<_>>());
}

/// What a command prints, as JSON lines.
fn said(offboard: &Offboard, files: &Installation, arguments: &[&str]) -> Vec<Value> {
    let (code, out, error) = offboard.run(&files.token_file(), arguments);
    assert_eq!(code, 0, "{arguments:?}: {error}");
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn an_operator_judges_what_is_held_back() {
    let issuer = DevIssuer::start().await;
    let files = Installation::new("");
    write(&files, 0..PEOPLE);
    let path = files.path("people/people.yaml").display().to_string();
    let sources = format!("sources: [{{ name: hr, kind: file, issuer: dev, path: {path} }}]\n");
    files.write("20-rules.yaml", &format!("authorization: none\n{}{sources}", issuer.section()));
    let offboard = files.start().await;
    offboard.knows("hr", 40).await;
    let show = || said(&offboard, &files, &["source", "show", "hr"]).pop().unwrap();
    let held = async |missing: u64| {
        let held = format!("{missing} of {PEOPLE} people, 0 memberships missing");
        until("the listing is held back", async || (show()["held"] == held.as_str()).then_some(())).await;
    };

    write(&files, 0..20);
    held(20).await;
    let shown = show();
    let missing: Vec<&str> = shown["missing"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
    assert_eq!((missing.len(), missing.contains(&"p39"), missing.contains(&"p0")), (20, true, false));
    assert!(shown["trouble"].as_str().unwrap().contains("offboard source show hr"), "{shown}");
    assert_eq!(offboard.metric("offboard_source_guarded{source=\"hr\"}").await, Some(1.0));
    assert_eq!(said(&offboard, &files, &["status"])[0]["sources"][0]["guarded"], true);
    assert_eq!(said(&offboard, &files, &["people", "--status", "departed"]).len(), 0, "nobody has left");

    assert_eq!(said(&offboard, &files, &["source", "discard", "hr"]), Vec::<Value>::new());
    let (code, _, error) = offboard.run(&files.token_file(), &["source", "confirm", "hr"]);
    assert_eq!((code, error.contains("no listing of source `hr` is held back")), (1, true), "{error}");
    let (code, _, error) = offboard.run(&files.token_file(), &["source", "sync", "hr", "--full"]);
    assert_eq!((code, error.contains("20 of 40 known people")), (1, true), "{error}");
    let gone = said(&offboard, &files, &["source", "confirm", "hr"]);
    assert_eq!(gone.len(), 20);
    assert_eq!(said(&offboard, &files, &["people", "--status", "departed"]).len(), 20);
    said(&offboard, &files, &["source", "sync", "hr", "--full"]);
    assert_eq!(offboard.metric("offboard_source_guarded{source=\"hr\"}").await, Some(0.0));

    let (code, out, error) =
        offboard.run(&files.token_file(), &["source", "expect", "hr", "--max", "60%", "--until", "1h"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("may remove up to 60%"), "{out}");
    write(&files, 0..8);
    until("twelve more have left", async || {
        (said(&offboard, &files, &["people", "--status", "departed"]).len() == 32).then_some(())
    })
    .await;
    assert!(show()["expected"].as_str().unwrap().starts_with("up to 60.00 %"), "{}", show());

    let (code, _, error) = offboard.run(&files.token_file(), &["source", "show", "nobody"]);
    assert_eq!((code, error.contains("configured are: hr")), (1, true), "{error}");
}

#[tokio::test]
async fn a_name_of_two_people_is_a_finding() {
    let issuer = DevIssuer::start().await;
    let files = Installation::new("");
    files.write_people(&["id: a, email: shared@example.com", "id: b, email: Shared@example.com", "id: c, username: c"]);
    let path = files.path("people/people.yaml").display().to_string();
    let sources = format!("sources: [{{ name: hr, kind: file, issuer: dev, path: {path} }}]\n");
    files.write("20-rules.yaml", &format!("authorization: none\n{}{sources}", issuer.section()));
    let offboard = files.start().await;
    offboard.knows("hr", 3).await;
    let shown = said(&offboard, &files, &["source", "show", "hr"]).pop().unwrap();
    assert_eq!(shown["shared_names"], serde_json::json!(["shared@example.com: a, b"]));
    let (code, _, error) = offboard.run(&files.token_file(), &["person", "shared@example.com"]);
    assert_eq!((code, error.contains("matches several people: hr/a, hr/b")), (1, true), "{error}");
}

#[tokio::test]
async fn a_source_is_checked_running_and_before() {
    let issuer = DevIssuer::start().await;
    let files = Installation::new("");
    write(&files, 0..3);
    let path = files.path("people/people.yaml").display().to_string();
    let sources = format!("sources: [{{ name: hr, kind: file, issuer: dev, path: {path} }}]\n");
    files.write("20-rules.yaml", &format!("authorization: none\n{}{sources}", issuer.section()));
    let config = files.path("config").display().to_string();
    let before = || {
        let done = Offboard::command().args(["source", "check", "hr", "--config", &config]).output().unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    };
    assert_eq!(
        before(),
        (Some(0), "{\"found\":\"it lists 3 people\",\"grade\":\"ok\",\"what\":\"people file\"}\n".into())
    );
    let offboard = files.start().await;
    let found = said(&offboard, &files, &["source", "check", "hr"]);
    assert_eq!(found[0]["found"], "it lists 3 people");
    std::fs::write(files.path("people/people.yaml"), "people:\n  - { id: a, status: gone }\n").unwrap();
    let (code, said) = before();
    assert_eq!((code, said.contains("read the people file")), (Some(1), true), "{said}");
    until("the trouble is shown", async || {
        let trouble = self::said(&offboard, &files, &["source", "list"])[0]["trouble"].clone();
        trouble.as_str().is_some_and(|trouble| trouble.contains("read the people file")).then_some(())
    })
    .await;
    assert!(offboard.metric("offboard_source_errors_total{kind=\"malformed\",source=\"hr\"}").await > Some(0.0));
}

/// Whoever is replaced in the middle of a request says nothing any more: what it would say is older than what the next
/// one says.
#[tokio::test]
async fn a_source_that_is_replaced_is_gone_before_the_next_one_asks() {
    let issuer = DevIssuer::start().await;
    let files = Installation::new("");
    let provider = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    std::fs::write(files.path("config/secret"), "s").unwrap();
    let configure = |poll: &str| {
        let (address, secret) = (provider.local_addr().unwrap(), files.path("config/secret").display().to_string());
        let source = format!(
            "sources:\n  - {{ name: kc, kind: keycloak, issuer: dev, url: \"http://{address}\", realm: corp, client_id: o, \
             client_secret_file: {secret}, timeout: 1h, poll: {poll} }}\n"
        );
        files.write("20-rules.yaml", &format!("authorization: none\n{}{source}", issuer.section()));
    };
    configure("1s");
    let _offboard = files.start().await;
    // It is asked, and never answers.
    let (first, _) = provider.accept().await.unwrap();
    configure("2s");
    let mut heard = Vec::new();
    let closed = until("the first request is given up", async || {
        let mut some = [0; 1024];
        match first.try_read(&mut some) {
            Ok(0) => Some(true),
            Ok(read) => {
                heard.extend_from_slice(&some[..read]);
                None
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
            Err(_) => Some(true),
        }
    });
    assert!(closed.await);
    assert!(heard.starts_with(b"POST "), "{}", String::from_utf8_lossy(&heard));
    provider.accept().await.unwrap();
}
