//! The writer thread: writes all waiting jobs in one transaction with one flush, and answers each.
//!
//! What happens when a commit fails, and why its events are never read:
//!
//! - *While writing* (disk full, failed or short write): the WAL has no commit record, so the transaction does not
//!   count. It is rolled back and answered at once. The next group uses a new connection.
//! - *While flushing*: the WAL may have the commit record, on the disk or not (after a failed fsync Linux drops the
//!   data and reports success the next time, "fsyncgate"). Readers do not see it, since SQLite advances the WAL's index
//!   only after the flush; but a restart would find it. So the log is *in doubt*: a new connection commits a small
//!   proof over the same part of the WAL, repeatedly until a flush succeeds. Checksums are chained through the WAL, so
//!   from then on the failed record is unreadable. Only then are the failed appends answered; other jobs are refused
//!   meanwhile. Earlier acknowledged events were flushed and are not touched. No position was read, so the generation
//!   stays.
//!
//! If the log is dropped or the process killed while in doubt, its appends stay unanswered: a restart may find them, as
//! after any kill between flush and answer.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{mpsc, watch};

use super::batches::End;
use super::directory::HighWater;
use super::error::failed;
use super::group::{Group, Pending};
use super::job::Job;
use super::opened_directory::OpenedDirectory;
use super::schema;
use super::snapshot::Writing;
use crate::domain::chain::ChainHash;
use crate::domain::event::Epoch;
use crate::log::LogError;

/// The most jobs in a transaction: more would only make the first one wait.
const GROUP: usize = 256;
/// The most events in a transaction (some 10 MB), for the same reason.
const GROUP_EVENTS: usize = 32_768;
/// The pause between two attempts to commit a proof; doubled up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(20);
/// The longest pause: a disk that recovers is noticed within this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Publishes the end of the log.
pub(super) type Head = Arc<watch::Sender<Epoch>>;

/// The writer's side of the log.
pub(super) struct LogWriter {
    pub(super) directory: PathBuf,
    pub(super) file: PathBuf,
    pub(super) place: OpenedDirectory,
    /// `None` after a failure: the next group opens a new one.
    pub(super) connection: Option<Connection>,
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) head: Head,
    /// The hash of the chain there.
    pub(super) chain: ChainHash,
    pub(super) seen: HighWater,
    pub(super) writing: Option<Writing>,
}

/// A failed commit.
enum Failure {
    /// It certainly did not happen.
    Clean(LogError),
    /// The WAL may have its commit record.
    Doubt(LogError),
}

impl LogWriter {
    /// Runs until the log is closed.
    pub(super) fn run(mut self) {
        while let Some(group) = self.next_group() {
            if !group.is_empty() {
                self.commit(group);
            }
            self.continue_snapshot();
        }
    }

