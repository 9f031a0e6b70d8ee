//! The source kind `okta`, against a fake Okta that is built from its documentation (`support::okta`).

use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::okta::token::App;
use crate::support::okta::{Failure, Okta, Org, TOKEN};
use crate::support::proxy::Proxy;
use crate::support::until;

const PEOPLE: [&str; 5] = ["alice", "bob", "carol", "dan", "erin"];
const GROUP: &str = "00gpayments";
const APP: &str = "0oapayments";

/// What is asked often, so that nobody waits.
const QUICK: &str = "poll: 200ms, reconcile: 1h, timeout: 2s";

/// Offboard, the fake Okta, and tokens of its people. All of them are in `payments-eng`, which may do everything.
struct Stage {
    okta: Okta,
    issuer: DevIssuer,
    files: Installation,
    offboard: Offboard,
    proxy: Proxy,
}

fn rules(issuer: &DevIssuer, source: &str) -> String {
    format!(
        "response: {{ reveal_reason: true }}\nroles: [{{ name: payer, permissions: [{{}}] }}]\n\
         bindings: [{{ role: payer, groups: [payments-eng] }}]\n{}sources:\n  - {{ name: okta, kind: okta, issuer: dev, \
         {source} }}\n",
        issuer.section()
    )
}

impl Stage {
    async fn start(rhythm: &str) -> Self {
        Self::start_with(rhythm, |_| {}).await
    }

    /// The same, with what else there is to be in the organization.
    async fn start_with(rhythm: &str, also: impl FnOnce(&mut Org)) -> Self {
        let okta = Okta::start();
        {
            let mut org = okta.org();
            org.add_group(GROUP, "OKTA_GROUP", "payments-eng");
            for name in PEOPLE {
                org.add_user(name);
                org.groups.get_mut(GROUP).unwrap().members.insert(format!("00u{name}"));
            }
            also(&mut org);
        }
        let files = Installation::new("");
        std::fs::write(files.path("okta-token"), TOKEN).unwrap();
        let source = format!("url: '{}', token_file: '{}', {rhythm}", okta.url, files.path("okta-token").display());
        Self::begin(okta, files, &source).await
    }

    async fn begin(okta: Okta, files: Installation, source: &str) -> Self {
        let issuer = DevIssuer::start().await;
        files.write("20-rules.yaml", &rules(&issuer, source));
        let offboard = files.start().await;
        offboard.has_keys("dev").await;
        offboard.knows("okta", u32::try_from(PEOPLE.len()).unwrap()).await;
        let proxy = Proxy::connect(offboard.authz).await;
        let stage = Self { okta, issuer, files, offboard, proxy };
        stage.synced().await;
        stage
    }

    /// Waits until the log was read to its end, behind the first listing.
    async fn synced(&self) {
        let asked = || self.okta.org().asked_for("/api/v1/logs");
        let before = asked();
        until("the log is read again", async || (asked() >= before + 2).then_some(())).await;
    }

    /// A token as Okta's authorization servers make them.
    async fn token(&self, name: &str) -> String {
        self.issuer.token(&format!("sub={name}@example.com&uid=00u{name}")).await
    }

    /// `allowed`, or the reason of the denial.
    async fn asked(&self, token: &str) -> String {
        let answer = self.proxy.clone().ask(token).await.unwrap();
        if answer.allowed { "allowed".into() } else { answer.reason.unwrap() }
    }

    async fn becomes(&self, token: &str, wanted: &str) {
        let mut last = String::new();
        let what = format!("the answer is {wanted}");
        until(&what, async || {
            last = self.asked(token).await;
            (last == wanted).then_some(())
        })
        .await;
    }

    /// A token of a later second than any before.
    async fn works_anew(&self, name: &str) {
        until("a new token works", async || {
            let fresh = self.token(name).await;
            (self.asked(&fresh).await == "allowed").then_some(())
        })
        .await;
    }

