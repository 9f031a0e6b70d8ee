//! Claims as real providers write them, out of public reports.

use super::*;
use crate::domain::claim::ClaimName;
use crate::domain::issuer::ClaimNames;
use crate::domain::source::{Linking, Retired};

fn name(text: &str) -> Option<ClaimName> {
    Some(text.into())
}

fn client(client: &str) -> Target {
    Target::Client { issuer: ISSUER.into(), client: client.into() }
}

fn token(token: &str) -> Target {
    Target::Token { issuer: ISSUER.into(), token: token.into() }
}

/// With these claim names, and no source.
async fn named(names: ClaimNames, changes: Value) -> Identity {
    with_issuer(|rules| rules.claims = names, json!({ "alg": "EdDSA" }), changes).await
}

fn group_keys(groups: &[&str]) -> Vec<Key> {
    let mut keys: Vec<Key> = groups.iter().map(|group| keyer().key(KeyKind::Group, &["corp", group])).collect();
    keys.sort_unstable();
    keys
}

/// What a token without `sub` holds beside `exp` and the like.
async fn unnamed(policy: Policy, changes: Value) -> Identity {
    let mut all = claims(&changes);
    if changes.get("sub").is_none() {
        all.as_object_mut().unwrap().remove("sub");
    }
    identity(policy, json!({ "alg": "EdDSA" }), &all).await
}

fn words(read: &Identity) -> &str {
    read.detail.as_deref().map_or("", |detail| detail.words())
}

#[tokio::test]
async fn null_and_an_empty_text_are_absence_of_an_optional_claim() {
    for name in [
        "iat",
        "aud",
        "sid",
        "jti",
        "uti",
        "azp",
        "client_id",
        "cid",
        "appid",
        "email",
        "preferred_username",
        "groups",
        "act",
        "nonce",
        "at_hash",
        "typ",
        "token_use",
        "events",
    ] {
        for nothing in [json!(null), json!("")] {
            let mut read = with_issuer(|_| {}, json!({ "alg": "EdDSA" }), json!({ name: nothing })).await;
            assert_eq!((read.flaw, words(&read)), (None, ""), "{name}: {nothing}");
            let mut without = with_issuer(|_| {}, json!({ "alg": "EdDSA" }), json!({ "jti": null })).await;
            // What they sign differs.
            assert!(read.owner.look_ups.pop() != without.owner.look_ups.pop() || name == "jti");
            assert_eq!(read.owner, without.owner, "{name}: {nothing}");
        }
    }
    let read = with_issuer(|_| {}, json!({ "alg": "EdDSA" }), json!({ "iat": null })).await;
    assert_eq!(read.issued, None, "so every cut-off is later");
    for (name, nothing) in [("exp", json!(null)), ("exp", json!("")), ("nbf", json!(null)), ("nbf", json!(""))] {
        let read = of(json!({ name: nothing })).await;
        assert_eq!(read.flaw, Some(Reason::BadClaims), "{name}: {nothing}");
        assert!(words(&read).contains(&format!("`{name}`")), "{}", words(&read));
    }
}

#[tokio::test]
async fn a_link_that_says_nothing_is_a_miss_and_no_other_is_asked() {
    for nothing in [json!(null), json!("")] {
        let read = of(json!({ "uid": nothing, "email": nothing })).await;
        assert_eq!((read.flaw, &read.owner.links[..]), (None, &[][..]), "{nothing}: `sub` is not asked for `okta`");
    }
    let blocked = vec![source("crm", 0, &[("person.id", "id"), ("sub", "id")])];
    let policy = || policy(vec![issuer("corp", ISSUER)], blocked.clone());
    let read = identity(policy(), json!({ "alg": "EdDSA" }), &claims(&json!({ "person": { "id": "7f" } }))).await;
    assert_eq!((read.flaw, read.owner.links.len(), &*read.owner.links[0].value), (None, 1, "7f"));
    let read = identity(policy(), json!({ "alg": "EdDSA" }), &claims(&json!({ "person": ["7f"] }))).await;
    assert_eq!((read.flaw, read.owner.links.len()), (Some(Reason::BadClaims), 0));
    let read = identity(policy(), json!({ "alg": "EdDSA" }), &claims(&json!({ "person": null }))).await;
    assert_eq!((read.flaw, &*read.owner.links[0].value), (None, "alice"), "there is nothing on the way");
}

