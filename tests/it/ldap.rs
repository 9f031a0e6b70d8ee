//! A real OpenLDAP behind the service: who is locked, deleted, moved, renamed or out of a group is out of the mesh.
//!
//! On threads: whoever waits for the service to stop must not keep its caller from hanging up.

pub mod check;
mod limits;
mod names;
mod polled;
mod restored;
mod rights;
pub mod stage;

use std::time::Duration;

use stage::{ACTIVE, Stage, source};

use crate::support::envoy::{Envoy, asking, binary};
use crate::support::slapd::{BASE, Choices, Slapd, dn};
use crate::support::upstream::Upstream;
use crate::support::wire::Wire;
use crate::support::{ports, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leavers_and_movers_of_a_real_openldap() {
    let (Some(slapd), Some(envoy)) = (Slapd::start(Choices::default()).await, binary()) else { return };
    let stage = Stage::start(slapd.port, "").await;
    let upstream = Upstream::start().await;
    let envoy = Envoy::start(&envoy, &asking("envoy/envoy.yaml", stage.offboard.authz.port(), upstream.port)).await;
    let status = async |token: &str| {
        let request = reqwest::Client::new().get(format!("{}/v1", envoy.url)).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    let (alice, bob, carol) = (stage.token("alice").await, stage.token("bob").await, stage.token("carol").await);
    assert_eq!((status(&alice).await, status(&bob).await, status(&carol).await), (200, 200, 200));
    let stranger = stage.token("mallory").await;
    assert_eq!(stage.reason(&stranger).await, "unknown_person");

    slapd.set("alice", "pwdAccountLockedTime", Some("000001010000Z"));
    until("alice, who is locked, is out", async || (status(&alice).await == 403).then_some(())).await;
    assert_eq!(stage.reason(&alice).await, "revoked_person");
    slapd.set("bob", "pwdAccountLockedTime", Some("20261101000000Z"));
    slapd.member("delete", "devs", "carol");
    until("carol, who left the group, is out", async || (status(&carol).await == 403).then_some(())).await;
    assert_eq!(stage.reason(&carol).await, "no_permission");
    assert_eq!(status(&bob).await, 200, "a lock that guessing brought about is nobody's departure");

    slapd.set("alice", "pwdAccountLockedTime", None);
    let again = stage.later_token("alice").await;
    stage.becomes(&again, "allowed").await;
    assert_eq!(stage.reason(&alice).await, "issued_before_cutoff", "what was issued before stays dead");

    slapd.delete("bob");
    until("bob, who is deleted, is out", async || (status(&bob).await == 403).then_some(())).await;
    assert_eq!(stage.reason(&bob).await, "revoked_person");
    assert_eq!(status(&again).await, 200, "others go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_places_passwords_and_nested_groups() {
    let Some(slapd) = Slapd::start(Choices::default()).await else { return };
    let stage = Stage::start(slapd.port, "").await;
    let (alice, bob, carol) = (stage.token("alice").await, stage.token("bob").await, stage.token("carol").await);
    assert_eq!(stage.reason(&alice).await, "allowed");

    // Another name: what was issued under the old one is dead, for whoever may be called so next.
    slapd.modify(&format!("dn: {}\nchangetype: modrdn\nnewrdn: uid=alicia\ndeleteoldrdn: 1\n", dn("alice")));
    let alicia = stage.later_token("alicia").await;
    stage.becomes(&alicia, "allowed").await;
    assert_ne!(stage.reason(&alice).await, "allowed");

    // Out of the tree of people, and back.
    slapd.move_to(&dn("bob"), "uid=bob", &format!("ou=attic,{BASE}"));
    stage.becomes(&bob, "revoked_person").await;
    slapd.move_to(&format!("uid=bob,ou=attic,{BASE}"), "uid=bob", &format!("ou=people,{BASE}"));
    let back = stage.later_token("bob").await;
    stage.becomes(&back, "allowed").await;
    assert_eq!(stage.reason(&bob).await, "issued_before_cutoff", "what was issued before stays dead");

    // With what is above him: nothing is written to his entry, and nobody is told.
    let team = format!("ou=team,ou=people,{BASE}");
    slapd.modify(&format!(
        "dn: {team}\nchangetype: add\nobjectClass: organizationalUnit\nou: team\n\n\
         dn: uid=dave,{team}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: dave\ncn: dave\nsn: dave\n"
    ));
    let dave = stage.token("dave").await;
    stage.becomes(&dave, "no_permission").await;
    slapd.move_to(&team, "ou=team", &format!("ou=attic,{BASE}"));
    slapd.member("delete", "devs", "bob");
    stage.becomes(&back, "no_permission").await;
    assert_eq!(stage.reason(&dave).await, "no_permission");
    let (code, text) = stage.sync();
    assert_eq!((code, stage.reason(&dave).await), (0, "revoked_person".into()), "{text}");
    slapd.member("add", "devs", "bob");

    slapd.set("carol", "userPassword", Some("an0therpw"));
    stage.becomes(&carol, "issued_before_cutoff").await;
    let carol = stage.later_token("carol").await;
    stage.becomes(&carol, "allowed").await;
    stage.offboard.measures("ad", &["receipt", "provider"]).await;

    // Through a group in the group, in a circle.
    let group = |name: &str, member: &str| {
        format!(
            "dn: cn={name},ou=groups,{BASE}\nchangetype: add\nobjectClass: groupOfNames\ncn: {name}\nmember: {member}\n"
        )
    };
    slapd.modify(&group("inner", &dn("carol")));
    let circle =
        format!("dn: cn=inner,ou=groups,{BASE}\nchangetype: modify\nadd: member\nmember: cn=devs,ou=groups,{BASE}\n");
    slapd.modify(&circle);
    slapd.modify(&format!(
        "dn: cn=devs,ou=groups,{BASE}\nchangetype: modify\nadd: member\nmember: cn=inner,ou=groups,{BASE}\n"
    ));
    slapd.member("delete", "devs", "carol");
    stage.becomes(&carol, "allowed").await;
    slapd.member("delete", "inner", "carol");
    stage.becomes(&carol, "no_permission").await;
    // By user name.
    slapd.modify(&format!(
        "dn: cn=unix,ou=groups,{BASE}\nchangetype: add\nobjectClass: posixGroup\ncn: unix\ngidNumber: 7\nmemberUid: carol\n"
    ));
    let rules = format!(
        "roles: [{{ name: reader, permissions: [{{ methods: [GET] }}] }}]\n\
         bindings: [{{ role: reader, groups: [unix, 'cn=devs,ou=groups,{BASE}'] }}]\n{}{}",
        stage.issuer.section(),
        source(&stage.files, &format!("ldap://127.0.0.1:{}", slapd.port), "")
    );
    stage.files.write("20-rules.yaml", &rules);
    stage.becomes(&carol, "allowed").await;
    assert_eq!(stage.reason(&alicia).await, "allowed", "by the name of the group's entry");
}

/// Each phase of RFC 4533, after a wire was cut: with the server's memory, explicit deletions; without it, whoever is
/// still there. Neither takes anybody else away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_phases_of_a_refresh_and_a_restart() {
    let Some(mut slapd) = Slapd::start(Choices::default()).await else { return };
    let wire = Wire::to(slapd.port).await;
    let mut stage = Stage::start(wire.port, "").await;
    let (alice, bob, carol) = (stage.token("alice").await, stage.token("bob").await, stage.token("carol").await);
    assert_eq!(stage.reason(&carol).await, "allowed");

    wire.cut();
    slapd.delete("carol");
    until("it is noticed", async || stage.source().contains("connection was lost").then_some(())).await;
    assert_eq!(stage.reason(&carol).await, "allowed", "nothing is concluded from silence");
    wire.mend();
    stage.becomes(&carol, "revoked_person").await;
    assert_eq!((stage.reason(&alice).await, stage.reason(&bob).await), ("allowed".into(), "allowed".into()));

    // The memory of what was deleted dies with the server.
    wire.cut();
    slapd.stop();
    let aside = ports::free();
    slapd.resume_on(aside).await;
    slapd.modify_on(aside, &format!("dn: {}\nchangetype: delete\n", dn("bob")));
    slapd.modify_on(aside, &format!("dn: {}\nchangetype: modify\nreplace: mail\nmail: a@example.org\n", dn("alice")));
    slapd.stop();
    slapd.resume().await;
    wire.mend();
    stage.becomes(&bob, "revoked_person").await;
    assert_eq!(stage.reason(&alice).await, "allowed");

    // While Offboard was away.
    stage.offboard.process.stop(Duration::from_secs(20));
    slapd.set("alice", "pwdAccountLockedTime", Some("000001010000Z"));
    stage.restart().await;
    stage.becomes(&alice, "revoked_person").await;
}

/// A server whose data were put back from a backup refuses the cookie (e-syncRefreshRequired): everybody is listed, and
/// it is followed from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_that_is_too_old() {
    let Some(mut slapd) = Slapd::start(Choices::default()).await else { return };
    let mut stage = Stage::start(slapd.port, "").await;
    let (alice, bob, carol) = (stage.token("alice").await, stage.token("bob").await, stage.token("carol").await);
    assert_eq!(stage.reason(&alice).await, "allowed");
    stage.offboard.process.stop(Duration::from_secs(20));
    slapd.set("alice", "pwdAccountLockedTime", Some("000001010000Z"));
    slapd.stop();
    slapd.restore();
    slapd.resume().await;
    stage.restart().await;
    stage.becomes(&alice, "revoked_person").await;
    assert_eq!((stage.reason(&bob).await, stage.reason(&carol).await), ("allowed".into(), "allowed".into()));
    slapd.delete("bob");
    stage.becomes(&bob, "revoked_person").await;
    assert_eq!(stage.reason(&carol).await, "allowed");
    assert!(stage.offboard.process.output().contains("no longer knows the sync cookie"), "it was refused");
}

/// More people than a page has, all of them in one group: what it loses, its members lose at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_directory_and_a_group_of_two_thousand() {
    let limits = "limits dn.exact=\"cn=sync,ou=svc,dc=example,dc=org\" size=unlimited time=unlimited";
    let Some(slapd) = Slapd::start(Choices { limits, ..Choices::default() }).await else { return };
    let names = slapd.add_people(2_000);
    let members: String = names.iter().map(|name| format!("member: {}\n", dn(name))).collect();
    let large = format!("cn=large,ou=groups,{BASE}");
    slapd.modify(&format!("dn: {large}\nchangetype: add\nobjectClass: groupOfNames\ncn: large\n{members}"));
    let devs = format!("dn: cn=devs,ou=groups,{BASE}\nchangetype: modify\nadd: member\nmember: {large}\n");
    slapd.modify(&devs);
    let stage = Stage::start(slapd.port, "").await;
    until("all are known", async || (stage.offboard.metric(ACTIVE).await == Some(2_003.0)).then_some(())).await;
    let (first, last, bob) = (stage.token("p0000").await, stage.token("p1999").await, stage.token("bob").await);
    stage.becomes(&last, "allowed").await;
    slapd.member("delete", "large", "p1999");
    stage.becomes(&last, "no_permission").await;
    assert_eq!(stage.reason(&first).await, "allowed");
    slapd.modify(&format!("dn: {large}\nchangetype: delete\n"));
    stage.becomes(&first, "no_permission").await;
    assert_eq!(stage.reason(&bob).await, "allowed");
}

