//! Jobs for the writer, and the channels for their answers.

use tokio::sync::oneshot;

use crate::domain::event::{Epoch, NewEvent};
use crate::log::{Cut, LogError, Snapshot};

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, LogError>>;

/// A job for the writer.
pub(super) enum Job {
    /// Append all events directly behind `after`, or none.
    Append { after: Epoch, events: Vec<NewEvent>, reply: Reply<Epoch> },
    /// Save a snapshot.
    Snapshot { snapshot: Snapshot, reply: Reply<()> },
    /// Cut off the beginning of the log.
    Cut { cut: Cut, reply: Reply<()> },
    /// Check that the store is where it was opened.
    Look { reply: Reply<()> },
    /// Set a value.
    Note { key: String, value: Vec<u8>, reply: Reply<()> },
    /// Set a value unless there is one, and return the value that there is then.
    NoteOnce { key: String, value: Vec<u8>, reply: Reply<Vec<u8>> },
}
