//! How a source fares, for whoever asks: `offboard source show`, logs, metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::{SourceError, chain};
use crate::domain::source::SourceErrorKind;
use crate::domain::time::Timestamp;

/// How a source fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// When its events were last read to the end.
    pub last_poll: Option<Timestamp>,
    /// When the last full listing that was taken was begun.
    pub last_sweep: Option<Timestamp>,
    /// The listing that is on its way.
    pub sweep: Option<Progress>,
    /// The last failure of each, as long as the same has not succeeded since: events may be read while nobody may be
    /// listed.
    pub errors: BTreeMap<Operation, SyncError>,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// A listing, or a piece of one.
    Listing,
    /// What happened.
    Events,
    /// One person.
    LookUp,
}

impl Health {
    /// The gravest trouble, if there is any.
    #[must_use]
    pub fn trouble(&self) -> Option<&SyncError> {
        self.errors.values().next()
    }
}

/// How far a listing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// When it was begun.
    pub since: Timestamp,
    /// How many pieces were read.
    pub pieces: usize,
    /// How many people were in them.
    pub people: usize,
}

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncError {
    /// When.
    pub at: Timestamp,
    /// Its kind, as metrics count it.
    pub kind: SourceErrorKind,
    /// In words.
    pub text: String,
    /// How often in a row.
    pub times: u32,
}

impl SyncError {
    /// Whether this error is the same again, whatever it says of how long to wait.
    #[must_use]
    pub fn is_said_by(&self, error: &SourceError) -> bool {
        self.kind == error.kind() && (error.wait().is_some() || self.text == chain(error))
    }
}

/// What a source reports as it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// A failure of this kind.
    Failed(SourceErrorKind),
    /// So many changes were told by the provider.
    Told(usize),
}

/// Where a source reports to: its name comes first.
pub type Reports = Arc<dyn Fn(&str, Report) + Send + Sync>;