/// What a token says is never read as a part of a filter; who has odd characters in their name is found by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_look_like_filters() {
    let Some(slapd) = Slapd::start(Choices::default()).await else { return };
    let stage = Stage::start(slapd.port, "").await;
    for name in ["*", "al*", "*)(uid=*", "alice)(|(uid=*", "al\\69ce", "(alice)", "alicé"] {
        let token = stage.odd_token(name).await;
        assert_eq!(stage.reason(&token).await, "unknown_person", "{name:?}");
    }
    let odd = "Zoë (*) \\ é";
    let rdn = "uid=Zoë (*) \\\\ é";
    slapd.modify(&format!(
        "dn: {rdn},ou=people,{BASE}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: {odd}\ncn: z\nsn: z\n\n\
         dn: cn=devs,ou=groups,{BASE}\nchangetype: modify\nadd: member\nmember: {rdn},ou=people,{BASE}\n"
    ));
    let token = stage.odd_token(odd).await;
    stage.becomes(&token, "allowed").await;
}

/// What is gone after a restart and was no person is recorded as nobody's departure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_was_deleted_meanwhile_was_nobody() {
    let Some(slapd) = Slapd::start(Choices::default()).await else { return };
    let ghosts = format!("dn: cn=ghosts,ou=groups,{BASE}\nchangetype:");
    slapd.modify(&format!("{ghosts} add\nobjectClass: groupOfNames\ncn: ghosts\nmember: {}\n", dn("nobody")));
    let mut stage = Stage::start(slapd.port, "").await;
    stage.offboard.process.stop(Duration::from_secs(20));
    slapd.modify(&format!("{ghosts} delete\n"));
    slapd.delete("bob");
    stage.restart().await;
    let departed = "offboard_people{source=\"ad\",status=\"departed\"}";
    until("bob has departed", async || stage.offboard.metric(departed).await.filter(|count| *count >= 1.0)).await;
    let (code, text) = stage.sync();
    assert_eq!((code, stage.offboard.metric(departed).await), (0, Some(1.0)), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_changes_no_answer() {
    let Some(mut slapd) = Slapd::start(Choices::default()).await else { return };
    let mut stage = Stage::start(slapd.port, "").await;
    let alice = stage.token("alice").await;
    slapd.stop();
    until("it is noticed", async || stage.source().contains("connect").then_some(())).await;
    assert_eq!(stage.reason(&alice).await, "allowed");
    stage.restart().await;
    assert_eq!(stage.reason(&alice).await, "allowed", "ready from disk");
    slapd.resume().await;
    slapd.set("alice", "pwdEndTime", Some("20260101000000Z"));
    stage.becomes(&alice, "revoked_person").await;
}
