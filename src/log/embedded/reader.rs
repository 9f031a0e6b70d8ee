//! The readers: a few threads with their own connections, so that nobody waits for the writer.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::mpsc;

use super::error::{failed, signed, unsigned};
use super::job::Reply;
use super::rows::recorded;
use super::{batches, cut, snapshot};
use crate::domain::event::{Position, Recorded};
use crate::domain::id::RevocationId;
use crate::domain::time::Timestamp;
use crate::log::{Batches, Bounds, LogError, Snapshot};

/// A question for the readers.
pub(super) enum Question {
    /// Whole batches.
    Batches { after: Position, to: Position, reply: Reply<Batches> },
    /// Events behind a position.
    Read { after: Position, limit: usize, reply: Reply<Vec<Recorded>> },
    /// The position of the event with this id.
    Find { id: String, reply: Reply<Option<Position>> },
    /// The latest provider time of events whose ids were forgotten.
    Forgotten { source: String, reply: Reply<Option<Timestamp>> },
    /// The bounds of the log.
    Bounds { reply: Reply<Bounds> },
    /// The record of a revocation.
    Record { id: RevocationId, reply: Reply<Option<Recorded>> },
    /// Records before a position.
    Records { before: Position, limit: usize, reply: Reply<Vec<Recorded>> },
    /// The newest snapshot below a position.
    Snapshot { below: Position, reply: Reply<Option<Snapshot>> },
    /// A value of the key-value store.
    Note { key: String, reply: Reply<Option<Vec<u8>>> },
}

/// The queue of questions, shared by the readers.
pub(super) type Questions = Arc<Mutex<mpsc::Receiver<Question>>>;

/// A reader: its connection and the shared queue.
pub(super) struct Reader {
    pub(super) directory: PathBuf,
    pub(super) connection: Connection,
    pub(super) questions: Questions,
}

impl Reader {
    /// Answers until the log is closed.
    pub(super) fn run(self) {
        loop {
            // The reader that holds the lock waits for the next question; the others wait for the lock.
            let next = self.questions.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
            let Some(question) = next else { return };
            self.answer(question);
        }
    }

    /// Answers one question. The answer is dropped if nobody waits for it any more.
    fn answer(&self, question: Question) {
        let (directory, connection) = (self.directory.as_path(), &self.connection);
        match question {
            Question::Batches { after, to, reply } => {
                let _ = reply.send(batches::read(directory, connection, after, to));
            }
            Question::Read { after, limit, reply } => {
                let _ = reply.send(read(directory, connection, after, limit));
            }
            Question::Find { id, reply } => {
                let _ = reply.send(find(connection, &id).map_err(|cause| failed(directory, "find an event", &cause)));
            }
            Question::Forgotten { source, reply } => {
                let forgotten = cut::forgotten(connection, &source);
                let _ = reply.send(forgotten.map_err(|cause| failed(directory, "look up forgotten ids", &cause)));
            }
            Question::Bounds { reply } => {
                let bounds = cut::bounds(connection);
                let _ = reply.send(bounds.map_err(|cause| failed(directory, "find the beginning of the log", &cause)));
            }
            Question::Record { id, reply } => {
                let _ = reply.send(cut::record(directory, connection, id));
            }
            Question::Records { before, limit, reply } => {
                let _ = reply.send(cut::records(directory, connection, before, limit));
            }
            Question::Snapshot { below, reply } => {
                let newest = snapshot::newest(connection, below);
                let _ = reply.send(newest.map_err(|cause| failed(directory, "read the snapshot", &cause)));
            }
            Question::Note { key, reply } => {
                let _ = reply
                    .send(note(connection, &key).map_err(|cause| failed(directory, "read a stored value", &cause)));
            }
        }
    }
}

/// Finds the event with an id, in the log or in what is kept of it. The id of a record is the name of its revocation, under
/// which there is an index.
pub(super) const FIND: &str = "SELECT position FROM events WHERE id = ?1
    UNION ALL SELECT position FROM known_ids WHERE id = ?1
    UNION ALL SELECT position FROM records WHERE name = ?2 AND id = ?1";

/// The position of the event with this id.
pub(super) fn find(connection: &Connection, id: &str) -> rusqlite::Result<Option<Position>> {
    let name = id.parse::<RevocationId>().ok().map(|id| id.number().cast_signed());
    connection.prepare_cached(FIND)?.query_row(params![id, name], |row| row.get(0).map(unsigned)).optional()
}

/// The value of this key.
pub(super) fn note(connection: &Connection, key: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    connection.prepare_cached("SELECT value FROM notes WHERE key = ?1")?.query_row([key], |row| row.get(0)).optional()
}

/// The most events to reserve memory for before the first row is read.
const RESERVED: usize = 16_384;

fn read(directory: &Path, connection: &Connection, after: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
    let fail = |cause: rusqlite::Error| failed(directory, "read the log", &cause);
    let mut statement = connection
        .prepare_cached(
            "SELECT position, time, id, event, happened FROM events WHERE position > ?1 ORDER BY position LIMIT ?2",
        )
        .map_err(fail)?;
    let mut rows = statement.query([signed(after), i64::try_from(limit).unwrap_or(i64::MAX)]).map_err(fail)?;
    let mut events = Vec::with_capacity(limit.min(RESERVED));
    let mut last = after;
    while let Some(row) = rows.next().map_err(fail)? {
        let recorded = recorded(directory, row)?;
        if recorded.position != last.saturating_add(1) {
            let cut = cut::end(connection).map_err(fail)?;
            return Err(match last < cut {
                true => LogError::Cut { first: cut + 1 },
                false => batches::missing(directory, last, recorded.position),
            });
        }
        last = recorded.position;
        events.push(recorded);
    }
    Ok(events)
}
