//! Limits, restarts, lost rights, and what is no answer.

use std::time::Duration;

use rustix::process::Signal;

use super::stage::{GROUP, PEOPLE, QUICK, Stage};
use crate::support::installation::Installation;
use crate::support::okta::token::App;
use crate::support::okta::{Failure, Okta, TOKEN};
use crate::support::proxy::Proxy;

#[tokio::test]
async fn no_next_page_leads_the_credential_elsewhere() {
    let (stage, other) = (Stage::start(QUICK).await, Okta::start());
    stage.okta.org().elsewhere = Some(other.url.clone());
    stage.okta.org().rows = 2;
    for full in [false, true] {
        let trouble = stage.sync(full);
        assert!(trouble.contains("its next page is on another host"), "{trouble}");
    }
    assert_eq!(other.org().asked, Vec::<String>::new());
    stage.okta.org().elsewhere = None;
    assert_eq!(stage.sync(true), "");
}

#[tokio::test]
async fn limits_are_kept_and_nobody_is_forgotten_over_them() {
    let stage = Stage::start(QUICK).await;
    {
        let mut org = stage.okta.org();
        org.window = Duration::from_secs(1);
        org.limits = [("user", 2), ("group/users", 1), ("users", 1)].into();
        for name in PEOPLE {
            org.lifecycle(name, "deactivate");
        }
    }
    // Everybody at once: by events, each of them explicit.
    for name in PEOPLE {
        let token = stage.token(name).await;
        stage.becomes(&token, "revoked_person").await;
    }
    // A listing waits for its windows, and comes to its end.
    stage.okta.org().rows = 3;
    assert_eq!(stage.sync(true), "");
    {
        let mut org = stage.okta.org();
        org.limits.clear();
        org.lifecycle("alice", "activate");
        org.failures = vec![("/api/v1/logs".into(), Failure::Crowded)];
    }
    assert!(stage.sync(false).contains("too many requests"));
    stage.okta.org().failures.clear();
    stage.works_anew("alice").await;
    stage.no_complaints();
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let mut stage = Stage::start(QUICK).await;
    let (alice, bob) = (stage.token("alice").await, stage.token("bob").await);
    stage.okta.org().lifecycle("alice", "suspend");
    stage.becomes(&alice, "revoked_person").await;
    stage.synced().await;
    stage.offboard.process.signal(Signal::KILL);
    assert!(stage.offboard.process.wait(Duration::from_secs(5)).is_some());
    {
        let mut org = stage.okta.org();
        org.lifecycle("bob", "deactivate");
        (org.asked, org.log_rows) = (vec![], 0);
        // Nothing but the log may tell.
        org.failures = vec![("/api/v1/groups".into(), Failure::Status(500))];
    }
    stage.offboard = stage.files.start().await;
    stage.proxy = Proxy::connect(stage.offboard.authz).await;
    stage.offboard.has_keys("dev").await;
    stage.becomes(&bob, "revoked_person").await;
    assert_eq!(stage.reason(&alice).await, "revoked_person");
    {
        let org = stage.okta.org();
        let first = org.asked.iter().find(|asked| asked.starts_with("/api/v1/logs")).unwrap();
        assert!(first.contains("after=") && !first.contains("since="), "{first}");
        assert_eq!(org.log_rows, 1, "what was taken in before is not read again");
    }
    // A cursor that Okta has forgotten: a new beginning, and everybody is listed.
    {
        let mut org = stage.okta.org();
        org.failures.clear();
        org.set_status("carol", "SUSPENDED");
        org.issued.clear();
    }
    let carol = stage.token("carol").await;
    stage.becomes(&carol, "revoked_person").await;
    let complaints = stage.okta.org().complaints.clone();
    assert!(complaints.iter().all(|complaint| complaint.contains("after was never given")), "{complaints:?}");
}

#[tokio::test]
async fn without_an_event_the_next_listing_tells() {
    let stage = Stage::start("poll: 200ms, reconcile: 1s").await;
    let (alice, bob) = (stage.token("alice").await, stage.token("bob").await);
    stage.okta.org().rows = 2;
    stage.okta.org().set_status("alice", "DEPROVISIONED");
    stage.becomes(&alice, "revoked_person").await;
    stage.okta.org().groups.get_mut(GROUP).unwrap().members.remove("00ubob");
    assert_eq!(stage.sync(true), "");
    assert_eq!(stage.reason(&bob).await, "no_permission");
    // Somebody who is in no listing, and who cannot be found either.
    stage.okta.org().users.remove("00ucarol");
    let carol = stage.token("carol").await;
    assert_eq!(stage.sync(true), "");
    assert_eq!(stage.reason(&carol).await, "revoked_person");
    // Back after all: we had lost sight of them.
    stage.okta.org().add_user("carol");
    assert_eq!(stage.sync(true), "");
    assert_eq!(stage.reason(&carol).await, "issued_before_cutoff");

    // Half of a listing: whoever is missing is asked for, and found.
    let dan = stage.token("dan").await;
    stage.okta.org().cut = Some("/api/v1");
    let before = stage.okta.org().asked_for("/api/v1/users/00udan");
    assert_eq!(stage.sync(true), "");
    assert!(stage.okta.org().asked_for("/api/v1/users/00udan") > before, "who is missing is asked for");
    assert_eq!(stage.reason(&dan).await, "allowed");
    stage.okta.org().cut = None;
    // A page that comes again and again is no listing.
    stage.okta.org().repeats = true;
    assert!(stage.sync(true).contains("a page repeats"));
    assert_eq!(stage.reason(&dan).await, "allowed");
    stage.no_complaints();
}

