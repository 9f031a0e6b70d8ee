//! What somebody else appended takes the same way as our own, and a log with a gap is not read on.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::domain::event::{Event, NewEvent};
use crate::domain::revocation::{Owner, Revocation};
use crate::log::Snapshot;

fn revoked(subject: &str) -> NewEvent {
    let event = Event::Revoked(Revocation {
        id: None,
        target: Target::Subject { issuer: ISSUER.into(), subject: subject.into() },
        shape: Shape::Block,
        reason: "said elsewhere".into(),
        owner: Owner::Operator,
        actor: "ops".into(),
        effective: at(0).wall,
        expires: None,
        persons: vec![],
        by_rule: false,
    });
    NewEvent { time: at(1).wall, happened: None, id: None, event }
}

/// Counts what it is told.
struct Counted(Arc<AtomicUsize>);

impl EventObserver for Counted {
    fn enforced(&self, _: &Recorded) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn store_failed(&self) {}
}

#[tokio::test]
async fn what_somebody_else_appended_is_enforced_without_a_command() {
    let bench = Bench::start().await;
    assert_eq!(bench.ask("alice", at(1), at(2)), Reason::Allowed);
    let mut epochs = bench.published.epochs();
    let head = bench.log.head().await.unwrap();
    bench.log.append(head, vec![revoked("alice")]).await.unwrap();
    epochs.wait_for(|epoch| epoch.position > head.position).await.unwrap();
    assert_eq!(bench.ask("alice", at(1), at(2)), Reason::RevokedSubject);
    bench.folds_agree().await;
}

#[tokio::test]
async fn each_observer_hears_of_each_event_once() {
    let log = Arc::new(Memory::default());
    let replayed = replay(log.as_ref(), Keyer::new([1; 16])).await.unwrap();
    let counts = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let observers = counts.iter().map(|count| Box::new(Counted(Arc::clone(count))) as Box<dyn EventObserver>);
    let (writer_loop, published) =
        Writer::new(Arc::clone(&log), replayed, Arc::new(policy()), observers.collect(), Ids::from_system().unwrap());
    let (writer, envelopes) = WriterHandle::new();
    #[expect(clippy::disallowed_methods, reason = "a test owns its tasks")]
    tokio::spawn(writer_loop.run(envelopes, std::future::pending()));
    let mut epochs = published.epochs();
    for subject in ["a", "b", "c"] {
        let head = log.head().await.unwrap();
        log.append(head, vec![revoked(subject)]).await.unwrap();
        epochs.wait_for(|epoch| epoch.position > head.position).await.unwrap();
    }
    writer.ask(Command::Tick, at(5)).await.unwrap();
    assert_eq!(counts.map(|count| count.load(Ordering::Relaxed)), [3, 3]);
}

#[tokio::test]
async fn nobody_goes_on_behind_a_gap() {
    let bench = Bench::start().await;
    let before = bench.published.load().fold.epoch;
    bench.log.leaves_out.store(true, Ordering::Release);
    let refused = bench.revoke(alice(), at(3)).await.unwrap_err();
    let text = format!("event {} is missing", before.position + 1);
    assert!(refused.to_string().contains(&text), "{refused}");
    let head = bench.log.head().await.unwrap();
    bench.log.append(head, vec![revoked("bob")]).await.unwrap();
    let refused = bench.revoke(alice(), at(3)).await.unwrap_err();
    let text = format!("event {} is missing", before.position + 1);
    assert!(refused.to_string().contains(&text), "{refused}");
    assert_eq!(bench.published.load().fold.epoch, before);
    let error = replay(bench.log.as_ref(), bench.keyer.clone()).await.unwrap_err();
    assert!(error.to_string().contains("event 1 is missing"), "{error}");

    bench.log.leaves_out.store(false, Ordering::Release);
    bench.revoke(alice(), at(4)).await.unwrap();
    bench.folds_agree().await;
}

#[tokio::test]
async fn nobody_goes_on_with_another_log() {
    let bench = Bench::start().await;
    let before = bench.published.load().fold.epoch;
    bench.log.rewritten.store(true, Ordering::Release);
    let refused = bench.revoke(alice(), at(3)).await.unwrap_err();
    assert!(refused.to_string().contains(&format!("its hash at {} is 0101", before.position)), "{refused}");
    assert_eq!(bench.published.load().fold.epoch, before);
    assert_eq!(bench.ask("alice", at(1), at(4)), Reason::Allowed, "nothing of it is enforced");

    // What a snapshot says of the log is compared with it too.
    bench.log.rewritten.store(false, Ordering::Release);
    bench.revoke(alice(), at(4)).await.unwrap();
    let state = bench.published.snapshot();
    let bytes = snapshot::write(&state.fold).unwrap();
    bench.log.keep_snapshot(Snapshot { epoch: state.fold.epoch, bytes }).await.unwrap();
    let head = bench.log.head().await.unwrap();
    for nothing_behind_it in [true, false] {
        if !nothing_behind_it {
            bench.log.append(head, vec![revoked("bob")]).await.unwrap();
        }
        bench.log.rewritten.store(false, Ordering::Release);
        replay(bench.log.as_ref(), bench.keyer.clone()).await.unwrap();
        bench.log.rewritten.store(true, Ordering::Release);
        let error = replay(bench.log.as_ref(), bench.keyer.clone()).await.unwrap_err();
        assert!(error.to_string().contains("it is another log"), "{error}");
    }
}

/// The snapshot of the version before says nothing of the chain: the log's own counts from there.
#[tokio::test]
async fn a_snapshot_of_the_version_before_is_read_on() {
    let bench = Bench::start().await;
    let fold = bench.published.snapshot().fold.clone();
    let text = String::from_utf8_lossy(&snapshot::write(&fold).unwrap()).into_owned();
    let chain = format!("\"chain\":\"{}\",", fold.chain.unwrap());
    assert!(text.contains(&chain));
    let before = text.replacen("\"version\":5", "\"version\":4", 1).replacen(&chain, "", 1).into_bytes();
    assert_eq!(snapshot::read(&before, bench.keyer.clone()).unwrap().chain, None);
    bench.log.keep_snapshot(Snapshot { epoch: fold.epoch, bytes: before }).await.unwrap();
    bench.revoke(alice(), at(3)).await.unwrap();
    let replayed = replay(bench.log.as_ref(), bench.keyer.clone()).await.unwrap();
    assert_eq!(replayed.kept, fold.epoch.position);
    let live = bench.published.snapshot();
    assert_eq!((replayed.fold.digest(), replayed.fold.chain), (live.fold.digest(), live.fold.chain));
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_read_gives_way_to_the_older_one() {
    let bench = Bench::start().await;
    let fold = bench.published.snapshot().fold.clone();
    let bytes = snapshot::write(&fold).unwrap();
    bench.log.keep_snapshot(Snapshot { epoch: fold.epoch, bytes }).await.unwrap();
    bench.revoke(alice(), at(3)).await.unwrap();
    let live = bench.published.snapshot().fold.clone();
    bench.log.keep_snapshot(Snapshot { epoch: live.epoch, bytes: b"of a later version".to_vec() }).await.unwrap();
    let replayed = replay(bench.log.as_ref(), bench.keyer.clone()).await.unwrap();
    assert_eq!(replayed.kept, fold.epoch.position, "the older one");
    assert_eq!(replayed.fold.digest(), live.digest());
}
