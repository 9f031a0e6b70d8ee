//! Who a writer is among those that append to one log, and how it names and writes what it plans.

use std::sync::Arc;

use super::ids::Ids;
use crate::domain::event::EventFormat;

/// Who a writer is.
#[derive(Clone, Debug)]
pub struct WriterIdentity {
    /// Name of the process: the same after each restart, and no other process of the installation has it.
    pub(super) process: Arc<str>,
    /// Where names come from.
    pub(super) ids: Arc<Ids>,
    /// The form in which events are written.
    pub(super) format: EventFormat,
    /// Whether it takes the configuration role by itself.
    pub(super) alone: bool,
}

impl WriterIdentity {
    /// The only process that appends to its log: what follows from the configuration is its to write.
    #[must_use]
    pub fn alone(process: impl Into<Arc<str>>, ids: Ids) -> Self {
        Self { process: process.into(), ids: Arc::new(ids), format: EventFormat::default(), alone: true }
    }

    /// The same among others: it takes the configuration role only when it is told to.
    #[must_use]
    pub fn among_others(self) -> Self {
        Self { alone: false, ..self }
    }

    /// The same, writing events in a form that every reader of this log knows.
    #[must_use]
    pub fn writing(self, format: EventFormat) -> Self {
        Self { format, ..self }
    }
}