#[tokio::test]
async fn what_is_no_answer_changes_nothing_and_is_named() {
    let stage = Stage::start("poll: 200ms, reconcile: 1h, timeout: 300ms").await;
    let (alice, bob) = (stage.token("alice").await, stage.token("bob").await);
    let cases = [
        (Failure::Html, "not JSON"),
        (Failure::Half, "not as expected"),
        (Failure::Status(500), "answered 500"),
        (Failure::Hang, "no answer in time"),
    ];
    for (failure, said) in cases {
        stage.okta.org().failures = vec![("/api/v1".into(), failure)];
        let trouble = stage.sync(false);
        assert!(trouble.contains(said), "{trouble}");
        assert!(stage.show().contains(said));
        assert_eq!(stage.reason(&alice).await, "allowed", "{said}");
    }
    // Nobody is there, says something on the way. Of whoever is missing from a listing that is not believed either.
    let everybody = {
        let mut org = stage.okta.org();
        org.failures = vec![("/api/v1/users/00u".into(), Failure::Nowhere)];
        org.happens("user.account.update_profile", "alice");
        let users = org.users.clone();
        org.users.remove("00ubob");
        users
    };
    for full in [false, true] {
        let trouble = stage.sync(full);
        assert!(trouble.contains("read a user: answered 404"), "{trouble}");
        assert_eq!(stage.reason(&alice).await, "allowed");
        assert_eq!(stage.reason(&bob).await, "allowed");
    }
    stage.okta.org().users = everybody;
    stage.okta.org().lifecycle("bob", "suspend");
    stage.okta.org().failures.clear();
    assert_eq!(stage.sync(false), "");
    assert_eq!(stage.reason(&bob).await, "revoked_person");
    let kind = "offboard_source_errors_total{kind=\"unreachable\",source=\"okta\"}";
    assert!(stage.offboard.metric(kind).await >= Some(1.0));
    stage.no_complaints();
}

#[tokio::test]
async fn a_credential_that_ends_is_named_and_the_next_one_is_taken() {
    let stage = Stage::start(QUICK).await;
    let (alice, bob) = (stage.token("alice").await, stage.token("bob").await);
    stage.okta.org().token = None;
    let trouble = stage.sync(false);
    assert!(trouble.contains("the API token in `token_file` is wrong, was revoked, or ended"), "{trouble}");
    assert!(!stage.show().contains(TOKEN));
    stage.okta.org().lifecycle("bob", "deactivate");
    assert_eq!((stage.reason(&alice).await, stage.reason(&bob).await), ("allowed".into(), "allowed".into()));
    stage.okta.org().token = Some("00next".into());
    std::fs::write(stage.files.path("okta-token"), "00next\n").unwrap();
    assert_eq!(stage.sync(false), "");
    assert_eq!(stage.reason(&bob).await, "revoked_person");

    // A right that is taken away: what needs none of it goes on.
    stage.okta.org().denied = ["users"].into();
    stage.okta.org().lifecycle("alice", "deactivate");
    let trouble = stage.sync(false);
    assert!(trouble.contains("give that account the role Read-only Administrator"), "{trouble}");
    assert_eq!(stage.reason(&alice).await, "issued_before_cutoff");
    stage.okta.org().denied.clear();
    assert_eq!(stage.sync(false), "");
    assert_eq!(stage.reason(&alice).await, "revoked_person");
    stage.no_complaints();
}

#[tokio::test]
async fn a_service_app_proves_itself_by_its_key() {
    let okta = Okta::start();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    {
        let mut org = okta.org();
        org.add_group(GROUP, "OKTA_GROUP", "payments-eng");
        for name in PEOPLE {
            org.add_user(name);
            org.groups.get_mut(GROUP).unwrap().members.insert(format!("00u{name}"));
        }
        // Its clock is an hour ahead of ours: what we sign must fit to its.
        (org.token, org.ahead) = (None, 3600);
        org.app = Some(App::new("0oaoffboard", rcgen::PublicKeyData::der_bytes(&key)));
    }
    let url = okta.url.clone();
    let source = |files: &Installation| {
        let file = files.path("okta.pem");
        std::fs::write(&file, key.serialize_pem()).unwrap();
        format!("url: '{url}', client_id: 0oaoffboard, private_key_file: '{}', {QUICK}", file.display())
    };
    let stage = Stage::begin(okta, source).await;
    let alice = stage.token("alice").await;
    // Its access token ends before its time: another one is got.
    stage.okta.org().app.as_mut().unwrap().tokens.clear();
    stage.okta.org().lifecycle("alice", "suspend");
    stage.becomes(&alice, "revoked_person").await;

    stage.okta.org().app.as_mut().unwrap().scopes.remove("okta.groups.read");
    stage.okta.org().app.as_mut().unwrap().tokens.clear();
    let trouble = stage.sync(false);
    assert!(trouble.contains("`okta.groups.read` (Okta API Scopes)"), "{trouble}");
    stage.okta.org().app.as_mut().unwrap().demands_dpop = true;
    let trouble = stage.sync(false);
    assert!(trouble.contains("demands DPoP"), "{trouble}");
    let complaints = stage.okta.org().complaints.clone();
    assert!(complaints.iter().all(|complaint| complaint.starts_with("/oauth2/v1/token")), "{complaints:?}");
}
