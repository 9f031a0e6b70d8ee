//! Each owner ends only its own, and what it leaves behind is never earlier than it was (law 7).

use super::*;
use crate::corp;
use crate::domain::command::Refused;
use crate::domain::event::Recorded;
use crate::domain::source::SourceRules;
use crate::domain::time::Timestamp;
use crate::log::Log as _;

impl Bench {
    async fn says(&self, observation: Observation, now: Now) {
        self.writer.ask(Command::Observe(observation), now).await.unwrap();
    }

    async fn client(&self, source: &str, stands: bool, now: Now) {
        let target = Target::Client { issuer: ISSUER.into(), client: "ci".into() };
        let (source, reason) = (source.to_owned(), "disabled".to_owned());
        self.says(Observation::Block { source, target, stands, at: None, expires: None, reason }, now).await;
    }

    fn live(&self, kind: TargetKind) -> usize {
        self.published.snapshot().fold.live(kind)
    }

    async fn last_revocation(&self) -> RevocationId {
        let events: Vec<Recorded> = self.log.read(0, 1_000).await.unwrap();
        events.iter().rev().find_map(Recorded::revocation).unwrap().0
    }
}

#[tokio::test]
async fn one_source_does_not_end_what_another_says_of_the_same_client() {
    let other = SourceRules { name: "other".into(), ..corp::source("other") };
    let policy = Policy { sources: vec![corp::source("hr"), other], ..policy() };
    let bench = Bench::over(Arc::new(Memory::default()), policy).await;
    bench.client("hr", true, at(1)).await;
    bench.client("other", false, at(2)).await;
    let blocks = |bench: &Bench| {
        let state = bench.published.snapshot();
        let key = bench.keyer.key(KeyKind::Client, &[ISSUER, "ci"]);
        let entries = state.fold.revocations.under(key);
        entries.iter().filter(|entry| entry.effect == crate::state::revocations::EntryKind::Block).count()
    };
    assert_eq!(blocks(&bench), 1, "`other` never said so");
    bench.client("other", true, at(3)).await;
    assert_eq!(blocks(&bench), 2);
    bench.client("hr", false, at(4)).await;
    assert_eq!(blocks(&bench), 1, "and now `hr` no longer does");
    bench.folds_agree().await;
    let live = bench.published.snapshot().fold.clone();
    let read = crate::state::snapshot::read(&crate::state::snapshot::write(&live).unwrap(), bench.keyer.clone());
    assert_eq!(read.unwrap().digest(), live.digest(), "a snapshot knows whose they are");
    bench.client("other", false, at(5)).await;
    assert_eq!(blocks(&bench), 0);
}

#[tokio::test]
async fn what_is_left_of_a_block_is_never_earlier_than_the_block() {
    let bench = Bench::start().await;
    let change = |status, at: Option<Now>| Observation::Change {
        person: person("alice", status),
        at: at.map(|at| at.wall),
        event_id: None,
    };
    // It is noticed that she is out; of what made her active again the provider gives an older time.
    bench.says(change(Status::Suspended, None), at(100)).await;
    bench.says(change(Status::Active, Some(at(10))), at(200)).await;
    assert_eq!(bench.ask("alice", at(50), at(201)), Reason::IssuedBeforeCutoff, "that was issued before she was out");
    assert_eq!(bench.ask("alice", at(101), at(201)), Reason::Allowed);
    // Both are heard of late: the provider's own times count.
    bench.says(change(Status::Suspended, Some(at(300))), at(1_000)).await;
    bench.says(change(Status::Active, Some(at(400))), at(1_000)).await;
    assert_eq!(bench.ask("alice", at(399), at(1_001)), Reason::IssuedBeforeCutoff);
    assert_eq!(bench.ask("alice", at(401), at(1_001)), Reason::Allowed);
    // And one from the future is no reason to keep anybody out.
    bench.says(change(Status::Suspended, Some(at(1_000_000))), at(2_000)).await;
    bench.says(change(Status::Active, None), at(2_100)).await;
    assert_eq!(bench.ask("alice", at(2_101), at(2_102)), Reason::Allowed);
    bench.folds_agree().await;
}

