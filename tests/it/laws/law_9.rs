//! Law 9: every decision names its cause, and the same inputs give the same decision.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use offboard::app::check_handler::Active;
use offboard::decide::decide;
use offboard::domain::command::Command;
use offboard::domain::decision::Determining;
use offboard::domain::issuer::KeySource;
use offboard::domain::policy::Policy;
use offboard::domain::reason::Reason;
use offboard::domain::revocation::Target;
use offboard::domain::source::WhenStale;
use offboard::request::Request;
use offboard::state::State;
use serde_json::json;

use super::world::{Doors, Store, World, alice, authenticator, person, suspended};
use super::{holds, same};
use crate::corp::{self, ISSUER, at, configured};
use crate::support::Scratch;
use crate::support::provider::{Signer, jwks};

/// Each kind of cause; and decided anew on a state made from the log alone, to the last field.
pub async fn law_9_every_decision_names_its_cause_and_is_the_same_again<S: Store>(store: S) {
    let mut world = World::start(store).await;
    let by_operator = world.revoke(alice(), at(1)).await.unwrap();
    let subject = Target::Subject { issuer: ISSUER.into(), subject: "bob".into() };
    let with = Policy { revocations: Some(vec![configured(subject.clone())]), ..corp::policy() };
    world.configure(with.clone(), at(2)).await.unwrap();
    world.list(&[person("alice"), person("bob"), suspended("carol"), person("dave")], at(3)).await.unwrap();
    let of_carol = Target::DirectoryPerson { person: person("carol").id };
    let (by_source, by_configuration) = (world.standing(&of_carol), world.standing(&subject));
    let exempted = world.exempt("carol", at(100), at(4)).await.unwrap().exemption.unwrap();

    let noted = |reason| (reason, Determining::Revocation(by_configuration));
    for (who, now, expected) in [
        ("alice", 5, (Reason::RevokedPerson, Determining::Revocation(by_operator.revocation.unwrap()))),
        ("bob", 5, noted(Reason::RevokedSubject)),
        ("carol", 5, (Reason::Exempted, Determining::Exemption(exempted))),
        ("carol", 101, (Reason::RevokedPerson, Determining::Revocation(by_source))),
        ("dave", 5, (Reason::Allowed, Determining::None)),
    ] {
        let decision = world.check(&world.token(who, at(0)), at(now)).await;
        same(&(decision.reason, decision.determining), &expected, format!("{who} at {now}"));
        again(&world, who, now).await;
    }
    let mut strict = with;
    strict.sources[0].when_stale = WhenStale::Deny;
    world.configure(strict, at(5)).await.unwrap();
    let decision = world.check(&world.token("dave", at(0)), at(2000)).await;
    same(&decision.determining, &Determining::Source("hr".into()), "which source is stale");
}

/// Decides twice in this process, and once on a fold of the log from its beginning.
async fn again<S: Store>(world: &World<S>, who: &str, now: i64) {
    let bearer = format!("Bearer {}", world.token(who, at(0)));
    let request = Request::synthetic("GET", "orders.example.com", "/v1/orders", [("authorization", bearer.as_bytes())]);
    let shown = world.authenticator.authenticate(&request, at(now)).await;
    let live = world.published.snapshot();
    let first = decide(&live, &request, &shown, at(now));
    same(&decide(&live, &request, &shown, at(now)), &first, "the same again");
    let empty = offboard::state::fold::Fold::empty(world.keyer.clone(), 1);
    let anew = State { fold: world.refold(empty).await, rules: live.rules.clone() };
    same(&decide(&anew, &request, &shown, at(now)), &first, "the same on a state made from the log");
}

/// The check waits for keys; meanwhile a configuration that trusts another issuer comes into force; the keys come, the
/// token is good by the old rules, and the answer is the one of the configuration that it reports.
pub async fn law_9_a_check_is_judged_by_the_configuration_that_it_reports<S: Store>(store: S) {
    let scratch = Scratch::new();
    let file = scratch.path().join("jwks.json");
    let mut issuer = corp::issuer();
    issuer.keys = KeySource::File(file.clone());
    let trusts = |issuer| Policy { issuers: vec![Arc::new(issuer)], ..corp::policy() };
    let world = World::with(store, trusts(issuer.clone())).await;
    let (known, new) = (Signer::new("a", 1), Signer::new("b", 2));
    std::fs::write(&file, jwks(&[&known, &new])).unwrap();
    let Doors { handler, .. } = world.handler(scratch.path());
    let now = handler.clock.now();
    let seconds = now.wall.as_millis() / 1000;
    let claims = json!({ "iss": ISSUER, "aud": "mesh", "sub": "alice", "iat": seconds, "exp": seconds + 600 });
    let bearer = format!("Bearer {}", new.sign(&claims));
    let asked = Request::synthetic("GET", "orders.example.com", "/v1/orders", [("authorization", bearer.as_bytes())]);

    let mut check = pin!(handler.decide(&asked, None));
    let ended = poll_fn(|context| Poll::Ready(check.as_mut().poll(context).is_ready())).await;
    assert!(!ended, "it waits for the new key");
    issuer.issuer = "https://other.example.com".into();
    let policy = Arc::new(Policy { hash: "other".into(), ..trusts(issuer) });
    let before = Arc::clone(&handler.published.load().rules.policy);
    let authenticator = authenticator(&policy, &world.cache, &[&known]);
    handler.authenticators.add(Active { policy: Arc::clone(&policy), authenticator }, &before);
    world.writer.ask(Command::Configure(Arc::clone(&policy)), now).await.unwrap();

    let (state, _, _, raced) = check.await.unwrap();
    holds(Arc::ptr_eq(&state.rules.policy, &policy), "it is judged on the newest state");
    let (_, _, _, after) = handler.decide(&asked, None).await.unwrap();
    same(&raced, &after, "judged while the configuration changed, and afterwards");
    same(&after.reason, &Reason::UnknownIssuer, "nobody trusts the issuer any more");
}
