//! The store is gone: what is refused, what is enforced without it, and what the log has once it is back.

use std::sync::atomic::Ordering;

use super::*;
use crate::domain::name::Directory;
use crate::domain::person::PersonId;

fn gone(bench: &Bench, gone: bool) {
    bench.log.moved.store(gone, Ordering::Release);
}

async fn see(bench: &Bench, observation: Observation, now: Now) -> Result<Done, Refused> {
    bench.writer.ask(Command::Observe(observation), now).await
}

fn change(person: Person, id: &str) -> Observation {
    Observation::Change { person, at: None, event_id: Some(id.into()) }
}

fn positions(bench: &Bench) -> Position {
    bench.published.load().fold.epoch.position
}

#[tokio::test]
async fn nothing_is_acknowledged_that_a_restart_would_forget() {
    let bench = Bench::start().await;
    let done = bench.revoke(alice(), at(2)).await.unwrap();
    gone(&bench, true);
    let bob = Target::Person { reference: "bob@example.com".into() };
    for refused in [
        bench.revoke(bob, at(3)).await,
        bench.restore(done.revocation.unwrap(), at(3)).await,
        // True already, and not acknowledged either.
        bench.restore(RevocationId::of_position(99), at(3)).await,
        bench.configure(policy(), at(3)).await,
    ] {
        assert!(matches!(&refused, Err(Refused::Gone(why)) if why.contains("restart")), "{refused:?}");
    }
    assert_eq!(bench.ask("bob", at(1), at(4)), Reason::Allowed, "checks go on");
    assert_eq!(bench.ask("alice", at(1), at(4)), Reason::RevokedPerson, "and what was denied is");
    let state = bench.published.store_state().borrow().clone();
    assert!(state.gone.is_some_and(|why| why.contains("told so")));
}

#[tokio::test]
async fn whoever_leaves_is_out_all_the_same_and_it_is_marked() {
    let bench = Bench::start().await;
    let before = positions(&bench);
    gone(&bench, true);
    let done = see(&bench, change(person("alice", Status::Suspended), "e1"), at(3)).await.unwrap();
    assert!(done.volatile, "a push must not answer that this is durable");
    assert_eq!(bench.ask("alice", at(1), at(4)), Reason::RevokedPerson);
    assert_eq!(bench.ask("bob", at(1), at(4)), Reason::Allowed);
    assert_eq!(positions(&bench), before, "the epoch says what the log holds");
    let state = bench.published.store_state().borrow().clone();
    let marked: Vec<&str> = state.volatile.values().map(|revocation| revocation.actor.as_str()).collect();
    assert_eq!(marked, ["hr"]);

    // Whole listings say it too, and so do group changes, cut-offs and deletions.
    let bob = person("bob", Status::Active).id;
    see(&bench, Observation::Deleted { person: bob, at: None }, at(5)).await.unwrap();
    assert_eq!(bench.ask("bob", at(1), at(6)), Reason::RevokedPerson);
    let again = Bench::over(Arc::clone(&bench.log), policy()).await;
    assert_eq!(again.ask("alice", at(1), at(6)), Reason::Allowed, "a restart forgets it, as it was marked to");
}

#[tokio::test]
async fn nothing_that_gives_access_is_taken_in() {
    let bench = Bench::start().await;
    see(&bench, change(person("alice", Status::Suspended), "e1"), at(2)).await.unwrap();
    gone(&bench, true);
    see(&bench, change(person("alice", Status::Active), "e2"), at(3)).await.unwrap();
    assert_eq!(bench.ask("alice", at(4), at(4)), Reason::RevokedPerson, "no block ends");
    see(&bench, change(person("carol", Status::Active), "e3"), at(3)).await.unwrap();
    assert_eq!(bench.ask("carol", at(4), at(4)), Reason::UnknownPerson, "nobody joins");
    let mut bob = person("bob", Status::Active);
    bob.groups = vec!["admins".into()];
    see(&bench, change(bob, "e4"), at(3)).await.unwrap();
    let groups = |bench: &Bench| {
        let state = bench.published.snapshot();
        let id = PersonId { source: "hr".into(), key: "bob".into() };
        state.fold.people.find(&state.fold.keyer, &id).unwrap().person.groups.clone()
    };
    let known = groups(&bench);
    assert!(!known.contains(&"admins".to_owned()), "and no group is given: {known:?}");
    let mut bob = person("bob", Status::Active);
    bob.groups = Vec::new();
    see(&bench, change(bob, "e5"), at(3)).await.unwrap();
    assert_eq!(groups(&bench), Vec::<String>::new(), "what a mover loses is lost at once (law 8)");
    // In and out again while nothing is kept.
    see(&bench, change(person("bob", Status::Departed), "e6"), at(5)).await.unwrap();
    see(&bench, change(person("bob", Status::Active), "e7"), at(6)).await.unwrap();
    assert_eq!(bench.ask("bob", at(7), at(7)), Reason::RevokedPerson);
}

