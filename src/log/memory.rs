//! A log in memory for tests, which can make it fail on purpose.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::chain::Link;
use super::{Batches, Bounds, Cut, KeyValues, Log, LogError, Snapshot};
use crate::domain::chain::ChainHash;
use crate::domain::event::{Epoch, Event, NewEvent, Position, Recorded, provider_of};
use crate::domain::id::RevocationId;
use crate::domain::time::Timestamp;

/// Events in memory.
#[derive(Debug, Default)]
pub struct Memory {
    kept: Mutex<Kept>,
    /// Oldest first.
    snapshots: Mutex<Vec<Snapshot>>,
    heads: watch::Sender<Epoch>,
    /// Appends fail, and append nothing.
    pub refuses: AtomicBool,
    /// The store is no longer where it was opened.
    pub moved: AtomicBool,
    /// Another process appends right before each append, so that the first attempt is a conflict.
    pub overtaken: AtomicBool,
    /// The conflict has just happened.
    conflicted: AtomicBool,
    /// This many appends get no answer, so their outcome is unknown.
    pub unanswered: AtomicUsize,
    /// Their events are lost.
    pub unanswered_lost: AtomicBool,
    /// The store goes right after the next append, which it has and does not acknowledge.
    pub goes_after: AtomicBool,
    /// What was appended last cannot be read yet.
    pub lags: AtomicBool,
    /// What is cut off right before the next page of events is read.
    pub cut_meanwhile: Mutex<Option<Cut>>,
    /// Reads leave out the first event.
    pub leaves_out: AtomicBool,
    /// Batches are read as if they followed another history.
    pub rewritten: AtomicBool,
    /// Events are kept with a later time than they were appended with.
    pub dates_later: AtomicBool,
}

/// What was appended.
#[derive(Clone, Debug, Default)]
struct Kept {
    /// The position of the last event that was cut off.
    cut: Position,
    events: VecDeque<NewEvent>,
    ids: BTreeMap<String, Position>,
    /// The end of each batch, and the hash of the chain there.
    batches: BTreeMap<Position, ChainHash>,
    records: BTreeMap<Position, NewEvent>,
    /// Provider ids of events that were cut off, with their times.
    known_ids: BTreeMap<String, (Timestamp, Option<Timestamp>)>,
    /// The latest provider time of forgotten ids, by source.
    forgotten: BTreeMap<String, Timestamp>,
}

impl Kept {
    fn head(&self) -> Epoch {
        Epoch { generation: 1, position: self.cut + self.events.len() as u64 }
    }

    /// The last end of a batch at or before `position`.
    fn end_at(&self, position: Position) -> (Position, ChainHash) {
        let found = self.batches.range(..=position).next_back();
        found.map_or((0, ChainHash::START), |(position, chain)| (*position, *chain))
    }

    /// Appends a batch.
    fn push(&mut self, new: Vec<NewEvent>) -> Result<(), LogError> {
        if new.is_empty() {
            return Ok(());
        }
        let mut link = Link::behind(self.end_at(Position::MAX).1);
        for event in &new {
            let json = serde_json::to_vec(&event.event)
                .map_err(|error| LogError::Io { step: "write an event as JSON", cause: error.to_string() })?;
            link.add_new(event, &json);
        }
        let ids = (self.head().position + 1..).zip(&new);
        self.ids.extend(ids.filter_map(|(position, event)| Some((event.id.clone()?, position))));
        self.events.extend(new);
        self.batches.insert(self.head().position, link.finish());
        Ok(())
    }