#[tokio::test]
async fn a_name_is_exact_or_leads_into_objects_and_both_is_a_flaw() {
    let names = || ClaimNames {
        groups: "resource_access.shop.roles".into(),
        session: "https://idp.example/session".into(),
        email: ClaimName::of_segments(vec!["https://idp.example/user".into(), "mail".into()]),
        username: ClaimName::of_segments(vec!["acct.name".into()]),
        client: name("app.id"),
        ..ClaimNames::default()
    };
    let read = named(
        names(),
        json!({
            "resource_access": { "shop": { "roles": ["buyer"] } },
            "https://idp.example/session": "s9",
            "https://idp.example/user": { "mail": "eve@example.org" },
            "acct.name": "eve",
            "app": { "id": "till" },
        }),
    )
    .await;
    assert_eq!((read.flaw, read.groups), (None, group_keys(&["buyer"])));
    assert_eq!((read.session.as_deref(), read.client.as_deref()), (Some("s9"), Some("till")));
    for reference in ["eve@example.org", "eve"] {
        assert!(is_looked_up(&[&read.owner], &Target::Person { reference: reference.into() }), "{reference}");
    }
    let read = named(names(), json!({ "app.id": "exact", "acct": { "name": "nobody" } })).await;
    assert_eq!((read.flaw, read.client.as_deref()), (None, Some("exact")));
    assert!(!is_looked_up(&[&read.owner], &Target::Person { reference: "nobody".into() }), "a list of one is exact");
    for both in [
        json!({ "app.id": "a", "app": { "id": "a" } }),
        json!({ "resource_access.shop.roles": [], "resource_access": { "shop": { "roles": ["buyer"] } } }),
    ] {
        let read = named(names(), both.clone()).await;
        assert_eq!((read.flaw, read.groups.len()), (Some(Reason::BadClaims), 0), "{both}");
        assert!(words(&read).contains("twice"), "{}", words(&read));
    }
    let rule = |rules: &mut IssuerRules| {
        rules.machines = MachineRule::Claim { claim: "ext.kind".into(), equals: "robot".into() };
    };
    let header = || json!({ "alg": "EdDSA" });
    assert!(with_issuer(rule, header(), json!({ "ext": { "kind": "robot" } })).await.machine);
    assert!(with_issuer(rule, header(), json!({ "ext.kind": "robot" })).await.machine);
    assert!(!with_issuer(rule, header(), json!({ "ext": "robot" })).await.machine);
    let both = with_issuer(rule, header(), json!({ "ext.kind": "robot", "ext": { "kind": "robot" } })).await;
    assert_eq!((both.machine, both.flaw), (false, Some(Reason::BadClaims)));
}

#[tokio::test]
async fn a_machine_may_be_told_by_a_flag() {
    let rule = |equals: &'static str| {
        move |rules: &mut IssuerRules| {
            rules.machines = MachineRule::Claim { claim: "m2m".into(), equals: equals.into() };
        }
    };
    let header = || json!({ "alg": "EdDSA" });
    assert!(with_issuer(rule("true"), header(), json!({ "m2m": true })).await.machine);
    assert!(with_issuer(rule("1"), header(), json!({ "m2m": 1 })).await.machine);
    for other in [json!(false), json!([true]), json!("True"), json!(1.0), json!(null)] {
        assert!(!with_issuer(rule("true"), header(), json!({ "m2m": other })).await.machine);
    }
}

