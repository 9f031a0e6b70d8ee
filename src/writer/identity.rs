//! The identity of a writer among those that append to one log, and how it names and writes events.

use std::sync::Arc;

use super::ids::Ids;
use crate::domain::event::EventFormat;

/// The identity of a writer.
#[derive(Clone, Debug)]
pub struct WriterIdentity {
    /// The name of the process: unique in the installation and stable across restarts.
    pub(super) process: Arc<str>,
    /// The source of new ids.
    pub(super) ids: Arc<Ids>,
    /// The format in which events are written.
    pub(super) format: EventFormat,
    /// Whether it takes the configuration role without being told to.
    pub(super) alone: bool,
}

impl WriterIdentity {
    /// The only process that appends to its log: it takes the configuration role by itself.
    #[must_use]
    pub fn alone(process: impl Into<Arc<str>>, ids: Ids) -> Self {
        Self { process: process.into(), ids: Arc::new(ids), format: EventFormat::default(), alone: true }
    }

    /// One of several processes: it takes the configuration role only when told to.
    #[must_use]
    pub fn among_others(self) -> Self {
        Self { alone: false, ..self }
    }

    /// Writes events in the given format, which every reader of the log must know.
    #[must_use]
    pub fn writing(self, format: EventFormat) -> Self {
        Self { format, ..self }
    }
}
