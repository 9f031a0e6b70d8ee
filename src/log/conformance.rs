//! What every [`Log`] must do, as functions over the trait: each implementation's tests call them.
//!
//! They panic where a log breaks a promise, as tests do. Each wants a log of its own that is empty.

pub mod cut;

use super::{KeyValues, Log, LogError, Snapshot};
use crate::domain::chain::ChainHash;
use crate::domain::event::{Epoch, Event, NewEvent};
use crate::domain::guard::Removals;
use crate::domain::time::Timestamp;

/// An event that tells itself from others by `number`; with `id` it is idempotent.
#[must_use]
pub fn event(number: u64, id: Option<&str>) -> NewEvent {
    let time = Timestamp::from_millis(number.cast_signed());
    NewEvent {
        time,
        happened: None,
        id: id.map(str::to_owned),
        event: Event::Synced { source: format!("s{number}"), at: time, left_out: Removals::default() },
    }
}

/// Everything in the log, read in pages of three so that page borders are crossed.
pub async fn all(log: &dyn Log) -> Vec<NewEvent> {
    let mut events = Vec::new();
    loop {
        let after = events.len() as u64;
        let page = log.read(after, 3).await.expect("read");
        if page.is_empty() {
            return events;
        }
        for recorded in page {
            events.push(recorded.new);
            assert_eq!(recorded.position, events.len() as u64, "positions start at 1 and have no gaps");
        }
    }
}

/// Runs the whole suite; `empty` makes a new empty log each time.
pub async fn suite<L: Log, F: AsyncFn() -> L>(empty: F) {
    events_are_read_in_the_order_they_were_appended(&empty().await).await;
    a_page_holds_at_most_its_limit(&empty().await).await;
    an_append_elsewhere_than_at_the_end_is_a_conflict(&empty().await).await;
    a_known_id_refuses_the_whole_batch(&empty().await).await;
    an_event_is_found_by_its_id(&empty().await).await;
    appends_that_race_never_overwrite_each_other(&empty().await).await;
    batches_are_read_whole_and_chained(&empty().await).await;
    the_two_newest_snapshots_are_kept(&empty().await).await;
    cut::it_is_cut_at_its_beginning(&empty().await).await;
    cut::names_of_providers_outlast_their_events(&empty().await).await;
}

/// Order and gaplessness.
pub async fn events_are_read_in_the_order_they_were_appended(log: &dyn Log) {
    let start = log.head().await.expect("head");
    assert_eq!(start.position, 0, "a new log is empty");
    assert_eq!(log.append(start, vec![]).await.expect("append nothing"), start);
    let (mut head, mut heads) = (start, log.heads());
    let mut expected = Vec::new();
    for batch in [1_u64..2, 2..6, 6..11] {
        let events: Vec<_> = batch.map(|number| event(number, None)).collect();
        expected.extend(events.clone());
        head = log.append(head, events).await.expect("append");
        assert_eq!(head, Epoch { position: expected.len() as u64, ..start });
        assert_eq!(log.head().await.expect("head"), head);
        assert_eq!(*heads.borrow_and_update(), head, "whoever follows is told");
    }
    assert_eq!(all(log).await, expected);
}

/// Limits of pages, and reading behind the end.
pub async fn a_page_holds_at_most_its_limit(log: &dyn Log) {
    let start = log.head().await.expect("head");
    log.append(start, (1..=5).map(|number| event(number, None)).collect()).await.expect("append");
    let positions = async |after, limit| -> Vec<u64> {
        log.read(after, limit).await.expect("read").into_iter().map(|recorded| recorded.position).collect()
    };
    assert_eq!(positions(1, 2).await, [2, 3]);
    assert_eq!(positions(3, 100).await, [4, 5]);
    assert_eq!(positions(5, 1).await, [] as [u64; 0]);
    assert_eq!(positions(9, 1).await, [] as [u64; 0]);
    assert_eq!(positions(0, 0).await, [] as [u64; 0]);
}

/// Optimistic concurrency.
pub async fn an_append_elsewhere_than_at_the_end_is_a_conflict(log: &dyn Log) {
    let start = log.head().await.expect("head");
    let head = log.append(start, vec![event(1, None), event(2, None)]).await.expect("append");
    let elsewhere = [
        start,
        Epoch { position: 1, ..start },
        Epoch { position: 3, ..start },
        Epoch { generation: start.generation + 1, ..head },
    ];
    for after in elsewhere {
        let result = log.append(after, vec![event(9, None)]).await;
        assert!(matches!(result, Err(LogError::Conflict { head: found }) if found == head), "{after}: {result:?}");
    }
    assert_eq!(all(log).await, [event(1, None), event(2, None)]);
}

/// Idempotent ids, all or nothing.
pub async fn a_known_id_refuses_the_whole_batch(log: &dyn Log) {
    let start = log.head().await.expect("head");
    let head = log.append(start, vec![event(1, Some("a"))]).await.expect("append");
    let again = log.append(head, vec![event(2, Some("b")), event(3, Some("a")), event(4, None)]).await;
    assert!(matches!(&again, Err(LogError::Duplicate { id, position: 1 }) if id == "a"), "{again:?}");
    let twice = log.append(head, vec![event(2, Some("c")), event(3, Some("c"))]).await;
    assert!(matches!(&twice, Err(LogError::Duplicate { id, position: 2 }) if id == "c"), "{twice:?}");
    assert_eq!(log.head().await.expect("head"), head);
    assert_eq!(log.find("b").await.expect("find"), None, "nothing of a refused batch stands");
    let next = log.append(head, vec![event(2, Some("b")), event(3, Some("c"))]).await.expect("append");
    assert_eq!(next.position, 3, "a refused batch used up no position");
}