#[tokio::test]
async fn clients_and_token_ids_have_the_names_that_providers_give_them() {
    // Okta, Entra v1, Entra v2.
    for (changes, shown, id) in [
        (json!({ "cid": "0oa1", "jti": "AT.x" }), "0oa1", Some("AT.x")),
        (json!({ "appid": "6f-a", "uti": "uQ" }), "6f-a", Some("uQ")),
        (json!({ "azp": "6f-b", "appid": "6f-c", "jti": null, "uti": "uR" }), "6f-b", Some("uR")),
        (json!({ "azp": "", "client_id": null, "cid": 4711, "jti": 99 }), "4711", Some("99")),
    ] {
        let read = of(changes.clone()).await;
        assert_eq!((read.flaw, read.client.as_deref(), read.token_id.as_deref()), (None, Some(shown), id), "{changes}");
        assert_eq!(read.client_key, Some(keyer().key(KeyKind::Client, &[ISSUER, shown])));
        assert!(is_looked_up(&[&read.owner], &client(shown)), "{changes}");
        assert!(is_looked_up(&[&read.owner], &token(id.unwrap())), "{changes}");
    }
    let wrong = of(json!({ "azp": ["a"], "client_id": "b" })).await;
    assert_eq!((wrong.flaw, wrong.client), (Some(Reason::BadClaims), None), "it does not fall through");
}

#[tokio::test]
async fn a_configured_name_stands_alone_for_what_is_granted_and_every_name_denies() {
    let all =
        json!({ "azp": "a", "client_id": "b", "cid": "c", "appid": 7, "own": "d", "jti": "j", "uti": "u", "tok": 12 });
    let names = ClaimNames { client: name("own"), token: name("tok"), ..ClaimNames::default() };
    let read = named(names.clone(), all).await;
    assert_eq!((read.flaw, read.client.as_deref(), read.token_id.as_deref()), (None, Some("d"), Some("12")));
    for denied in [client("a"), client("b"), client("c"), client("7"), client("d"), token("j"), token("u"), token("12")]
    {
        assert!(is_looked_up(&[&read.owner], &denied), "{denied}");
    }
    let read = named(names, json!({ "azp": "alice", "jti": "j" })).await;
    assert_eq!((read.client, read.client_key, read.token_id, read.machine), (None, None, None, false));
    assert!(is_looked_up(&[&read.owner], &client("alice")) && is_looked_up(&[&read.owner], &token("j")));
}

#[tokio::test]
async fn whole_numbers_count_as_their_digits() {
    for (number, digits) in [(json!(0), "0"), (json!(-3), "-3"), (json!(u64::MAX), "18446744073709551615")] {
        let read = of(json!({ "sid": number, "jti": number, "client_id": number })).await;
        assert_eq!((read.flaw, read.session.as_deref(), read.token_id.as_deref()), (None, Some(digits), Some(digits)));
        assert!(is_looked_up(&[&read.owner], &Target::Session { issuer: ISSUER.into(), session: digits.into() }));
        assert!(is_looked_up(&[&read.owner], &client(digits)));
    }
    // Read as a float, it may have been another: 18446744073709551616 and 18446744073709551617 are one.
    let beyond = serde_json::from_str::<Value>("18446744073709551617").unwrap();
    assert_eq!(of(json!({ "sid": beyond })).await.flaw, Some(Reason::BadClaims));
    let read = of(json!({ "sub": "42", "client_id": 42 })).await;
    assert!(read.machine, "the client is its own subject");
    let actor = of(json!({ "act": { "client_id": 8, "appid": "x" } })).await;
    assert!(is_looked_up(&[&actor.actors[0]], &client("8")) && is_looked_up(&[&actor.actors[0]], &client("x")));
}

