//! The source kind `okta`, against a fake Okta that is built from its documentation (`support::okta`).

mod application;
mod check;
mod stage;
mod troubles;

use serde_json::json;

use stage::{GROUP, PEOPLE, QUICK, Stage};

use crate::support::okta::Org;
use crate::support::until;

#[tokio::test]
async fn who_leaves_is_out_and_who_comes_back_needs_a_new_token() {
    let stage = Stage::start(QUICK).await;
    let (alice, bob, carol, dan) =
        (stage.token("alice").await, stage.token("bob").await, stage.token("carol").await, stage.token("dan").await);
    for token in [&alice, &bob, &carol, &dan] {
        assert_eq!(stage.reason(token).await, "allowed");
    }
    stage.okta.org().lifecycle("alice", "suspend");
    stage.okta.org().lifecycle("bob", "deactivate");
    stage.okta.org().delete("carol");
    for token in [&alice, &bob, &carol] {
        stage.becomes(token, "revoked_person").await;
    }
    assert_eq!(stage.reason(&dan).await, "allowed", "others go on");
    stage.offboard.measures("okta", &["receipt", "provider"]).await;

    stage.okta.org().lifecycle("alice", "unsuspend");
    stage.okta.org().lifecycle("bob", "activate");
    for (name, token) in [("alice", &alice), ("bob", &bob)] {
        stage.becomes(token, "issued_before_cutoff").await;
        stage.works_anew(name).await;
        assert_eq!(stage.reason(token).await, "issued_before_cutoff");
    }
    stage.no_complaints();
}

#[tokio::test]
async fn what_ends_a_session_ends_the_tokens_from_before() {
    let stage = Stage::start(QUICK).await;
    let acts = [
        ("alice", "user.session.clear"),
        ("bob", "user.account.update_password"),
        ("carol", "user.authentication.universal_logout"),
        ("dan", "app.oauth2.as.token.revoke"),
    ];
    let mut tokens = Vec::new();
    for (name, act) in acts {
        tokens.push((name, stage.token(name).await));
        stage.okta.org().happens(act, name);
    }
    // Whoever signs out is the actor, and nobody's target.
    tokens.push(("erin", stage.token("erin").await));
    let mut event = stage.okta.org().event("user.session.end", "erin");
    (event["actor"]["id"], event["target"]) = ("00uerin".into(), json!(null));
    stage.okta.org().persist(event);
    for (name, token) in &tokens {
        stage.becomes(token, "issued_before_cutoff").await;
        stage.works_anew(name).await;
    }
    stage.no_complaints();
}

#[tokio::test]
async fn who_moves_loses_what_the_group_gave() {
    let stage = Stage::start(QUICK).await;
    let (alice, bob) = (stage.token("alice").await, stage.token("bob").await);
    stage.okta.org().leave("alice", GROUP);
    stage.becomes(&alice, "no_permission").await;
    assert_eq!(stage.reason(&bob).await, "allowed");
    stage.okta.org().join("alice", GROUP);
    stage.becomes(&alice, "allowed").await;

    // A group of an application that is called like ours gives nothing.
    stage.okta.org().leave("alice", GROUP);
    stage.okta.org().add_group("00gother", "APP_GROUP", "payments-eng");
    stage.okta.org().join("alice", "00gother");
    stage.becomes(&alice, "no_permission").await;
    stage.synced().await;
    assert_eq!(stage.reason(&alice).await, "no_permission");

    // A group that is deleted is in one event, and in none of its members'.
    {
        let mut org = stage.okta.org();
        org.groups.remove(GROUP);
        org.groups.remove("00gother");
        let mut event = org.event("group.lifecycle.delete", "nobody");
        event["target"] = json!([{ "id": GROUP, "type": "UserGroup" }]);
        org.persist(event);
    }
    stage.becomes(&bob, "no_permission").await;
    stage.no_complaints();
}

#[tokio::test]
async fn joiners_renames_and_strangers() {
    let stage = Stage::start(QUICK).await;
    {
        let mut org = stage.okta.org();
        org.add_user("frank");
        org.happens("user.lifecycle.create", "frank");
        org.join("frank", GROUP);
    }
    let frank = stage.token("frank").await;
    stage.becomes(&frank, "allowed").await;
    assert_eq!(stage.reason(&stage.token("grace").await).await, "unknown_person");
    // By the user name alone, as the organization's own tokens have it: asked for, where nobody told of them.
    stage.okta.org().add_user("heidi");
    let heidi = stage.issuer.token("sub=heidi@example.com").await;
    stage.becomes(&heidi, "no_permission").await;

    // Who is renamed takes nothing of the old name along.
    let old = stage.issuer.token("sub=bob@example.com").await;
    assert_eq!(stage.reason(&old).await, "allowed");
    {
        let mut org = stage.okta.org();
        org.users.get_mut("00ubob").unwrap()["profile"]["login"] = "robert@example.com".into();
        org.happens("user.account.update_profile", "bob");
    }
    stage.becomes(&old, "issued_before_cutoff").await;
    stage.no_complaints();
}