    fn show(&self) -> String {
        let (code, out, error) = self.offboard.run(&self.files.token_file(), &["source", "show", "okta", "-o", "json"]);
        assert_eq!(code, 0, "{error}");
        out
    }

    /// Asks at once, and says what came of it: nothing, where it went well.
    fn sync(&self, full: bool) -> String {
        let arguments = ["source", "sync", "okta", "--full"];
        let arguments = if full { &arguments[..] } else { &arguments[..3] };
        let (code, _, error) = self.offboard.run(&self.files.token_file(), arguments);
        if code == 0 { String::new() } else { format!("{code}: {error}") }
    }

    /// Nothing was asked that Okta would not have answered.
    fn no_complaints(&self) {
        assert_eq!(self.okta.org().complaints, Vec::<String>::new());
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // How it drains is another test's matter.
        self.offboard.process.signal(Signal::KILL);
    }
}

#[tokio::test]
async fn who_leaves_is_out_and_who_comes_back_needs_a_new_token() {
    let stage = Stage::start(QUICK).await;
    let (alice, bob, carol, dan) =
        (stage.token("alice").await, stage.token("bob").await, stage.token("carol").await, stage.token("dan").await);
    for token in [&alice, &bob, &carol, &dan] {
        assert_eq!(stage.asked(token).await, "allowed");
    }
    stage.okta.org().lifecycle("alice", "suspend");
    stage.okta.org().lifecycle("bob", "deactivate");
    stage.okta.org().delete("carol");
    for token in [&alice, &bob, &carol] {
        stage.becomes(token, "revoked_person").await;
    }
    assert_eq!(stage.asked(&dan).await, "allowed", "others go on");

    stage.okta.org().lifecycle("alice", "unsuspend");
    stage.okta.org().lifecycle("bob", "activate");
    for (name, token) in [("alice", &alice), ("bob", &bob)] {
        stage.becomes(token, "issued_before_cutoff").await;
        stage.works_anew(name).await;
        assert_eq!(stage.asked(token).await, "issued_before_cutoff");
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
    assert_eq!(stage.asked(&bob).await, "allowed");
    stage.okta.org().join("alice", GROUP);
    stage.becomes(&alice, "allowed").await;

    // A group of an application that is called like ours gives nothing.
    stage.okta.org().leave("alice", GROUP);
    stage.okta.org().add_group("00gother", "APP_GROUP", "payments-eng");
    stage.okta.org().join("alice", "00gother");
    stage.becomes(&alice, "no_permission").await;
    stage.synced().await;
    assert_eq!(stage.asked(&alice).await, "no_permission");

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
    assert_eq!(stage.asked(&stage.token("grace").await).await, "unknown_person");
    // By the user name alone, as the organization's own tokens have it: asked for, where nobody told of them.
    stage.okta.org().add_user("heidi");
    let heidi = stage.issuer.token("sub=heidi@example.com").await;
    stage.becomes(&heidi, "no_permission").await;

    // Who is renamed takes nothing of the old name along.
    let old = stage.issuer.token("sub=bob@example.com").await;
    assert_eq!(stage.asked(&old).await, "allowed");
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
    assert_eq!(stage.asked(&alice).await, "allowed");
    stage.okta.org().add_user("heidi");
    stage.okta.org().index();
    stage.okta.org().add_user("ivan");
    stage.becomes(&token("heidi").await, "no_permission").await;
    assert_eq!(stage.asked(&token("ivan").await).await, "unknown_person", "a search does not find them yet");
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
    assert_eq!((stage.asked(&fresh).await, stage.asked(&bob).await), ("allowed".into(), "allowed".into()));
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
    assert_eq!(stage.asked(&dan).await, "revoked_person");
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
    assert_eq!(stage.asked(&carol).await, "revoked_person", "by a listing");
    assert_eq!(stage.asked(&alice).await, "allowed");
    stage.no_complaints();
}

#[tokio::test]
async fn no_next_page_leads_the_credential_elsewhere() {
    let (stage, other) = (Stage::start(QUICK).await, Okta::start());
    stage.okta.org().elsewhere = Some(other.url.clone());
    stage.okta.org().rows = 2;
    for full in [false, true] {
        let trouble = stage.sync(full);
        assert!(trouble.contains("its next page is at another host"), "{trouble}");
    }
    assert_eq!(other.org().asked, Vec::<String>::new());
    stage.okta.org().elsewhere = None;
    assert_eq!(stage.sync(true), "");
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
    assert_eq!(stage.asked(&alice).await, "revoked_person");
    assert_eq!(stage.asked(&stage.token("alice").await).await, "revoked_person");
    stage.no_complaints();
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
    assert_eq!(stage.asked(&alice).await, "revoked_person");
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
    assert_eq!(stage.asked(&bob).await, "no_permission");
    // Somebody who is in no listing, and who cannot be found either.
    stage.okta.org().users.remove("00ucarol");
    let carol = stage.token("carol").await;
    assert_eq!(stage.sync(true), "");
    assert_eq!(stage.asked(&carol).await, "revoked_person");
    // Back after all: we had lost sight of them.
    stage.okta.org().add_user("carol");
    assert_eq!(stage.sync(true), "");
    assert_eq!(stage.asked(&carol).await, "issued_before_cutoff");

    // Half of a listing: whoever is missing is asked for, and found.
    let dan = stage.token("dan").await;
    stage.okta.org().cut = true;
    let before = stage.okta.org().asked_for("/api/v1/users/00udan");
    assert_eq!(stage.sync(true), "");
    assert!(stage.okta.org().asked_for("/api/v1/users/00udan") > before, "who is missing is asked for");
    assert_eq!(stage.asked(&dan).await, "allowed");
    stage.okta.org().cut = false;
    // A page that comes again and again is no listing.
    stage.okta.org().repeats = true;
    assert!(stage.sync(true).contains("a page repeats"));
    assert_eq!(stage.asked(&dan).await, "allowed");
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
        assert_eq!(stage.asked(&alice).await, "allowed", "{said}");
    }
    stage.okta.org().lifecycle("bob", "suspend");
    stage.okta.org().failures.clear();
    assert_eq!(stage.sync(false), "");
    assert_eq!(stage.asked(&bob).await, "revoked_person");
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
    assert_eq!((stage.asked(&alice).await, stage.asked(&bob).await), ("allowed".into(), "allowed".into()));
    stage.okta.org().token = Some("00next".into());
    std::fs::write(stage.files.path("okta-token"), "00next\n").unwrap();
    assert_eq!(stage.sync(false), "");
    assert_eq!(stage.asked(&bob).await, "revoked_person");

    // A right that is taken away: what needs none of it goes on.
    stage.okta.org().denied = ["users"].into();
    stage.okta.org().lifecycle("alice", "deactivate");
    let trouble = stage.sync(false);
    assert!(trouble.contains("give that account the role Read-only Administrator"), "{trouble}");
    assert_eq!(stage.asked(&alice).await, "issued_before_cutoff");
    stage.okta.org().denied.clear();
    assert_eq!(stage.sync(false), "");
    assert_eq!(stage.asked(&alice).await, "revoked_person");
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
    let files = Installation::new("");
    std::fs::write(files.path("okta.pem"), key.serialize_pem()).unwrap();
    let file = files.path("okta.pem").display().to_string();
    let source = format!("url: '{}', client_id: 0oaoffboard, private_key_file: '{file}', {QUICK}", okta.url);
    let stage = Stage::begin(okta, files, &source).await;
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
        assert_eq!(stage.asked(token).await, "allowed");
    }
    stage.okta.org().unassign("erin", APP);
    stage.becomes(&erin, "revoked_person").await;
    assert_eq!(stage.sync(true), "");
    assert_eq!(stage.asked(&erin).await, "revoked_person", "active in Okta, and not assigned");

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
    assert_eq!(stage.asked(&dan).await, "allowed");
    assert_eq!(stage.asked(&erin).await, "issued_before_cutoff");
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
    assert_eq!((stage.asked(&alice).await, stage.asked(&bob).await), ("allowed".into(), "revoked_person".into()));
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
    assert_eq!(stage.asked(&alice).await, "allowed", "nothing is concluded from that");
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
    assert_eq!((stage.asked(&alice).await, stage.asked(&bob).await), ("allowed".into(), "revoked_person".into()));
    stage.no_complaints();
}

