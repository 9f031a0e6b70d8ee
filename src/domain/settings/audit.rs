//! How the audit trail is kept.

use std::path::PathBuf;
use std::time::Duration;

/// How a trail is kept, as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct TrailSettings {
    /// The directory; one process at a time may write it.
    pub path: PathBuf,
    /// What is recorded besides what is always kept.
    pub decisions: Decisions,
    /// Files of days longer ago than this are deleted.
    pub retention: Duration,
}

/// `audit.decisions`: what is recorded besides what is always kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decisions {
    /// Nothing.
    Denied,
    /// Every decision.
    All,
    /// This share of the decisions, 0 to 1.
    Sampled(f64),
}
