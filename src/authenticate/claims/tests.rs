use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::authenticate::tests::{ISSUER, NOW, identity, issuer, policy};
use crate::domain::credential::{Identity, LinkKeys};
use crate::domain::issuer::{IssuerRules, MachineRule, TokenType};
use crate::domain::key::LinkKey;
use crate::domain::key::{Key, KeyKind, Keyer};
use crate::domain::name::Directory;
use crate::domain::policy::Policy;
use crate::domain::reason::Reason;
use crate::domain::revocation::{Target, TargetKind};
use crate::domain::source::{Link, MaxChange, SourceRules, Supplies, WhenStale};
use crate::domain::time::Timestamp;

mod reports;

const OTHER: &str = "https://other.example";

fn source(name: &str, issuer: u16, link: &[(&str, &str)]) -> SourceRules {
    SourceRules {
        directory: Directory::Okta,
        name: name.into(),
        issuer,
        supplies: Supplies { people: true, groups: true },
        required: false,
        max_staleness: Duration::from_secs(900),
        when_stale: WhenStale::Allow,
        link: link.iter().map(|(claim, to)| Link { claim: (*claim).into(), attribute: (*to).into() }).collect(),
        max_change: MaxChange { share: 0.2, from: 10 },
    }
}

/// Two issuers; the first has two sources, the second one.
fn rules() -> Policy {
    let sources = vec![
        source("okta", 0, &[("uid", "id"), ("sub", "login")]),
        source("hr", 0, &[("email", "email")]),
        source("partners", 1, &[("sub", "id")]),
    ];
    policy(vec![issuer("corp", ISSUER), issuer("other", OTHER)], sources)
}

fn keyer() -> Keyer {
    Keyer::new([7; 16])
}

/// Good claims with these changed.
fn claims(changes: &Value) -> Value {
    let mut all = json!({ "iss": ISSUER, "sub": "alice", "aud": ["mesh", "x"], "exp": NOW + 300, "iat": NOW });
    for (name, value) in changes.as_object().unwrap() {
        all[name] = value.clone();
    }
    all
}

async fn of(changes: Value) -> Identity {
    identity(rules(), json!({ "alg": "EdDSA", "typ": "at+jwt" }), &claims(&changes)).await
}

async fn with_issuer(change: impl FnOnce(&mut IssuerRules), header: Value, changes: Value) -> Identity {
    let mut first = issuer("corp", ISSUER);
    change(&mut first);
    identity(policy(vec![first], vec![]), header, &claims(&changes)).await
}

fn is_looked_up(parties: &[&crate::domain::credential::Principal], target: &Target) -> bool {
    parties.iter().any(|party| {
        let key = target.key(&keyer());
        party.look_ups.contains(&(target.kind(), key)) || party.names.iter().any(|name| name.key == key)
    })
}

#[tokio::test]
async fn a_claim_of_the_wrong_type_is_a_flaw_and_never_absent() {
    assert_eq!(of(json!({})).await.flaw, None);
    let huge = "x".repeat(1025);
    for (name, values) in [
        (
            "exp",
            vec![json!("1"), json!(null), json!(-1), json!(253_402_300_800_i64), json!(1e30), json!([1]), json!(true)],
        ),
        ("nbf", vec![json!("1"), json!(null), json!(-1), json!(u64::MAX), json!({})]),
        ("iat", vec![json!("1"), json!(-0.5), json!(1e300)]),
        ("sub", vec![json!(1), json!(null), json!(""), json!(["alice"]), json!(huge)]),
        ("aud", vec![json!(1), json!({}), json!(["mesh", 1]), json!([["mesh"]])]),
        ("sid", vec![json!(1.5), json!(1e30), json!(true), json!({})]),
        ("jti", vec![json!(-0.0), json!([7]), json!(huge)]),
        ("uti", vec![json!(false)]),
        ("azp", vec![json!(1e3), json!(["a"])]),
        ("client_id", vec![json!({})]),
        ("cid", vec![json!([])]),
        ("appid", vec![json!(true)]),
        ("email", vec![json!(1), json!(["a@b"])]),
        ("preferred_username", vec![json!(1), json!({})]),
        ("uid", vec![json!(1), json!(true), json!(huge)]),
        ("act", vec![json!("bob"), json!([]), json!({ "sub": 1 }), json!({ "iss": 1 }), json!({ "act": 1 })]),
    ] {
        for value in values {
            let read = of(json!({ name: value })).await;
            assert_eq!(read.flaw, Some(Reason::BadClaims), "{name}: {value:.50}");
            let detail = read.detail.as_deref().unwrap();
            assert!(detail.words().contains("`") && !detail.words().contains("xxx"), "{name}: {detail:?}");
            assert!(read.owner.look_ups.iter().any(|(kind, _)| *kind == TargetKind::Issuer), "{name}");
        }
    }
}