#[tokio::test]
async fn once_it_is_back_the_log_has_it_and_sources_are_heard_again() {
    let bench = Bench::start().await;
    gone(&bench, true);
    see(&bench, change(person("alice", Status::Suspended), "e1"), at(3)).await.unwrap();
    gone(&bench, false);
    bench.writer.ask(Command::Tick, at(5)).await.unwrap();
    let state = bench.published.store_state().borrow().clone();
    assert_eq!((state.gone, state.volatile.len(), state.returns), (None, 0, 1));
    assert_eq!(bench.ask("alice", at(1), at(6)), Reason::RevokedPerson);
    let again = Bench::over(Arc::clone(&bench.log), policy()).await;
    assert_eq!(again.ask("alice", at(1), at(6)), Reason::RevokedPerson, "a restart keeps it");
    bench.folds_agree().await;
    let done = see(&bench, change(person("alice", Status::Suspended), "e1"), at(7)).await.unwrap();
    assert!(!done.volatile, "the event is taken in whole when it is told again");
    see(&bench, change(person("alice", Status::Active), "e2"), at(10)).await.unwrap();
    assert_eq!(bench.ask("alice", at(9), at(12)), Reason::IssuedBeforeCutoff);
    assert_eq!(bench.ask("alice", at(11), at(12)), Reason::Allowed, "one block, and it has ended");
    bench.folds_agree().await;
}

#[tokio::test]
async fn a_source_that_is_heard_does_not_grow_stale() {
    let bench = Bench::start().await;
    gone(&bench, true);
    bench.list(&[person("alice", Status::Active), person("bob", Status::Suspended)], at(800)).await.unwrap();
    let state = bench.published.snapshot();
    let hr = &state.fold.sources["hr"];
    assert_eq!((hr.first_synced, hr.last_heard), (at(0).wall, at(800).wall));
    assert_eq!(bench.ask("bob", at(1), at(801)), Reason::RevokedPerson, "a listing says who is out");
    assert_eq!(
        replay(bench.log.as_ref(), bench.keyer.clone()).await.unwrap().fold.sources["hr"].last_heard,
        at(0).wall
    );
}

#[tokio::test]
async fn names_that_are_swapped_meanwhile_are_cut_off_once() {
    let bench = super::names::bench(super::names::linked(Directory::Ldap, "uid")).await;
    let called = |key: &str, name: &str| super::names::called(key, "uid", &[name]);
    bench.list(&[called("e1", "alice"), called("e2", "bob"), called("e3", "carl")], at(0)).await.unwrap();
    bench.log.moved.store(true, Ordering::Release);
    let mut known = None;
    for second in [10, 20, 30] {
        let swapped = [called("e1", "bob"), called("e2", "alice"), called("e3", "carl")];
        bench.list(&swapped, at(second)).await.unwrap();
        assert_eq!(bench.login("alice", at(5), at(second + 1)), Reason::IssuedBeforeCutoff);
        let volatile = bench.published.store_state().borrow().volatile.len();
        assert_eq!(*known.get_or_insert(volatile), volatile, "nothing new at {second}");
    }
}

/// What the log took in the moment in which the store went again is there, under its name, when it is back.
#[tokio::test]
async fn a_store_that_goes_again_while_it_takes_what_waits_keeps_nobody_out_for_ever() {
    let bench = Bench::start().await;
    gone(&bench, true);
    let target = Target::Subject { issuer: ISSUER.into(), subject: "alice".into() };
    let (source, reason) = ("hr".to_owned(), "signed out".to_owned());
    see(&bench, Observation::CutOff { source, target, at: at(3).wall, reason }, at(3)).await.unwrap();
    see(&bench, change(person("bob", Status::Suspended), "e1"), at(3)).await.unwrap();
    gone(&bench, false);
    bench.log.goes_after.store(true, Ordering::Release);
    bench.writer.ask(Command::Tick, at(4)).await.unwrap();
    assert_eq!(bench.ask("alice", at(1), at(5)), Reason::IssuedBeforeCutoff);
    gone(&bench, false);
    bench.writer.ask(Command::Tick, at(6)).await.expect("it takes what comes again");
    bench.revoke(alice(), at(7)).await.unwrap();
    let state = bench.published.store_state().borrow().clone();
    assert_eq!((state.gone, state.volatile.len()), (None, 0));
    assert_eq!(bench.ask("bob", at(1), at(8)), Reason::RevokedPerson);
    bench.folds_agree().await;
}

#[tokio::test]
async fn what_was_enforced_from_memory_is_so_until_the_log_was_read_back() {
    let bench = Bench::start().await;
    gone(&bench, true);
    see(&bench, change(person("alice", Status::Suspended), "e1"), at(3)).await.unwrap();
    gone(&bench, false);
    bench.log.lags.store(true, Ordering::Release);
    let _refused = bench.writer.ask(Command::Tick, at(4)).await;
    assert_eq!(bench.ask("alice", at(1), at(5)), Reason::RevokedPerson);
    bench.log.lags.store(false, Ordering::Release);
    bench.writer.ask(Command::Tick, at(6)).await.unwrap();
    assert_eq!(bench.ask("alice", at(1), at(7)), Reason::RevokedPerson);
    assert_eq!(bench.published.store_state().borrow().volatile.len(), 0);
    bench.folds_agree().await;
}
