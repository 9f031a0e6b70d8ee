//! The health of a source, for `offboard source show`, logs and metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::{SourceError, chain};
use crate::domain::source::SourceErrorKind;
use crate::domain::time::Timestamp;

/// The health of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// When events were last read to the end.
    pub last_poll: Option<Timestamp>,
    /// When the last full listing was accepted.
    pub last_listing: Option<Timestamp>,
    /// The listing in progress.
    pub listing: Option<Progress>,
    /// The last failure of each operation that has not succeeded since: events may work while listings fail.
    pub errors: BTreeMap<Operation, SyncError>,
}

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// A page of a listing.
    Listing,
    /// Events.
    Events,
    /// One person looked up.
    LookUp,
}

impl Health {
    /// The most serious failure, if there is one.
    #[must_use]
    pub fn trouble(&self) -> Option<&SyncError> {
        self.errors.values().next()
    }
}

/// How far a listing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// When it began.
    pub since: Timestamp,
    /// How many pieces were read.
    pub pieces: usize,
    /// How many people were in them.
    pub people: usize,
}

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncError {
    /// When it happened.
    pub at: Timestamp,
    /// Its kind, as metrics count it.
    pub kind: SourceErrorKind,
    /// The message.
    pub text: String,
    /// How often in a row.
    pub times: u32,
}

impl SyncError {
    /// Whether this is the same error again, whatever it says of how long to wait.
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
    /// The provider reported this many changes.
    Told(usize),
}

/// Where a source reports to; the first argument is its name.
pub type Reports = Arc<dyn Fn(&str, Report) + Send + Sync>;