#[tokio::test]
async fn what_must_be_there_is() {
    for missing in ["exp", "sub"] {
        let mut all = claims(&json!({}));
        all.as_object_mut().unwrap().remove(missing);
        let read = identity(rules(), json!({ "alg": "EdDSA" }), &all).await;
        assert_eq!(read.flaw, Some(Reason::BadClaims), "{missing}");
    }
    let mut all = claims(&json!({}));
    all.as_object_mut().unwrap().remove("iat");
    all.as_object_mut().unwrap().remove("aud");
    let read = identity(rules(), json!({ "alg": "EdDSA" }), &all).await;
    assert_eq!((read.flaw, read.issued, read.audiences.len()), (None, None, 0));
}

#[tokio::test]
async fn fractions_of_dates_go_the_strict_way() {
    let base = NOW as f64;
    let read = of(json!({ "exp": base + 0.0015, "nbf": base + 0.0015, "iat": base + 0.5 })).await;
    assert_eq!(read.expires, Some(Timestamp::from_millis(NOW * 1000 + 1)));
    assert_eq!(read.not_before, Some(Timestamp::from_millis(NOW * 1000 + 2)));
    assert_eq!(read.issued, Some(Timestamp::from_millis(NOW * 1000 + 500)));
}

#[tokio::test]
async fn only_access_tokens_are_accepted() {
    let nonce = json!({ "nonce": "n" });
    for (typ, changes, accepted) in [
        (json!("at+jwt"), json!({}), true),
        (json!("application/AT+JWT"), json!({}), true),
        (json!("JWT"), json!({}), true),
        (json!("jwt"), json!({}), true),
        (json!("JWT"), json!({ "typ": "Bearer" }), true),
        (json!("JWT"), json!({ "nonce": "n", "scope": "openid" }), true),
        (json!("JWT"), json!({ "token_use": "access" }), true),
        (json!("logout+jwt"), json!({}), false),
        (json!("secevent+jwt"), json!({}), false),
        (json!("dpop+jwt"), json!({}), false),
        (json!(""), json!({}), false),
        (json!("JWT"), json!({ "events": {} }), false),
        (json!("JWT"), json!({ "at_hash": "x" }), false),
        (json!("JWT"), json!({ "c_hash": 1 }), false),
        (json!("JWT"), nonce, false),
        (json!("JWT"), json!({ "typ": "ID" }), false),
        (json!("JWT"), json!({ "typ": "Refresh" }), false),
        (json!("JWT"), json!({ "typ": "Offline" }), false),
        (json!("JWT"), json!({ "typ": "Logout" }), false),
        (json!("JWT"), json!({ "typ": 1 }), false),
        (json!("JWT"), json!({ "token_use": "id" }), false),
    ] {
        let read = identity(rules(), json!({ "alg": "EdDSA", "typ": typ }), &claims(&changes)).await;
        assert_eq!(read.flaw.is_none(), accepted, "{typ} {changes}");
    }
    let narrow = |rules: &mut IssuerRules| rules.token_types = vec![TokenType::AtJwt];
    for (header, accepted) in [
        (json!({ "alg": "EdDSA", "typ": "at+jwt" }), true),
        (json!({ "alg": "EdDSA", "typ": "JWT" }), false),
        (json!({ "alg": "EdDSA" }), false),
    ] {
        assert_eq!(with_issuer(narrow, header.clone(), json!({})).await.flaw.is_none(), accepted, "{header}");
    }
}

#[tokio::test]
async fn everything_that_can_be_revoked_is_looked_up() {
    let read = of(json!({ "sid": "s", "jti": "t", "azp": "web", "client_id": "cid", "email": "Alice@Example.com",
        "preferred_username": "al", "uid": "00u1" }))
    .await;
    let text = |text: &str| text.to_owned();
    let person = |reference: &str| Target::Person { reference: reference.to_owned() };
    let issuer = text(ISSUER);
    for target in [
        Target::Subject { issuer: issuer.clone(), subject: text("alice") },
        Target::Session { issuer: issuer.clone(), session: text("s") },
        Target::Token { issuer: issuer.clone(), token: text("t") },
        Target::Client { issuer: issuer.clone(), client: text("web") },
        Target::Client { issuer: issuer.clone(), client: text("cid") },
        Target::Issuer { issuer: issuer.clone() },
        person("alice"),
        person(&format!("{ISSUER}|alice")),
        person("alice@example.com"),
        person("AL"),
        person("00u1"),
    ] {
        assert!(is_looked_up(&[&read.owner], &target), "{target}");
    }
    assert_eq!((read.owner.look_ups.len(), read.owner.names.len()), (7, 5), "and what it signs");
    assert_eq!(read.client.as_deref(), Some("web"));
    assert_eq!(read.client_key, Some(keyer().key(KeyKind::Client, &[ISSUER, "web"])));
    assert_eq!(of(json!({ "client_id": "cid" })).await.client.as_deref(), Some("cid"));
    assert_eq!(read.audiences, ["mesh", "x"]);
    assert_eq!(of(json!({ "aud": "mesh" })).await.audiences, ["mesh"]);
}

fn link(source: u16, name: &str, issuer: &str, (claim, link): (&str, u16), attribute: &str, value: &str) -> LinkKeys {
    let claim_key = Target::LinkClaim { issuer: issuer.into(), claim: claim.into(), value: value.into() };
    let rule = Directory::Okta.compares(attribute);
    let person = LinkKey::of(&keyer(), name, attribute, (rule, value));
    LinkKeys { source, person, claim: [claim_key.key(&keyer()); 2], link, value: value.into() }
}

