//! The log of one process: SQLite in a directory of its own.
//!
//! ```text
//! append, notes ─▶ writer: one thread, one transaction for all that waits, one flush ─▶ answers
//! read, find    ─▶ readers: threads with connections of their own; they never wait for the writer
//! ```
//!
//! In the directory: `log.db` (any SQLite tool reads it; events are JSON), its `-wal` and `-shm` while in use, `lock`,
//! and `seen`, the high-water mark of the log. A copy of the whole directory, taken while the service is stopped, is a
//! backup.
//!
//! Group commit: waiting appends that follow one another are committed with one flush, and each gets its own answer.
//! [`writer`] explains what happens when a commit fails. A log that ends before the mark in `seen` has lost
//! acknowledged events and is refused, so that no revocation disappears unnoticed. A log whose directory was deleted,
//! moved or replaced accepts no more appends, see [`opened_directory`].

mod batches;
mod cut;
mod directory;
mod error;
mod group;
mod job;
mod key_value;
mod opened_directory;
mod reader;
mod rows;
mod schema;
mod snapshot;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};

use self::key_value::EmbeddedValues;

use self::directory::{Directory, HighWater};
use self::job::Job;
use self::opened_directory::OpenedDirectory;
use self::reader::{Question, Questions, Reader};
use self::writer::{Head, LogWriter};
use super::{Batches, Bounds, Cut, KeyValues, Log, LogError, Snapshot};
use crate::domain::event::{Epoch, NewEvent, Position, Recorded};
use crate::domain::id::RevocationId;
use crate::domain::time::Timestamp;

/// The capacity of the writer's queue: two groups.
const JOBS: usize = 512;
/// The capacity of the readers' queue.
const QUESTIONS: usize = 64;
/// The number of reading connections: while one reads a long page, the other answers short questions.
const READERS: usize = 2;

/// The log of one process. Dropping the last handle (this one and those from [`Embedded::key_values`]) writes the
/// waiting jobs, closes the database and releases the lock.
#[derive(Debug)]
pub struct Embedded {
    threads: Arc<Threads>,
}

/// The threads behind all handles.
#[derive(Debug)]
struct Threads {
    jobs: Option<mpsc::Sender<Job>>,
    questions: Option<mpsc::Sender<Question>>,
    head: Head,
    readers: Vec<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
    /// Released last.
    _directory: Directory,
}

impl Embedded {
    /// Opens the log in `directory`, which is created if missing. Blocks for some milliseconds.
    ///
    /// # Errors
    /// [`LogError::Locked`] if another process uses it; [`LogError::Unusable`] if it is damaged, was written by a later
    /// version, or lost acknowledged events; [`LogError::Io`] if it cannot be read or written.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, LogError> {
        let directory = Directory::take(directory.as_ref())?;
        let path = directory.path().to_owned();
        let file = directory.database()?;
        let mut connection = schema::open_writer(&path, &file)?;
        let end = schema::prepare(&directory, &mut connection)?;
        let head = end.epoch;
        let seen = HighWater::open(&directory)?;
        seen.mark(head);
        let head: Head = Arc::new(watch::Sender::new(head));

        let (questions, waiting) = mpsc::channel(QUESTIONS);
        let waiting: Questions = Arc::new(Mutex::new(waiting));
        let mut readers = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            let connection = schema::open_reader(&path, &file)?;
            let reader = Reader { directory: path.clone(), connection, questions: Arc::clone(&waiting) };
            readers.push(spawn("log-reader", move || reader.run())?);
        }
        // Last, because the connections hold all files only now.
        let place = OpenedDirectory::of(&path)?;
        let (jobs, waiting) = mpsc::channel(JOBS);
        let (connection, writing) = (Some(connection), None);
        let head_of_writer = Arc::clone(&head);
        let writer = LogWriter {
            directory: path,
            file,
            place,
            connection,
            jobs: waiting,
            head: head_of_writer,
            chain: end.chain,
            seen,
            writing,
        };
        let writer = Some(spawn("log-writer", move || writer.run())?);
        let (jobs, questions) = (Some(jobs), Some(questions));
        Ok(Self { threads: Arc::new(Threads { jobs, questions, head, readers, writer, _directory: directory }) })
    }

    /// The key-value store beside the log.
    #[must_use]
    pub fn key_values(&self) -> Arc<dyn KeyValues> {
        Arc::new(EmbeddedValues { threads: Arc::clone(&self.threads) })
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, LogError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|cause| LogError::Io { step: "start a thread of the log", cause: cause.to_string() })
}

