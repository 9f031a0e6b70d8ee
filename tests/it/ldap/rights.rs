//! Rights that `bind_dn` loses: what can no longer be read is neither gone nor ended.

use std::time::Duration;

use super::check::checked;
use super::stage::{EVENTS, Stage};
use crate::support::slapd::{Choices, Slapd, dn};
use crate::support::{until, until_within};

/// A right that is taken away makes listings empty, with success: nobody leaves by that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_taken_away_is_no_departure() {
    let Some(mut slapd) = Slapd::start(Choices::default()).await else { return };
    let stage = Stage::start(slapd.port, "").await;
    let (alice, bob) = (stage.token("alice").await, stage.token("bob").await);
    // Carol is looked at again when her time is over: nothing is written to her entry then. Not before the server is back,
    // which takes seconds on a busy machine.
    let end = (jiff::Timestamp::now() + Duration::from_secs(20)).strftime("%Y%m%d%H%M%SZ").to_string();
    let before = stage.offboard.metric(EVENTS).await;
    slapd.set("carol", "pwdEndTime", Some(&end));
    until("it is known", async || (stage.offboard.metric(EVENTS).await > before).then_some(())).await;
    slapd.stop();
    slapd.choices.access = "access to dn.base=\"dc=example,dc=org\" by * read\naccess to * by * none";
    slapd.resume().await;
    until("it is back", async || (!stage.source().contains("lost")).then_some(())).await;
    let (code, text) = stage.sync();
    assert_ne!(code, 0, "{text}");
    let said = async || stage.offboard.process.output().contains("has lost the right to read entries").then_some(());
    until("the right is named", said).await;
    let carol = stage.person("carol");
    assert!(carol.contains("\"active\""), "{carol}");
    assert_eq!((stage.reason(&alice).await, stage.reason(&bob).await), ("allowed".into(), "allowed".into()));
    slapd.stop();
    slapd.choices.access = "access to * by * none";
    slapd.resume().await;
    let missing = async || stage.sync().1.contains("`base_dn` is wrong").then_some(());
    until_within(Duration::from_secs(30), "the base is missed", missing).await;
    assert_eq!((stage.reason(&alice).await, stage.reason(&bob).await), ("allowed".into(), "allowed".into()));
}

/// Locks are operational attributes. Where those are hidden, everybody looks as if nobody had locked them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_can_no_longer_be_read_has_not_ended() {
    let Some(mut slapd) = Slapd::start(Choices::default()).await else { return };
    let stage = Stage::start(slapd.port, "").await;
    let (alice, bob) = (stage.token("alice").await, stage.token("bob").await);
    slapd.set("alice", "pwdAccountLockedTime", Some("000001010000Z"));
    stage.becomes(&alice, "revoked_person").await;
    let (code, text) = checked(&stage.files);
    assert!(code == 0 && text.contains("`pwdAccountLockedTime` can be read: 1 of 3"), "{text}");

    slapd.stop();
    slapd.choices.access = "access to attrs=modifyTimestamp,pwdAccountLockedTime,pwdChangedTime by * none\n\
                            access to * by users read by * none";
    slapd.resume().await;
    until("it is back", async || (!stage.source().contains("lost")).then_some(())).await;
    let (code, text) = stage.sync();
    assert!(code == 1 && text.contains("cannot be read, and then no lock can be"), "{text}");
    // Touched, and looked up.
    slapd.set("alice", "mail", Some("a@example.org"));
    let said = async || stage.source().contains("cannot be read, and then no lock can be").then_some(());
    until("the right is named", said).await;
    let later = stage.later_token("alice").await;
    assert_eq!(stage.reason(&later).await, "revoked_person");
    assert_eq!(stage.reason(&bob).await, "allowed");
    let (code, text) = checked(&stage.files);
    assert!(code == 1 && text.contains("`modifyTimestamp` cannot be read for 3 of 3"), "{text}");

    // One attribute alone may be hidden as it may be nobody's: it is said that this is not known.
    slapd.stop();
    slapd.choices.access = "access to attrs=pwdAccountLockedTime by * none\naccess to * by users read by * none";
    slapd.resume().await;
    slapd.modify(&format!("dn: {}\nchangetype: modify\nreplace: userPassword\nuserPassword: another1\n", dn("bob")));
    let (code, text) = checked(&stage.files);
    assert!(code == 0 && text.contains("either nobody is locked"), "{text}");
}

/// What a listing says of groups counts for nobody before the guard let it pass: not for whoever changes meanwhile either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_of_a_listing_that_is_held_back_count_for_nobody() {
    let Some(mut slapd) = Slapd::start(Choices::default()).await else { return };
    let stage = Stage::start(slapd.port, "max_change: { share: 20%, from: 1 }").await;
    let alice = stage.token("alice").await;
    assert_eq!(stage.reason(&alice).await, "allowed");
    // Groups alone are hidden: nobody is missing, and nobody is in any.
    slapd.stop();
    slapd.choices.access = "access to dn.subtree=\"ou=groups,dc=example,dc=org\" by * none\naccess to * by * read";
    slapd.resume().await;
    until("it is back", async || (!stage.source().contains("lost")).then_some(())).await;
    let (code, text) = stage.sync();
    assert!(code == 1 && text.contains("is held back: 0 of 3 known people"), "{code}: {text}");
    slapd.set("alice", "mail", Some("new@example.org"));
    until("what changed meanwhile is known", async || stage.person("alice").contains("new@example.org").then_some(()))
        .await;
    assert_eq!(stage.reason(&alice).await, "allowed");
    slapd.stop();
    slapd.choices.access = Choices::default().access;
    slapd.resume().await;
    until("it is back", async || (stage.sync().0 == 0).then_some(())).await;
    slapd.member("delete", "devs", "alice");
    stage.becomes(&alice, "no_permission").await;
}

/// One entry that cannot be read stays as it is known, and keeps nobody else waiting, neither by events nor by a listing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_entry_that_cannot_be_read_delays_nobody() {
    let Some(mut slapd) = Slapd::start(Choices::default()).await else { return };
    let stage = Stage::start(slapd.port, "").await;
    let [alice, bob, carol] = [stage.token("alice").await, stage.token("bob").await, stage.token("carol").await];
    slapd.set("bob", "pwdAccountLockedTime", Some("000001010000Z"));
    stage.becomes(&bob, "revoked_person").await;
    slapd.stop();
    slapd.choices.access = "access to dn.base=\"uid=bob,ou=people,dc=example,dc=org\" attrs=modifyTimestamp,pwdAccountLockedTime by \
                            * none\naccess to * by users read by * none";
    slapd.resume().await;
    until("it is back", async || (!stage.source().contains("lost")).then_some(())).await;
    slapd.set("bob", "mail", Some("b@example.org"));
    until("it is named", async || stage.source().contains("cannot be read, and then no lock can be").then_some(()))
        .await;
    slapd.set("carol", "pwdAccountLockedTime", Some("000001010000Z"));
    slapd.delete("alice");
    stage.becomes(&carol, "revoked_person").await;
    stage.becomes(&alice, "revoked_person").await;
    let (code, text) = stage.sync();
    assert_eq!(code, 0, "{text}");
    assert!(stage.source().contains("cannot read 1 user records"), "{}", stage.source());
    let later = stage.later_token("bob").await;
    assert_eq!(stage.reason(&later).await, "revoked_person", "he stays as he was known");
}
