//! A store and an audit trail with one of everything: each version reads on what the ones before wrote.
//!
//! The test makes such a history, stops, and looks whether all of it stands after the next start. It then does the same
//! with each directory of `tests/fixture/recorded`, which earlier versions left. To add one, before a format changes:
//! `OFFBOARD_RECORD=NAME cargo test --features faults --test it recorded`; in the notes of its store, replace the path of
//! the directory by another, and vacuum.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::installation::Installation;
use crate::support::offboard::Offboard;
use crate::support::provider::{Signer, jwks};
use crate::support::proxy::Proxy;
use crate::support::{root, until};
use crate::upgrade::{Caller, ISSUER};

/// Before all of it, in seconds.
const BEFORE: i64 = 1_780_000_000;
/// What of a store is kept: the log, and how often it was opened.
const STORE: [&str; 2] = ["log.db", "seen"];
/// Who is revoked by configuration, before and after.
const CONFIGURED: [&str; 2] = [
    "[{ person: ike@corp.example, reason: HR-1 }, { person: joy@corp.example, reason: HR-2 }]",
    "[{ person: joy@corp.example, reason: HR-2 }]",
];

fn configure(files: &Installation, signer: &Signer, revocations: &str) {
    fs::write(files.path("jwks.json"), jwks(&[signer])).unwrap();
    let at = |name: &str| files.path(name).display().to_string();
    let link = "link: [{ claim: email, attribute: email }, { claim: sub, attribute: id }]";
    let source = |name: &str, file: &str| {
        format!("  - {{ name: {name}, kind: file, issuer: corp, path: {}, poll: 1s, {link} }}\n", at(file))
    };
    files.write(
        "20-rules.yaml",
        &format!(
            "authorization: none\nrevocations: {revocations}\n\
             issuers:\n  - {{ name: corp, issuer: '{ISSUER}', audiences: [mesh], jwks: {{ file: {} }} }}\n\
             sources:\n{}{}\
             services: [{{ name: payments }}]\n\
             roles: [{{ name: reader, permissions: [{{ services: [payments] }}] }}]\n\
             bindings: [{{ role: reader, people: [pat@corp.example] }}]\n",
            at("jwks.json"),
            source("hr", "people/people.yaml"),
            source("lab", "people/lab.yaml"),
        ),
    );
}

fn write_lab(files: &Installation, people: u32) {
    let rows: String = (0..people).map(|number| format!("  - {{ id: l{number} }}\n")).collect();
    fs::write(files.path("people/.staged"), format!("people:\n{rows}")).unwrap();
    fs::rename(files.path("people/.staged"), files.path("people/lab.yaml")).unwrap();
}

