//! Calls that are sent again act once; and what the same caller revokes twice is one, as long as it stands.

use super::*;
use crate::domain::call::{Call, Stood};

fn call(request: &str) -> Option<Call> {
    Some(Call { name: "k".into(), request: request.into() })
}

impl Bench {
    async fn once(&self, command: Command, request: &str, now: Now) -> Result<Done, Refused> {
        self.writer.ask_once(command, call(request), now).await
    }

    async fn head(&self) -> Position {
        self.log.head().await.unwrap().position
    }

    async fn asks(&self, request: RevokeRequest, now: Now) -> Done {
        self.writer.ask(Command::Revoke(request), now).await.unwrap()
    }
}

const DAY: i64 = 86_400;

#[tokio::test]
async fn a_call_that_is_sent_again_acts_once_and_is_answered_alike() {
    let bench = Bench::start().await;
    let revoke = || Command::Revoke(asked(alice()));
    let first = bench.once(revoke(), "a", at(3)).await.unwrap();
    let head = bench.head().await;
    assert_eq!(bench.once(revoke(), "a", at(4)).await.unwrap(), first);
    assert_eq!(bench.head().await, head, "nothing was appended");
    bench.restore(first.revocation.unwrap(), at(5)).await.unwrap();
    let late = bench.once(revoke(), "a", at(6)).await.unwrap();
    assert_eq!((late.revocation, late.persons), (first.revocation, first.persons));
    assert_eq!(bench.ask("alice", at(7), at(7)), Reason::Allowed, "a late retry does not undo what was done since");
    let other = bench.once(Command::Revoke(asked(session("s1"))), "b", at(8)).await;
    assert_eq!(other, Err(Refused::KeyReused));
    assert_eq!(bench.ask("alice", at(7), at(8)), Reason::Allowed, "and did nothing");
    let next = bench.once(revoke(), "a", at(4 + DAY)).await.unwrap();
    assert_ne!(next.revocation, first.revocation, "a day later it is another call");
    bench.folds_agree().await;
}

#[tokio::test]
async fn the_answer_is_known_after_a_restart_and_in_a_snapshot() {
    let bench = Bench::start().await;
    let all = || Command::RevokeAll(vec![asked(session("s1")), asked(session("s2"))]);
    let first = bench.once(all(), "a", at(3)).await.unwrap();
    assert_eq!(first.revocations.len(), 2);
    let again = Bench::over(Arc::clone(&bench.log), policy()).await;
    assert_eq!(again.once(all(), "a", at(4)).await.unwrap().revocations, first.revocations);
    let bytes = snapshot::write(&again.published.load().fold).unwrap();
    let read = snapshot::read(&bytes, again.keyer.clone()).unwrap();
    assert_eq!(read.answers.find("k", at(4).wall).unwrap().revocations, first.revocations);
    bench.folds_agree().await;
}

#[tokio::test]
async fn two_at_once_are_one() {
    let bench = Bench::start().await;
    let restore_twice = async |id: RevocationId| {
        let restore = || Command::Restore { id, reason: "back".into(), actor: "ops".into() };
        tokio::join!(bench.once(restore(), "a", at(4)), bench.once(restore(), "a", at(4)))
    };
    let made = bench.revoke(session("s1"), at(3)).await.unwrap();
    let (one, other) = restore_twice(made.revocation.unwrap()).await;
    assert!(one.is_ok() && other.is_ok(), "the second would find nothing to restore: {one:?} {other:?}");
}

#[tokio::test]
async fn a_refused_call_is_judged_again() {
    let bench = Bench::start().await;
    let strict = || {
        let target = Target::Person { reference: "carol".into() };
        Command::Revoke(RevokeRequest { when_unknown: WhenUnknown::Refuse, ..asked(target) })
    };
    assert_eq!(bench.once(strict(), "a", at(3)).await, Err(Refused::Nobody("carol".into())));
    bench.list(&["alice", "bob", "carol"].map(|name| person(name, Status::Active)), at(4)).await.unwrap();
    assert!(bench.once(strict(), "a", at(5)).await.unwrap().revocation.is_some());
}

#[tokio::test]
async fn whoever_heard_that_the_outcome_is_unknown_gets_the_answer_with_the_same_key() {
    for taken in [true, false] {
        let bench = Bench::start().await;
        let log = &bench.log;
        log.unanswered_lost.store(!taken, std::sync::atomic::Ordering::Release);
        log.unanswered.store(usize::MAX, std::sync::atomic::Ordering::Release);
        let revoke = || Command::Revoke(asked(session("s1")));
        let unknown = bench.once(revoke(), "a", at(3)).await;
        assert!(matches!(unknown, Err(Refused::Unknown { .. })), "{unknown:?}");
        log.unanswered.store(0, std::sync::atomic::Ordering::Release);
        let done = bench.once(revoke(), "a", at(4)).await.unwrap();
        let (made, _) = log.revocations(Position::MAX, 10).await.unwrap();
        let ids: Vec<RevocationId> = made.iter().filter_map(|made| Some(made.revocation()?.0)).collect();
        assert_eq!(ids, [done.revocation.unwrap()], "taken at first: {taken}");
        assert!(done.stood.is_empty(), "it is the answer to this very call");
        bench.folds_agree().await;
    }
}

