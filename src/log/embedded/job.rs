//! What the writer is asked, and where the answers go.

use tokio::sync::oneshot;

use crate::domain::event::{Epoch, NewEvent};
use crate::log::{Cut, LogError, Snapshot};

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, LogError>>;

/// What can be asked of the writer.
pub(super) enum Job {
    /// Append all right behind `after`, or none.
    Append { after: Epoch, events: Vec<NewEvent>, reply: Reply<Epoch> },
    /// Keep a snapshot in place of the one before.
    Snapshot { snapshot: Snapshot, reply: Reply<()> },
    /// Cut the log at its beginning.
    Cut { cut: Cut, reply: Reply<()> },
    /// Say whether the store is where it was opened.
    Look { reply: Reply<()> },
    /// Keep a note.
    Note { key: String, value: Vec<u8>, reply: Reply<()> },
    /// Keep a note unless there is one; either way say what stands.
    NoteOnce { key: String, value: Vec<u8>, reply: Reply<Vec<u8>> },
}