    /// Waits for jobs, unless a snapshot is incomplete, and takes all that wait, within bounds.
    fn next_group(&mut self) -> Option<Group> {
        let mut group = Group::default();
        if self.writing.is_none() {
            let first = self.jobs.blocking_recv()?;
            self.take(first, &mut group);
        }
        while group.len() < GROUP && group.events() < GROUP_EVENTS {
            match self.jobs.try_recv() {
                Ok(job) => self.take(job, &mut group),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) if group.is_empty() => return None,
                Err(mpsc::error::TryRecvError::Disconnected) => break,
            }
        }
        Some(group)
    }

    fn take(&mut self, job: Job, group: &mut Group) {
        match job {
            Job::Snapshot { snapshot, reply } => {
                // A newer one replaces an incomplete one.
                if let Some(older) = self.writing.replace(Writing::new(snapshot, reply)) {
                    let cause = "a newer snapshot replaced it".into();
                    let _ = older.reply.send(Err(LogError::Io { step: "save a snapshot", cause }));
                }
            }
            Job::Look { reply } => drop(reply.send(self.place.verify())),
            other => group.push(other),
        }
    }

    fn commit(&mut self, group: Group) {
        let (pending, result) = self.write(group);
        match result {
            Ok(end) => {
                self.publish(end);
                match self.place.verify() {
                    Ok(()) => pending.into_iter().for_each(Pending::answer),
                    // The store was removed during the write. The events are in the removed files and count again if
                    // those come back.
                    Err(error) => pending.into_iter().for_each(|waiting| waiting.fail(&error)),
                }
            }
            Err(failure) => self.fail(pending, failure),
        }
    }

    /// Writes one transaction. Its answers are given only once its outcome is certain.
    fn write(&mut self, group: Group) -> (Vec<Pending>, Result<End, Failure>) {
        let end = self.current();
        let connection = match self.connection() {
            Ok(connection) => connection,
            Err(error) => return (group.unwritten(), Err(Failure::Clean(error))),
        };
        let (pending, result) = transact(connection, group, end);
        let error = |cause| append_failed(&self.directory, &cause);
        (
            pending,
            result.map_err(
                |(doubt, cause)| if doubt { Failure::Doubt(error(cause)) } else { Failure::Clean(error(cause)) },
            ),
        )
    }

    fn fail(&mut self, pending: Vec<Pending>, failure: Failure) {
        self.connection = None;
        let error = match failure {
            Failure::Clean(error) => error,
            Failure::Doubt(error) => {
                tracing::error!(error.message = %error, "log flush failed; refusing appends until a later flush proves what is durable");
                if !self.prove() {
                    // The appends stay unanswered, see above.
                    return;
                }
                tracing::warn!("log flush succeeded; accepting appends again");
                error
            }
        };
        for waiting in pending {
            waiting.fail(&error);
        }
    }

    /// Commits proofs until one succeeds. Returns false if the log was closed before.
    fn prove(&mut self) -> bool {
        let (mut pause, mut said) = (PAUSE, String::new());
        loop {
            match self.try_proof().map_err(|error| error.to_string()) {
                Ok(()) => return true,
                Err(error) if error == said => {}
                Err(error) => {
                    tracing::error!(error.message = error, "log flush still failing; retrying");
                    said = error;
                }
            }
            self.connection = None;
            std::thread::sleep(pause);
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
            if !self.refuse_waiting() {
                return false;
            }
        }
    }

    fn try_proof(&mut self) -> Result<(), LogError> {
        let proven = self.connection()?.execute("UPDATE meta SET value = value + 1 WHERE name = 'proofs'", []);
        proven.map(|_| ()).map_err(|cause| failed(&self.directory, "prove the durable state", &cause))
    }

    /// Refuses waiting jobs while the log is in doubt. Returns false if the log was closed.
    fn refuse_waiting(&mut self) -> bool {
        loop {
            match self.jobs.try_recv() {
                Ok(Job::Append { reply, .. }) => drop(reply.send(Err(in_doubt()))),
                Ok(
                    Job::Look { reply }
                    | Job::Snapshot { reply, .. }
                    | Job::Note { reply, .. }
                    | Job::Cut { reply, .. },
                ) => drop(reply.send(Err(in_doubt()))),
                Ok(Job::NoteOnce { reply, .. }) => drop(reply.send(Err(in_doubt()))),
                Err(mpsc::error::TryRecvError::Empty) => return true,
                Err(mpsc::error::TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// The connection, if the store is where it was opened. A new one after a failure must agree on the end of the log.
    fn connection(&mut self) -> Result<&mut Connection, LogError> {
        self.place.verify()?;
        if self.connection.is_none() {
            let fresh = schema::open_writer(&self.directory, &self.file)?;
            let (found, known) = (schema::end(&self.directory, &fresh)?, self.current());
            if found != known {
                let what = format!(
                    "it ends at {} with hash {}, but ended at {} with hash {} before",
                    found.epoch, found.chain, known.epoch, known.chain
                );
                return Err(super::error::unusable(&self.directory, what));
            }
            self.connection = Some(fresh);
        }
        self.connection.as_mut().ok_or_else(in_doubt)
    }

    fn continue_snapshot(&mut self) {
        let Some(mut writing) = self.writing.take() else { return };
        let step = "save a snapshot";
        let stepped = match self.connection() {
            Ok(connection) => writing.step(connection).map_err(|cause| (nothing_committed(&cause), cause)),
            Err(error) => return drop(writing.reply.send(Err(error))),
        };
        match stepped {
            Ok(true) => drop(writing.reply.send(Ok(()))),
            Ok(false) => self.writing = Some(writing),
            Err((clean, cause)) => {
                self.connection = None;
                // A chunk in doubt needs a proof like an event.
                let answered = clean || self.prove();
                if answered {
                    let _ = writing.reply.send(Err(failed(&self.directory, step, &cause)));
                }
            }
        }
    }

    fn current(&self) -> End {
        End { epoch: *self.head.borrow(), chain: self.chain }
    }

    fn publish(&mut self, end: End) {
        if end != self.current() {
            self.chain = end.chain;
            self.seen.mark(end.epoch);
            self.head.send_replace(end.epoch);
        }
    }
}

/// Writes and commits a group. The flag of an error says that the WAL may have the commit record.
fn transact(
    connection: &mut Connection,
    group: Group,
    end: End,
) -> (Vec<Pending>, Result<End, (bool, rusqlite::Error)>) {
    let transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(cause) => return (group.unwritten(), Err((false, cause))),
    };
    let (pending, written) = group.write(&transaction, end);
    let result = match written {
        Err(cause) => Err((false, cause)),
        Ok(end) => transaction.commit().map(|()| end).map_err(|cause| (!nothing_committed(&cause), cause)),
    };
    (pending, result)
}

fn append_failed(directory: &std::path::Path, cause: &rusqlite::Error) -> LogError {
    failed(directory, "append to the log", cause)
}

fn in_doubt() -> LogError {
    let cause = "an earlier flush failed and the durable state is not proven yet; retry later".into();
    LogError::Io { step: "append to the log", cause }
}

/// Whether this failure certainly leaves no commit record: the disk was full or a write failed, and the commit record
/// is written last.
fn nothing_committed(cause: &rusqlite::Error) -> bool {
    cause.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || cause.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_WRITE)
}
