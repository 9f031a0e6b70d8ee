//! Law 9: every decision names its cause, and the same inputs give the same decision.

use offboard::decide::decide;
use offboard::domain::decision::Determining;
use offboard::domain::policy::Policy;
use offboard::domain::reason::Reason;
use offboard::domain::revocation::{RevocationId, Target};
use offboard::domain::source::WhenStale;
use offboard::request::Request;
use offboard::state::State;

use super::same;
use super::world::{Store, World, alice, person, suspended};
use crate::corp::{self, ISSUER, at, configured};

/// Each kind of cause; and decided anew on a state made from the log alone, to the last field.
pub async fn law_9_every_decision_names_its_cause_and_is_the_same_again<S: Store>(store: S) {
    let mut world = World::start(store).await;
    let by_operator = world.revoke(alice(), at(1)).await.unwrap();
    let subject = Target::Subject { issuer: ISSUER.into(), subject: "bob".into() };
    let with = Policy { revocations: Some(vec![configured(subject)]), ..corp::policy() };
    world.configure(with.clone(), at(2)).await.unwrap();
    let listed =
        world.list(&[person("alice"), person("bob"), suspended("carol"), person("dave")], at(3)).await.unwrap();
    let by_source = RevocationId(listed.position + 1);
    world.exempt("carol", at(100), at(4)).await.unwrap();
    let exempted = world.published.load().fold.epoch.position;

    let noted = |reason| (reason, Determining::Revocation(RevocationId(by_operator.position + 1)));
    for (who, now, expected) in [
        ("alice", 5, (Reason::RevokedPerson, Determining::Revocation(RevocationId(by_operator.position)))),
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