    /// Up to `limit` events behind `after`.
    fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        let Some(behind) = after.checked_sub(self.cut) else { return Err(LogError::Cut { first: self.cut + 1 }) };
        let page = self.events.iter().skip(usize::try_from(behind).unwrap_or(usize::MAX)).take(limit).cloned();
        Ok((after + 1..).zip(page).map(|(position, new)| Recorded { position, new }).collect())
    }

    fn cut(&mut self, Cut { to, keep, needless, ids_until }: Cut) {
        for (position, _) in keep.into_iter().filter(|(position, _)| *position <= to) {
            let index = position.checked_sub(self.cut + 1).and_then(|index| usize::try_from(index).ok());
            self.records.extend(index.and_then(|index| self.events.get(index)).map(|new| (position, new.clone())));
        }
        self.records.retain(|position, _| !needless.contains(position));
        let going = usize::try_from(to.saturating_sub(self.cut)).unwrap_or(usize::MAX);
        for new in self.events.drain(..going.min(self.events.len())) {
            let Some(id) = new.id else { continue };
            if provider_of(&id).is_some() {
                self.known_ids.insert(id, (new.time, new.happened));
            }
        }
        self.cut = self.cut.max(to);
        self.batches = self.batches.split_off(&to);
        let old: Vec<String> =
            self.known_ids.iter().filter(|(_, (time, _))| *time <= ids_until).map(|(id, _)| id.clone()).collect();
        for id in old {
            let Some((time, Some(happened))) = self.known_ids.remove(&id) else { continue };
            let Some(source) = provider_of(&id) else { continue };
            let forgotten = self.forgotten.entry(source.to_owned()).or_insert(Timestamp::MIN);
            *forgotten = happened.min(time).max(*forgotten);
        }
        let (cut, records, known) = (self.cut, &self.records, &self.known_ids);
        self.ids.retain(|id, position| *position > cut || known.contains_key(id) || records.contains_key(position));
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    /// A log with the same events and no snapshot.
    #[must_use]
    pub fn without_snapshot(&self) -> Self {
        Self { kept: Mutex::new(held(&self.kept).clone()), ..Self::default() }
    }

    /// Appends events as [`Log::append`] does.
    fn take(&self, after: Epoch, new: Vec<NewEvent>) -> Result<Epoch, LogError> {
        let mut kept = held(&self.kept);
        if self.overtaken.load(Ordering::Acquire) && !self.conflicted.fetch_xor(true, Ordering::AcqRel) {
            let event = Event::Heartbeat { source: "elsewhere".to_owned(), at: Timestamp::MIN, cursor: None };
            kept.push(vec![NewEvent { time: Timestamp::MIN, happened: None, id: None, event }])?;
        }
        let head = kept.head();
        if head != after {
            return Err(LogError::Conflict { head });
        }
        // All or nothing, also if a batch has an id twice.
        let mut ids = BTreeMap::new();
        for (position, event) in (head.position + 1..).zip(&new) {
            let Some(id) = &event.id else { continue };
            let known = kept.ids.get(id).copied().or_else(|| ids.insert(id.clone(), position));
            if let Some(position) = known {
                return Err(LogError::Duplicate { id: id.clone(), position });
            }
        }
        let later = |event: NewEvent| NewEvent { time: event.time.plus(Duration::from_secs(1)), ..event };
        kept.push(if self.dates_later.load(Ordering::Acquire) { new.into_iter().map(later).collect() } else { new })?;
        let head = kept.head();
        self.heads.send_replace(head);
        Ok(head)
    }
}

#[async_trait]
impl Log for Memory {
    async fn head(&self) -> Result<Epoch, LogError> {
        let kept = held(&self.kept);
        let head = kept.head();
        let lags = self.lags.load(Ordering::Acquire);
        let read = if lags { kept.end_at(head.position.saturating_sub(1)).0 } else { head.position };
        Ok(Epoch { position: read, ..head })
    }

    fn heads(&self) -> watch::Receiver<Epoch> {
        self.heads.subscribe()
    }

    async fn standing(&self) -> Result<(), LogError> {
        match self.moved.load(Ordering::Acquire) {
            true => Err(LogError::Moved { path: "memory".to_owned(), what: "told so".to_owned() }),
            false => Ok(()),
        }
    }

    async fn append(&self, after: Epoch, new: Vec<NewEvent>) -> Result<Epoch, LogError> {
        self.standing().await?;
        if self.refuses.load(Ordering::Acquire) {
            return Err(LogError::Io { step: "append", cause: "told to refuse".to_owned() });
        }
        let less = |left: usize| left.checked_sub(1);
        let unanswered = self.unanswered.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok();
        if !unanswered {
            let taken = self.take(after, new);
            if self.goes_after.swap(false, Ordering::AcqRel) {
                self.moved.store(true, Ordering::Release);
                self.standing().await?;
            }
            return taken;
        }
        let unknown = LogError::Unknown { events: new.clone(), cause: "told not to answer".to_owned() };
        if !self.unanswered_lost.load(Ordering::Acquire) {
            let _unheard = self.take(after, new);
        }
        Err(unknown)
    }

