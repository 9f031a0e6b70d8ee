//! Who is notified of what takes effect.

use crate::domain::event::Recorded;
use crate::domain::key::Key;
use crate::state::State;

/// The states around the events that took effect together.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// Before the first of them.
    pub before: &'a State,
    /// Behind the last.
    pub after: &'a State,
}

/// Notified of every event once it is enforced here: for audit records and metrics.
pub trait EventObserver: Send + Sync + 'static {
    /// An event took effect. `touched` are the keys under which a check looks up what the event changed; they tell an
    /// observer whom it concerns. Empty if no check looks up what it changed.
    fn enforced(&self, recorded: &Recorded, touched: &[Key], around: Around<'_>);

    /// The store failed to keep something, or is no longer where it was opened.
    fn store_failed(&self, error: &str);
}
