//! Turns events of the log and calls of operators into audit records and metrics.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, timeout};

use super::alarms::{Alarms, left};
use super::clock::Clock;
use super::moved;
use super::troubles::Troubles;
use crate::audit::entry::Entry;
use crate::audit::record::Kind;
use crate::audit::sink::{Moved, Recorder, Stopped};
use crate::control::guard::{Call, CallAudit};
use crate::control::rights::{Right, needed};
use crate::domain::event::{EndCause, Event, Position, Recorded};
use crate::domain::key::Key;
use crate::domain::revocation::Owner;
use crate::domain::time::Timestamp;
use crate::log::{Log, LogError};
use crate::state::Published;
use crate::telemetry::logging::Lasting;
use crate::telemetry::metrics::{Began, Metrics};
use crate::writer::{Around, EventObserver};

/// Events that may wait to be recorded: several full batches of the writer. Events that find no room are read from the
/// log again, so that none is left out.
const WAITING: usize = 16 * 1024;
/// Events read from the log at once.
const PAGE: usize = 1024;
/// How long a call waits for its record to be durable.
const WRITTEN: Duration = Duration::from_secs(3);
/// Interval between checks for events that were not forwarded.
const LOOK: Duration = Duration::from_secs(1);

/// An event that is enforced, and since when.
#[derive(Debug)]
pub struct Enforced {
    recorded: Recorded,
    at: Timestamp,
    moved: Option<Moved>,
}

/// Forwards enforced events; the writer does not wait for the audit trail.
pub struct EventForwarder {
    events: mpsc::Sender<Enforced>,
    clock: Arc<Clock>,
    metrics: Arc<Metrics>,
    alarms: Arc<Alarms>,
    troubles: Arc<Troubles>,
}

impl EventForwarder {
    /// A forwarder, and the receiver for [`AuditFollower`].
    #[must_use]
    pub fn new(
        clock: Arc<Clock>,
        metrics: Arc<Metrics>,
        (alarms, troubles): (Arc<Alarms>, Arc<Troubles>),
    ) -> (Self, mpsc::Receiver<Enforced>) {
        let (events, receiver) = mpsc::channel(WAITING);
        (Self { events, clock, metrics, alarms, troubles }, receiver)
    }
}

impl EventObserver for EventForwarder {
    fn enforced(&self, recorded: &Recorded, _: &[Key], around: Around<'_>) {
        let now = self.clock.now();
        let at = now.wall;
        measure(&self.metrics, recorded, at);
        if let Some(source) = left(&recorded.new.event) {
            self.metrics.left(source);
        }
        if matches!(&recorded.new.event, Event::Ended(ended) if ended.cause == EndCause::Undone) {
            self.metrics.undone();
        }
        self.alarms.enforced(recorded);
        // If there is no room, the follower finds the gap. What somebody had before is known here alone.
        let moved = moved::of(recorded, around, now);
        let _ = self.events.try_send(Enforced { recorded: recorded.clone(), at, moved });
    }

    fn store_failed(&self, error: &str) {
        self.metrics.store_failed();
        self.troubles.store.failed(self.clock.now().wall, error);
    }
}

/// Measures the time from the provider's own timestamp, and from receipt, to enforcement.
fn measure(metrics: &Metrics, recorded: &Recorded, at: Timestamp) {
    let owner = match &recorded.new.event {
        Event::Revoked(revocation) => &revocation.owner,
        _ => return,
    };
    let source = match owner {
        Owner::Operator => "operator",
        Owner::Configuration => "configuration",
        Owner::Source(name) => name,
    };
    metrics.propagated(source, Began::Receipt, recorded.new.time, at);
    if let Some(happened) = recorded.new.happened {
        metrics.propagated(source, Began::Provider, happened, at);
    }
}

/// Records every event of the log, in order and once: those forwarded to it, and those missed because the previous process
/// was killed between log and trail or because there were too many at once.
pub struct AuditFollower<L> {
    /// The log.
    pub log: Arc<L>,
    /// Tells up to where the log is enforced here.
    pub published: Arc<Published>,
    /// The trail.
    pub recorder: Recorder,
    /// The clock.
    pub clock: Arc<Clock>,
    /// The last event in the trail.
    pub done: Position,
    /// Is told of it.
    pub progress: watch::Sender<Position>,
    /// Why the log cannot be read, as long as it cannot.
    pub trouble: Lasting,
}

