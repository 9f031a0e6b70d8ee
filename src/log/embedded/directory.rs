//! The directory of a store: private, locked for one process, with a high-water mark of the log.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::domain::event::Epoch;
use crate::log::LogError;

/// Only the service's own user has access: the store holds the installation's secret.
const PRIVATE_DIRECTORY: u32 = 0o700;
/// As [`PRIVATE_DIRECTORY`], for files. SQLite gives its side files the mode of the database.
const PRIVATE_FILE: u32 = 0o600;

/// A directory that is locked for this process.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Held open: the lock lasts as long as this file.
    _lock: File,
}

impl Directory {
    /// Creates the directory if it is missing, and locks it.
    pub(super) fn take(path: &Path) -> Result<Self, LogError> {
        let new = !path.exists();
        DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE_DIRECTORY)
            .create(path)
            .map_err(|cause| io("create the store's directory", path, &cause))?;
        if let Some(parent) = path.parent().filter(|parent| new && !parent.as_os_str().is_empty()) {
            sync(parent)?;
        }
        let lock = private_file(&path.join("lock")).map_err(|cause| io("open the store's lock", path, &cause))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(LogError::Locked { path: path.display().to_string() }),
            Err(TryLockError::Error(cause)) => Err(io("lock the store", path, &cause)),
        }
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The database file, made private before SQLite writes to it.
    pub(super) fn database(&self) -> Result<PathBuf, LogError> {
        let file = self.path.join("log.db");
        private_file(&file).map_err(|cause| io("create the log's file", &self.path, &cause))?;
        sync(&self.path)?;
        Ok(file)
    }
}

/// The high-water mark: the highest epoch that the log ever had, in a small file beside it.
///
/// It is written after each commit without a flush, so it costs nothing and never runs ahead of the log. At the next
/// start it reveals a log that lost acknowledged events (its WAL was deleted, an older file was copied over it, a disk
/// lied about a flush).
#[derive(Debug)]
pub(super) struct HighWater {
    file: File,
}

impl HighWater {
    /// The name of the file in the store's directory.
    pub(super) const NAME: &'static str = "seen";

    /// Reads the mark of the last run.
    pub(super) fn read(directory: &Directory) -> Result<Option<Epoch>, LogError> {
        let mut text = String::new();
        match File::open(directory.path.join(Self::NAME)).and_then(|mut file| file.read_to_string(&mut text)) {
            Ok(_) => Ok(text.trim().parse().ok()),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(io("read the log's high-water mark", &directory.path, &cause)),
        }
    }

    /// Opens it for writing.
    pub(super) fn open(directory: &Directory) -> Result<Self, LogError> {
        private_file(&directory.path.join(Self::NAME))
            .map(|file| Self { file })
            .map_err(|cause| io("open the log's high-water mark", &directory.path, &cause))
    }

    /// Records that positions up to `head` may have been read.
    pub(super) fn mark(&self, head: Epoch) {
        // Fixed width, so that each mark overwrites all of the one before.
        let text = format!("{:020}.{:020}\n", head.generation, head.position);
        if let Err(cause) = self.file.write_all_at(text.as_bytes(), 0) {
            tracing::warn!(error.message = %cause, "failed to write the log's high-water mark");
        }
    }
}

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(PRIVATE_FILE).open(path)
}

fn sync(directory: &Path) -> Result<(), LogError> {
    fs::File::open(directory)
        .and_then(|file| file.sync_all())
        .map_err(|cause| io("flush the store's directory", directory, &cause))
}

fn io(step: &'static str, path: &Path, cause: &io::Error) -> LogError {
    LogError::Io { step, cause: format!("`{}`: {cause}", path.display()) }
}
