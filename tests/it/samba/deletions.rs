//! Who may not hear of deletions, and is not to believe that there are none.

use super::*;
use crate::ldap::check::checked;

const ISSUER: &str =
    "issuers: [{ name: dev, issuer: 'http://dev', audiences: [mesh], jwks: { uri: 'http://dev/jwks' } }]\n";

/// Everybody sees the container of what is deleted, and nothing in it.
async fn hears_of_no_deletion(way: &str, reader: &str) {
    let way = format!("{way}, max_staleness: 2s");
    let Some((samba, stage)) = staged(&(&way, reader, READER_PASSWORD)).await else { return };
    let (alice, bob) = (stage.token("alice").await, stage.token("bob").await);
    stage.becomes(&alice, "allowed").await;
    let (code, text) = stage.run(&["source", "check", "ad", "-o", "json"]);
    let warned = text.lines().find(|line| line.contains("\"deletions\"")).unwrap_or_default();
    assert!(code == 0 && warned.contains("warning") && warned.contains("`CN=Deleted Objects`"), "{code} {text}");
    let log = stage.offboard.process.output();
    assert!(log.contains("cannot see deleted entries"), "{log}");
    // Nothing of it is claimed to be fresh.
    until("it is stale", async || stage.source().contains("\"stale\":true").then_some(())).await;
    samba.delete(&person("alice"));
    samba.set(&person("bob"), "userAccountControl", Some(DISABLED));
    stage.becomes(&bob, "revoked_person").await;
    assert_eq!(stage.reason(&alice).await, "allowed");
    let (code, text) = stage.sync();
    assert_eq!((code, stage.reason(&alice).await), (0, "revoked_person".into()), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_polls_without_rights_hears_of_none() {
    hears_of_no_deletion("sync: poll", PLAIN).await;
}

/// DirSync goes on telling what changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_only_ask_what_changes_hears_of_none() {
    hears_of_no_deletion("sync: dirsync", CHANGES).await;
}

/// Who may hear of them is not warned, in neither way; and who may not ask by DirSync is told which right that takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_said() {
    let Some(samba) = Samba::start().await else { return };
    samba.add_person("alice");
    let files = Installation::new("");
    for (sync, reader, password, expected) in [
        ("sync: dirsync", READER, READER_PASSWORD, None),
        ("sync: poll", READER, READER_PASSWORD, None),
        ("sync: dirsync", ADMIN, ADMIN_PASSWORD, None),
        ("sync: poll", ADMIN, ADMIN_PASSWORD, None),
        ("sync: dirsync", CHANGES, READER_PASSWORD, Some("CN=Deleted Objects")),
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
