//! What happens, written down: events of the log and calls of operators become audit records and metrics.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::clock::Clock;
use crate::audit::entry::Entry;
use crate::audit::record::Kind;
use crate::audit::sink::Recorder;
use crate::control::guard::{Call, Ledger};
use crate::domain::event::{Event, Recorded};
use crate::domain::revocation::Owner;
use crate::telemetry::metrics::{Began, Metrics};
use crate::writer::Witness;

/// Events that may wait to be written down: several full batches of the writer.
const WAITING: usize = 16 * 1024;

/// An event that is enforced, and since when.
#[derive(Debug)]
pub struct Enforced {
    recorded: Recorded,
    at: crate::domain::time::Timestamp,
}

/// Tells of enforced events. The writer does not wait for the audit trail; if the trail falls behind by
/// [`WAITING`] events, those beyond are counted as lost there.
pub struct Herald {
    events: mpsc::Sender<Enforced>,
    recorder: Recorder,
    clock: Arc<Clock>,
    metrics: Arc<Metrics>,
}

impl Herald {
    /// A herald, and the end that [`write_down`] reads.
    #[must_use]
    pub fn new(recorder: Recorder, clock: Arc<Clock>, metrics: Arc<Metrics>) -> (Self, mpsc::Receiver<Enforced>) {
        let (events, receiver) = mpsc::channel(WAITING);
        (Self { events, recorder, clock, metrics }, receiver)
    }
}

impl Witness for Herald {
    fn enforced(&self, recorded: &Recorded) {
        let at = self.clock.now().wall;
        measure(&self.metrics, recorded, at);
        if self.events.try_send(Enforced { recorded: recorded.clone(), at }).is_err() {
            self.recorder.lose(1);
        }
    }
}

/// How long it took from the provider's own time, and from receipt, to enforced.
fn measure(metrics: &Metrics, recorded: &Recorded, at: crate::domain::time::Timestamp) {
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

/// Writes enforced events down, in order, until the writer is gone.
pub async fn write_down(mut events: mpsc::Receiver<Enforced>, recorder: Recorder, generation: u64) {
    while let Some(enforced) = events.recv().await {
        if recorder.enforced(&enforced.recorded, generation, enforced.at).await.is_err() {
            return;
        }
    }
}

/// Records what operators call, durably, before it is carried out.
pub struct Book {
    /// Where.
    pub recorder: Recorder,
    /// When.
    pub clock: Arc<Clock>,
}

#[async_trait]
impl Ledger for Book {
    async fn called(&self, call: Call) -> Result<(), String> {
        let entry = Entry {
            actor: call.actor,
            target: call.target,
            method: Some(call.method),
            decision: Some(if call.refused.is_some() { "deny" } else { "allow" }),
            reason: call.refused.or_else(|| call.alarm.then(|| "emergency credential".to_owned())),
            ..Entry::new(Kind::Control, self.clock.now().wall)
        };
        self.recorder.record(entry).await.map_err(|error| error.to_string())
    }
}
