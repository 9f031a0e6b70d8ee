//! The key-value store in the same file: what this installation stores that is not an event.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::Threads;
use super::job::Job;
use super::reader::Question;
use crate::log::{KeyValues, LogError};

/// A handle. Clones share the store and keep it open.
#[derive(Clone, Debug)]
pub(super) struct EmbeddedValues {
    pub(super) threads: Arc<Threads>,
}

#[async_trait]
impl KeyValues for EmbeddedValues {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, LogError> {
        let (reply, answer) = oneshot::channel();
        self.threads.ask(Question::Note { key: key.to_owned(), reply }, answer, "read a stored value").await
    }

    async fn put(&self, key: &str, value: Vec<u8>) -> Result<(), LogError> {
        let (reply, answer) = oneshot::channel();
        self.threads.tell(Job::Note { key: key.to_owned(), value, reply }, answer, "store a value").await
    }

    async fn get_or_put(&self, key: &str, value: Vec<u8>) -> Result<Vec<u8>, LogError> {
        let (reply, answer) = oneshot::channel();
        let job = Job::NoteOnce { key: key.to_owned(), value, reply };
        self.threads.tell(job, answer, "store a value").await
    }
}
