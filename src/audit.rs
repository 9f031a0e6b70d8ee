//! The audit trail: append-only JSON lines, chained by hash, one chain per replica.
//!
//! A check hands its decision to the [`sink::Recorder`], which never waits for a disk. Records go through a bounded
//! channel to the [`writer::TrailWriter`], a blocking loop on its own thread. It seals each record ([`chain`]) and
//! appends it to the file of its UTC day. Repeats are counted in [`summary`]; what a leaver tries
//! is told apart in [`attempts`]. [`verify`] checks the chain, [`read`]
//! reads it.

pub mod attempts;
pub mod chain;
pub mod entry;
pub mod files;
pub mod last_allow;
pub mod open;
pub mod read;
pub mod record;
pub mod ring;
pub mod sink;
pub mod summary;
pub mod verify;
pub mod writer;

use std::path::PathBuf;

/// Why the trail could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// An operation on a file or directory failed.
    #[error("{step} `{path}`")]
    Io {
        /// The operation.
        step: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// Another process writes this trail.
    #[error("audit directory `{0}` is in use by another process")]
    Locked(PathBuf),
    /// A file beside the records has contents that this version did not write.
    #[error("audit file `{0}` is damaged; move it away to continue without it")]
    Damaged(PathBuf),
}

impl AuditError {
    fn io(step: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { step, path, source }
    }
}

#[cfg(test)]
mod tests;