/// `offboard source check NAME --config …`: exit code and what it says.
fn check(files: &Installation) -> (i32, String) {
    let mut command = Offboard::command();
    command.args(["source", "check", "okta", "-o", "json", "--config"]).arg(files.path("config"));
    let done = command.stdin(Stdio::null()).output().unwrap();
    (done.status.code().unwrap(), String::from_utf8_lossy(&done.stdout).into_owned())
}

#[tokio::test]
async fn a_check_says_what_is_missing() {
    let okta = Okta::start();
    okta.org().add_user("alice");
    okta.org().add_group(GROUP, "OKTA_GROUP", "payments-eng");
    let files = Installation::new("");
    std::fs::write(files.path("okta-token"), TOKEN).unwrap();
    let source = format!("url: '{}', token_file: '{}'", okta.url, files.path("okta-token").display());
    let issuer = "issuers: [{ name: dev, issuer: https://idp, audiences: [mesh], jwks: { discovery: true } }]\n";
    let rules = format!("{issuer}sources: [{{ name: okta, kind: okta, issuer: dev, {source} }}]\n");
    files.write("20-rules.yaml", &rules);
    let (code, said) = check(&files);
    assert_eq!(code, 0, "{said}");
    for found in ["is an Okta organization", "the System Log can be followed", "2 can be listed", "at least 6000"] {
        assert!(said.contains(found), "{found}: {said}");
    }
    assert!(!said.contains("warning") && !said.contains(TOKEN), "{said}");

    let rights =
        [("logs", "may not read the System Log"), ("users", "may not read users"), ("groups", "may not read groups")];
    for (right, named) in rights {
        okta.org().denied = [right].into();
        let (code, said) = check(&files);
        assert!(code == 1 && said.contains(named), "{code}: {said}");
    }
    okta.org().denied.clear();
    files.write("20-rules.yaml", &rules.replace("kind: okta,", &format!("kind: okta, app: {APP},")));
    let (code, said) = check(&files);
    assert!(code == 1 && said.contains("there is no app `0oapayments`"), "{code}: {said}");
    okta.org().apps.insert(APP.into(), std::collections::BTreeMap::new());
    let (code, said) = check(&files);
    assert!(code == 1 && said.contains("nobody is assigned to app `0oapayments`"), "{code}: {said}");
    okta.org().set_assigned("alice", APP);
    let (code, said) = check(&files);
    assert!(code == 0 && said.contains("app `Payments` (0oapayments)"), "{code}: {said}");
    okta.org().denied = ["apps"].into();
    let (code, said) = check(&files);
    assert!(code == 1 && said.contains("may not read applications"), "{code}: {said}");
    okta.org().denied.clear();
    files.write("20-rules.yaml", &rules);
    okta.org().ahead = 3600;
    okta.org().limits = [("users", 2)].into();
    okta.org().spend_all();
    let (code, said) = check(&files);
    assert!(code == 1 && said.contains("s ahead of ours") && said.contains("too many requests"), "{code}: {said}");
    okta.org().limits.clear();
    okta.org().token = None;
    let (code, said) = check(&files);
    assert!(code == 1 && said.contains("is wrong, was revoked, or ended"), "{code}: {said}");
    okta.org().failures = vec![("/".into(), Failure::Html)];
    let (code, said) = check(&files);
    assert!(code == 1 && said.contains("not JSON"), "{code}: {said}");
    assert_eq!(okta.org().complaints, Vec::<String>::new());
}