#[tokio::test]
async fn groups_of_any_shape_refuse_nobody() {
    for (groups, expected) in [
        (json!(["dev", 7, null, {"name": "x"}, ["ops"], true, "", "qa"]), vec!["dev", "qa"]),
        (json!("admin dev"), vec!["admin dev"]),
        (
            json!({ "editor": { "77": "a.example" }, "viewer": {}, "owner": false, "guest": null, "": {} }),
            vec!["editor", "viewer", "guest"],
        ),
        (json!({}), vec![]),
        (json!([]), vec![]),
        (json!(null), vec![]),
        (json!(""), vec![]),
        (json!(12), vec![]),
        (json!(true), vec![]),
        (json!("g".repeat(2000)), vec![&*"g".repeat(2000).leak()]),
    ] {
        let read = of(json!({ "groups": groups })).await;
        assert_eq!((read.flaw, read.groups), (None, group_keys(&expected)), "{groups:.60}");
    }
    let names = || ClaimNames { groups: "realm.access.roles".into(), ..ClaimNames::default() };
    for (changes, expected) in [
        (json!({ "realm": { "access": { "roles": ["a"] } } }), vec!["a"]),
        (json!({ "realm": { "access": { "roles": { "b": 1, "c": false } } } }), vec!["b"]),
        (json!({ "realm": { "access": "roles" } }), vec![]),
        (json!({ "realm": "access" }), vec![]),
        (json!({ "realm": { "access.roles": ["a"] } }), vec![]),
        (json!({ "groups": ["a"] }), vec![]),
    ] {
        let read = named(names(), changes.clone()).await;
        assert_eq!((read.flaw, read.groups), (None, group_keys(&expected)), "{changes}");
    }
}

#[tokio::test]
async fn a_token_without_sub_is_a_clients_own_or_nobodys() {
    let one = || policy(vec![issuer("corp", ISSUER)], vec![source("hr", 0, &[("employee", "id"), ("sub", "id")])]);
    for own in [
        json!({ "client_id": "job" }),
        json!({ "sub": "", "cid": "job" }),
        json!({ "sub": null, "azp": "job" }),
        json!({ "appid": "job", "sid": null, "email": "", "preferred_username": null, "auth_time": null, "employee": "" }),
    ] {
        let read = unnamed(one(), own.clone()).await;
        assert_eq!((read.flaw, read.machine, read.subject.as_deref()), (None, true, None), "{own}");
        assert_eq!(read.client.as_deref(), Some("job"));
        assert!(is_looked_up(&[&read.owner], &client("job")));
        assert!(read.owner.look_ups.iter().all(|(kind, _)| *kind != TargetKind::Subject), "{own}");
    }
    for (login, claim) in [
        (json!({ "sid": "s" }), "sid"),
        (json!({ "session_state": "s" }), "session_state"),
        (json!({ "preferred_username": "zoe" }), "preferred_username"),
        (json!({ "upn": "zoe@example.net" }), "upn"),
        (json!({ "email": "zoe@example.net" }), "email"),
        (json!({ "auth_time": 0 }), "auth_time"),
        (json!({ "amr": [] }), "amr"),
        (json!({ "employee": "e7" }), "employee"),
        (json!({ "employee": 7 }), "employee"),
    ] {
        let mut login = login;
        login["client_id"] = json!("shop");
        let read = unnamed(one(), login.clone()).await;
        assert_eq!(read.flaw, Some(Reason::BadClaims), "{login}");
        assert!(words(&read).contains(&format!("`{claim}`")), "{login}: {}", words(&read));
    }
    let nobody = unnamed(one(), json!({})).await;
    assert_eq!((nobody.flaw, words(&nobody).contains("client")), (Some(Reason::BadClaims), true));
    // Where a client is configured, another claim makes nobody a machine.
    let mut rules = issuer("corp", ISSUER);
    rules.claims = ClaimNames { client: name("app"), session: "login.session".into(), ..ClaimNames::default() };
    let own = || policy(vec![rules.clone()], vec![]);
    assert_eq!(unnamed(own(), json!({ "client_id": "job" })).await.flaw, Some(Reason::BadClaims));
    assert_eq!(unnamed(own(), json!({ "app": "job" })).await.flaw, None);
    assert_eq!(unnamed(own(), json!({ "app": "job", "login": { "session": 1 } })).await.flaw, Some(Reason::BadClaims));
    assert_eq!(
        unnamed(own(), json!({ "app": "job", "sid": "s" })).await.flaw,
        Some(Reason::BadClaims),
        "the usual name too"
    );
    // By what a source linked that is no longer configured, a person may still be denied.
    let linking = Linking {
        issuer: ISSUER.into(),
        link: vec![Link { claim: "badge".into(), attribute: "id".into() }],
        directory: None,
    };
    let retired = || Policy { retired: vec![Retired { name: "old".into(), linking: linking.clone() }], ..own() };
    assert_eq!(unnamed(retired(), json!({ "app": "job", "badge": "b" })).await.flaw, Some(Reason::BadClaims));
    assert_eq!(unnamed(own(), json!({ "app": "job", "badge": "b" })).await.flaw, None);
}

