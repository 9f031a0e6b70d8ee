//! Background tasks besides the sources: signing keys, the clock, and alarms.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::alarms::{Alarms, MassDisable};
use super::clock::{COMPARE, Clock};
use super::store;
use super::troubles::Troubles;
use crate::audit::sink::Recorder;
use crate::domain::command::{Command, WriterHandle};
use crate::domain::source::SourceErrorKind;
use crate::jose::keys::{FreshKeys, KeyRings};
use crate::log::KeyValues;
use crate::state::{Published, StoreState};
use crate::telemetry::health::Readiness;
use crate::telemetry::logging::Lasting;
use crate::telemetry::metrics::Metrics;

/// Interval between log messages while the store is gone.
const SHOUT: Duration = Duration::from_secs(60);
/// What `/readyz` then shows to everybody.
pub const STORE_IS_GONE: &str = "the store was moved, removed or replaced; nothing is stored (see `offboard status`)";
/// Ticks between writes of the latest time.
const KEEP_CLOCK: u32 = 10;

/// Refreshes the keys of all issuers, following changes of the configuration.
pub async fn signing_keys(mut rings: watch::Receiver<KeyRings>, clock: Arc<Clock>) {
    loop {
        let current = rings.borrow_and_update().clone();
        let mut refreshes: FuturesUnordered<_> = current
            .iter()
            .map(|ring| {
                let clock = Arc::clone(&clock);
                async move { ring.refresh_forever(Arc::new(move || clock.now())).await }
            })
            .collect();
        tokio::select! {
            _ = refreshes.next(), if !refreshes.is_empty() => {}
            changed = rings.changed() => if changed.is_err() { return },
        }
    }
}

/// Stores every new key set for the next start.
pub async fn keep_keys(mut fresh: mpsc::Receiver<FreshKeys>, key_values: Arc<dyn KeyValues>) {
    while let Some(keys) = fresh.recv().await {
        if let Err(error) = store::keep_keys(key_values.as_ref(), &keys).await {
            tracing::warn!(issuer.name = %keys.issuer, error.message = %error, "cannot store signing keys for the next start");
        }
    }
}

/// Reports a lost store: immediately and every minute in the log, and on `/readyz`, which stays 200 because checks go on.
pub async fn store(published: Arc<Published>, readiness: Readiness) {
    let mut states = published.store_state();
    let mut notice = None;
    loop {
        let StoreState { gone, volatile, returns } = states.borrow_and_update().clone();
        match gone {
            Some(error) => {
                tracing::error!(
                    error.message = error,
                    store.volatile = volatile.len(),
                    "store unavailable; changes are refused, and denials from sources are enforced from memory"
                );
                if notice.is_none() {
                    notice = Some(readiness.note(STORE_IS_GONE));
                }
                let unchanged =
                    async { while states.borrow_and_update().gone.is_some() && states.changed().await.is_ok() {} };
                let _ = tokio::time::timeout(SHOUT, unchanged).await;
                continue;
            }
            None if notice.take().is_some() => {
                tracing::warn!(store.returns = returns, "the store is back; it holds everything enforced meanwhile");
            }
            None => {}
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}

/// Every second: reports sources that disabled more people than a listing may remove.
pub async fn alarms(alarms: Arc<Alarms>, (published, metrics): (Arc<Published>, Arc<Metrics>), clock: Arc<Clock>) {
    let mut timer = interval(COMPARE);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        for MassDisable { source, disabled, known } in alarms.raised(&published.snapshot(), clock.now().wall) {
            metrics.source_error(&source, SourceErrorKind::MassDisable);
            tracing::error!(
                source.name = source,
                source.disabled = disabled,
                source.known = known,
                "source `{source}` disabled {disabled} of {known} people within an hour; applied, check that it is intended"
            );
        }
    }
}

/// Every second: compares the clocks, ends what has expired, tells the audit trail the time. Storing the time also shows
/// whether the store can be written.
pub async fn time(
    clock: Arc<Clock>,
    writer: WriterHandle,
    recorder: Recorder,
    (key_values, troubles): (Arc<dyn KeyValues>, Arc<Troubles>),
) {
    let mut timer = interval(COMPARE);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut ending, mut keeping, mut ticks) = (Lasting::default(), Lasting::default(), 0_u32);
    loop {
        timer.tick().await;
        clock.compare();
        let now = clock.now();
        recorder.tick(now);
        match writer.ask(Command::Tick, now).await {
            Err(error) if ending.is_new(&error) => {
                tracing::error!(error.message = %error, "cannot end what has expired; trying again every second");
            }
            Err(_) => {}
            Ok(_) => drop(ending.ended()),
        }
        ticks = ticks.wrapping_add(1);
        if !ticks.is_multiple_of(KEEP_CLOCK) {
            continue;
        }
        match store::keep_clock(key_values.as_ref(), now.steady).await {
            Ok(()) => {
                troubles.store.is_over();
                keeping.ended();
            }
            Err(error) => {
                troubles.store.failed(now.wall, &error.to_string());
                if keeping.is_new(&error) {
                    tracing::warn!(error.message = %error, "cannot store the current time; trying again");
                }
            }
        }
    }
}
