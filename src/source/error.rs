//! Why a step at a provider failed, in words for the person who reads the log at night.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::command::Refused;
use crate::domain::source::SourceErrorKind;
pub use crate::http::chain;

/// Why a step at a provider failed. What is known stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file with a secret cannot be read.
    #[error("read `{path}`: {cause}")]
    Secret {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// No connection, no answer in time, or a broken one.
    #[error("{step}: {cause}")]
    Unreachable {
        /// What was tried.
        step: &'static str,
        /// How it failed, without the address.
        cause: String,
    },
    /// The provider refuses: our credential is wrong (401) or lacks a right (403).
    #[error("{step}: refused: {advice}")]
    Forbidden {
        /// What was tried.
        step: &'static str,
        /// What is missing, and where to give it.
        advice: String,
    },
    /// The configuration does not fit the provider: nothing is concluded from that.
    #[error("{step}: {what}")]
    Misconfigured {
        /// What was tried.
        step: &'static str,
        /// What is wrong, and what to do about it.
        what: String,
    },
    /// The provider does not have that.
    #[error("{step}: not found")]
    NotFound {
        /// What was tried.
        step: &'static str,
    },
    /// We asked too often.
    #[error("{step}: too many requests; retrying in {}", humantime::format_duration(*.wait))]
    RateLimited {
        /// What was tried.
        step: &'static str,
        /// How long it wants us to wait.
        wait: Duration,
    },
    /// Any other unexpected status.
    #[error("{step}: answered {status}")]
    Status {
        /// What was tried.
        step: &'static str,
        /// The answer.
        status: u16,
    },
    /// An answer that makes no sense: HTML, half of a document, rows that do not fit.
    #[error("{step}: {what}")]
    Malformed {
        /// What was tried.
        step: &'static str,
        /// What is wrong with the answer.
        what: String,
    },
    /// The writer did not take it.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl SourceError {
    /// Its kind, as metrics count it.
    #[must_use]
    pub fn kind(&self) -> SourceErrorKind {
        match self {
            Self::Secret { .. } | Self::Misconfigured { .. } => SourceErrorKind::Configuration,
            Self::Unreachable { .. } => SourceErrorKind::Unreachable,
            Self::Forbidden { .. } => SourceErrorKind::Forbidden,
            Self::RateLimited { .. } => SourceErrorKind::RateLimited,
            Self::NotFound { .. } | Self::Status { .. } => SourceErrorKind::ProviderError,
            Self::Malformed { .. } | Self::Refused(Refused::Void { .. }) => SourceErrorKind::Malformed,
            Self::Refused(Refused::Guarded { .. }) => SourceErrorKind::Guarded,
            Self::Refused(_) => SourceErrorKind::Refused,
        }
    }

    /// How long the provider wants us to wait, if it said so.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { wait, .. } => Some(*wait),
            _ => None,
        }
    }
}
