//! A group of jobs that share one transaction, and their answers.

use rusqlite::{Connection, ErrorCode, params};

use super::batches::{self, End};
use super::cut;
use super::error::signed;
use super::job::{Job, Reply};
use super::reader;
use crate::domain::event::{Epoch, NewEvent, Position, provider_of};
use crate::domain::time::Timestamp;
use crate::log::LogError;
use crate::log::chain::Link;

/// Jobs to write in one transaction.
#[derive(Default)]
pub(super) struct Group {
    jobs: Vec<Job>,
    events: usize,
}

impl Group {
    pub(super) fn push(&mut self, job: Job) {
        if let Job::Append { events, .. } = &job {
            self.events += events.len();
        }
        self.jobs.push(job);
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// The number of its events.
    pub(super) fn events(&self) -> usize {
        self.events
    }

    /// Writes the jobs in order from `end` on, each as a whole or not at all. An error fails the whole transaction.
    pub(super) fn write(self, connection: &Connection, mut end: End) -> (Vec<Pending>, rusqlite::Result<End>) {
        let mut error = None;
        let mut pending = Vec::with_capacity(self.jobs.len());
        for job in self.jobs {
            if error.is_some() {
                pending.push(Pending::unwritten(job));
                continue;
            }
            let (waiting, result) = write(connection, job, end);
            pending.push(waiting);
            match result {
                Ok(new) => end = new,
                Err(cause) => error = Some(cause),
            }
        }
        (pending, error.map_or(Ok(end), Err))
    }

    /// The pending answers, if the transaction could not begin.
    pub(super) fn unwritten(self) -> Vec<Pending> {
        self.jobs.into_iter().map(Pending::unwritten).collect()
    }
}

/// An answer that waits for the end of the transaction: it is given as is after a commit, else an error is.
pub(super) enum Pending {
    Append(Reply<Epoch>, Result<Epoch, LogError>),
    Note(Reply<()>),
    NoteOnce(Reply<Vec<u8>>, Vec<u8>),
    Cut(Reply<()>, Result<(), LogError>),
    /// Never part of a group.
    Other(Reply<()>),
}

impl Pending {
    fn unwritten(job: Job) -> Self {
        match job {
            Job::Append { after, reply, .. } => Self::Append(reply, Ok(after)),
            Job::Note { reply, .. } => Self::Note(reply),
            Job::Cut { reply, .. } => Self::Cut(reply, Ok(())),
            Job::NoteOnce { reply, value, .. } => Self::NoteOnce(reply, value),
            Job::Snapshot { reply, .. } | Job::Look { reply } => Self::Other(reply),
        }
    }

    /// Answers after the transaction is durable.
    pub(super) fn answer(self) {
        match self {
            Self::Append(reply, result) => drop(reply.send(result)),
            Self::Cut(reply, result) => drop(reply.send(result)),
            Self::Note(reply) | Self::Other(reply) => drop(reply.send(Ok(()))),
            Self::NoteOnce(reply, standing) => drop(reply.send(Ok(standing))),
        }
    }

