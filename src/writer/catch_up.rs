//! Catches up with the log: what was appended is read back, folded, published and passed on to the observers.

use std::sync::Arc;

use super::plan::PlannedEvents;
use super::{Writer, follower};
use crate::domain::event::{Epoch, NewEvent};
use crate::domain::policy::Policy;
use crate::faults::{Fault, planted};
use crate::log::{Log, LogError};

impl<L: Log> Writer<L> {
    /// Folds the new events of the log and publishes the result.
    pub(super) async fn catch_up(&mut self) -> Result<(), LogError> {
        self.catch_up_with(None).await
    }

    async fn catch_up_with(&mut self, planned: Option<PlannedEvents>) -> Result<(), LogError> {
        let before = self.follower.fold.clone();
        let (read, result) = self.follower.read(planned).await;
        self.publish();
        self.follower.notify(&read, before);
        result
    }

    /// Like [`Self::catch_up`], and fails if the log does not reach `head`: only what was read back is acknowledged.
    pub(super) async fn catch_up_to(&mut self, head: Epoch) -> Result<(), LogError> {
        self.appended = head;
        self.catch_up().await?;
        self.has_reached(head)
    }

    /// Like [`Self::catch_up_to`], for events that were planned here and appended: their fold is made already.
    pub(super) async fn read_back(&mut self, planned: PlannedEvents, head: Epoch) -> Result<(), LogError> {
        self.appended = head;
        self.catch_up_with(Some(planned)).await?;
        self.has_reached(head)
    }

    fn has_reached(&self, head: Epoch) -> Result<(), LogError> {
        let read = self.follower.fold.epoch.position;
        if read < head.position {
            let cause = format!("it ends at {read} although {} was appended", head.position);
            return Err(LogError::Io { step: "read the log", cause });
        }
        Ok(())
    }

    /// Another process appended events.
    pub(super) async fn follow(&mut self, head: Epoch) {
        if head.position > self.follower.fold.epoch.position
            && let Err(error) = self.catch_up().await
        {
            tracing::error!(error.message = %error, "cannot read new events of the log; retrying at the next append");
        }
    }

    /// Folds events without reading them from the log. A writer must never do that; only faults call it.
    pub(super) fn fold_unread(&mut self, events: Vec<NewEvent>) {
        self.follower.fold_unread(events);
        self.publish();
    }

    pub(super) fn install(&mut self, policy: &Arc<Policy>) {
        self.follower.install(policy);
        if let Some(volatile) = &mut self.volatile {
            follower::compare_as_configured(&mut volatile.fold, policy);
        }
        self.publish();
    }

    pub(super) fn publish(&self) {
        if planted(Fault::AcknowledgedUnenforced) {
            return;
        }
        self.follower.publish(self.volatile.as_ref().map(|volatile| &volatile.fold));
    }
}
