//! One application: who is assigned to it, and what a list of them leaves out.

use super::stage::{APP, PEOPLE, QUICK, Stage};
use crate::support::until;

#[tokio::test]
async fn who_is_not_assigned_to_the_application_is_out() {
    let stage = Stage::start_with(&format!("app: {APP}, {QUICK}"), |org| {
        for name in PEOPLE {
            org.set_assigned(name, APP);
        }
        org.set_assigned("dan", "0oaother");
        // More than one page of them.
        org.rows = 2;
    })
    .await;
    let (alice, bob, carol) = (stage.token("alice").await, stage.token("bob").await, stage.token("carol").await);
    let (dan, erin) = (stage.token("dan").await, stage.token("erin").await);
    for token in [&alice, &bob, &carol, &dan, &erin] {
        assert_eq!(stage.reason(token).await, "allowed");
    }
    stage.okta.org().unassign("erin", APP);
    stage.becomes(&erin, "revoked_person").await;
    assert_eq!(stage.sync(true), "");
    assert_eq!(stage.reason(&erin).await, "revoked_person", "active in Okta, and not assigned");

    stage.okta.org().unassign("alice", APP);
    // Taken from somebody and given back between two looks.
    stage.okta.org().unassign("bob", APP);
    stage.okta.org().assign("bob", APP);
    // From another application.
    stage.okta.org().unassign("dan", "0oaother");
    stage.okta.org().assign("erin", APP);
    stage.becomes(&alice, "revoked_person").await;
    stage.becomes(&bob, "issued_before_cutoff").await;
    stage.works_anew("bob").await;
    stage.works_anew("erin").await;
    assert_eq!(stage.reason(&dan).await, "allowed");
    assert_eq!(stage.reason(&erin).await, "issued_before_cutoff");
    stage.okta.org().assign("alice", APP);
    stage.becomes(&alice, "issued_before_cutoff").await;
    stage.works_anew("alice").await;

    // A record of the assignment from before the event lets nobody stay.
    let event = stage.okta.org().app_event("application.user_membership.remove", "carol", APP);
    let mut later = event.clone();
    later["published"] = format!("{:.3}", jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2)).into();
    stage.okta.org().persist(later);
    stage.becomes(&carol, "revoked_person").await;
    stage.okta.org().apps.get_mut(APP).unwrap().remove("00ucarol");
    // What became of the account there may end an assignment too.
    let dan_again = stage.token("dan").await;
    {
        let mut org = stage.okta.org();
        org.apps.get_mut(APP).unwrap().get_mut("00udan").unwrap()["status"] = "DEPROVISIONED".into();
        let event = org.app_event("application.user_membership.deprovision", "dan", APP);
        org.persist(event);
    }
    stage.becomes(&dan_again, "revoked_person").await;
    stage.no_complaints();
}

#[tokio::test]
async fn an_application_that_is_not_there_is_never_everybody_leaving() {
    let stage = Stage::start_with(&format!("app: {APP}, {QUICK}"), |org| {
        for name in PEOPLE {
            org.set_assigned(name, APP);
        }
    })
    .await;
    let (alice, bob) = (stage.token("alice").await, stage.token("bob").await);
    // Without an event the next listing tells.
    stage.okta.org().apps.get_mut(APP).unwrap().remove("00ubob");
    assert_eq!(stage.sync(true), "");
    assert_eq!((stage.reason(&alice).await, stage.reason(&bob).await), ("allowed".into(), "revoked_person".into()));
    // A joiner who is looked up, and is not assigned; and one who is.
    stage.okta.org().add_user("heidi");
    stage.okta.org().add_user("ivan");
    stage.okta.org().set_assigned("ivan", APP);
    let (heidi, ivan) = (stage.token("heidi").await, stage.token("ivan").await);
    stage.becomes(&heidi, "revoked_person").await;
    stage.becomes(&ivan, "no_permission").await;

    let assigned = stage.okta.org().apps.insert(APP.into(), std::collections::BTreeMap::new()).unwrap();
    let trouble = stage.sync(true);
    assert!(trouble.contains("nobody is assigned to app `0oapayments`: is the id right?"), "{trouble}");
    stage.okta.org().apps.clear();
    let trouble = stage.sync(true);
    assert!(trouble.contains("there is no app `0oapayments`"), "{trouble}");
    stage.okta.org().happens("user.account.update_profile", "alice");
    let trouble = stage.sync(false);
    assert!(trouble.contains("there is no app `0oapayments`"), "{trouble}");
    assert_eq!(stage.reason(&alice).await, "allowed", "nothing is concluded from that");
    // And somebody who leaves meanwhile is out all the same.
    let carol = stage.token("carol").await;
    stage.okta.org().lifecycle("carol", "suspend");
    stage.becomes(&carol, "revoked_person").await;

    stage.okta.org().denied = ["apps"].into();
    let trouble = stage.sync(true);
    assert!(trouble.contains("may not read applications and who is assigned to them"), "{trouble}");
    stage.okta.org().denied.clear();
    stage.okta.org().apps.insert(APP.into(), assigned);
    assert_eq!(stage.sync(true), "");
    assert_eq!(stage.sync(false), "");
    assert_eq!((stage.reason(&alice).await, stage.reason(&bob).await), ("allowed".into(), "revoked_person".into()));
    stage.no_complaints();
}

