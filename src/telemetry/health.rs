//! Readiness: whether this process may receive traffic.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    for_what: BTreeMap<u64, String>,
    /// Problems that do not affect readiness.
    notices: BTreeMap<u64, String>,
    draining: bool,
}

#[derive(Debug)]
struct Inner {
    waiting: Mutex<Waiting>,
    ready: watch::Sender<bool>,
}

impl Inner {
    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.lock();
        change(&mut waiting);
        let ready = waiting.for_what.is_empty() && !waiting.draining;
        // Sent under the lock, so that the last change is seen last.
        self.ready.send_if_modified(|before| std::mem::replace(before, ready) != ready);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Readiness of this process: shared, cheap to clone. Nobody sets it; it follows from the remaining blocks.
///
/// Take all blocks of the start before dropping the first; a reload takes none.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Inner>);

/// Something that must happen before this process is ready. Dropping it means that it happened.
#[derive(Debug)]
#[must_use = "readiness is blocked only while this is kept"]
pub struct Block {
    inner: Arc<Inner>,
    id: u64,
}

/// A problem that does not affect readiness. Dropping it ends it.
#[derive(Debug)]
#[must_use = "it is shown only while this is kept"]
pub struct Notice {
    inner: Arc<Inner>,
    id: u64,
}

impl Drop for Notice {
    fn drop(&mut self) {
        self.inner.change(|waiting| drop(waiting.notices.remove(&self.id)));
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.inner.change(|waiting| drop(waiting.for_what.remove(&self.id)));
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Readiness {
    /// A process that waits for nothing.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Inner { waiting: Mutex::default(), ready: watch::Sender::new(true) }))
    }

    /// Blocks readiness until the guard is dropped. `what` is shown to everybody, such as `log replay` or
    /// `first sync of source okta`: no secrets.
    pub fn block(&self, what: impl Into<String>) -> Block {
        let mut id = 0;
        self.0.change(|waiting| {
            id = waiting.next;
            waiting.next = waiting.next.saturating_add(1);
            waiting.for_what.insert(id, what.into());
        });
        Block { inner: self.0.clone(), id }
    }

    /// Reports a problem until the guard is dropped, without affecting readiness. `what` is shown to everybody.
    pub fn note(&self, what: impl Into<String>) -> Notice {
        let mut id = 0;
        self.0.change(|waiting| {
            id = waiting.next;
            waiting.next = waiting.next.saturating_add(1);
            waiting.notices.insert(id, what.into());
        });
        Notice { inner: self.0.clone(), id }
    }

    /// Problems that do not affect readiness.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        self.0.lock().notices.values().cloned().collect()
    }

    /// Not ready from now on: the process is ending.
    pub fn drain(&self) {
        self.0.change(|waiting| waiting.draining = true);
    }

    /// What is missing; empty when ready.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let waiting = self.0.lock();
        let draining = waiting.draining.then(|| "draining".to_owned());
        waiting.for_what.values().cloned().chain(draining).collect()
    }

    /// Readiness as it changes, for gRPC health.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.0.ready.subscribe()
    }
}