#[tokio::test]
async fn the_first_link_claim_that_is_present_decides_for_each_source() {
    let okta = |claim, attribute: &str, value: &str| link(0, "okta", ISSUER, claim, attribute, value);
    let hr = link(1, "hr", ISSUER, ("email", 0), "email", "a@b");
    assert_eq!(of(json!({})).await.owner.links, [okta(("sub", 1), "login", "alice")]);
    assert_eq!(of(json!({ "uid": "00u1", "email": "a@b" })).await.owner.links, [okta(("uid", 0), "id", "00u1"), hr]);
    assert_eq!(of(json!({ "uid": 1 })).await.owner.links, [], "no fallback to the next claim");
}

#[tokio::test]
async fn groups_belong_to_the_issuer() {
    let group = |issuer: &str, group: &str| keyer().key(KeyKind::Group, &[issuer, group]);
    let mut expected: Vec<Key> = vec![group("corp", "a"), group("corp", "b")];
    expected.sort_unstable();
    assert_eq!(of(json!({ "groups": ["b", "a", "b"] })).await.groups, expected);
    assert_eq!(of(json!({ "groups": "a" })).await.groups, [group("corp", "a")]);
    assert_eq!(of(json!({})).await.groups, []);
}

#[tokio::test]
async fn machines_are_told_by_the_issuers_rule() {
    let header = || json!({ "alg": "EdDSA" });
    let client_is_subject = |_: &mut IssuerRules| {};
    let prefix = |rules: &mut IssuerRules| rules.machines = MachineRule::UsernamePrefix("service-account-".into());
    let claim = |rules: &mut IssuerRules| {
        rules.machines = MachineRule::Claim { claim: "idtyp".into(), equals: "app".into() };
    };
    assert!(with_issuer(client_is_subject, header(), json!({ "azp": "alice" })).await.machine);
    assert!(with_issuer(client_is_subject, header(), json!({ "client_id": "alice" })).await.machine);
    assert!(!with_issuer(client_is_subject, header(), json!({ "azp": "web" })).await.machine);
    assert!(!with_issuer(client_is_subject, header(), json!({})).await.machine);
    assert!(with_issuer(prefix, header(), json!({ "preferred_username": "service-account-ci" })).await.machine);
    assert!(!with_issuer(prefix, header(), json!({ "preferred_username": "alice", "azp": "alice" })).await.machine);
    assert!(with_issuer(claim, header(), json!({ "idtyp": "app" })).await.machine);
    assert!(!with_issuer(claim, header(), json!({ "idtyp": ["app"] })).await.machine);
}

#[tokio::test]
async fn every_actor_is_judged_under_its_own_issuer() {
    let read = of(json!({ "act": { "sub": "bot", "client_id": "c", "email": "bot@example.com",
        "act": { "iss": OTHER, "sub": "carol", "act": { "iss": "https://unknown.example", "sub": "dave" } } } }))
    .await;
    assert_eq!((read.flaw, read.actors.len()), (None, 3));
    let subject = |issuer: &str, subject: &str| Target::Subject { issuer: issuer.into(), subject: subject.into() };
    let [bot, carol, dave] = &read.actors[..] else { panic!("{:?}", read.actors) };
    assert!(is_looked_up(&[bot], &subject(ISSUER, "bot")));
    assert!(is_looked_up(&[bot], &Target::Client { issuer: ISSUER.into(), client: "c".into() }));
    assert!(is_looked_up(&[bot], &Target::Person { reference: "bot@example.com".into() }));
    assert_eq!(bot.links.len(), 2, "one per source of its issuer");
    assert!(is_looked_up(&[carol], &subject(OTHER, "carol")) && !is_looked_up(&[carol], &subject(ISSUER, "carol")));
    assert_eq!(carol.links, [link(2, "partners", OTHER, ("sub", 0), "id", "carol")]);
    assert!(is_looked_up(&[dave], &subject("https://unknown.example", "dave")));
    assert!(dave.links.is_empty());
}

#[tokio::test]
async fn a_chain_of_more_than_eight_actors_is_a_flaw() {
    let chain = |length: usize| {
        (0..length).rev().fold(Value::Null, |inner, number| {
            let mut actor = json!({ "sub": format!("actor-{number}") });
            if !inner.is_null() {
                actor["act"] = inner;
            }
            actor
        })
    };
    let eight = of(json!({ "act": chain(8) })).await;
    assert_eq!((eight.flaw, eight.actors.len()), (None, 8));
    let nine = of(json!({ "act": chain(9) })).await;
    assert_eq!((nine.flaw, nine.actors.len()), (Some(Reason::BadClaims), 8));
}

#[tokio::test]
async fn the_rules_of_the_issuer_go_with_the_identity() {
    let read = of(json!({})).await;
    assert_eq!((read.issuer_index, &*read.issuer, read.leeway), (0, ISSUER, Duration::from_secs(30)));
    assert_eq!(read.required_audiences, Some(Arc::from(["mesh".to_owned()])));
}
