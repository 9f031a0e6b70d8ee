//! Who writes what follows from the configuration: one process, checked at each append.

use std::collections::BTreeSet;

use super::*;
use crate::domain::binding::{Binding, Role};
use crate::state::fold::note_of;

fn identity(process: &str) -> WriterIdentity {
    WriterIdentity::alone(process, Ids::from_system().unwrap())
}

fn revoking(targets: &[Target]) -> Policy {
    Policy { revocations: Some(targets.iter().cloned().map(configured).collect()), ..policy() }
}

/// The same, with a name that a binding gives a role.
fn binding_alice(policy: Policy) -> Policy {
    let bound = Binding {
        role: 0,
        issuer: Some(0),
        groups: vec![],
        people: vec!["alice".into()],
        clients: vec![],
        everyone: false,
        expires: None,
        place: "offboard.yaml:7".into(),
    };
    let role = Role { name: "admin".into(), permissions: vec![], rights: vec![] };
    Policy { bindings: vec![bound], roles: vec![role], ..policy }
}

fn noted(bench: &Bench) -> usize {
    bench.published.load().fold.noted.len()
}

#[tokio::test]
async fn a_process_that_is_alone_takes_the_role_once() {
    let bench = Bench::of(identity("a"), Arc::new(Memory::default()), policy()).await;
    for second in 1..4 {
        bench.configure(revoking(&[session("s1")]), at(second)).await.unwrap();
    }
    let again = Bench::of(identity("a"), Arc::clone(&bench.log), policy()).await;
    again.configure(revoking(&[session("s1")]), at(5)).await.unwrap();
    let role = again.published.load().fold.configuration_role.clone().unwrap();
    assert_eq!((role.process.as_str(), role.term), ("a", 1), "not anew after a restart");
    again.folds_agree().await;
}

#[tokio::test]
async fn who_has_not_the_role_notes_and_pins_nothing_and_enforces_all_the_same() {
    let log = Arc::new(Memory::default());
    let leader = Bench::of(identity("a"), Arc::clone(&log), policy()).await;
    leader.configure(revoking(&[]), at(1)).await.unwrap();
    let other = Bench::of(identity("b").among_others(), log, policy()).await;
    other.list(&[person("alice", Status::Active), person("bob", Status::Active)], at(2)).await.unwrap();
    other.configure(binding_alice(revoking(&[alice()])), at(3)).await.unwrap();
    assert_eq!(noted(&other), 0);
    assert_eq!(other.ask("alice", at(1), at(4)), Reason::RevokedPerson, "its own configuration denies in any case");
    assert!(other.published.load().fold.pins.is_empty());
    other.writer.ask(Command::TakeConfigurationRole, at(5)).await.unwrap();
    other.configure(binding_alice(revoking(&[alice()])), at(6)).await.unwrap();
    assert_eq!((noted(&other), other.published.load().fold.pins.len()), (1, 1));
    let role = other.published.load().fold.configuration_role.clone().unwrap();
    assert_eq!((role.process.as_str(), role.term), ("b", 2));
    other.folds_agree().await;
}

#[tokio::test]
async fn whoever_lost_the_role_unawares_writes_nothing_more() {
    let log = Arc::new(Memory::default());
    let old = Bench::of(identity("a").among_others(), Arc::clone(&log), policy()).await;
    old.writer.ask(Command::TakeConfigurationRole, at(1)).await.unwrap();
    old.configure(revoking(&[session("s1")]), at(2)).await.unwrap();
    let new = Bench::of(identity("b").among_others(), log, policy()).await;
    new.writer.ask(Command::TakeConfigurationRole, at(3)).await.unwrap();
    // Planned before it has read that; the append is a conflict, and planned again it is nothing.
    old.configure(revoking(&[]), at(4)).await.unwrap();
    new.revoke(session("other"), at(5)).await.unwrap();
    assert_eq!((noted(&old), noted(&new)), (1, 1), "what `b` has to end is not ended by `a`");
    new.folds_agree().await;
}

#[tokio::test]
async fn a_note_that_another_configuration_has_is_not_ended() {
    let bench = Bench::of(identity("a"), Arc::new(Memory::default()), policy()).await;
    let (first, second) = (session("s1"), session("s2"));
    bench.configure(revoking(&[first.clone(), second.clone()]), at(1)).await.unwrap();
    let elsewhere = BTreeSet::from([note_of(&first, Shape::Block)]);
    bench.writer.ask(Command::NotedElsewhere(elsewhere), at(2)).await.unwrap();
    bench.configure(revoking(&[]), at(3)).await.unwrap();
    assert_eq!(noted(&bench), 1, "only the one that nobody has any more");
    assert_eq!(bench.published.load().fold.live(TargetKind::Session), 1);
    bench.writer.ask(Command::NotedElsewhere(BTreeSet::new()), at(4)).await.unwrap();
    assert_eq!(noted(&bench), 0, "at once, when the last one has taken it out");
    bench.folds_agree().await;
}