impl<L: Log> AuditFollower<L> {
    /// Works until the writer is gone and everything is recorded.
    ///
    /// # Errors
    /// [`Stopped`] if the trail accepts no more records.
    pub async fn run(mut self, mut events: mpsc::Receiver<Enforced>) -> Result<(), Stopped> {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // Forwarded events first: they tell when they came into force.
                biased;
                told = events.recv() => match told {
                    Some(enforced) => self.take(enforced).await?,
                    None => return self.fill(self.enforced(), self.clock.now().wall).await,
                },
                _ = look.tick() => self.fill(self.enforced(), self.clock.now().wall).await?,
            }
        }
    }

    fn enforced(&self) -> Position {
        self.published.load().fold.epoch.position
    }

    async fn take(&mut self, Enforced { recorded, at, moved }: Enforced) -> Result<(), Stopped> {
        self.fill(recorded.position.saturating_sub(1), at).await?;
        if recorded.position == self.done.saturating_add(1) {
            self.write(&recorded, at, moved).await?;
        }
        Ok(())
    }

    /// Reads what is missing up to `end` from the log. If that fails, it is still missing and read later.
    async fn fill(&mut self, end: Position, at: Timestamp) -> Result<(), Stopped> {
        while self.done < end {
            let missing = usize::try_from(end - self.done).unwrap_or(usize::MAX);
            let page = match self.log.read(self.done, missing.min(PAGE)).await {
                Ok(page) if !page.is_empty() => {
                    self.trouble.ended();
                    page
                }
                Ok(_) => return Ok(()),
                Err(LogError::Cut { first }) => {
                    let done = self.done;
                    tracing::error!(
                        "events behind {done} and before {first} are in no audit record, and no longer in the log"
                    );
                    self.recorder.lose(first - 1 - done);
                    self.done = first - 1;
                    continue;
                }
                Err(error) => {
                    if self.trouble.is_new(&error) {
                        tracing::error!(error.message = %error, "cannot read the log for the audit trail; trying again");
                    }
                    return Ok(());
                }
            };
            for recorded in &page {
                self.write(recorded, at, None).await?;
            }
        }
        Ok(())
    }

    async fn write(&mut self, recorded: &Recorded, at: Timestamp, moved: Option<Moved>) -> Result<(), Stopped> {
        let generation = self.published.load().fold.epoch.generation;
        self.recorder.enforced(recorded, generation, at, moved).await?;
        self.done = recorded.position;
        self.progress.send_replace(self.done);
        Ok(())
    }
}

/// Records operators' calls durably before they are carried out.
pub struct CallRecorder {
    /// The trail.
    pub recorder: Recorder,
    /// The clock.
    pub clock: Arc<Clock>,
    /// Counts uses of the emergency credential.
    pub metrics: Arc<Metrics>,
}

#[async_trait]
impl CallAudit for CallRecorder {
    fn bootstrap_used(&self) {
        self.metrics.bootstrap_used();
    }

    async fn called(&self, call: Call) -> Result<(), String> {
        let entry = Entry {
            actor: call.actor,
            target: call.target,
            method: Some(call.method),
            decision: Some(if call.refused.is_some() { "deny" } else { "allow" }),
            reason: call.refused.or_else(|| call.alarm.then(|| "emergency credential".to_owned())),
            ..Entry::new(Kind::Control, self.clock.now().wall)
        };
        let refused = entry.decision == Some("deny");
        // Reads and denials go on without their record, which is written once there is room: a full disk must not keep a
        // leaver in.
        let weakens = !matches!(needed(entry.method.as_deref().unwrap_or_default()), Some(Right::Read | Right::Revoke));
        let written = async {
            self.recorder.record(entry).await?;
            // Callers without permission must not be able to cause disk writes.
            if refused { Ok(()) } else { self.recorder.durable().await }
        };
        match timeout(WRITTEN, written).await {
            Ok(written) => written.map_err(|error| format!("{error}; call rejected")),
            Err(_) if weakens => Err("audit log not writable; call rejected (check space at `audit.path`)".to_owned()),
            Err(_) => {
                tracing::error!(
                    "audit log not writable; call carried out, its record waits (check space at `audit.path`)"
                );
                Ok(())
            }
        }
    }
}