#[tokio::test]
async fn the_same_revocation_of_the_same_caller_is_one_while_it_stands() {
    let bench = Bench::start().await;
    let first = bench.asks(asked(alice()), at(3)).await;
    let id = first.revocation.unwrap();
    let head = bench.head().await;
    let again = bench.asks(asked(alice()), at(9)).await;
    let stood = vec![Stood { id, since: at(3).wall, actor: "ops".into() }];
    assert_eq!((again.revocation, again.stood, bench.head().await), (Some(id), stood.clone(), head));
    let checked = bench.writer.ask(Command::CheckRevoke(asked(alice())), at(9)).await.unwrap();
    assert_eq!((checked.revocation, checked.stood), (None, stood));

    let (effective, expires) = (Some(at(50).wall), Some(at(100).wall));
    let others = [
        RevokeRequest { actor: "another".into(), ..asked(alice()) },
        RevokeRequest { expires, ..asked(alice()) },
        RevokeRequest { effective, ..asked(alice()) },
        RevokeRequest { shape: Shape::CutOff { at: at(2).wall }, ..asked(alice()) },
        asked(session("s1")),
    ];
    let mut ids = vec![id];
    for other in &others {
        let made = bench.asks(other.clone(), at(10)).await;
        assert!(made.stood.is_empty(), "{other:?}");
        ids.push(made.revocation.unwrap());
    }
    for (other, id) in others.iter().zip(&ids[1..]) {
        assert_eq!(bench.asks(other.clone(), at(11)).await.revocation, Some(*id), "{other:?}");
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), others.len() + 1);

    bench.restore(id, at(12)).await.unwrap();
    let anew = bench.asks(asked(alice()), at(13)).await;
    assert!(anew.stood.is_empty() && anew.revocation != Some(id), "what has ended stands no more");
    bench.folds_agree().await;
}

#[tokio::test]
async fn of_several_those_that_stand_are_not_made_again() {
    let bench = Bench::start().await;
    let standing = bench.revoke(session("s1"), at(3)).await.unwrap().revocation.unwrap();
    let all = ["s1", "s2", "s2"].map(|name| asked(session(name))).to_vec();
    let done = bench.writer.ask(Command::RevokeAll(all), at(4)).await.unwrap();
    let [first, second, third] = done.revocations[..] else { panic!("{done:?}") };
    assert_eq!((first, second), (standing, third), "also of what is planned together");
    assert_eq!(done.stood.iter().map(|stood| stood.id).collect::<Vec<_>>(), [standing, second]);
}

/// Law 6: somebody who wants it now is not told that it stands.
#[tokio::test]
async fn what_was_made_under_a_clock_ahead_is_not_what_is_wanted_now() {
    let bench = Bench::start().await;
    let ahead = bench.asks(asked(alice()), at(1000)).await;
    assert_eq!(bench.ask("alice", at(1), at(10)), Reason::Allowed, "it is still to come");
    let now = bench.asks(asked(alice()), at(10)).await;
    assert!(now.stood.is_empty() && now.revocation != ahead.revocation);
    assert_eq!(bench.ask("alice", at(1), at(10)), Reason::RevokedPerson);
}

#[tokio::test]
async fn nothing_takes_effect_before_it_is_made_but_what_stands_may_be_asked_for_again() {
    let bench = Bench::start().await;
    let at_fifty = || RevokeRequest { effective: Some(at(50).wall), ..asked(alice()) };
    let made = bench.asks(at_fifty(), at(3)).await;
    assert_eq!(bench.asks(at_fifty(), at(500)).await.revocation, made.revocation, "the same one");
    let backdated = || RevokeRequest { effective: Some(at(50).wall), ..asked(session("s1")) };
    for command in [
        Command::Revoke(backdated()),
        Command::CheckRevoke(backdated()),
        Command::RevokeAll(vec![asked(session("s2")), backdated()]),
    ] {
        let refused = bench.writer.ask(command, at(500)).await.unwrap_err();
        assert!(refused.to_string().contains("cannot take effect in the past"), "{refused}");
    }
    assert!(bench.asks(backdated(), at(80)).await.revocation.is_some(), "a moment ago is now");
}
