//! What a log does whose beginning is cut off.

use super::event;
use crate::domain::event::{Event, NewEvent};
use crate::domain::id::RevocationId;
use crate::domain::revocation::{Owner, Revocation, Shape, Target};
use crate::domain::time::Timestamp;
use crate::log::{Bounds, Cut, Log, LogError, Snapshot};

/// A revocation that tells itself from others by `number`, and has it for a name.
#[must_use]
pub fn revoked(number: u64) -> NewEvent {
    let id = RevocationId::random(number);
    let time = Timestamp::from_millis(number.cast_signed());
    let revocation = Revocation {
        id: Some(id),
        target: Target::Key { id: format!("k{number}") },
        shape: Shape::Block,
        reason: "left".into(),
        owner: Owner::Operator,
        actor: "ops".into(),
        effective: time,
        expires: None,
        persons: vec![],
        by_rule: true,
    };
    NewEvent { time, happened: None, id: Some(id.to_string()), event: Event::Revoked(revocation) }
}

/// A cut that keeps some.
#[must_use]
pub fn cut(to: u64, keep: &[u64]) -> Cut {
    let keep = keep.iter().map(|position| (*position, RevocationId::random(*position))).collect();
    Cut { to, keep, needless: vec![], ids_until: Timestamp::MIN }
}

/// Three batches, each of a revocation and others, and two snapshots behind the first two.
pub async fn filled(log: &dyn Log) {
    let mut head = log.head().await.expect("head");
    for first in [1, 5, 9] {
        let others = (first + 1..first + 4).map(|number| event(number, None));
        let batch = [revoked(first)].into_iter().chain(others).collect();
        head = log.append(head, batch).await.expect("append");
        if first < 9 {
            log.keep_snapshot(Snapshot { epoch: head, bytes: vec![1] }).await.expect("keep");
        }
    }
}

/// All that is read from a log which was cut.
pub async fn it_is_cut_at_its_beginning(log: &dyn Log) {
    assert_eq!(log.bounds().await.expect("bounds"), Bounds { first: 1, covered: 0 });
    filled(log).await;
    assert_eq!(log.bounds().await.expect("bounds"), Bounds { first: 1, covered: 4 });
    let refused = log.cut(cut(5, &[1, 5])).await;
    assert!(matches!(refused, Err(LogError::Io { .. })), "{refused:?}");
    assert_eq!(log.read(0, 100).await.expect("read").len(), 12, "all or nothing");
    assert_eq!(log.records(100, 100).await.expect("records"), []);

    let head = log.head().await.expect("head");
    let before = log.batches(4, 12).await.expect("batches");
    log.cut(cut(2, &[1])).await.expect("cut");
    assert_eq!(log.bounds().await.expect("bounds").first, 3);
    let first = log.read(2, 1).await.expect("read");
    assert_eq!(first.first().map(|recorded| recorded.position), Some(3), "in the middle of a batch");
    for after in [0, 1, 2, 3] {
        let cut = log.batches(after, 12).await;
        assert!(matches!(cut, Err(LogError::Cut { first: 3 })), "behind {after}: {cut:?}");
    }
    log.cut(cut(4, &[])).await.expect("cut");
    let cut_off = log.read(3, 1).await;
    assert!(matches!(cut_off, Err(LogError::Cut { first: 5 })), "{cut_off:?}");
    assert_eq!(log.batches(4, 12).await.expect("batches"), before, "what is left is chained as it was");
    assert_eq!(log.head().await.expect("head"), head);

    // The records, and the revocations in the log, under their names and newest first.
    for (number, found) in [(1, true), (5, true), (9, true), (2, false)] {
        let record = log.revocation(RevocationId::random(number)).await.expect("revocation");
        assert_eq!(record.map(|record| record.new), found.then(|| revoked(number)), "{number}");
    }
    let named = async |before, limit| {
        let (page, next) = log.revocations(before, limit).await.expect("revocations");
        (page.iter().map(|recorded| recorded.position).collect::<Vec<_>>(), next)
    };
    assert_eq!(named(13, 100).await, (vec![9, 5], Some(5)));
    assert_eq!(named(5, 100).await, (vec![1], None));
    assert_eq!(named(1, 100).await, (vec![], None));
    let needless = Cut { needless: vec![1], ..cut(4, &[]) };
    log.cut(needless).await.expect("cut");
    assert_eq!(log.revocation(RevocationId::random(1)).await.expect("revocation"), None);
    let next = log.append(head, vec![event(13, None)]).await.expect("append");
    assert_eq!(next.position, 13, "a cut uses up and frees no position");
}

/// Names that providers gave, of events that were cut off.
pub async fn names_of_providers_outlast_their_events(log: &dyn Log) {
    let of_provider = |number: u64, happened: i64| NewEvent {
        happened: Some(Timestamp::from_millis(happened)),
        ..event(number, Some(&format!("hr:{number}")))
    };
    let head = log.head().await.expect("head");
    let batch = vec![of_provider(1, 5), of_provider(2, -7), of_provider(3, 1), event(4, Some("ours"))];
    let mut head = log.append(head, batch).await.expect("append");
    for number in [5, 6] {
        log.keep_snapshot(Snapshot { epoch: head, bytes: vec![1] }).await.expect("keep");
        head = log.append(head, vec![event(number, None)]).await.expect("append");
    }
    let until = Cut { ids_until: Timestamp::from_millis(2), ..cut(4, &[]) };
    log.cut(until).await.expect("cut");
    let known = async |id: &str, happened| log.is_known(id, happened).await.expect("is known");
    assert_eq!(log.find("hr:3").await.expect("find"), Some(3), "taken in at 3, and known until 2 only");
    assert_eq!((log.find("hr:1").await.expect("find"), log.find("ours").await.expect("find")), (None, None));
    assert_eq!(
        log.forgotten("hr").await.expect("forgotten"),
        Some(Timestamp::from_millis(1)),
        "not beyond its taking in"
    );
    assert_eq!(log.forgotten("lab").await.expect("forgotten"), None);
    assert!(known("hr:9", Some(Timestamp::from_millis(1))).await && known("hr:3", None).await);
    assert!(!known("hr:9", Some(Timestamp::from_millis(2))).await && !known("hr:9", None).await);
    assert!(!known("lab:9", Some(Timestamp::MIN)).await, "each source for itself");
    let again = log.append(head, vec![event(7, None), of_provider(3, 9)]).await;
    assert!(matches!(&again, Err(LogError::Duplicate { id, position: 3 }) if id == "hr:3"), "{again:?}");
}