/// Finding.
pub async fn an_event_is_found_by_its_id(log: &dyn Log) {
    let start = log.head().await.expect("head");
    assert_eq!(log.find("b").await.expect("find"), None);
    log.append(start, vec![event(1, Some("a")), event(2, None), event(3, Some("b"))]).await.expect("append");
    assert_eq!(log.find("a").await.expect("find"), Some(1));
    assert_eq!(log.find("b").await.expect("find"), Some(3));
    assert_eq!(log.find("").await.expect("find"), None, "an event without an id has none, not an empty one");
}

/// Many that append at once: one wins each place, the others are told.
pub async fn appends_that_race_never_overwrite_each_other(log: &dyn Log) {
    let start = log.head().await.expect("head");
    let racer = async |number: u64| {
        let mut after = start;
        loop {
            match log.append(after, vec![event(number, None), event(number, None)]).await {
                Ok(head) => return head,
                Err(LogError::Conflict { head }) => after = head,
                Err(other) => panic!("{other}"),
            }
        }
    };
    let heads = futures_util::future::join_all((0..20).map(racer)).await;
    let events = all(log).await;
    assert_eq!(events.len(), 40);
    for (number, head) in (0_u64..).zip(heads) {
        let end = usize::try_from(head.position).expect("small");
        let pair = events.get(end - 2..end).expect("its place");
        assert!(pair.iter().all(|found| *found == event(number, None)), "what was acknowledged stands at its place");
    }
}

/// The chain is the same in every log: only here is it written down what it is.
const CHAIN: &str = "ff9895fb9cf508d7c7747c33f0ed36e0e164031aafa2b89dcbaa027d8f993e49";

/// Windows of batches, and the hash that is chained through them.
pub async fn batches_are_read_whole_and_chained(log: &dyn Log) {
    let read = async |after, to| log.batches(after, to).await.expect("batches");
    let empty = read(0, 100).await;
    assert_eq!((empty.after, empty.before, empty.chain), (0, ChainHash::START, ChainHash::START));
    let mut head = log.head().await.expect("head");
    for batch in [vec![event(1, None)], (2..=5).map(|number| event(number, Some(&format!("id{number}")))).collect()] {
        head = log.append(head, batch).await.expect("append");
    }
    head = log.append(head, vec![]).await.expect("append nothing");
    let happened = NewEvent { happened: Some(Timestamp::from_millis(-7)), ..event(6, None) };
    head = log.append(head, vec![happened, event(7, None)]).await.expect("append");

    // Each batch is in the window in which it ends, so that windows side by side hold each once.
    let mut chain = ChainHash::START;
    let mut events = Vec::new();
    for (after, to, expected) in [(0, 2, 0..1), (2, 4, 1..1), (4, 6, 1..5), (6, 7, 5..7), (7, 99, 7..7)] {
        let page = read(after, to).await;
        assert_eq!((page.after, page.before), (expected.start, chain), "{after} to {to}");
        let positions: Vec<_> = page.events.iter().map(|recorded| recorded.position).collect();
        assert_eq!(positions, (expected.start + 1..=expected.end).collect::<Vec<_>>(), "{after} to {to}");
        assert_eq!(page.chain == chain, expected.is_empty());
        chain = page.chain;
        events.extend(page.events);
    }
    assert_eq!(events, log.read(0, 100).await.expect("read"));
    let whole = read(0, head.position).await;
    assert_eq!((whole.events, whole.chain), (events, chain));
    assert_eq!(chain.to_string(), CHAIN);
}

/// Snapshots, small, empty and larger than any chunk.
pub async fn the_two_newest_snapshots_are_kept(log: &dyn Log) {
    assert_eq!(log.snapshot(u64::MAX).await.expect("snapshot"), None);
    let mut before = None;
    let mut head = log.head().await.expect("head");
    for length in [5_usize, 3_000_000, 0, 1 << 20] {
        head = log.append(head, vec![event(1, None)]).await.expect("append");
        let bytes = (0..length).map(|place| u8::try_from(place % 251).expect("below 251")).collect();
        let snapshot = Snapshot { epoch: head, bytes };
        log.keep_snapshot(snapshot.clone()).await.expect("keep");
        assert!(log.snapshot(u64::MAX).await.expect("snapshot") == Some(snapshot.clone()), "{length} bytes read back");
        let older = log.snapshot(head.position).await.expect("snapshot");
        assert!(older == before, "{length} bytes, and the one before");
        let oldest = older.map_or(1, |older| older.epoch.position);
        assert_eq!(log.snapshot(oldest).await.expect("snapshot"), None, "two are enough");
        before = Some(snapshot);
    }
    let again = Snapshot { epoch: head, bytes: vec![9] };
    log.keep_snapshot(again.clone()).await.expect("keep");
    assert_eq!(log.snapshot(u64::MAX).await.expect("snapshot"), Some(again), "in place of the one that stood there");
    assert_eq!(log.snapshot(head.position).await.expect("snapshot").map(|older| older.epoch.position), Some(3));
    assert_eq!(all(log).await.len(), 4, "a snapshot takes nothing out of the log");
}

/// What every [`KeyValues`] must do; it is empty at first.
pub async fn values_are_kept(values: &dyn KeyValues) {
    assert_eq!(values.get("secret").await.expect("get"), None);
    assert_eq!(values.get_or_put("secret", b"one".to_vec()).await.expect("get or put"), b"one");
    assert_eq!(values.get_or_put("secret", b"two".to_vec()).await.expect("get or put"), b"one", "created once");
    values.put("time", b"5".to_vec()).await.expect("put");
    values.put("time", vec![]).await.expect("put");
    assert_eq!(values.get("time").await.expect("get"), Some(vec![]), "empty is not absent");
    assert_eq!(values.get("secret").await.expect("get"), Some(b"one".to_vec()));
}