fn lines(offboard: &Offboard, files: &Installation, arguments: &[&str]) -> Vec<Value> {
    let (code, out, error) = offboard.run(&files.token_file(), arguments);
    assert_eq!(code, 0, "{arguments:?}: {error}");
    out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// One of everything: every kind of revocation and of word of a source, an exemption, a listing that is held back.
async fn happens(offboard: &Offboard, files: &Installation, signer: &Signer) {
    let person =
        |key: &str, name: &str, rest: &str| format!("id: {key}, email: {name}@corp.example, username: {name}{rest}");
    let mut people = vec![
        person("e1", "ann", ", groups: [eng]"),
        person("e2", "bob", ", status: departed"),
        person("e3", "cid", ", status: suspended"),
        person("e4", "dee", ""),
        person("e5", "eve", ""),
        person("e6", "fay", ", status: suspended"),
        person("e7", "gil", ", status: suspended"),
        person("e8", "pat", ""),
        person("e9", "ike", ""),
        person("e10", "joy", ""),
    ];
    people.extend((11..20).map(|number| person(&format!("e{number}"), &format!("n{number}"), "")));
    let write = |people: &[String]| files.write_people(&people.iter().map(String::as_str).collect::<Vec<_>>());
    write(&people);
    write_lab(files, 12);
    offboard.knows("hr", 15).await;
    offboard.knows("lab", 12).await;

    let revoke = |target: &[&str]| {
        let mut arguments = vec!["revoke", "--reason", "recorded"];
        arguments.extend_from_slice(target);
        lines(offboard, files, &arguments);
    };
    revoke(&["--person", "ghost@corp.example", "--allow-unknown"]);
    revoke(&["--person", "hr/e11"]);
    revoke(&["--person", "n12@corp.example", "--issued-before", "1h"]);
    revoke(&["--person", "n13@corp.example", "--expires", "2098-01-01T00:00:00Z"]);
    revoke(&["--person", "n14@corp.example", "--effective", "2098-01-01T00:00:00Z"]);
    revoke(&["--subject", ISSUER, "s-1"]);
    revoke(&["--session", ISSUER, "sess-1"]);
    revoke(&["--token", ISSUER, "t-1"]);
    revoke(&["--client", ISSUER, "cli-1"]);
    revoke(&["--issuer", "https://old.example.com"]);
    revoke(&["--person", "n15@corp.example"]);
    let standing = lines(offboard, files, &["revocations", "-o", "json"]);
    // The newest comes first.
    let last = standing.first().and_then(|line| line["id"].as_str()).unwrap();
    lines(offboard, files, &["restore", last, "--reason", "recorded"]);
    lines(offboard, files, &["exempt", "gil@corp.example", "--expires", "1h", "--reason", "recorded"]);

    // Renamed, gone, back again, moved.
    people[3] = person("e4", "dora", "");
    people[5] = person("e6", "fay", "");
    people[0] = person("e1", "ann", ", groups: [ops]");
    people.remove(4);
    write(&people);
    write_lab(files, 2);
    configure(files, signer, CONFIGURED[1]);
    until("it is in the log", async || {
        let of = |name: &str| lines(offboard, files, &["person", name, "-o", "json"]).pop();
        let eve = of("hr/e5").is_some_and(|eve| eve["status"] == "departed");
        let held = lines(offboard, files, &["source", "show", "lab"]).pop().is_some_and(|lab| lab["held"].is_string());
        let taken_out = |line: &Value| line["ended_by"] == "taken_out";
        let cut = lines(offboard, files, &["revocations", "--all", "-o", "json"]).iter().any(taken_out);
        (eve && held && cut).then_some(())
    })
    .await;
}

/// What must be so after each start.
async fn stands(offboard: &Offboard, signer: &Signer, of: &str) {
    let mut caller = Caller { proxy: Proxy::connect(offboard.authz).await, signer };
    // After a cut-off of just now, to which 5 s are added, and within the leeway.
    let today = jiff::Timestamp::now().as_second() + 20;
    for (issued, claims, expected) in [
        (today, json!({ "email": "ann@corp.example" }), "allowed"),
        (today, json!({ "email": "bob@corp.example" }), "revoked_person"),
        (today, json!({ "email": "cid@corp.example" }), "revoked_person"),
        (today, json!({ "email": "dora@corp.example" }), "allowed"),
        (BEFORE, json!({ "email": "dee@corp.example" }), "issued_before_cutoff"),
        (today, json!({ "email": "eve@corp.example" }), "revoked_person"),
        (today, json!({ "email": "fay@corp.example" }), "allowed"),
        (BEFORE, json!({ "email": "fay@corp.example" }), "issued_before_cutoff"),
        (BEFORE, json!({ "email": "ike@corp.example" }), "issued_before_cutoff"),
        (today, json!({ "email": "ike@corp.example" }), "allowed"),
        (today, json!({ "email": "joy@corp.example" }), "revoked_person"),
        (today, json!({ "email": "ghost@corp.example" }), "revoked_person"),
        (today, json!({ "sub": "e11" }), "revoked_person"),
        (BEFORE, json!({ "sub": "e12" }), "issued_before_cutoff"),
        (today, json!({ "sub": "e12" }), "allowed"),
        (today, json!({ "sub": "e13" }), "revoked_person"),
        (today, json!({ "sub": "e14" }), "allowed"),
        (today, json!({ "sub": "e15" }), "allowed"),
        (BEFORE, json!({ "sub": "e15" }), "issued_before_cutoff"),
        (today, json!({ "sub": "s-1" }), "revoked_subject"),
        (today, json!({ "sub": "e1", "sid": "sess-1" }), "revoked_session"),
        (today, json!({ "sub": "e1", "jti": "t-1" }), "revoked_token"),
        (today, json!({ "sub": "e1", "azp": "cli-1" }), "revoked_client"),
        (today, json!({ "sub": "l5" }), "allowed"),
        (today, json!({ "sub": "l1" }), "allowed"),
    ] {
        assert_eq!(caller.reason(issued, claims.clone()).await, expected, "{of}: {claims}");
    }
}

/// Members of a listing that say the same in every version; each as one text.
fn said(offboard: &Offboard, files: &Installation, arguments: &[&str], members: &[&str]) -> Vec<String> {
    let text = |line: &Value| {
        // Later versions print what is absent too.
        let absent = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        let said = members.iter().filter(|member| !absent(&line[**member]));
        said.map(|member| format!("{member}={}", line[*member])).collect::<Vec<_>>().join(" ")
    };
    let mut said: Vec<String> = lines(offboard, files, arguments).iter().map(text).collect();
    said.sort();
    said
}

/// All that is known, in words.
fn account(offboard: &Offboard, files: &Installation) -> String {
    let of_a_revocation = [
        "id",
        "target",
        "people",
        "shape",
        "owner",
        "reason",
        "effective",
        "issued_before",
        "expires",
        "ended",
        "ended_by",
    ];
    let mut account = said(offboard, files, &["revocations", "--all", "-o", "json"], &of_a_revocation);
    let of_a_person = ["id", "email", "username", "status", "groups", "revocations"];
    account.extend(said(offboard, files, &["people", "-o", "json"], &of_a_person));
    account.extend(said(offboard, files, &["source", "show", "lab"], &["held", "missing"]));
    account.join("\n") + "\n"
}

/// A start on what an earlier one left: it stands, is told in the same words, and the audit trail goes on.
async fn is_read_on(recorded: &Path, signer: &Signer) {
    let files = Installation::new("");
    configure(&files, signer, CONFIGURED[1]);
    for (name, into) in [("store", STORE.as_slice()), ("audit", &[])] {
        copy(&recorded.join(name), &files.path(name), into);
    }
    let offboard = files.start().await;
    let of = recorded.display().to_string();
    stands(&offboard, signer, &of).await;
    assert_eq!(account(&offboard, &files), fs::read_to_string(recorded.join("account.txt")).unwrap(), "{of}");
    drop(offboard);
    let trail = files.path("audit").display().to_string();
    let verified = Offboard::command().args(["audit", "verify", "--path", &trail]).output().unwrap();
    assert!(verified.status.success(), "{of}: {}", String::from_utf8_lossy(&verified.stdout));
}

/// These files of a directory, or all.
fn copy(from: &Path, to: &Path, names: &[&str]) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_file() && (names.is_empty() || names.contains(&name.as_str())) {
            fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}

#[tokio::test]
async fn what_earlier_versions_wrote_is_read_on() {
    let signer = Signer::new("k1", 7);
    let files = Installation::new("");
    configure(&files, &signer, CONFIGURED[0]);
    let mut offboard = files.start().await;
    happens(&offboard, &files, &signer).await;
    stands(&offboard, &signer, "as it happens").await;
    let account = account(&offboard, &files);
    offboard.process.stop(Duration::from_secs(20));
    drop(offboard);

    let left = files.path("left");
    copy(&files.path("store"), &left.join("store"), &STORE);
    copy(&files.path("audit"), &left.join("audit"), &[]);
    fs::write(left.join("account.txt"), account).unwrap();
    let fixtures = root().join("tests/fixture/recorded");
    if let Some(name) = std::env::var_os("OFFBOARD_RECORD") {
        for part in ["store", "audit", ""] {
            copy(&left.join(part), &fixtures.join(&name).join(part), &[]);
        }
    }
    is_read_on(&left, &signer).await;
    let recorded: Vec<PathBuf> = fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!recorded.is_empty());
    for recorded in recorded {
        is_read_on(&recorded, &signer).await;
    }
}