#[tokio::test]
async fn a_cut_off_in_the_future_can_be_set_right() {
    let bench = Bench::start().await;
    let cut = |to: Now| Observation::CutOff {
        source: "hr".into(),
        target: Target::Subject { issuer: ISSUER.into(), subject: "alice".into() },
        at: to.wall,
        reason: "not before".into(),
    };
    bench.says(cut(at(50)), at(60)).await;
    let past = bench.last_revocation().await;
    let refused = bench.restore(past, at(61)).await.unwrap_err();
    let text = format!("it denies what was issued at or before {}: a new sign-in restores access", at(50).wall);
    assert!(matches!(&refused, Refused::NotYours { advice, .. } if *advice == text), "{refused}");
    bench.says(cut(at(1_000_000)), at(100)).await;
    assert_eq!(bench.ask("alice", at(101), at(102)), Reason::IssuedBeforeCutoff);
    let future = bench.last_revocation().await;
    bench.restore(future, at(200)).await.unwrap();
    assert_eq!(bench.ask("alice", at(45), at(202)), Reason::IssuedBeforeCutoff, "the one before counts still");
    assert_eq!(bench.ask("alice", at(199), at(202)), Reason::IssuedBeforeCutoff, "and what was dead stays so");
    assert_eq!(bench.ask("alice", at(201), at(202)), Reason::Allowed);
    // The provider was set right too, and says so with every listing.
    bench.says(cut(at(50)), at(300)).await;
    assert_eq!(bench.ask("alice", at(201), at(302)), Reason::Allowed);
    assert_eq!(bench.live(TargetKind::Subject), 1);
    bench.folds_agree().await;
}

#[tokio::test]
async fn a_cut_off_of_a_source_that_is_gone_ends_whole() {
    let bench = Bench::start().await;
    let target = Target::Subject { issuer: ISSUER.into(), subject: "dave".into() };
    let cut = Observation::CutOff { source: "hr".into(), target, at: at(50).wall, reason: "not before".into() };
    bench.says(cut, at(60)).await;
    let past = bench.last_revocation().await;
    bench.configure(Policy { sources: vec![], ..policy() }, at(70)).await.unwrap();
    bench.restore(past, at(80)).await.unwrap();
    assert_eq!(bench.live(TargetKind::Subject), 0);
}

#[tokio::test]
async fn what_a_source_says_is_ended_there_and_how_is_said() {
    let bench = Bench::start().await;
    bench.client("hr", true, at(1)).await;
    let client = bench.last_revocation().await;
    let refused = bench.restore(client, at(2)).await.unwrap_err().to_string();
    assert_eq!(refused, format!("revocation `{client}` belongs to source hr: enable the client `ci` again in `hr`"));
    let ended = Observation::Block {
        source: "hr".into(),
        target: Target::Session { issuer: ISSUER.into(), session: "s9".into() },
        stands: true,
        at: None,
        expires: Some(Timestamp::MAX),
        reason: "logged out".into(),
    };
    bench.says(ended, at(3)).await;
    let session = bench.last_revocation().await;
    let refused = bench.restore(session, at(4)).await.unwrap_err().to_string();
    assert!(refused.ends_with("an ended session cannot be restored; a new sign-in restores access"), "{refused}");
}

/// Law 7: it was denied all along, so it leaves a cut-off, also where the log did not take its note at first.
#[tokio::test]
async fn what_the_log_did_not_take_of_a_configuration_is_noted_later() {
    let bench = Bench::start().await;
    let [mut with, mut without] = [policy(), policy()];
    (with.revocations, without.revocations) = (Some(vec![configured(alice())]), Some(vec![]));
    bench.log.refuses.store(true, std::sync::atomic::Ordering::Release);
    assert!(bench.configure(with, at(3)).await.is_err());
    assert!(bench.writer.ask(Command::Tick, at(4)).await.is_err());
    bench.log.refuses.store(false, std::sync::atomic::Ordering::Release);
    bench.writer.ask(Command::Tick, at(5)).await.unwrap();
    let head = bench.log.head().await.unwrap();
    bench.writer.ask(Command::Tick, at(6)).await.unwrap();
    assert_eq!(bench.log.head().await.unwrap(), head, "once");
    bench.configure(without, at(7)).await.unwrap();
    assert_eq!(bench.ask("alice", at(7), at(8)), Reason::IssuedBeforeCutoff);
    assert_eq!(bench.ask("alice", at(8), at(8)), Reason::Allowed);
    bench.folds_agree().await;
}