    async fn batches(&self, after: Position, to: Position) -> Result<Batches, LogError> {
        let kept = held(&self.kept);
        let ((after, before), (end, chain)) = (kept.end_at(after), kept.end_at(to.max(after)));
        let mut events = kept.read(after, usize::try_from(end.saturating_sub(after)).unwrap_or(usize::MAX))?;
        if self.leaves_out.load(Ordering::Acquire) && !events.is_empty() {
            events.remove(0);
        }
        let (before, chain) = match (self.rewritten.load(Ordering::Acquire), ChainHash([1; 32])) {
            (true, other) => (other, if after == end { other } else { chain }),
            (false, _) => (before, chain),
        };
        Ok(Batches { after, before, events, chain })
    }

    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        let meanwhile = held(&self.cut_meanwhile).take();
        if let Some(cut) = meanwhile {
            self.cut(cut).await?;
        }
        let mut page = held(&self.kept).read(after, limit)?;
        if self.leaves_out.load(Ordering::Acquire) && !page.is_empty() {
            page.remove(0);
        }
        Ok(page)
    }

    async fn find(&self, id: &str) -> Result<Option<Position>, LogError> {
        Ok(held(&self.kept).ids.get(id).copied())
    }

    async fn forgotten(&self, source: &str) -> Result<Option<Timestamp>, LogError> {
        Ok(held(&self.kept).forgotten.get(source).copied())
    }

    async fn bounds(&self) -> Result<Bounds, LogError> {
        let (kept, snapshots) = (held(&self.kept), held(&self.snapshots));
        let covered = match snapshots.as_slice() {
            [older, _] => older.epoch.position,
            _ => 0,
        };
        Ok(Bounds { first: kept.cut + 1, covered })
    }

    async fn cut(&self, cut: Cut) -> Result<(), LogError> {
        let covered = self.bounds().await?.covered;
        if cut.to > covered {
            let cause = format!("cannot cut up to {}: two snapshots cover it up to {covered} only", cut.to);
            return Err(LogError::Io { step: "cut the log", cause });
        }
        held(&self.kept).cut(cut);
        Ok(())
    }

    async fn record(&self, id: RevocationId) -> Result<Option<Recorded>, LogError> {
        let kept = held(&self.kept);
        let records = kept.records.iter().map(|(position, new)| Recorded { position: *position, new: new.clone() });
        Ok({ records }.find(|record| record.revocation().is_some_and(|(name, _)| name == id)))
    }

    async fn records(&self, before: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        let kept = held(&self.kept);
        let newest = kept.records.range(..before).rev().take(limit);
        Ok(newest.map(|(position, new)| Recorded { position: *position, new: new.clone() }).collect())
    }

    async fn snapshot(&self, below: Position) -> Result<Option<Snapshot>, LogError> {
        let snapshots = held(&self.snapshots);
        Ok(snapshots.iter().rfind(|kept| kept.epoch.position < below).cloned())
    }

    async fn keep_snapshot(&self, snapshot: Snapshot) -> Result<(), LogError> {
        let mut snapshots = held(&self.snapshots);
        snapshots.retain(|kept| kept.epoch.position < snapshot.epoch.position);
        let given_up = snapshots.len().saturating_sub(1);
        snapshots.drain(..given_up);
        snapshots.push(snapshot);
        Ok(())
    }
}

/// Values in memory.
#[derive(Debug, Default)]
pub struct MemoryValues(Mutex<BTreeMap<String, Vec<u8>>>);

#[async_trait]
impl KeyValues for MemoryValues {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, LogError> {
        Ok(held(&self.0).get(key).cloned())
    }

    async fn put(&self, key: &str, value: Vec<u8>) -> Result<(), LogError> {
        held(&self.0).insert(key.to_owned(), value);
        Ok(())
    }

    async fn get_or_put(&self, key: &str, value: Vec<u8>) -> Result<Vec<u8>, LogError> {
        Ok(held(&self.0).entry(key.to_owned()).or_insert(value).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::conformance;

    #[tokio::test]
    async fn it_keeps_every_promise_of_a_log() {
        conformance::suite(async || Memory::default()).await;
    }

    /// The history of revocations is read in pages, and may be cut between two of them.
    #[tokio::test]
    async fn no_revocation_is_left_out_where_the_log_is_cut_meanwhile() {
        let log = Memory::default();
        conformance::cut::filled(&log).await;
        *held(&log.cut_meanwhile) = Some(conformance::cut::cut(4, &[1]));
        let (mut found, mut end) = (Vec::new(), Some(Position::MAX));
        while let Some(before) = end {
            let (page, next) = log.revocations(before, 100).await.unwrap();
            found.extend(page.iter().map(|recorded| recorded.position));
            end = next;
        }
        assert_eq!(found, [9, 5, 1]);
    }

    #[tokio::test]
    async fn it_keeps_values_as_any_does() {
        conformance::values_are_kept(&MemoryValues::default()).await;
    }
}
