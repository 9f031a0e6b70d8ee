//! Cuts the log at its beginning: what is old, or more than enough, as far as nobody needs it any more.
//!
//! Two snapshots stand for what goes, the audit trail has it, and of each revocation that still stands, or of which
//! something is left, a record stays. Steps are small, so that an append waits for a few milliseconds at most.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::clock::Clock;
use crate::audit::sink::Recorder;
use crate::domain::event::{Position, Recorded};
use crate::domain::id::RevocationId;
use crate::domain::time::Timestamp;
use crate::log::{Bounds, Cut, Log, LogError};
use crate::state::Published;
use crate::telemetry::logging::Lasting;

/// How often it is looked whether there is anything to cut.
const LOOK: Duration = Duration::from_secs(600);
/// Events of one step: deleting them takes 2 to 4 ms.
const STEP: usize = 500;
/// Records that are looked through at once.
const PAGE: usize = 1000;

/// What stays.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Events that were taken in longer ago go. A quarter: what `revocations --all` is asked about; the audit trail has it
    /// for longer.
    pub age: Duration,
    /// … and those beyond so many. A million take 400 MB, and are read in two seconds where no snapshot can be.
    pub events: u64,
    /// Ids of providers' events are known for so long: none delivers an event again for longer than some days.
    pub ids: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Self { age: day * 90, events: 1_000_000, ids: day * 30 }
    }
}

/// Cuts.
pub struct Cutter<L> {
    /// The log.
    pub log: Arc<L>,
    /// What stands.
    pub published: Arc<Published>,
    /// Up to where events were handed to the audit trail.
    pub audited: watch::Receiver<Position>,
    /// The trail.
    pub recorder: Recorder,
    /// What stays.
    pub limits: Limits,
}

impl<L: Log> Cutter<L> {
    /// Looks again and again. Not right after a start, when a wrong clock is not set right yet; and age is counted up to the
    /// newest event, so that a clock far ahead makes nothing old that nothing followed.
    pub async fn run(self, clock: Arc<Clock>) {
        let mut trouble = Lasting::default();
        let mut look = interval_at(Instant::now() + LOOK, LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            let now = clock.now().wall.min(self.published.load().fold.witnessed);
            match self.cut(now).await {
                Ok(0) => drop(trouble.ended()),
                Ok(cut) => {
                    trouble.ended();
                    tracing::info!(log.cut = cut, "old events were cut off the log");
                }
                Err(error) if !trouble.is_new(&error) => {}
                Err(error) => {
                    tracing::warn!(error.message = %error, "the log could not be cut; it is tried again later")
                }
            }
        }
    }

    /// Cuts off what may go; returns how many events that were.
    ///
    /// # Errors
    /// [`LogError`] of the step that failed; those before it are done.
    pub async fn cut(&self, now: Timestamp) -> Result<u64, LogError> {
        let Bounds { first, covered } = self.log.bounds().await?;
        let handed_over = *self.audited.borrow();
        let ids_until = now.minus(self.limits.ids);
        let mut next = first;
        let end = covered.min(handed_over);
        if self.page(next, end, now).await?.is_empty() {
            return Ok(0);
        }
        // What was handed over is on the disk then.
        if self.recorder.durable().await.is_err() {
            return Ok(0);
        }
        // INVARIANT: what is not in here is gone for good: names are never given again, and this is newer than all that goes.
        let standing = self.standing().await?;
        let stands = |id: &RevocationId| standing.binary_search(id).is_ok();
        loop {
            let page = self.page(next, end, now).await?;
            let Some(last) = page.last() else { break };
            let named = page.iter().filter_map(|recorded| Some((recorded.position, recorded.revocation()?.0)));
            let keep = named.filter(|(_, id)| stands(id)).collect();
            let to = last.position;
            self.log.cut(Cut { to, keep, needless: Vec::new(), ids_until }).await?;
            next = to + 1;
        }
        self.tidy(next, &stands, ids_until).await?;
        Ok(next - first)
    }

    /// The next events that may go.
    async fn page(&self, first: Position, end: Position, now: Timestamp) -> Result<Vec<Recorded>, LogError> {
        if first > end {
            return Ok(Vec::new());
        }
        let oldest = now.minus(self.limits.age);
        let enough = self.log.head().await?.position.saturating_sub(self.limits.events);
        let mut page = self.log.read(first - 1, STEP).await?;
        let goes = |recorded: &&Recorded| {
            recorded.position <= end && (recorded.position <= enough || recorded.new.time < oldest)
        };
        page.truncate(page.iter().take_while(goes).count());
        Ok(page)
    }

    /// Gives up the records of which nothing is left.
    async fn tidy(
        &self,
        first: Position,
        stands: &impl Fn(&RevocationId) -> bool,
        ids_until: Timestamp,
    ) -> Result<(), LogError> {
        let mut before = first;
        loop {
            let page = self.log.records(before, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            before = last.position;
            let gone = page.iter().filter(|record| record.revocation().is_none_or(|(id, _)| !stands(&id)));
            let needless: Vec<Position> = gone.map(|record| record.position).collect();
            if !needless.is_empty() {
                self.log.cut(Cut { to: first - 1, keep: Vec::new(), needless, ids_until }).await?;
            }
        }
    }

    /// Every revocation that stands or of which something is left, in order.
    async fn standing(&self) -> Result<Vec<RevocationId>, LogError> {
        let state = self.published.snapshot();
        let sorted = tokio::task::spawn_blocking(move || {
            let mut ids: Vec<RevocationId> = state.fold.revocations.iter().map(|entry| entry.id).collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        });
        sorted.await.map_err(|error| LogError::Io { step: "look what stands", cause: error.to_string() })
    }
}

#[cfg(test)]
mod tests;