#[tokio::test]
async fn id_tokens_are_told_from_access_tokens_that_look_like_them() {
    let accept = |rules: &mut IssuerRules| rules.accepts_id_tokens = true;
    for (marks, is_lifted) in [
        (json!({ "nonce": "n" }), true),
        (json!({ "at_hash": "h" }), true),
        (json!({ "c_hash": 7 }), true),
        (json!({ "typ": "ID" }), true),
        (json!({ "typ": "id", "token_use": "ID", "nonce": "n", "at_hash": "h" }), true),
        (json!({ "events": {} }), false),
        (json!({ "typ": "Refresh" }), false),
        (json!({ "typ": "Offline" }), false),
        (json!({ "typ": "Logout" }), false),
        (json!({ "token_use": "refresh" }), false),
    ] {
        for typ in ["at+jwt", "Application/AT+jwt"] {
            let read = of_type(typ, |_| {}, &marks).await;
            assert_eq!(read.flaw.is_none(), is_lifted, "{typ} {marks}");
        }
        for typ in ["JWT", "application/jwt"] {
            assert_eq!(of_type(typ, accept, &marks).await.flaw.is_none(), is_lifted, "accept, {typ} {marks}");
            let refused = of_type(typ, |_| {}, &marks).await;
            assert_eq!(refused.flaw, Some(Reason::BadClaims), "refuse, {typ} {marks}");
            let claim = marks.as_object().unwrap().keys().any(|name| words(&refused).contains(&format!("`{name}`")));
            assert!(claim, "{marks}: {}", words(&refused));
        }
    }
    for typ in ["logout+jwt", "secevent+jwt", "id+jwt"] {
        let read = of_type(typ, accept, &json!({})).await;
        assert_eq!((read.flaw, words(&read).contains("`typ`")), (Some(Reason::BadClaims), true), "{typ}");
    }
}

async fn of_type(typ: &str, change: impl FnOnce(&mut IssuerRules), marks: &Value) -> Identity {
    with_issuer(change, json!({ "alg": "EdDSA", "typ": typ }), marks.clone()).await
}

#[tokio::test]
async fn the_audience_may_be_another_claim_and_aud_must_fit_too() {
    let names = || ClaimNames { audience: name("client_id"), ..ClaimNames::default() };
    let required = ["mesh".to_owned()];
    for (changes, fits) in [
        (json!({ "client_id": "mesh", "aud": null }), true),
        (json!({ "client_id": "mesh", "aud": "" }), true),
        (json!({ "client_id": "mesh", "aud": ["x", "mesh"] }), true),
        (json!({ "client_id": "mesh", "aud": "x" }), false),
        (json!({ "client_id": "mesh", "aud": [] }), false),
        (json!({ "client_id": "other", "aud": "mesh" }), false),
        (json!({ "aud": "mesh" }), false),
        (json!({ "client_id": null, "aud": "mesh" }), false),
    ] {
        let read = named(names(), changes.clone()).await;
        assert_eq!((read.flaw, read.is_for(&required)), (None, fits), "{changes}");
    }
    assert!(named(names(), json!({ "client_id": 31, "aud": null })).await.is_for(&["31".to_owned()]));
    let wrong = named(names(), json!({ "client_id": "mesh", "aud": 5 })).await;
    assert_eq!(wrong.flaw, Some(Reason::BadClaims));
    let same = ClaimNames { audience: name("aud"), ..ClaimNames::default() };
    assert!(named(same, json!({})).await.is_for(&required));
}