/// With `app`, and a guard that holds two of five people back.
async fn guarded() -> Stage {
    let rhythm = format!("app: {APP}, max_change: {{ share: 20%, from: 2 }}, {QUICK}");
    Stage::start_with(&rhythm, |org| {
        for name in PEOPLE {
            org.set_assigned(name, APP);
        }
        org.set_assigned("dan", "0oaother");
    })
    .await
}

async fn tokens(stage: &Stage) -> Vec<String> {
    let mut tokens = Vec::new();
    for name in PEOPLE {
        tokens.push(stage.token(name).await);
    }
    tokens
}

#[tokio::test]
async fn a_list_of_assignments_that_is_cut_off_is_nobody_leaving() {
    let stage = guarded().await;
    let tokens = tokens(&stage).await;
    // Its first page, and no word of a next one.
    (stage.okta.org().rows, stage.okta.org().cut) = (2, Some("/api/v1/apps"));
    let trouble = stage.sync(true);
    assert!(trouble.contains("is held back: 3 of 5 known people"), "{trouble}");
    assert!(stage.show().contains("00uerin"), "{}", stage.show());
    for token in &tokens {
        assert_eq!(stage.reason(token).await, "allowed");
    }
    // So few that it is no trouble: whoever is not in it is asked for, and stays.
    stage.okta.org().rows = 4;
    let asked = || stage.okta.org().asked_for(&format!("/api/v1/apps/{APP}/users/00uerin"));
    let before = asked();
    assert_eq!(stage.sync(true), "");
    assert!(asked() > before, "whoever is not in the list is asked for");
    for token in &tokens {
        assert_eq!(stage.reason(token).await, "allowed");
    }
    // And is out, where that is true; without a word in the log.
    stage.okta.org().apps.get_mut(APP).unwrap().remove("00uerin");
    assert_eq!(stage.sync(true), "");
    assert_eq!(stage.reason(&tokens[4]).await, "revoked_person");
    stage.okta.org().cut = None;
    assert_eq!(stage.sync(true), "");
    for token in &tokens[..4] {
        assert_eq!(stage.reason(token).await, "allowed");
    }
    // What a record says is said, of however many.
    for name in &PEOPLE[..3] {
        stage.okta.org().apps.get_mut(APP).unwrap().get_mut(&format!("00u{name}")).unwrap()["status"] =
            "SUSPENDED".into();
    }
    assert_eq!(stage.sync(true), "");
    for token in &tokens[..3] {
        assert_eq!(stage.reason(token).await, "revoked_person");
    }
    assert_eq!(stage.reason(&tokens[3]).await, "allowed");
    stage.no_complaints();
}

#[tokio::test]
async fn another_application_is_not_everybody_leaving() {
    let stage = guarded().await;
    let tokens = tokens(&stage).await;
    let rules = std::fs::read_to_string(stage.files.path("config/20-rules.yaml")).unwrap();
    stage.files.write("20-rules.yaml", &rules.replace(APP, "0oaother"));
    until("the listing is held back", async || stage.show().contains("is held back: 4 of 5").then_some(())).await;
    for token in &tokens {
        assert_eq!(stage.reason(token).await, "allowed");
    }
    // Whoever leaves meanwhile is out all the same.
    stage.okta.org().lifecycle("alice", "suspend");
    stage.becomes(&tokens[0], "revoked_person").await;
    stage.files.write("20-rules.yaml", &rules);
    until("it is the right one again", async || (!stage.show().contains("is held back")).then_some(())).await;
    for token in &tokens[1..] {
        assert_eq!(stage.reason(token).await, "allowed");
    }
    stage.no_complaints();
}
