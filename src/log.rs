//! The log: the ordered, append-only record of events, and the single source of truth.
//!
//! The writer appends; everybody else learns of changes by reading. A log guarantees: positions start at 1 without
//! gaps; a batch (the events of one append) is appended as a whole or not at all; acknowledged events survive any
//! crash; readers see them in order. A hash is chained from batch to batch, so that a reader can tell whether the log
//! is still the one that it read before.

mod chain;
#[cfg(test)]
pub mod conformance;
pub mod embedded;
#[cfg(any(test, feature = "faults"))]
pub mod memory;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::domain::chain::ChainHash;
use crate::domain::event::{Epoch, NewEvent, Position, Recorded, provider_of};
use crate::domain::id::RevocationId;
use crate::domain::time::Timestamp;

/// Why an operation on a log failed. Nothing was changed, except perhaps after [`LogError::Unknown`].
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Another process appended first: read on, plan again and retry.
    #[error("log has moved on to {head}")]
    Conflict {
        /// The current end of the log.
        head: Epoch,
    },
    /// The log holds an event with this id already: nothing of the batch was appended.
    #[error("event `{id}` is in the log already, at {position}")]
    Duplicate {
        /// Its id.
        id: String,
        /// Its position; if one batch has it twice, the position that the first would have had.
        position: Position,
    },
    /// There was no answer: the events may be in the log now, later or never. Appending the same events behind the same
    /// epoch again is safe; planning again may duplicate them.
    #[error("append outcome unknown: {cause}")]
    Unknown {
        /// The events, to be appended again.
        events: Vec<NewEvent>,
        /// Why the outcome is unknown.
        cause: String,
    },
    /// These events were cut off the log: only snapshots and records of them are left.
    #[error("events before {first} are no longer in the log")]
    Cut {
        /// The first event that is left.
        first: Position,
    },
    /// Another process uses the store.
    #[error("store `{path}` is in use by another process")]
    Locked {
        /// The directory of the store.
        path: String,
    },
    /// The store was written by a later version, or is damaged.
    #[error("store `{path}`: {what}")]
    Unusable {
        /// The directory of the store.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// The store is no longer where it was opened: writes would be lost at a restart.
    #[error(
        "store `{path}` is no longer the one that was opened: {what}; nothing is stored until it is back: restore \
         the directory, or restart offboard to use the one that is there now"
    )]
    Moved {
        /// The directory of the store.
        path: String,
        /// What has changed.
        what: String,
    },
    /// Reading or writing failed.
    #[error("{step}: {cause}")]
    Io {
        /// The step that failed.
        step: &'static str,
        /// The error of the system.
        cause: String,
    },
}

/// A fold of the log as bytes that only `state` understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The epoch of the fold.
    pub epoch: Epoch,
    /// The fold.
    pub bytes: Vec<u8>,
}

/// The bounds of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The position of its first event, or of the next one if it is empty.
    pub first: Position,
    /// The position up to which two snapshots cover it, so that it may be cut; 0 with fewer snapshots.
    pub covered: Position,
}

/// What to cut off a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The last event to remove.
    pub to: Position,
    /// The removed events that are kept as records: revocations that still stand or left a residual cut-off.
    pub keep: Vec<(Position, RevocationId)>,
    /// Records that are no longer needed.
    pub needless: Vec<Position>,
    /// Provider ids of events logged at or before this time are forgotten; later ones are kept.
    pub ids_until: Timestamp,
}

/// Whole batches, as followers of the log read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batches {
    /// The end of the batch before the first of them.
    pub after: Position,
    /// The hash of the chain there.
    pub before: ChainHash,
    /// Their events, in order.
    pub events: Vec<Recorded>,
    /// The hash of the chain after the last of them, computed from these events.
    pub chain: ChainHash,
}