#[tokio::test]
async fn people_linked_by_another_attribute_are_searched_for() {
    let stage = Stage::start(&format!("link: [{{ claim: num, attribute: employeeNumber }}], {QUICK}")).await;
    let token = async |name: &str| stage.issuer.token(&format!("sub=x&num=e-{name}")).await;
    let alice = token("alice").await;
    assert_eq!(stage.reason(&alice).await, "allowed");
    stage.okta.org().add_user("heidi");
    stage.okta.org().index();
    stage.okta.org().add_user("ivan");
    stage.becomes(&token("heidi").await, "no_permission").await;
    assert_eq!(stage.reason(&token("ivan").await).await, "unknown_person", "a search does not find them yet");
    stage.no_complaints();
}

#[tokio::test]
async fn out_and_in_again_between_two_looks_leaves_a_cut_off() {
    let stage = Stage::start(QUICK).await;
    let alice = stage.token("alice").await;
    {
        let mut org = stage.okta.org();
        org.lifecycle("alice", "suspend");
        org.lifecycle("alice", "unsuspend");
    }
    stage.becomes(&alice, "issued_before_cutoff").await;
    stage.works_anew("alice").await;
    stage.no_complaints();
}

#[tokio::test]
async fn events_that_are_doubled_late_failed_or_strange() {
    let stage = Stage::start(QUICK).await;
    let suspended = stage.okta.org().event("user.lifecycle.suspend", "alice");
    {
        let mut org = stage.okta.org();
        org.set_status("alice", "SUSPENDED");
        org.persist(suspended.clone());
        org.persist(suspended.clone());
    }
    let alice = stage.token("alice").await;
    stage.becomes(&alice, "revoked_person").await;
    stage.okta.org().lifecycle("alice", "unsuspend");
    stage.works_anew("alice").await;

    let fresh = stage.token("alice").await;
    {
        let mut org = stage.okta.org();
        // Again, and with another id: what was, not what is.
        org.persist(suspended.clone());
        let mut again = suspended.clone();
        again["uuid"] = "another".into();
        org.persist(again);
        let mut failed = org.event("user.lifecycle.deactivate", "bob");
        failed["outcome"]["result"] = "FAILURE".into();
        org.persist(failed);
        org.happens("user.lifecycle.something_new", "bob");
        // Long ago, by its own word; visible only now.
        let mut late = org.event("user.session.clear", "bob");
        late["published"] = "2020-01-01T00:00:00.000Z".into();
        org.persist(late);
        org.lifecycle("carol", "suspend");
    }
    let (bob, carol) = (stage.token("bob").await, stage.token("carol").await);
    stage.becomes(&carol, "revoked_person").await;
    assert_eq!((stage.reason(&fresh).await, stage.reason(&bob).await), ("allowed".into(), "allowed".into()));
    // More than fits into a page, and what matters behind it.
    {
        let mut org = stage.okta.org();
        for _ in 0..1_200 {
            let mut old = org.event("user.session.clear", "erin");
            old["published"] = "2020-01-01T00:00:00.000Z".into();
            org.persist(old);
        }
        org.lifecycle("dan", "deactivate");
    }
    let dan = stage.token("dan").await;
    assert_eq!(stage.sync(false), "");
    assert_eq!(stage.reason(&dan).await, "revoked_person");
    // What cannot be read may have been anybody's departure: everybody is listed.
    let listed = stage.okta.org().asked_for("/api/v1/users?filter");
    {
        let mut org = stage.okta.org();
        org.set_status("bob", "SUSPENDED");
        org.persist(json!({ "uuid": 7, "eventType": "user.lifecycle.suspend" }));
    }
    stage.becomes(&bob, "revoked_person").await;
    assert!(stage.okta.org().asked_for("/api/v1/users?filter") > listed);
    stage.no_complaints();
}

