//! Local facts beside the log that are not events: what this installation keeps for itself.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::Threads;
use super::reader::Question;
use super::writer::Job;
use crate::log::LogError;

/// Small values by name, durable when acknowledged, in the same file as the log but no part of it: the
/// installation's secret, the last good configuration, keys of issuers, checkpoints of time and of syncs.
///
/// A handle: clones share the store, and keep it open.
#[derive(Clone, Debug)]
pub struct KeyValueStore {
    pub(super) threads: Arc<Threads>,
}

impl KeyValueStore {
    /// What is noted under `key`.
    ///
    /// # Errors
    /// [`LogError::Io`] or [`LogError::Unusable`] if it could not be read; never because nothing is there.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, LogError> {
        let (reply, answer) = oneshot::channel();
        self.threads.ask(Question::Note { key: key.to_owned(), reply }, answer, "read a note").await
    }

    /// Notes `value` under `key`, in place of what was there. Returns when it is durable.
    ///
    /// # Errors
    /// [`LogError::Io`] if that is not certain; what was there before then still stands.
    pub async fn put(&self, key: &str, value: impl Into<Vec<u8>>) -> Result<(), LogError> {
        let (reply, answer) = oneshot::channel();
        self.threads.tell(Job::Note { key: key.to_owned(), value: value.into(), reply }, answer, "keep a note").await
    }

    /// Notes `value` under `key` unless something is there already; returns what stands, durably.
    ///
    /// # Errors
    /// [`LogError::Io`] if that is not certain.
    pub async fn get_or_put(&self, key: &str, value: impl Into<Vec<u8>>) -> Result<Vec<u8>, LogError> {
        let (reply, answer) = oneshot::channel();
        let job = Job::NoteOnce { key: key.to_owned(), value: value.into(), reply };
        self.threads.tell(job, answer, "keep a note").await
    }
}
