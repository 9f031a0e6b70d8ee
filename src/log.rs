//! The log: the ordered, append-only record of events; the one truth.
//!
//! The writer appends, and everybody learns of a change by reading. A log promises: positions start at 1
//! without gaps; what was appended together stands together or not at all; what was acknowledged survives
//! any crash; readers see it in order. What is appended together is a batch, and a hash is chained from batch to batch:
//! whoever follows the log sees whether it still is the one that they read before.

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

/// Why a log did not do what it was asked. Nothing was changed, but for [`LogError::Unknown`].
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Somebody else appended first: read on from what you know, compare again, try again.
    #[error("log has moved on to {head}")]
    Conflict {
        /// Where the log ends now.
        head: Epoch,
    },
    /// An event with this id has its place already: nothing of the batch was appended.
    #[error("event `{id}` is in the log already, at {position}")]
    Duplicate {
        /// Its id.
        id: String,
        /// Where it stands; or would have stood, when one batch held it twice.
        position: Position,
    },
    /// Nobody answered: they may stand, or come to stand, or not. Offered again as they are behind the same epoch, they stand
    /// at most once. Who re-plans instead may do everything twice.
    #[error("nobody knows whether the log took it: {cause}")]
    Unknown {
        /// What was offered, to be offered again.
        events: Vec<NewEvent>,
        /// Why nobody knows.
        cause: String,
    },
    /// These events were cut off the log: only snapshots and records know of them.
    #[error("events before {first} are no longer in the log")]
    Cut {
        /// The first event that there is.
        first: Position,
    },
    /// Another process has the store.
    #[error("store `{path}` is in use by another process")]
    Locked {
        /// Its directory.
        path: String,
    },
    /// The store was written by a later version, or is damaged.
    #[error("store `{path}`: {what}")]
    Unusable {
        /// Its directory.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// The store is no longer where it was opened: what is written now would be gone after a restart.
    #[error(
        "store `{path}` is no longer the one that was opened: {what}; nothing is kept until it is back: put the \
         directory back, or restart offboard to begin with what is there now"
    )]
    Moved {
        /// Its directory.
        path: String,
        /// What is not as it was.
        what: String,
    },
    /// Reading or writing failed.
    #[error("{step}: {cause}")]
    Io {
        /// The step that failed.
        step: &'static str,
        /// What the system said.
        cause: String,
    },
}

/// A fold of the log up to some epoch, as bytes that only `state` understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Up to where it is a fold.
    pub epoch: Epoch,
    /// The fold.
    pub bytes: Vec<u8>,
}

/// What a log still has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Its first event, or the one that will be.
    pub first: Position,
    /// Up to where two snapshots stand for it, so that it may be cut; 0 where there are fewer.
    pub covered: Position,
}

/// What is cut off a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The last event that goes.
    pub to: Position,
    /// Those of them that are kept as records: revocations that still stand, or of which something is left.
    pub keep: Vec<(Position, RevocationId)>,
    /// Records that are needed no more.
    pub needless: Vec<Position>,
    /// Ids that providers gave to events which were taken in at or before this are forgotten; the others are known on.
    pub ids_until: Timestamp,
}

/// Whole batches, as whoever follows the log reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batches {
    /// Where the first of them begins: the end of the batch before.
    pub after: Position,
    /// The hash of the chain there.
    pub before: ChainHash,
    /// Their events, in order.
    pub events: Vec<Recorded>,
    /// The hash of the chain behind the last of them, computed from these events.
    pub chain: ChainHash,
}