    /// Answers after the transaction failed. Refused jobs get the error too: the cause of their refusal may have been
    /// in the transaction.
    pub(super) fn fail(self, error: &LogError) {
        let error = match error {
            LogError::Unusable { path, what } => LogError::Unusable { path: path.clone(), what: what.clone() },
            LogError::Moved { path, what } => LogError::Moved { path: path.clone(), what: what.clone() },
            LogError::Io { step, cause } => LogError::Io { step, cause: cause.clone() },
            other => LogError::Io { step: "append to the log", cause: other.to_string() },
        };
        match self {
            Self::Append(reply, _) => drop(reply.send(Err(error))),
            Self::Note(reply) | Self::Other(reply) | Self::Cut(reply, _) => drop(reply.send(Err(error))),
            Self::NoteOnce(reply, _) => drop(reply.send(Err(error))),
        }
    }
}

fn write(connection: &Connection, job: Job, end: End) -> (Pending, rusqlite::Result<End>) {
    match job {
        Job::Append { after, events, reply } => match append(connection, end, after, &events) {
            Ok(Ok(new)) => (Pending::Append(reply, Ok(new.epoch)), Ok(new)),
            Ok(Err(refused)) => (Pending::Append(reply, Err(refused)), Ok(end)),
            Err(cause) => (Pending::Append(reply, Ok(end.epoch)), Err(cause)),
        },
        Job::Note { key, value, reply } => (Pending::Note(reply), put(connection, &key, &value).map(|()| end)),
        Job::NoteOnce { key, value, reply } => match put_once(connection, &key, &value) {
            Ok(standing) => (Pending::NoteOnce(reply, standing), Ok(end)),
            Err(cause) => (Pending::NoteOnce(reply, value), Err(cause)),
        },
        Job::Cut { cut, reply } => match cut::cut(connection, &cut) {
            Ok(result) => (Pending::Cut(reply, result), Ok(end)),
            Err(cause) => (Pending::Cut(reply, Ok(())), Err(cause)),
        },
        Job::Snapshot { reply, .. } | Job::Look { reply } => (Pending::Other(reply), Ok(end)),
    }
}

/// Appends `events` behind `after` if the log ends there. The outer error fails the transaction, the inner one only
/// this job, of which nothing is written.
fn append(
    connection: &Connection,
    end: End,
    after: Epoch,
    events: &[NewEvent],
) -> rusqlite::Result<Result<End, LogError>> {
    if after != end.epoch {
        return Ok(Err(LogError::Conflict { head: end.epoch }));
    }
    if events.is_empty() {
        return Ok(Ok(end));
    }
    connection.prepare_cached("SAVEPOINT job")?.execute([])?;
    let mut position = end.epoch.position;
    let mut link = Link::behind(end.chain);
    let mut text = Vec::with_capacity(512);
    let mut insert = connection
        .prepare_cached("INSERT INTO events (position, time, happened, id, event) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for new in events {
        let was_cut = is_known_from_before(connection, new)?;
        let refused = match as_json(&new.event, &mut text) {
            Err(error) => Some(error),
            Ok(_) if was_cut => Some(duplicate(connection, new)?),
            Ok(json) => {
                let happened = new.happened.map(Timestamp::as_millis);
                let row = params![signed(position.saturating_add(1)), new.time.as_millis(), happened, new.id, json];
                match insert.execute(row) {
                    Ok(_) => {
                        link.add_new(new, json.as_bytes());
                        None
                    }
                    Err(cause) if is_known(&cause) => Some(duplicate(connection, new)?),
                    Err(cause) => return Err(cause),
                }
            }
        };
        if let Some(error) = refused {
            connection.execute_batch("ROLLBACK TO job; RELEASE job")?;
            return Ok(Err(error));
        }
        position = position.saturating_add(1);
    }
    let chain = link.finish();
    batches::put(connection, position, chain)?;
    connection.prepare_cached("RELEASE job")?.execute([])?;
    Ok(Ok(End { epoch: Epoch { position, ..end.epoch }, chain }))
}

fn as_json<'a>(event: &crate::domain::event::Event, text: &'a mut Vec<u8>) -> Result<&'a str, LogError> {
    let fail = |cause: String| LogError::Io { step: "write an event as JSON", cause };
    text.clear();
    serde_json::to_writer(&mut *text, event).map_err(|cause| fail(cause.to_string()))?;
    std::str::from_utf8(text).map_err(|cause| fail(cause.to_string()))
}

/// Whether this is a provider's event that was cut off and whose id is still known. Our own ids are never repeated.
fn is_known_from_before(connection: &Connection, new: &NewEvent) -> rusqlite::Result<bool> {
    let Some(id) = new.id.as_deref().filter(|id| provider_of(id).is_some()) else { return Ok(false) };
    connection.prepare_cached("SELECT 1 FROM known_ids WHERE id = ?1")?.exists([id])
}

/// An append can violate no constraint but the one on ids.
fn is_known(cause: &rusqlite::Error) -> bool {
    cause.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

fn duplicate(connection: &Connection, new: &NewEvent) -> rusqlite::Result<LogError> {
    let id = new.id.clone().unwrap_or_default();
    let position: Position = reader::find(connection, &id)?.unwrap_or_default();
    Ok(LogError::Duplicate { id, position })
}

fn put(connection: &Connection, key: &str, value: &[u8]) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO notes (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2")?
        .execute(params![key, value])
        .map(|_| ())
}

fn put_once(connection: &Connection, key: &str, value: &[u8]) -> rusqlite::Result<Vec<u8>> {
    connection
        .prepare_cached("INSERT INTO notes (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO NOTHING")?
        .execute(params![key, value])?;
    Ok(reader::note(connection, key)?.unwrap_or_default())
}
