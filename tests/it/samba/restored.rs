//! A domain controller whose database was replaced by a copy from before, by which nobody is to get in again.

use super::*;

async fn restored(way: &(&str, &str, &str)) {
    let Some((mut samba, mut stage)) = staged(way).await else { return };
    samba.add_person("erin");
    samba.member("add", "devs", &person("erin"));
    let (alice, bob, carol) = (stage.token("alice").await, stage.token("bob").await, stage.token("carol").await);
    let erin = stage.token("erin").await;
    stage.becomes(&erin, "allowed").await;
    samba.set(&person("carol"), "userAccountControl", Some(DISABLED));
    stage.becomes(&carol, "revoked_person").await;
    samba.stop();
    samba.back_up();
    samba.resume().await;
    samba.set(&person("alice"), "userAccountControl", Some(DISABLED));
    samba.delete(&person("bob"));
    samba.member("delete", "devs", &person("erin"));
    samba.set(&person("carol"), "userAccountControl", Some(ENABLED));
    for (token, verdict) in [(&alice, "revoked_person"), (&bob, "revoked_person"), (&erin, "no_permission")] {
        stage.becomes(token, verdict).await;
    }
    let late = stage.later_token("carol").await;
    stage.becomes(&late, "allowed").await;

    samba.stop();
    samba.restore();
    samba.resume().await;
    until("it is noticed", async || stage.source().contains("highestCommittedUSN` went from").then_some(())).await;
    // Who is disabled there is, at once; who would get in waits, also where something happens to them.
    stage.becomes(&late, "revoked_person").await;
    samba.set(&person("alice"), "mail", Some("back@example.org"));
    samba.set(&person("bob"), "mail", Some("back@example.org"));
    samba.add_person("frank");
    samba.set(&person("erin"), "userAccountControl", Some(DISABLED));
    stage.becomes(&erin, "revoked_person").await;
    let (alice, bob) = (stage.later_token("alice").await, stage.later_token("bob").await);
    assert_eq!(
        (stage.reason(&alice).await, stage.reason(&bob).await),
        ("revoked_person".into(), "revoked_person".into())
    );
    let (code, text) = stage.sync();
    assert!(code != 0 && text.contains("as if restored from a backup"), "{code} {text}");
    stage.restart().await;
    assert!(stage.source().contains("as if restored from a backup"));
    let (code, text) = stage.run(&["source", "discard", "ad"]);
    assert_eq!(code, 0, "{text}");
    until("it is listed and held again", async || stage.source().contains("memberships missing").then_some(())).await;
    assert_eq!(
        (stage.reason(&alice).await, stage.reason(&bob).await),
        ("revoked_person".into(), "revoked_person".into())
    );

    let (code, text) = stage.run(&["source", "confirm", "ad"]);
    assert_eq!(code, 0, "{text}");
    stage.becomes(&alice, "allowed").await;
    stage.becomes(&bob, "allowed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_by_dirsync() {
    restored(&WAYS[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_by_usn() {
    restored(&WAYS[1]).await;
}
