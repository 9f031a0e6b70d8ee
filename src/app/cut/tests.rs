//! What goes, and what stays known of it.

use super::*;
use crate::app::audit_events::AuditFollower;
use crate::app::fixtures::{keyer, trail, writer_over};
use crate::corp::{self, ISSUER, at};
use crate::domain::command::{Command, Observation, Refused, RevokeRequest, WhenAmbiguous, WhenUnknown, WriterHandle};
use crate::domain::event::{Event, NewEvent};
use crate::domain::key::Keyer;
use crate::domain::person::Status;
use crate::domain::revocation::{Shape, Target};
use crate::log::Snapshot;
use crate::log::embedded::Embedded;
use crate::log::memory::Memory;
use crate::state::snapshot;
use crate::writer::replay;

const DAY: i64 = 86_400;

struct Bench<L> {
    cutter: Cutter<L>,
    audited: watch::Sender<Position>,
    writer: WriterHandle,
    _dir: tempfile::TempDir,
}

fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

impl<L: Log> Bench<L> {
    async fn over(log: Arc<L>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (writer, published) = writer_over(&log).await;
        let recorder = trail(dir.path());
        let (audited, receiver) = watch::channel(0);
        let limits = Limits { age: days(10), events: 1_000, ids: days(12) };
        let cutter = Cutter { log, published, audited: receiver, recorder, limits };
        Self { cutter, audited, writer, _dir: dir }
    }

    async fn revoke(&self, name: &str, second: i64) -> RevocationId {
        let target = Target::Session { issuer: ISSUER.into(), session: name.into() };
        let (shape, reason, actor) = (Shape::Block, "left".into(), "ops".into());
        let (when_unknown, when_ambiguous) = (WhenUnknown::DenyName, WhenAmbiguous::Refuse);
        let (effective, expires) = (None, None);
        let request = RevokeRequest { target, shape, reason, actor, effective, expires, when_unknown, when_ambiguous };
        self.writer.ask(Command::Revoke(request), at(second)).await.unwrap().revocation.unwrap()
    }

    async fn restore(&self, id: RevocationId, second: i64) -> Result<(), Refused> {
        let command = Command::Restore { id, reason: "back".into(), actor: "ops".into() };
        self.writer.ask(command, at(second)).await.map(drop)
    }

    /// A change of alice that her provider gave an id and a time; her e-mail address afterwards.
    async fn changes(&self, id: &str, email: &str, happened: i64, now: i64) -> String {
        let mut person = corp::person("alice", Status::Active);
        let alice = person.id.clone();
        person.email = Some(email.into());
        let change = Observation::Change { person, at: Some(at(happened).wall), event_id: Some(id.into()) };
        self.writer.ask(Command::Observe(change), at(now)).await.unwrap();
        let state = self.cutter.published.snapshot();
        state.fold.people.find(&state.fold.keyer, &alice).unwrap().person.email.clone().unwrap()
    }

    async fn keep_snapshot(&self) -> Position {
        let fold = self.cutter.published.snapshot().fold.clone();
        let snapshot = Snapshot { epoch: fold.epoch, bytes: snapshot::write(&fold).unwrap() };
        self.cutter.log.keep_snapshot(snapshot).await.unwrap();
        fold.epoch.position
    }

    async fn cut(&self, second: i64) -> u64 {
        self.cutter.cut(at(second).wall).await.unwrap()
    }

    /// What is left of the log amounts to what is in force.
    async fn folds_agree(&self) {
        let anew = replay(self.cutter.log.as_ref(), keyer()).await.unwrap().fold;
        assert_eq!(anew.digest(), self.cutter.published.snapshot().fold.digest());
    }
}

async fn only_what_nobody_needs_goes<L: Log>(log: Arc<L>) {
    let bench = Bench::over(log).await;
    let (mut ids, late) = (Vec::new(), 20 * DAY);
    for number in 0..20 {
        ids.push(bench.revoke(&format!("s{number}"), number).await);
    }
    bench.restore(ids[3], 30).await.unwrap();
    let older = bench.keep_snapshot().await;
    bench.audited.send_replace(u64::MAX);
    assert_eq!(bench.cut(late).await, 0, "one snapshot is not enough");
    bench.restore(ids[4], 40).await.unwrap();
    let newer = bench.keep_snapshot().await;
    let log = &bench.cutter.log;
    assert_eq!(log.bounds().await.unwrap(), Bounds { first: 1, covered: older });
    assert_eq!(bench.cut(50).await, 0, "nothing is old");
    bench.audited.send_replace(7);
    assert_eq!(bench.cut(late).await, 7, "up to where the audit trail has it");
    bench.audited.send_replace(newer);
    assert_eq!(bench.cut(late).await, older - 7, "up to the older snapshot");
    assert_eq!(log.bounds().await.unwrap().first, older + 1);
    bench.folds_agree().await;

    // What stands is known by its name as before, and what was ended is not.
    let found = log.revocation(ids[5]).await.unwrap().unwrap();
    assert_eq!(found.revocation().unwrap().0, ids[5]);
    for ended in [ids[3], ids[4]] {
        assert_eq!(log.revocation(ended).await.unwrap(), None);
        assert_eq!(bench.restore(ended, late).await, Err(Refused::NotFound(ended)));
    }
    bench.restore(ids[5], late).await.unwrap();
    assert_eq!(bench.restore(ids[5], late).await, Err(Refused::NotFound(ids[5])));
    bench.folds_agree().await;

    // A record of which nothing is left goes with the next cut.
    assert!(log.record(ids[5]).await.unwrap().is_some());
    for second in 0..2 {
        bench.revoke("more", late + second).await;
        bench.keep_snapshot().await;
    }
    assert!(bench.cut(2 * late).await > 0);
    assert_eq!(log.record(ids[5]).await.unwrap(), None);
    assert!(log.record(ids[6]).await.unwrap().is_some());
    bench.folds_agree().await;
}