/// A log. Implementations: [`embedded`] (SQLite, one process).
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Where it ends.
    ///
    /// # Errors
    /// [`LogError::Io`].
    async fn head(&self) -> Result<Epoch, LogError>;

    /// Tells where it ends, each time that it has grown, whoever appended.
    fn heads(&self) -> watch::Receiver<Epoch>;

    /// Whether the log is still where it was opened, so that what it takes is there after a restart.
    ///
    /// # Errors
    /// [`LogError::Moved`] if it is not; [`LogError::Io`] if nobody can tell.
    async fn standing(&self) -> Result<(), LogError> {
        Ok(())
    }

    /// Appends all of `events` right behind `after`, or none. Returns when they are durable.
    ///
    /// # Errors
    /// [`LogError::Conflict`] if the log does not end at `after`; [`LogError::Duplicate`] if it holds an id
    /// already; [`LogError::Unknown`] if nobody knows; [`LogError::Moved`] if the store is not where it was opened; [`LogError::Io`] if it is not certain
    /// that they are durable: then none of them will ever be read.
    async fn append(&self, after: Epoch, events: Vec<NewEvent>) -> Result<Epoch, LogError>;

    /// The batches that end behind `after` and at or before `to`, in order. None may end there although some begin.
    ///
    /// # Errors
    /// [`LogError::Unusable`] if their events are not what was appended: the hash of the chain is another. [`LogError::Cut`] if
    /// they are no longer there; [`LogError::Io`].
    async fn batches(&self, after: Position, to: Position) -> Result<Batches, LogError>;

    /// Up to `limit` events behind `after`, in order.
    ///
    /// # Errors
    /// [`LogError::Cut`] if they are no longer there; [`LogError::Io`].
    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, LogError>;

    /// Where the event with this id stands, if there is one.
    ///
    /// # Errors
    /// [`LogError::Io`].
    async fn find(&self, id: &str) -> Result<Option<Position>, LogError>;

    /// Up to when, by the provider's time, a source's events are known whose ids were forgotten.
    ///
    /// # Errors
    /// [`LogError::Io`].
    async fn forgotten(&self, source: &str) -> Result<Option<Timestamp>, LogError>;

    /// Whether a provider's event was taken in before: by its id, or because it is older than all whose ids are known.
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

    /// What there is.
    ///
    /// # Errors
    /// [`LogError::Io`].
    async fn bounds(&self) -> Result<Bounds, LogError>;

    /// Cuts the log at its beginning, all of it or nothing. Cutting where it was cut already changes only records and ids.
    ///
    /// # Errors
    /// [`LogError::Io`], also if two snapshots do not stand for all that goes.
    async fn cut(&self, cut: Cut) -> Result<(), LogError>;

    /// The record of a revocation that was cut off.
    ///
    /// # Errors
    /// [`LogError::Io`].
    async fn record(&self, id: RevocationId) -> Result<Option<Recorded>, LogError>;

    /// Records that stand before a position, newest first, up to `limit`.
    ///
    /// # Errors
    /// [`LogError::Io`].
    async fn records(&self, before: Position, limit: usize) -> Result<Vec<Recorded>, LogError>;

    /// The event that made a revocation, found by its name.
    ///
    /// # Errors
    /// [`LogError::Io`].
    async fn revocation(&self, id: RevocationId) -> Result<Option<Recorded>, LogError> {
        // In the first format the name is the position.
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

    /// The events that made revocations, standing or ended, newest first: up to `limit` of those before `before`, and where
    /// to go on; `None` where there are no more. Of what was cut off only those of which something stands.
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

    /// The newest undamaged snapshot that stands below a position.
    ///
    /// # Errors
    /// [`LogError::Io`].
    async fn snapshot(&self, below: Position) -> Result<Option<Snapshot>, LogError>;

    /// Keeps a snapshot, and the newest one that stands below it; all others are given up.
    ///
    /// # Errors
    /// [`LogError::Io`].
    async fn keep_snapshot(&self, snapshot: Snapshot) -> Result<(), LogError>;
}

/// Small values by name, durable when acknowledged, beside the log and no part of it: the installation's secret, the last
/// good configuration, keys of issuers, checkpoints of time. Implementations: [`embedded`] and, for tests, `memory`.
#[async_trait]
pub trait KeyValues: std::fmt::Debug + Send + Sync + 'static {
    /// What is kept under `key`.
    ///
    /// # Errors
    /// [`LogError::Io`] or [`LogError::Unusable`] if it could not be read; never because nothing is there.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, LogError>;

    /// Keeps `value` under `key`, in place of what was there. Returns when it is durable.
    ///
    /// # Errors
    /// [`LogError::Io`] if that is not certain; what was there before then still stands.
    async fn put(&self, key: &str, value: Vec<u8>) -> Result<(), LogError>;

    /// Keeps `value` under `key` unless something is there already; returns what stands, durably.
    ///
    /// # Errors
    /// [`LogError::Io`] if that is not certain.
    async fn get_or_put(&self, key: &str, value: Vec<u8>) -> Result<Vec<u8>, LogError>;
}