/// A log. Implementations: [`embedded`] (SQLite, one process).
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// The end of the log.
    ///
    /// # Errors
    /// [`LogError::Io`].
    async fn head(&self) -> Result<Epoch, LogError>;

    /// Reports the end of the log each time that it grows, whoever appended.
    fn heads(&self) -> watch::Receiver<Epoch>;

    /// Checks that the log is still where it was opened, so that appended events survive a restart.
    ///
    /// # Errors
    /// [`LogError::Moved`] if it is not; [`LogError::Io`] if that cannot be determined.
    async fn standing(&self) -> Result<(), LogError> {
        Ok(())
    }

    /// Appends all of `events` directly behind `after`, or none. Returns when they are durable.
    ///
    /// # Errors
    /// [`LogError::Conflict`] if the log does not end at `after`; [`LogError::Duplicate`] if it holds an id already;
    /// [`LogError::Unknown`] if there was no answer; [`LogError::Moved`] if the store is not where it was opened;
    /// [`LogError::Io`] if they may not be durable: then none of them will ever be read.
    async fn append(&self, after: Epoch, events: Vec<NewEvent>) -> Result<Epoch, LogError>;

    /// The batches that end behind `after` and at or before `to`, in order. There may be none even if one begins there.
    ///
    /// # Errors
    /// [`LogError::Unusable`] if the hash of the chain shows that their events were altered; [`LogError::Cut`] if they
    /// were cut off; [`LogError::Io`].
    async fn batches(&self, after: Position, to: Position) -> Result<Batches, LogError>;

    /// Up to `limit` events behind `after`, in order.
    ///
    /// # Errors
    /// [`LogError::Cut`] if they were cut off; [`LogError::Io`].
    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, LogError>;

    /// The position of the event with this id, if there is one.
    ///
    /// # Errors
    /// [`LogError::Io`].
    async fn find(&self, id: &str) -> Result<Option<Position>, LogError>;

    /// The latest provider time of a source's events whose ids were forgotten.
    ///
    /// # Errors
    /// [`LogError::Io`].
    async fn forgotten(&self, source: &str) -> Result<Option<Timestamp>, LogError>;

    /// Whether a provider's event was logged before, by its id or because it is not newer than events whose ids were
    /// forgotten.
    ///
    /// # Errors
    /// [`LogError::Io`].
    async fn is_known(&self, id: &str, happened: Option<Timestamp>) -> Result<bool, LogError> {
        if self.find(id).await?.is_some() {
            return Ok(true);
        }
        let (Some(source), Some(happened)) = (provider_of(id), happened) else { return Ok(false) };
        Ok(self.forgotten(source).await?.is_some_and(|forgotten| happened <= forgotten))
    }

    /// The bounds of the log.
    ///
    /// # Errors
    /// [`LogError::Io`].
    async fn bounds(&self) -> Result<Bounds, LogError>;

    /// Cuts off the beginning of the log, as a whole or not at all. Repeating a cut changes only records and ids.
    ///
    /// # Errors
    /// [`LogError::Io`], also if two snapshots do not cover everything that is removed.
    async fn cut(&self, cut: Cut) -> Result<(), LogError>;

    /// The record of a revocation whose event was cut off.
    ///
    /// # Errors
    /// [`LogError::Io`].
    async fn record(&self, id: RevocationId) -> Result<Option<Recorded>, LogError>;

    /// Up to `limit` records before a position, newest first.
    ///
    /// # Errors
    /// [`LogError::Io`].
    async fn records(&self, before: Position, limit: usize) -> Result<Vec<Recorded>, LogError>;

    /// The event that made a revocation.
    ///
    /// # Errors
    /// [`LogError::Io`].
    async fn revocation(&self, id: RevocationId) -> Result<Option<Recorded>, LogError> {
        // In the first format the id is the position.
        let position = match id.position() {
            Some(position) => Some(position),
            None => self.find(&id.to_string()).await?,
        };
        let Some(before) = position.and_then(|position| position.checked_sub(1)) else { return Ok(None) };
        match self.read(before, 1).await {
            Ok(mut page) => Ok(page.pop().filter(|recorded| recorded.revocation().is_some_and(|(name, _)| name == id))),
            Err(LogError::Cut { .. }) => self.record(id).await,
            Err(error) => Err(error),
        }
    }

    /// Up to `limit` events before `before` that made revocations, standing or ended, newest first; and where to
    /// continue, `None` at the end. Of events that were cut off only those with a record.
    ///
    /// # Errors
    /// [`LogError::Io`].
    async fn revocations(&self, before: Position, limit: usize) -> Result<(Vec<Recorded>, Option<Position>), LogError> {
        let head = self.head().await?.position;
        let (mut found, mut end) = (Vec::new(), before.min(head.saturating_add(1)));
        let mut first = self.bounds().await?.first;
        if end <= first {
            let records = self.records(end, limit).await?;
            let last = records.last().filter(|_| records.len() == limit).map(|last| last.position);
            return Ok((records, last));
        }
        while end > first && found.len() < limit {
            let begin = end.saturating_sub(limit as u64).max(first);
            let page = match self.read(begin - 1, usize::try_from(end - begin).unwrap_or(usize::MAX)).await {
                // Meanwhile. What went is a record now, and comes with the pages behind these.
                Err(LogError::Cut { first: now }) => {
                    first = now;
                    continue;
                }
                page => page?,
            };
            found.extend(page.into_iter().rev().filter(|recorded| recorded.revocation().is_some()));
            end = begin;
        }
        if found.len() > limit {
            found.truncate(limit);
            end = found.last().map_or(end, |last| last.position);
        }
        Ok((found, (end > 1).then_some(end)))
    }

    /// The newest undamaged snapshot below a position.
    ///
    /// # Errors
    /// [`LogError::Io`].
    async fn snapshot(&self, below: Position) -> Result<Option<Snapshot>, LogError>;

    /// Saves a snapshot. Keeps the newest one below it and removes all others.
    ///
    /// # Errors
    /// [`LogError::Io`].
    async fn keep_snapshot(&self, snapshot: Snapshot) -> Result<(), LogError>;
}

/// Small named values beside the log, durable when acknowledged: the installation's secret, the last good
/// configuration, keys of issuers, checkpoints of time. Implementations: [`embedded`] and, for tests, `memory`.
#[async_trait]
pub trait KeyValues: std::fmt::Debug + Send + Sync + 'static {
    /// The value of `key`.
    ///
    /// # Errors
    /// [`LogError::Io`] or [`LogError::Unusable`] if it could not be read; a missing value is no error.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, LogError>;

    /// Sets the value of `key`. Returns when it is durable.
    ///
    /// # Errors
    /// [`LogError::Io`] if that is not certain; then the old value stays.
    async fn put(&self, key: &str, value: Vec<u8>) -> Result<(), LogError>;

    /// Sets the value of `key` unless it has one. Returns the value that it then has, which is durable.
    ///
    /// # Errors
    /// [`LogError::Io`] if that is not certain.
    async fn get_or_put(&self, key: &str, value: Vec<u8>) -> Result<Vec<u8>, LogError>;
}