async fn more_than_enough_goes_however_new_it_is<L: Log>(log: Arc<L>) {
    let mut bench = Bench::over(log).await;
    bench.cutter.limits.events = 8;
    bench.audited.send_replace(u64::MAX);
    let mut ids = Vec::new();
    for number in 0..30 {
        if number >= 28 {
            bench.keep_snapshot().await;
        }
        ids.push(bench.revoke(&format!("s{number}"), 1).await);
    }
    assert_eq!(bench.cut(2).await, 22);
    let (mut found, mut before) = (Vec::new(), Some(u64::MAX));
    while let Some(end) = before {
        let end = end.min(bench.cutter.log.head().await.unwrap().position + 1);
        let (page, next) = bench.cutter.log.revocations(end, 7).await.unwrap();
        found.extend(page.iter().map(|recorded| recorded.revocation().unwrap().0));
        before = next;
    }
    ids.reverse();
    assert_eq!(found, ids, "from the log, and behind it from its records");
    bench.folds_agree().await;
}

async fn an_event_is_taken_in_once_also_when_it_was_cut<L: Log>(log: Arc<L>) {
    let bench = Bench::over(log).await;
    bench.audited.send_replace(u64::MAX);
    assert_eq!(bench.changes("1", "one", DAY, DAY).await, "one");
    assert_eq!(bench.changes("2", "two", 11 * DAY, 11 * DAY).await, "two");
    for second in 0..2 {
        bench.revoke(&format!("more {second}"), 12 * DAY + second).await;
        bench.keep_snapshot().await;
    }
    assert!(bench.cut(22 * DAY).await > 0);
    let late = 23 * DAY;
    assert_eq!(bench.changes("2", "again", 11 * DAY, late).await, "two", "its id is known still");
    assert_eq!(bench.changes("1", "again", DAY, late).await, "two", "its id is forgotten, its time is not");
    assert_eq!(bench.changes("0", "older", DAY - 1, late).await, "two", "and so is any before it");
    let event = Event::Heartbeat { source: "hr".into(), at: at(late).wall, cursor: None };
    let again = NewEvent { time: at(late).wall, happened: None, id: Some("hr:2".into()), event };
    let log = &bench.cutter.log;
    let refused = log.append(log.head().await.unwrap(), vec![again]).await;
    assert!(matches!(&refused, Err(LogError::Duplicate { id, .. }) if id == "hr:2"), "{refused:?}");
    assert_eq!(bench.changes("3", "three", 2 * DAY, late).await, "three", "late, and never seen");
    bench.folds_agree().await;
}

async fn without_a_snapshot_that_can_be_read_the_rest_of_a_log_is_not_believed<L: Log>(log: Arc<L>) {
    let bench = Bench::over(log).await;
    bench.audited.send_replace(u64::MAX);
    bench.revoke("s1", 1).await;
    let older = bench.keep_snapshot().await;
    bench.revoke("s2", 2).await;
    bench.keep_snapshot().await;
    assert_eq!(bench.cut(20 * DAY).await, older);
    let log = &bench.cutter.log;
    for read in [log.read(0, 1).await.map(drop), log.batches(0, 1).await.map(drop)] {
        assert!(matches!(read, Err(LogError::Cut { first }) if first == older + 1), "{read:?}");
    }
    let error = replay(log.as_ref(), Keyer::new([2; 16])).await.unwrap_err().to_string();
    assert!(error.contains(&format!("events before {} are no longer in the log", older + 1)), "{error}");
    assert!(error.contains("made under the secret") && error.contains("from a backup"), "{error}");
    bench.folds_agree().await;
}

/// The audit trail was taken away meanwhile: it goes on behind what nobody can write down any more.
async fn a_trail_that_lacks_what_was_cut_goes_on_behind_it<L: Log>(log: Arc<L>) {
    let bench = Bench::over(log).await;
    bench.audited.send_replace(u64::MAX);
    for second in 0..3 {
        bench.revoke(&format!("s{second}"), second).await;
        bench.keep_snapshot().await;
    }
    assert_eq!(bench.cut(20 * DAY).await, 2);
    let Cutter { log, published, recorder, .. } = bench.cutter;
    let head = log.head().await.unwrap().position;
    let (progress, written) = watch::channel(0);
    let counted = recorder.clone();
    let (clock, trouble) = (Clock::start(None), Lasting::default());
    let follower = AuditFollower { log, published, recorder, clock, done: 0, progress, trouble };
    let (nobody_tells, events) = tokio::sync::mpsc::channel(1);
    drop(nobody_tells);
    follower.run(events).await.unwrap();
    assert_eq!(*written.borrow(), head);
    assert_eq!(counted.counts().lost, 2, "the trail says that they are missing");
}

macro_rules! on_both {
    ($($test:ident)+) => {
        $(
            mod $test {
                use super::*;

                #[tokio::test]
                async fn in_memory() {
                    super::$test(Arc::new(Memory::default())).await;
                }

                #[tokio::test]
                async fn on_sqlite() {
                    let dir = tempfile::tempdir().unwrap();
                    super::$test(Arc::new(Embedded::open(dir.path()).unwrap())).await;
                }
            }
        )+
    };
}

on_both! {
    only_what_nobody_needs_goes
    more_than_enough_goes_however_new_it_is
    an_event_is_taken_in_once_also_when_it_was_cut
    a_trail_that_lacks_what_was_cut_goes_on_behind_it
    without_a_snapshot_that_can_be_read_the_rest_of_a_log_is_not_believed
}
