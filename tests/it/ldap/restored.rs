//! A slapd whose database was replaced by a copy from before, by which nobody is to get in again.

use super::stage::Stage;
use crate::support::slapd::{Choices, Slapd, dn};
use crate::support::until;

/// What happens before the server answers again: nothing, so that it refuses the cookie; or somebody writes to it, so that it
/// is newer than the cookie, and takes it.
async fn restored(more: &str, written: bool) {
    let Some(mut slapd) = Slapd::start(Choices::default()).await else { return };
    slapd.add_people(2);
    let mut stage = Stage::start(slapd.port, more).await;
    let (alice, bob, carol) = (stage.token("alice").await, stage.token("bob").await, stage.token("carol").await);
    slapd.set("carol", "pwdAccountLockedTime", Some("000001010000Z"));
    slapd.member("add", "devs", "p0000");
    let (early, late) = (stage.token("p0000").await, stage.token("p0001").await);
    stage.becomes(&carol, "revoked_person").await;
    stage.becomes(&early, "allowed").await;
    slapd.stop();
    slapd.back_up();
    slapd.resume().await;
    slapd.member("delete", "devs", "p0000");
    slapd.member("add", "devs", "p0001");
    slapd.delete("bob");
    slapd.set("carol", "pwdAccountLockedTime", None);
    slapd.set("alice", "pwdAccountLockedTime", Some("000001010000Z"));
    stage.sync();
    let carol = stage.later_token("carol").await;
    for (token, verdict) in [
        (&early, "no_permission"),
        (&late, "allowed"),
        (&bob, "revoked_person"),
        (&carol, "allowed"),
        (&alice, "revoked_person"),
    ] {
        stage.becomes(token, verdict).await;
    }

    slapd.stop();
    slapd.recover();
    if written {
        let aside = crate::support::ports::free();
        slapd.resume_on(aside).await;
        slapd.modify_on(
            aside,
            &format!("dn: {}\nchangetype: modify\nreplace: mail\nmail: x@example.org\n", dn("p0001")),
        );
        slapd.stop();
    }
    slapd.resume().await;
    let (_, text) = stage.sync();
    until("it is held back", async || stage.source().contains("as if restored from a backup").then_some(())).await;
    // Whoever is locked there is out; the rest waits, and so does what is told of them now.
    stage.becomes(&carol, "revoked_person").await;
    slapd.set("alice", "mail", Some("back@example.org"));
    slapd.set("p0000", "pwdAccountLockedTime", Some("000001010000Z"));
    stage.becomes(&early, "revoked_person").await;
    let (alice, bob) = (stage.later_token("alice").await, stage.later_token("bob").await);
    let held = async |stage: &mut Stage, text: &str| {
        for (token, verdict) in [(&alice, "revoked_person"), (&bob, "revoked_person"), (&late, "allowed")] {
            assert_eq!(stage.reason(token).await, verdict, "{text}");
        }
    };
    held(&mut stage, &text).await;
    stage.restart().await;
    let (code, text) = stage.sync();
    assert!(code != 0 && text.contains("as if restored from a backup"), "{code} {text}");
    held(&mut stage, &text).await;
    let (code, text) = stage.run(&["source", "discard", "ad"]);
    assert_eq!(code, 0, "{text}");
    until("it is listed and held again", async || stage.source().contains("memberships missing").then_some(())).await;
    held(&mut stage, &text).await;

    let (code, text) = stage.run(&["source", "confirm", "ad"]);
    assert_eq!(code, 0, "{text}");
    stage.becomes(&alice, "allowed").await;
    stage.becomes(&bob, "allowed").await;
    stage.becomes(&late, "no_permission").await;
    until("it is not held any more", async || (!stage.source().contains("as if restored")).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_the_cookie() {
    restored("", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_written_to_before_it_is_asked() {
    restored("", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_polled() {
    restored("sync: poll, poll: 100ms", false).await;
}

/// The copy was a mistake: the right one is put back, and what is known is said again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_one_is_put_back() {
    let Some(mut slapd) = Slapd::start(Choices::default()).await else { return };
    let stage = Stage::start(slapd.port, "").await;
    let bob = stage.token("bob").await;
    slapd.stop();
    slapd.back_up();
    slapd.resume().await;
    slapd.delete("bob");
    stage.becomes(&bob, "revoked_person").await;
    slapd.stop();
    let right = slapd.put_aside();
    slapd.recover();
    slapd.resume().await;
    until("it is held back", async || stage.source().contains("as if restored from a backup").then_some(())).await;
    slapd.stop();
    slapd.put_back(right);
    slapd.resume().await;
    until("it is not held any more", async || {
        let now = stage.source();
        (!now.contains("as if restored")).then_some(())
    })
    .await;
    slapd.add_people(1);
    slapd.member("add", "devs", "p0000");
    let newcomer = stage.token("p0000").await;
    stage.becomes(&newcomer, "allowed").await;
    assert_eq!(stage.reason(&bob).await, "revoked_person");
}

/// No person was changed since the copy was made, and the server was written to before it answers again.
async fn only(change: impl Fn(&Slapd), person: &str) {
    let Some(mut slapd) = Slapd::start(Choices::default()).await else { return };
    slapd.add_people(1);
    let mut stage = Stage::start(slapd.port, "").await;
    let before = stage.token(person).await;
    stage.becomes(&before, "allowed").await;
    slapd.stop();
    slapd.back_up();
    slapd.resume().await;
    change(&slapd);
    let verdict = async |stage: &mut Stage| {
        let token = stage.later_token(person).await;
        stage.reason(&token).await
    };
    until("it is taken away", async || (verdict(&mut stage).await != "allowed").then_some(())).await;
    slapd.stop();
    slapd.recover();
    let aside = crate::support::ports::free();
    slapd.resume_on(aside).await;
    slapd.modify_on(aside, &format!("dn: {}\nchangetype: modify\nreplace: sn\nsn: Newer\n", dn("p0000")));
    slapd.stop();
    slapd.resume().await;
    let (_, text) = stage.sync();
    until("it is held back", async || stage.source().contains("as if restored from a backup").then_some(())).await;
    assert_ne!(verdict(&mut stage).await, "allowed", "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_on_which_somebody_was_only_deleted() {
    only(|slapd| slapd.delete("bob"), "bob").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_on_which_only_a_group_was_changed() {
    only(|slapd| slapd.member("delete", "devs", "carol"), "carol").await;
}
