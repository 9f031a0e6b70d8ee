//! Why the service did not start.

use super::listeners::ListenError;
use super::secret::SecretError;
use crate::audit::AuditError;
use crate::config::Invalid;
use crate::log::LogError;

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is invalid, and no good one is kept.
    #[error("{0}")]
    Configuration(Invalid),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] LogError),
    /// The store cannot be read with the secret that there is.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The audit trail cannot be written.
    #[error("open the audit trail")]
    Audit(#[from] AuditError),
    /// A listener does not listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system has no random numbers to name revocations with.
    #[error("draw random numbers for names: {0}")]
    Random(getrandom::Error),
    /// A file that the configuration names cannot be used.
    #[error("{0}")]
    File(String),
}