impl Threads {
    /// Sends a job to the writer and waits for the answer.
    async fn tell<T>(
        &self,
        job: Job,
        answer: oneshot::Receiver<Result<T, LogError>>,
        step: &'static str,
    ) -> Result<T, LogError> {
        let Some(jobs) = &self.jobs else { return Err(error::closed(step)) };
        jobs.send(job).await.map_err(|_| error::closed(step))?;
        answer.await.map_err(|_| error::closed(step))?
    }

    /// Sends a question to the readers and waits for the answer.
    async fn ask<T>(
        &self,
        question: Question,
        answer: oneshot::Receiver<Result<T, LogError>>,
        step: &'static str,
    ) -> Result<T, LogError> {
        let Some(questions) = &self.questions else { return Err(error::closed(step)) };
        questions.send(question).await.map_err(|_| error::closed(step))?;
        answer.await.map_err(|_| error::closed(step))?
    }
}

impl Drop for Threads {
    /// Readers first: the writer's connection, closed last, moves the WAL into the database.
    fn drop(&mut self) {
        self.questions = None;
        self.readers.drain(..).for_each(join);
        self.jobs = None;
        self.writer.take().into_iter().for_each(join);
    }
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a log thread panicked");
    }
}

#[async_trait]
impl Log for Embedded {
    async fn head(&self) -> Result<Epoch, LogError> {
        Ok(*self.threads.head.borrow())
    }

    fn heads(&self) -> watch::Receiver<Epoch> {
        self.threads.head.subscribe()
    }

    async fn standing(&self) -> Result<(), LogError> {
        let (reply, answer) = oneshot::channel();
        self.threads.tell(Job::Look { reply }, answer, "check where the store is").await
    }

    async fn append(&self, after: Epoch, events: Vec<NewEvent>) -> Result<Epoch, LogError> {
        let (reply, answer) = oneshot::channel();
        self.threads.tell(Job::Append { after, events, reply }, answer, "append to the log").await
    }

    async fn batches(&self, after: Position, to: Position) -> Result<Batches, LogError> {
        let (reply, answer) = oneshot::channel();
        self.threads.ask(Question::Batches { after, to, reply }, answer, "read the log").await
    }

    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        let (reply, answer) = oneshot::channel();
        self.threads.ask(Question::Read { after, limit, reply }, answer, "read the log").await
    }

    async fn find(&self, id: &str) -> Result<Option<Position>, LogError> {
        let (reply, answer) = oneshot::channel();
        self.threads.ask(Question::Find { id: id.to_owned(), reply }, answer, "find an event").await
    }

    async fn forgotten(&self, source: &str) -> Result<Option<Timestamp>, LogError> {
        let (reply, answer) = oneshot::channel();
        self.threads
            .ask(Question::Forgotten { source: source.to_owned(), reply }, answer, "look up forgotten ids")
            .await
    }

    async fn bounds(&self) -> Result<Bounds, LogError> {
        let (reply, answer) = oneshot::channel();
        self.threads.ask(Question::Bounds { reply }, answer, "find the beginning of the log").await
    }

    async fn cut(&self, cut: Cut) -> Result<(), LogError> {
        let (reply, answer) = oneshot::channel();
        self.threads.tell(Job::Cut { cut, reply }, answer, "cut the log").await
    }

    async fn record(&self, id: RevocationId) -> Result<Option<Recorded>, LogError> {
        let (reply, answer) = oneshot::channel();
        self.threads.ask(Question::Record { id, reply }, answer, "read a record").await
    }

    async fn records(&self, before: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        let (reply, answer) = oneshot::channel();
        self.threads.ask(Question::Records { before, limit, reply }, answer, "read records").await
    }

    async fn snapshot(&self, below: Position) -> Result<Option<Snapshot>, LogError> {
        let (reply, answer) = oneshot::channel();
        self.threads.ask(Question::Snapshot { below, reply }, answer, "read the snapshot").await
    }

    async fn keep_snapshot(&self, snapshot: Snapshot) -> Result<(), LogError> {
        let (reply, answer) = oneshot::channel();
        self.threads.tell(Job::Snapshot { snapshot, reply }, answer, "save a snapshot").await
    }
}
