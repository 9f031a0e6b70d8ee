//! Who may not hear of deletions, and is not to believe that there are none.

use super::*;
use crate::ldap::check::checked;

const ISSUER: &str =
    "issuers: [{ name: dev, issuer: 'http://dev', audiences: [mesh], jwks: { uri: 'http://dev/jwks' } }]\n";

/// Everybody sees the container of what is deleted, and nothing in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_without_rights_knows_that_it_hears_of_no_deletion() {
    let Some((samba, mut stage)) = staged(&("sync: poll, max_staleness: 2s", PLAIN, READER_PASSWORD)).await else {
        return;
    };
    let (alice, bob) = (stage.token("alice").await, stage.token("bob").await);
    stage.becomes(&alice, "allowed").await;
    let (code, text) = stage.run(&["source", "check", "ad", "-o", "json"]);
    let warned = text.lines().find(|line| line.contains("\"deletions\"")).unwrap_or_default();
    assert!(code == 0 && warned.contains("warning") && warned.contains("`CN=Deleted Objects`"), "{code} {text}");
    let log = stage.offboard.process.output();
    assert!(log.contains("deleted entries cannot be seen"), "{log}");
    // Nothing of it is claimed to be fresh.
    until("it is stale", async || stage.source().contains("\"stale\":true").then_some(())).await;
    samba.delete(&person("alice"));
    samba.set(&person("bob"), "userAccountControl", Some("514"));
    stage.becomes(&bob, "revoked_person").await;
    assert_eq!(stage.verdict(&alice).await, "allowed");
    let (code, text) = stage.sync();
    assert_eq!((code, stage.verdict(&alice).await), (0, "revoked_person".into()), "{text}");
}

/// Who may hear of them is not warned, in neither way; and who may not ask by DirSync is told which right that takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_said() {
    let Some(samba) = Samba::start().await else { return };
    samba.add_person("alice");
    let files = Installation::new("");
    for (sync, reader, password, expected) in [
        (WAYS[0].0, REPLICA, READER_PASSWORD, None),
        (WAYS[1].0, ADMIN, ADMIN_PASSWORD, None),
        ("sync: dirsync", PLAIN, READER_PASSWORD, Some("Replicating Directory Changes")),
        ("sync: poll", PLAIN, READER_PASSWORD, Some("CN=Deleted Objects")),
        ("sync: poll", PLAIN, "not the password", Some("invalid credentials (49)")),
    ] {
        files.write("20-rules.yaml", &format!("{ISSUER}{}", source(&files, &samba, (reader, password), sync)));
        let (_, text) = checked(&files);
        assert_eq!(text.contains("deletions"), expected == Some("CN=Deleted Objects"), "{sync} {reader}: {text}");
        assert!(expected.is_none_or(|expected| text.contains(expected)), "{sync} {reader}: {text}");
    }
}
