//! Law 6: nothing weakens a revocation by accident.

use offboard::domain::command::{Command, Observation};
use offboard::domain::person::Person;
use offboard::domain::policy::Policy;
use offboard::domain::reason::Reason;
use offboard::domain::revocation::{Shape, Target};
use offboard::domain::time::Now;

use super::same;
use super::world::{Store, World, alice, person, request, suspended};
use crate::corp::{self, ISSUER, at, configured};
use offboard::log::Log as _;

const BOB: &str = "bob";

/// Twenty people, of whom bob is suspended.
fn everybody() -> Vec<Person> {
    let others = (0..16).map(|number| person(&format!("p{number}")));
    [person("alice"), suspended(BOB), person("carol"), person("dave")].into_iter().chain(others).collect()
}

fn with_dave() -> Policy {
    let dave = Target::Person { reference: "dave@example.com".into() };
    Policy { revocations: Some(vec![configured(dave)]), ..corp::policy() }
}

/// A block by an operator, one by a source, a cut-off by an operator, a configured block, and one that began by itself.
async fn revoked<S: Store>(store: S) -> World<S> {
    let mut world = World::empty(store, corp::policy()).await;
    world.list(&everybody(), at(0)).await.unwrap();
    world.revoke(alice(), at(1)).await.unwrap();
    let carol = Target::Subject { issuer: ISSUER.into(), subject: "carol".into() };
    let cut_off =
        offboard::domain::command::RevokeRequest { shape: Shape::CutOff { at: at(2).wall }, ..request(carol) };
    world.writer.ask(Command::Revoke(cut_off), at(2)).await.unwrap();
    let p0 = Target::Subject { issuer: ISSUER.into(), subject: "p0".into() };
    let later = offboard::domain::command::RevokeRequest { effective: Some(at(50).wall), ..request(p0) };
    world.writer.ask(Command::Revoke(later), at(2)).await.unwrap();
    world.configure(with_dave(), at(3)).await.unwrap();
    all_denied(&world, at(60), "at first").await;
    world
}

async fn all_denied<S: Store>(world: &World<S>, now: Now, after: &str) {
    for (who, expected) in [
        ("alice", Reason::RevokedPerson),
        (BOB, Reason::RevokedPerson),
        ("carol", Reason::IssuedBeforeCutoff),
        ("dave", Reason::RevokedPerson),
        ("p0", Reason::RevokedSubject),
    ] {
        same(&world.ask(who, at(1), now).await, &expected, format!("{who} {after}"));
    }
    same(&world.ask("p1", at(1), now).await, &Reason::Allowed, format!("p1 {after}"));
}

/// One accident after another, on the same installation.
pub async fn law_6_nothing_weakens_a_revocation_by_accident<S: Store>(store: S) {
    let mut world = revoked(store).await;
    world.configure(corp::policy(), at(61)).await.unwrap();
    all_denied(&world, at(62), "after a reload without `revocations`").await;
    let gone = Policy { sources: vec![], ..corp::policy() };
    world.configure(gone.clone(), at(63)).await.unwrap();
    all_denied(&world, at(63), "after the source was taken out").await;
    world = world.restart(gone).await;
    all_denied(&world, at(63), "and after a restart without it").await;
    let mut renamed = with_dave();
    renamed.sources[0].name = "people".into();
    let mut issuer = corp::issuer();
    issuer.name = "company".into();
    renamed.issuers = vec![std::sync::Arc::new(issuer)];
    world.configure(renamed, at(63)).await.unwrap();
    all_denied(&world, at(63), "after the source and the issuer were renamed").await;
    world.configure(with_dave(), at(64)).await.unwrap();
    all_denied(&world, at(65), "after the source was taken out and put back").await;

    world = world.restart(corp::policy()).await;
    all_denied(&world, at(66), "after a restart").await;
    listings(&world).await;
    deliveries(&world).await;

    let back = Now { wall: at(2).wall, steady: at(80).steady };
    all_denied(&world, back, "on a clock that was set back").await;
    world.tick(back).await;
    all_denied(&world, back, "and ticks").await;
    world = world.restart(corp::policy()).await;
    all_denied(&world, at(81), "after the last restart").await;
    let digests = world.digests().await;
    same(&digests[0], &digests[1], "the state from the snapshot is that of the whole log");
    same(&digests[2], &digests[1], "and so is that of a snapshot of it");
}

/// Listings that are empty or partial, or that leave out too many people.
async fn listings<S: Store>(world: &World<S>) {
    world.list(&[], at(67)).await.unwrap_err();
    all_denied(world, at(68), "after an empty listing").await;
    world.list(&[person(BOB), person("p1")], at(69)).await.unwrap_err();
    all_denied(world, at(70), "after a listing that was held back").await;
    world.observe(&[person("alice"), person("p1")], false, at(71)).await.unwrap();
    all_denied(world, at(72), "after a partial listing").await;
    world.list(&everybody(), at(73)).await.unwrap();
    all_denied(world, at(74), "after a listing").await;
}

/// An event that is delivered again after a later one.
async fn deliveries<S: Store>(world: &World<S>) {
    let event = async |person: Person, id: &str, time: i64| {
        let change = Observation::Change { person, at: Some(at(time).wall), event_id: Some(id.to_owned()) };
        world.writer.ask(Command::Observe(change), at(time)).await.unwrap();
    };
    event(person(BOB), "e1", 75).await;
    event(suspended(BOB), "e2", 76).await;
    let before = world.log.head().await.unwrap();
    event(person(BOB), "e1", 75).await;
    all_denied(world, at(77), "after an event came twice").await;
    same(&world.log.head().await.unwrap(), &before, "nothing was appended for it");
}
