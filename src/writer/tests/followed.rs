//! What somebody else appended takes the same way as our own, and a log with a gap is not read on.

use std::sync::Mutex;
use std::sync::atomic::Ordering;

use super::*;
use crate::domain::event::{Event, NewEvent};
use crate::domain::key::Key;
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

/// What it is told of, each with the keys that it touches.
type Heard = Arc<Mutex<Vec<(Event, Vec<Key>)>>>;

/// Notes what it is told.
struct Noting(Heard);

impl EventObserver for Noting {
    fn enforced(&self, recorded: &Recorded, touched: &[Key], _: Around<'_>) {
        self.0.lock().unwrap().push((recorded.new.event.clone(), touched.to_vec()));
    }

    fn store_failed(&self, _: &str) {}
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
    let heard = [Heard::default(), Heard::default()];
    let observers = heard.iter().map(|heard| Box::new(Noting(Arc::clone(heard))) as Box<dyn EventObserver>);
    let (writer_loop, published) = Writer::new(
        Arc::clone(&log),
        replayed,
        Arc::new(policy()),
        observers.collect(),
        WriterIdentity::alone("test", Ids::from_system().unwrap()),
    );
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
    assert_eq!(heard.map(|heard| heard.lock().unwrap().len()), [3, 3]);
}

#[tokio::test]
async fn an_observer_hears_under_which_keys_a_change_is_found() {
    let (log, heard) = (Arc::new(Memory::default()), Heard::default());
    let bench = Bench::observed(Box::new(Noting(Arc::clone(&heard))), log, policy()).await;
    let (suspended, ada) = (person("alice", Status::Suspended), person("alice", Status::Active));
    bench.list(&[suspended, person("bob", Status::Active)], at(1)).await.unwrap();
    let (reference, expires) = ("alice".to_owned(), at(50).wall);
    let exempt = Command::Exempt { reference, expires, reason: "on call".into(), actor: "ops".into() };
    bench.writer.ask(exempt, at(2)).await.unwrap();
    bench.writer.ask(Command::Tick, at(60)).await.unwrap();
    let session = Target::Session { issuer: ISSUER.into(), session: "s1".into() };
    bench.revoke(session.clone(), at(61)).await.unwrap();

    let keyer = &bench.keyer;
    let of_alice = keyer.key(KeyKind::Person, &[&ada.id.source, &ada.id.key]);
    let heard = heard.lock().unwrap();
    let touching = |key: Key| heard.iter().filter(move |(_, touched)| touched.contains(&key)).map(|(event, _)| event);
    let about: Vec<&Event> = touching(of_alice).collect();
    let is = |wanted: fn(&Event) -> bool| about.iter().any(|event| wanted(event));
    assert!(is(|event| matches!(event, Event::Person(_))) && is(|event| matches!(event, Event::Revoked(_))));
    // Whoever guards a stream has to look again when break glass ends.
    assert!(
        is(|event| matches!(event, Event::Exempted(_))) && is(|event| matches!(event, Event::ExemptionEnded { .. }))
    );
    assert_eq!(touching(session.key(keyer)).count(), 1);
    let synced = heard.iter().find(|(event, _)| matches!(event, Event::Synced { .. })).unwrap();
    assert!(synced.1.is_empty(), "nobody is looked up by that");
}

#[tokio::test]
async fn an_observer_hears_whom_the_end_of_a_ref_concerns() {
    let (log, heard) = (Arc::new(Memory::default()), Heard::default());
    let bench = Bench::observed(Box::new(Noting(Arc::clone(&heard))), log, policy()).await;
    let id = bench.revoke(alice(), at(1)).await.unwrap().revocation.unwrap();
    // Known only afterwards.
    bench.list(&[person("alice", Status::Active)], at(2)).await.unwrap();
    bench.restore(id, at(3)).await.unwrap();
    let alice = person("alice", Status::Active).id;
    let key = bench.keyer.key(KeyKind::Person, &[&alice.source, &alice.key]);
    let heard = heard.lock().unwrap();
    let ended = heard.iter().find(|(event, _)| matches!(event, Event::Ended(_))).unwrap();
    assert!(ended.1.contains(&key), "what denied her under her own key has ended");
}

#[tokio::test]
async fn nobody_goes_on_behind_a_gap() {
    let bench = Bench::start().await;
    let before = bench.published.load().fold.epoch;
    bench.log.leaves_out.store(true, Ordering::Release);
    let refused = bench.revoke(alice(), at(3)).await;
    assert!(matches!(refused, Err(Refused::Unknown { .. })), "it stands there: {refused:?}");
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
    let refused = bench.revoke(alice(), at(3)).await;
    assert!(matches!(refused, Err(Refused::Unknown { .. })), "it stands in that log: {refused:?}");
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

/// The fold that a command leads to is the one of the events that were read, whatever was planned.
async fn law_11_what_was_read_counts_not_what_was_planned() -> bool {
    let bench = Bench::start().await;
    bench.log.dates_later.store(true, Ordering::Release);
    bench.revoke(session("s1"), at(5)).await.unwrap();
    let anew = replay(&bench.log.without_snapshot(), bench.keyer.clone()).await.unwrap().fold;
    assert_eq!(anew.witnessed, at(6).wall);
    bench.published.snapshot().fold.digest() == anew.digest()
}

#[tokio::test]
async fn law_11_a_planned_fold_is_taken_over_only_for_the_events_that_were_read() {
    assert!(law_11_what_was_read_counts_not_what_was_planned().await);
}

#[cfg(feature = "faults")]
#[tokio::test]
async fn law_11_a_planned_fold_that_nobody_compares_is_noticed() {
    let _planted = crate::faults::plant(Fault::PlanUnread);
    assert!(!law_11_what_was_read_counts_not_what_was_planned().await);
}
