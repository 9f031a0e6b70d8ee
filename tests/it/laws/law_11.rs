//! Law 11: one writer in a process, one order of events for all, and state changes only by reading the log in that
//! order.

use std::sync::Arc;

use futures_util::future::join_all;
use offboard::domain::command::Command;
use offboard::domain::person::Status;
use offboard::domain::reason::Reason;
use offboard::domain::revocation::Target;
use offboard::log::{Log as _, Snapshot};
use offboard::state::fold::Fold;
use offboard::state::{FoldDigest, Published, snapshot};
use offboard::writer::replay_with_marks;

use super::same;
use super::world::{Store, World, keyer, request};
use crate::corp::{self, ISSUER, at};

fn session(name: String) -> Command {
    Command::Revoke(request(Target::Session { issuer: ISSUER.into(), session: name }))
}

/// Two writers on one log take turns and race. Each ends with what the log says, in the order of the log.
pub async fn law_11_one_order_of_events_for_all<S: Store>(store: S) {
    let mut world = World::start(store).await;
    let (other, beside) = world.beside().await;
    for round in 0..10 {
        let here = (0..3).map(|number| world.writer.ask(session(format!("a{round}-{number}")), at(1)));
        let there = (0..3).map(|number| other.ask(session(format!("b{round}-{number}")), at(1)));
        let (here, there) = futures_util::future::join(join_all(here), join_all(there)).await;
        let done: Vec<_> = here.into_iter().chain(there).map(Result::unwrap).collect();
        assert!(done.iter().all(|done| done.revocation.is_some()));
    }
    // The last one to write has read everything. The other catches up when it next writes.
    world.writer.ask(session("last".into()), at(2)).await.unwrap();
    other.ask(session("very last".into()), at(2)).await.unwrap();
    let at_the_end = digest(&beside);
    same(&world.refold_digest().await, &at_the_end, "a writer's state is the fold of the log");
    world.writer.ask(session("after it".into()), at(2)).await.unwrap();
    same(&world.refold_digest().await, &digest(&world.published), "and so is the other's");
}

/// At each fixed position, everybody who folds the log has the same digest: from the beginning, from a snapshot, in
/// other batches, and live.
pub async fn law_11_copies_have_the_same_digests<S: Store>(store: S) {
    let mut world = World::start(store).await;
    let (_other, beside) = world.beside_with_marks(10).await;
    let mut snapshots = Vec::new();
    for round in 0..12 {
        let commands = (0..round).map(|number| world.writer.ask(session(format!("{round}-{number}")), at(1)));
        assert!(join_all(commands).await.iter().all(Result::is_ok));
        snapshots.push(world.published.snapshot().fold.clone());
    }
    let head = world.log.head().await.unwrap();
    let last = head.position - head.position % 10;
    let expected = world.refold_to(Fold::empty(keyer(), 1), last).await.digest();
    for fold in snapshots.into_iter().filter(|fold| fold.epoch.position <= last) {
        let bytes = snapshot::write(&fold).unwrap();
        let read = snapshot::read(&bytes, keyer()).unwrap();
        same(&world.refold_to(read, last).await.digest(), &expected, "from a snapshot and what is behind it");
        world.log.keep_snapshot(Snapshot { epoch: fold.epoch, bytes }).await.unwrap();
        let passed = replay_with_marks(world.log.as_ref(), keyer(), 10).await.unwrap().marks.passed;
        same(&passed.map(|fold| (fold.epoch.position, fold.digest())), &Some((last, expected.clone())), "at a start");
    }
    let mut digests = beside.digests();
    let found = digests.wait_for(|found| found.as_ref().is_some_and(|found| found.position >= last)).await.unwrap();
    same(&*found, &Some(FoldDigest { position: last, digest: expected }), "and live");
}

/// The one exception: while the store is gone, whoever leaves is still out at once, and whoever comes back, joins or is
/// given something waits. Once the store is back, the log has what was enforced without it (law 6).
pub async fn law_11_without_a_store_only_what_denies_is_enforced<S: Store>(store: S) {
    let world = World::start(store).await;
    let reason = async |who: &str, second: i64| {
        let token = world.token_of(&serde_json::json!({ "sub": who, "iat": at(second).wall.as_millis() / 1000 }));
        world.check(&token, at(second)).await.reason
    };
    let everybody = [corp::person("alice", Status::Active), corp::person("bob", Status::Suspended)];
    world.list(&everybody, at(1)).await.unwrap();
    let before = world.published.load().fold.epoch;
    world.store.take_away(true);
    let turned = ["alice", "bob", "carol"]
        .map(|name| corp::person(name, if name == "alice" { Status::Departed } else { Status::Active }));
    // Nobody is told that this is kept.
    same(&world.list(&turned, at(5)).await.map(|done| done.volatile), &Ok(true), "it is marked");
    same(&reason("alice", 7).await, &Reason::RevokedPerson, "whoever leaves is out");
    same(&reason("bob", 7).await, &Reason::RevokedPerson, "whoever comes back waits");
    same(&reason("carol", 7).await, &Reason::UnknownPerson, "whoever joins waits");
    same(&world.published.load().fold.epoch, &before, "the epoch says what the log holds");
    world.store.take_away(false);
    world.writer.ask(Command::Tick, at(8)).await.unwrap();
    let [live, anew, _] = world.digests().await;
    same(&anew, &live, "a writer's state is the fold of the log");
    let world = world.restart(corp::policy()).await;
    let token = world.token_of(&serde_json::json!({ "sub": "alice", "iat": at(9).wall.as_millis() / 1000 }));
    same(&world.check(&token, at(9)).await.reason, &Reason::RevokedPerson, "it is kept once it can be");
}

fn digest(published: &Arc<Published>) -> String {
    published.snapshot().fold.digest()
}
