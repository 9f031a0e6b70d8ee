//! A log that forgets when the process ends: for tests, which it can also make fail on purpose.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{KeyValues, Log, LogError, Snapshot};
use crate::domain::event::{Epoch, Event, NewEvent, Position, Recorded};
use crate::domain::time::Timestamp;

/// Events in memory.
#[derive(Debug, Default)]
pub struct Memory {
    events: Mutex<Vec<NewEvent>>,
    ids: Mutex<BTreeMap<String, Position>>,
    snapshot: Mutex<Option<Snapshot>>,
    heads: watch::Sender<Epoch>,
    /// Appending fails, and nothing is appended.
    pub refuses: AtomicBool,
    /// The store is no longer where it was opened.
    pub moved: AtomicBool,
    /// Somebody else appends something right before each append, so that it is a conflict the first time.
    pub overtaken: AtomicBool,
    /// … which has just happened.
    conflicted: AtomicBool,
    /// So many appends from now on go unanswered: nobody knows what became of them.
    pub unanswered: AtomicUsize,
    /// … and what they bring is not taken.
    pub unanswered_lost: AtomicBool,
    /// Reading leaves out the first event.
    pub leaves_out: AtomicBool,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    /// A log with the same events and no snapshot.
    #[must_use]
    pub fn without_snapshot(&self) -> Self {
        let (events, ids) = (held(&self.events).clone(), held(&self.ids).clone());
        Self { events: Mutex::new(events), ids: Mutex::new(ids), ..Self::default() }
    }

    /// Takes events, as [`Log::append`] says.
    fn take(&self, after: Epoch, new: Vec<NewEvent>) -> Result<Epoch, LogError> {
        let mut events = held(&self.events);
        if self.overtaken.load(Ordering::Acquire) && !self.conflicted.fetch_xor(true, Ordering::AcqRel) {
            let event = Event::Heartbeat { source: "elsewhere".to_owned(), at: Timestamp::MIN, cursor: None };
            events.push(NewEvent { time: Timestamp::MIN, happened: None, id: None, event });
        }
        let head = Epoch { generation: 1, position: events.len() as u64 };
        if head != after {
            return Err(LogError::Conflict { head });
        }
        // All or nothing: also of ids that one batch has twice.
        let mut ids = BTreeMap::new();
        for (position, event) in (head.position + 1..).zip(&new) {
            let Some(id) = &event.id else { continue };
            let known = held(&self.ids).get(id).copied().or_else(|| ids.insert(id.clone(), position));
            if let Some(position) = known {
                return Err(LogError::Duplicate { id: id.clone(), position });
            }
        }
        held(&self.ids).append(&mut ids);
        events.extend(new);
        let head = Epoch { generation: 1, position: events.len() as u64 };
        self.heads.send_replace(head);
        Ok(head)
    }
}

#[async_trait]
impl Log for Memory {
    async fn head(&self) -> Result<Epoch, LogError> {
        Ok(Epoch { generation: 1, position: held(&self.events).len() as u64 })
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
            return self.take(after, new);
        }
        let unknown = LogError::Unknown { events: new.clone(), cause: "told not to answer".to_owned() };
        if !self.unanswered_lost.load(Ordering::Acquire) {
            let _unheard = self.take(after, new);
        }
        Err(unknown)
    }

    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        let behind = usize::try_from(after).unwrap_or(usize::MAX);
        let events = held(&self.events);
        let page = events.iter().skip(behind).take(limit).cloned();
        let mut page: Vec<_> = (after + 1..).zip(page).map(|(position, new)| Recorded { position, new }).collect();
        if self.leaves_out.load(Ordering::Acquire) && !page.is_empty() {
            page.remove(0);
        }
        Ok(page)
    }

    async fn find(&self, id: &str) -> Result<Option<Position>, LogError> {
        Ok(held(&self.ids).get(id).copied())
    }

    async fn snapshot(&self) -> Result<Option<Snapshot>, LogError> {
        Ok(held(&self.snapshot).clone())
    }

    async fn keep_snapshot(&self, snapshot: Snapshot) -> Result<(), LogError> {
        *held(&self.snapshot) = Some(snapshot);
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
    use super::{Memory, MemoryValues};
    use crate::log::conformance;

    #[tokio::test]
    async fn it_keeps_every_promise_of_a_log() {
        conformance::suite(async || Memory::default()).await;
    }

    #[tokio::test]
    async fn it_keeps_values_as_any_does() {
        conformance::values_are_kept(&MemoryValues::default()).await;
    }
}
