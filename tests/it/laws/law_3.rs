//! Law 3: absent is not empty; none of not loaded, stale, unknown and failed means allow unless the configuration says
//! so by name.

use offboard::domain::policy::{Policy, Unknown};
use offboard::domain::reason::Reason;
use offboard::domain::source::{Link, SourceRules, WhenStale};
use serde_json::{Value, json};

use super::same;
use super::world::{Store, World, person};
use crate::corp::{self, at};

fn with(source: impl FnOnce(&mut SourceRules), unknown: Unknown) -> Policy {
    let mut policy = Policy { unknown_people: unknown, ..corp::policy() };
    source(&mut policy.sources[0]);
    policy
}

/// The first claim that is present links. If it says nothing, the next one does not link in its place.
pub async fn law_3_a_link_that_says_nothing_is_a_miss<S: Store>(store: S) {
    let link = |claim: &str| Link { claim: claim.into(), attribute: "id".into() };
    let world = World::with(store, with(|hr| hr.link = vec![link("staff.no"), link("sub")], Unknown::Deny)).await;
    let check = async |mut claims: Value| {
        claims["iat"] = json!(at(0).wall.as_millis() / 1000);
        world.check(&world.token_of(&claims), at(1)).await.reason
    };
    same(&check(json!({ "sub": "alice" })).await, &Reason::Allowed, "the next claim, where the first is not there");
    same(&check(json!({ "sub": "x", "staff": { "no": "bob" } })).await, &Reason::Allowed, "the first");
    for nothing in [json!(null), json!("")] {
        let found = check(json!({ "sub": "alice", "staff": { "no": nothing } })).await;
        same(&found, &Reason::UnknownPerson, format!("the first says {nothing}"));
    }
    let found = check(json!({ "sub": "alice", "staff": { "no": 7 } })).await;
    same(&found, &Reason::BadClaims, "what links and cannot be compared");
    let machine = json!({ "client_id": "job" });
    same(&check(machine).await, &Reason::Allowed, "without `sub`, a client's own");
    let login = json!({ "client_id": "job", "sid": "s" });
    same(&check(login).await, &Reason::BadClaims, "without `sub`, and somebody has signed in");
}

/// Each thing that can be absent: strict by default, and lenient where the configuration says so by name.
pub async fn law_3_absent_is_not_empty<S: Store>(store: S) {
    let mut world = World::empty(store, with(|hr| hr.required = true, Unknown::Deny)).await;
    let ask = async |world: &World<S>, who, when| world.ask(who, at(0), at(when)).await;
    same(&ask(&world, "alice", 1).await, &Reason::NotReady, "required, and never told us anything");
    world.configure(with(|hr| hr.when_stale = WhenStale::Deny, Unknown::Deny), at(1)).await.unwrap();
    same(&ask(&world, "alice", 1).await, &Reason::StaleSource, "never told us anything, and stale is denied");
    world.configure(with(|_| {}, Unknown::Deny), at(1)).await.unwrap();
    same(&ask(&world, "alice", 1).await, &Reason::Allowed, "nothing is concluded from a listing that never came");

    world.configure(with(|hr| hr.when_stale = WhenStale::Deny, Unknown::Deny), at(1)).await.unwrap();
    world.list(&[person("alice"), person("bob")], at(2)).await.unwrap();
    same(&ask(&world, "alice", 3).await, &Reason::Allowed, "listed, and fresh");
    same(&ask(&world, "carol", 3).await, &Reason::UnknownPerson, "not listed");
    same(&ask(&world, "alice", 903).await, &Reason::StaleSource, "older than max_staleness");
    world.configure(with(|_| {}, Unknown::Allow), at(903)).await.unwrap();
    same(&ask(&world, "alice", 903).await, &Reason::Allowed, "`when_stale: allow` says so");
    same(&ask(&world, "carol", 903).await, &Reason::Allowed, "`people.unknown: allow` says so");

    world.forget_keys();
    same(&ask(&world, "alice", 904).await, &Reason::NotReady, "an issuer without keys");
}
