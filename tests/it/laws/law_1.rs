//! Law 1: a revocation is looked up live on every check, behind every cache; it wins the race with verifying.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use offboard::domain::issuer::KeySource;
use offboard::domain::policy::Policy;
use offboard::domain::reason::Reason;
use offboard::domain::revocation::Target;
use offboard::request::Request;
use serde_json::json;

use super::world::{Doors, Store, World, alice};
use super::{holds, same};
use crate::corp::{self, ISSUER, at};
use crate::support::Scratch;
use crate::support::provider::{Signer, jwks};

fn targets() -> [(Target, Reason); 10] {
    let issuer = || ISSUER.to_owned();
    [
        (Target::Session { issuer: issuer(), session: "s1".into() }, Reason::RevokedSession),
        (Target::Token { issuer: issuer(), token: "t1".into() }, Reason::RevokedToken),
        (Target::Token { issuer: issuer(), token: "57".into() }, Reason::RevokedToken),
        (Target::Client { issuer: issuer(), client: "web".into() }, Reason::RevokedClient),
        (Target::Client { issuer: issuer(), client: "web-2".into() }, Reason::RevokedClient),
        (Target::Client { issuer: issuer(), client: "4012".into() }, Reason::RevokedClient),
        (Target::Client { issuer: issuer(), client: "0oa-web".into() }, Reason::RevokedClient),
        (Target::Subject { issuer: issuer(), subject: "alice".into() }, Reason::RevokedSubject),
        (alice(), Reason::RevokedPerson),
        (Target::Issuer { issuer: issuer() }, Reason::RevokedIssuer),
    ]
}

/// Whatever is revoked, the very next check of a cached token is denied.
pub async fn law_1_a_revocation_is_looked_up_behind_the_cache<S: Store>(store: S) {
    let world = World::start(store).await;
    for ((target, reason), round) in targets().into_iter().zip((10_i64..).step_by(10)) {
        let issued = at(round).wall.as_millis() / 1000;
        let token = world.token_of(&json!({ "sub": "alice", "sid": "s1", "jti": "t1", "uti": 57, "azp": "web",
            "client_id": "web-2", "cid": "0oa-web", "appid": 4012, "iat": issued }));
        assert_eq!(world.check(&token, at(round)).await.reason, Reason::Allowed);
        let hits = world.cache.hits();
        assert_eq!(world.check(&token, at(round)).await.reason, Reason::Allowed);
        let done = world.revoke(target.clone(), at(round + 1)).await.unwrap();
        same(&world.check(&token, at(round + 1)).await.reason, &reason, &target);
        assert_eq!(world.cache.hits(), hits + 2, "both were answered from the cache");
        world.restore(done.revocation.unwrap(), at(round + 2)).await.unwrap();
    }
}

/// The check waits for keys. Meanwhile the caller is revoked. The keys come, the token is good, the answer is no.
pub async fn law_1_a_revocation_wins_the_race_with_verifying<S: Store>(store: S) {
    let scratch = Scratch::new();
    let file = scratch.path().join("jwks.json");
    let mut issuer = corp::issuer();
    issuer.keys = KeySource::File(file.clone());
    let world = World::with(store, Policy { issuers: vec![Arc::new(issuer)], ..corp::policy() }).await;
    let (known, new) = (Signer::new("a", 1), Signer::new("b", 2));
    std::fs::write(&file, jwks(&[&known, &new])).unwrap();

    // A check waits at most a tenth of a second for keys. If this machine paused us for that long, the two did not race
    // and nothing was tested: try again with a provider that nobody has asked yet.
    while !race(&world, &new).await {}
}

/// `false`: the check gave up waiting before the revocation was acknowledged.
async fn race<S: Store>(world: &World<S>, signer: &Signer) -> bool {
    let scratch = Scratch::new();
    let Doors { handler, rings, .. } = world.handler(scratch.path());
    let now = handler.clock.now();
    let seconds = now.wall.as_millis() / 1000;
    let claims = json!({ "iss": ISSUER, "aud": "mesh", "sub": "alice", "iat": seconds, "exp": seconds + 600 });
    let bearer = format!("Bearer {}", signer.sign(&claims));
    let headers = [("authorization", bearer.as_bytes())];
    let asked = Request::synthetic("GET", "orders.example.com", "/v1/orders", headers);
    let mut check = pin!(handler.decide(&asked, now, None));
    let ended = poll_fn(|context| Poll::Ready(check.as_mut().poll(context).is_ready())).await;
    assert!(!ended, "it waits for the new key");
    let done = world.revoke(alice(), now).await.unwrap();
    rings.at(0).unwrap().refresh(now).await.unwrap();
    let (state, _, decision) = check.await.unwrap();
    if decision.reason == Reason::UnknownSigningKey {
        world.restore(done.revocation.unwrap(), now).await.unwrap();
        return false;
    }
    same(&decision.reason, &Reason::RevokedPerson, "revoked while the token was being verified");
    holds(state.fold.epoch >= done.epoch, "judged on a state at least as new");
    true
}
