//! The audit trail: append-only JSON lines, chained by hash, one chain for each replica.
//!
//! A check hands its decision to the [`sink::Recorder`], which never waits for a disk. What must be kept goes
//! through a bounded channel to the [`writer::TrailWriter`], a blocking loop on a thread of its own, which seals each
//! record ([`chain`]) and appends it to the file of its UTC day. What repeats is counted in [`summary`].
//! [`verify`] proves the chain, [`read`] reads it.

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
    /// A file or directory did not do what was asked of it.
    #[error("{step} `{path}`")]
    Io {
        /// What was tried.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process writes this trail.
    #[error("audit directory `{0}` is in use by another process")]
    Locked(PathBuf),
    /// A file beside the records holds something that this version did not write.
    #[error("audit file `{0}` is damaged: move it away to go on without it")]
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