#[tokio::test]
async fn whoever_is_locked_out_or_on_the_way_out() {
    let stage = Stage::start(QUICK).await;
    let (alice, bob, carol) = (stage.token("alice").await, stage.token("bob").await, stage.token("carol").await);
    // Anybody can lock somebody out by guessing their password.
    stage.okta.org().set_status("alice", "LOCKED_OUT");
    stage.okta.org().happens("user.account.lock", "alice");
    // Deactivation takes its time, and is none that may be waited for.
    for name in ["bob", "carol"] {
        stage.okta.org().users.get_mut(&format!("00u{name}")).unwrap()["transitioningToStatus"] =
            "DEPROVISIONED".into();
    }
    stage.okta.org().happens("user.account.update_profile", "bob");
    stage.becomes(&bob, "revoked_person").await;
    assert_eq!(stage.sync(true), "");
    assert_eq!(stage.reason(&carol).await, "revoked_person", "by a listing");
    assert_eq!(stage.reason(&alice).await, "allowed");
    stage.no_complaints();
}

#[tokio::test]
async fn a_record_from_before_the_event_lets_nobody_stay() {
    let stage = Stage::start(QUICK).await;
    let alice = stage.token("alice").await;
    {
        let mut org = stage.okta.org();
        let before = org.users["00ualice"].clone();
        org.lifecycle("alice", "suspend");
        org.lagging.insert("00ualice".into(), (before, 3));
    }
    stage.becomes(&alice, "revoked_person").await;
    until("the record is up to date", async || (stage.okta.org().lagging["00ualice"].1 == 0).then_some(())).await;
    stage.synced().await;
    assert_eq!(stage.reason(&alice).await, "revoked_person");
    assert_eq!(stage.reason(&stage.token("alice").await).await, "revoked_person");
    stage.no_complaints();
}

#[tokio::test]
async fn tokens_issued_since_a_return_stay_valid() {
    let stage = Stage::start(QUICK).await;
    let now = jiff::Timestamp::now().as_second();
    let at = |second: i64| format!("{:.3}", jiff::Timestamp::from_second(second).unwrap());
    let happens = |org: &mut Org, kind: &str, second: i64, status: Option<&str>| {
        if let Some(status) = status {
            let user = org.users.get_mut("00ualice").unwrap();
            user["status"] = status.into();
            (user["statusChanged"], user["lastUpdated"]) = (at(second).into(), at(second).into());
        }
        let mut event = org.event(kind, "alice");
        event["published"] = at(second).into();
        org.persist(event);
    };
    let before = stage.issuer.token(&format!("sub=x&uid=00ualice&iat={}", now - 25)).await;
    let between = stage.issuer.token(&format!("sub=x&uid=00ualice&iat={}", now - 5)).await;
    happens(&mut stage.okta.org(), "user.lifecycle.suspend", now - 20, Some("SUSPENDED"));
    stage.becomes(&before, "revoked_person").await;
    {
        // Let in again, and then, before anybody looked, into another group.
        let mut org = stage.okta.org();
        happens(&mut org, "user.lifecycle.unsuspend", now - 10, Some("ACTIVE"));
        happens(&mut org, "group.user_membership.add", now, None);
    }
    stage.becomes(&before, "issued_before_cutoff").await;
    assert_eq!(stage.reason(&between).await, "allowed");
    stage.no_complaints();
}

#[tokio::test]
async fn whoever_is_out_of_sight_has_not_left() {
    let stage = Stage::start(&format!("max_change: {{ share: 20%, from: 2 }}, {QUICK}")).await;
    let mut tokens = Vec::new();
    for name in PEOPLE {
        tokens.push(stage.token(name).await);
    }
    // A right to most of them is lost, and something happens to them.
    let hidden: Vec<_> = {
        let mut org = stage.okta.org();
        let hidden = PEOPLE[..3].iter().map(|name| format!("00u{name}"));
        let hidden = hidden.map(|id| (id.clone(), org.users.remove(&id).unwrap())).collect();
        PEOPLE[..3].iter().for_each(|name| org.happens("user.account.update_profile", name));
        hidden
    };
    until("the listing is held back", async || stage.show().contains("is held back: 3 of 5").then_some(())).await;
    for token in &tokens {
        assert_eq!(stage.reason(token).await, "allowed");
    }
    stage.okta.org().users.extend(hidden);
    assert_eq!(stage.sync(true), "");
    // One of them is really not there any more, and no event says so.
    stage.okta.org().users.remove("00uerin");
    stage.okta.org().happens("user.account.update_profile", "erin");
    stage.becomes(&tokens[4], "revoked_person").await;
    assert_eq!(stage.reason(&tokens[0]).await, "allowed");
    stage.no_complaints();
}
