//! A server that does not tell what changes, and is asked.

use super::stage::{ACTIVE, HEARD, Stage};
use crate::support::slapd::{BASE, Choices, Slapd, dn};
use crate::support::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_syncprov_is_polled() {
    let Some(slapd) = Slapd::start(Choices::default()).await else { return };
    let stage = Stage::start(slapd.port, "sync: poll, poll: 100ms, max_staleness: 2s").await;
    let (alice, bob, carol) = (stage.token("alice").await, stage.token("bob").await, stage.token("carol").await);
    let (_, _) = stage.sync();
    let known = stage.offboard.metric(HEARD).await.unwrap();
    slapd.set("alice", "pwdAccountLockedTime", Some("000001010000Z"));
    stage.becomes(&alice, "revoked_person").await;
    slapd.member("delete", "devs", "bob");
    stage.becomes(&bob, "no_permission").await;
    // Out of the tree of people, and back.
    slapd.add_people(1);
    let dave = stage.token("p0000").await;
    stage.becomes(&dave, "no_permission").await;
    slapd.move_to(&dn("p0000"), "uid=p0000", &format!("ou=attic,{BASE}"));
    stage.becomes(&dave, "revoked_person").await;
    slapd.move_to(&format!("uid=p0000,ou=attic,{BASE}"), "uid=p0000", &format!("ou=people,{BASE}"));
    let dave = stage.later_token("p0000").await;
    stage.becomes(&dave, "no_permission").await;
    slapd.delete("carol");
    // A poll has no word of her: so none of them makes what is known any younger.
    let later = async || (jiff::Timestamp::now().as_second() as f64 > known + 1.5).then_some(());
    until("a second has passed", later).await;
    slapd.set("alice", "pwdAccountLockedTime", None);
    let again = stage.later_token("alice").await;
    stage.becomes(&again, "allowed").await;
    assert_eq!(stage.offboard.metric(HEARD).await, Some(known));
    assert_eq!(stage.reason(&carol).await, "allowed");
    let (code, text) = stage.sync();
    assert_eq!(code, 0, "{text}");
    assert_eq!(stage.reason(&carol).await, "revoked_person");
    assert!(stage.offboard.metric(HEARD).await > Some(known), "a listing does");
}

/// More people than a page has: polls in between do not disturb a listing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_directory_is_listed_while_it_is_polled() {
    let limits = "limits dn.exact=\"cn=sync,ou=svc,dc=example,dc=org\" size=unlimited time=unlimited";
    let Some(slapd) = Slapd::start(Choices { limits, ..Choices::default() }).await else { return };
    slapd.add_people(2_000);
    let stage = Stage::start(slapd.port, "sync: poll, poll: 10ms").await;
    until("all are known", async || (stage.offboard.metric(ACTIVE).await == Some(2_003.0)).then_some(())).await;
    let (code, text) = stage.sync();
    assert_eq!(code, 0, "{text}");
}
