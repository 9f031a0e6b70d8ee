//! Law 2: every credential that a request presents is judged; the strictest answer wins.

use offboard::domain::policy::Policy;
use offboard::domain::reason::Reason;
use serde_json::json;

use super::same;
use super::world::{Store, World, person, suspended};
use crate::corp::{self, ISSUER, at};
use crate::support::provider::Signer;

/// Two headers carry one token each: a good one and every kind of bad one, in both orders.
pub async fn law_2_the_strictest_answer_wins<S: Store>(store: S) {
    let world = World::with(store, Policy { bearer_header: "x-token".into(), ..corp::policy() }).await;
    world.list(&[person("alice"), suspended("bob")], at(1)).await.unwrap();
    let good = world.token("alice", at(1));
    let forged = Signer::new("a", 9).sign(&json!({ "iss": ISSUER, "sub": "alice", "aud": "mesh" }));
    let past = at(-3600).wall.as_millis() / 1000;
    let expired = world.token_of(&json!({ "sub": "alice", "iat": past, "exp": past + 60 }));
    let elsewhere = world.token_of(&json!({ "sub": "alice", "iat": past, "aud": "other" }));
    for (other, expected, what) in [
        (world.token("bob", at(1)), Reason::RevokedPerson, "somebody who left"),
        (forged, Reason::BadSignature, "a forged token"),
        (expired, Reason::Expired, "an expired token"),
        (elsewhere, Reason::WrongAudience, "a token for another audience"),
        (format!("{good}, Bearer {good}"), Reason::MalformedCredentials, "two tokens in one header"),
        (world.token("carol", at(1)), Reason::UnknownPerson, "somebody whom nobody knows"),
        (good.clone(), Reason::Allowed, "the same once more"),
    ] {
        let (good, other) = (format!("Bearer {good}"), format!("Bearer {other}"));
        for headers in
            [[("x-token", &*good), ("authorization", &*other)], [("x-token", &other), ("authorization", &good)]]
        {
            same(&world.decide(&headers, at(2)).await.reason, &expected, what);
        }
    }
}
