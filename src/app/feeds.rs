//! What keeps the state fresh: people files, signing keys, and the passing of time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use notify::{RecursiveMode, Watcher as _};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::clock::{COMPARE, Clock};
use super::store;
use crate::audit::sink::Recorder;
use crate::config::settings::Settings;
use crate::domain::inbox::{Command, Inbox};
use crate::jose::keys::{FreshKeys, KeyRings};
use crate::log::embedded::Notes;
use crate::source::file::{FileError, FileSource, Synced};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::Metrics;

/// People files are compared by content this often, whatever the watch says.
const COMPARE_FILES: Duration = Duration::from_secs(10);
/// After this many comparisons without a change the listing is sent all the same: it keeps the source fresh
/// (`max_staleness` is 15 min unless configured) at the price of one event.
const HEARTBEAT: u32 = 12;
/// How often the highest time is kept.
const KEEP_CLOCK: u32 = 10;

/// Sends people files whenever they change, or the configuration names others.
pub async fn people_files(
    mut settings: watch::Receiver<Settings>,
    inbox: Inbox,
    clock: Arc<Clock>,
    metrics: Arc<Metrics>,
) {
    loop {
        let wanted = settings.borrow_and_update().sources.clone();
        let mut sources: Vec<FileSource> =
            wanted.into_iter().map(|file| FileSource::new(file.name, file.path)).collect();
        let follow = follow_files(&mut sources, &inbox, &clock, &metrics);
        tokio::select! {
            () = follow => {}
            changed = settings.changed() => if changed.is_err() { return },
        }
    }
}

async fn follow_files(sources: &mut [FileSource], inbox: &Inbox, clock: &Clock, metrics: &Metrics) {
    let (touched, mut touches) = mpsc::channel(1);
    let _watch = watch_directories(sources, touched);
    let mut timer = interval(COMPARE_FILES);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut rounds = 0_u32;
    loop {
        let always = tokio::select! {
            _ = timer.tick() => {
                rounds = rounds.wrapping_add(1);
                rounds % HEARTBEAT == 1
            }
            Some(()) = touches.recv() => false,
        };
        for source in sources.iter_mut() {
            report(source.sync(inbox, clock.now(), always).await, source, clock, metrics);
        }
    }
}

/// Watches the directories that the files are in: kubelet swaps a link there, and never touches the file.
fn watch_directories(sources: &[FileSource], touched: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
    let on_event = move |event: notify::Result<notify::Event>| {
        // Our own reading is an event too. Full means that a look is due already.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            let _ = touched.try_send(());
        }
    };
    let mut watcher = notify::recommended_watcher(on_event)
        .map_err(|error| tracing::warn!(error = %error, "people files are only compared every 10 s"))
        .ok()?;
    for source in sources {
        let directory = source.path().parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.map_or_else(|| PathBuf::from("."), PathBuf::from);
        if let Err(error) = watcher.watch(&directory, RecursiveMode::NonRecursive) {
            tracing::warn!(source.name = source.name(), error = %error, "the file is only compared every 10 s");
        }
    }
    Some(watcher)
}

fn report(synced: Result<Synced, FileError>, source: &FileSource, clock: &Clock, metrics: &Metrics) {
    match synced {
        Ok(Synced::Unchanged) => metrics.set_source_guarded(source.name(), false),
        Ok(Synced::Sent(_)) => {
            metrics.set_source_guarded(source.name(), false);
            metrics.source_synced(source.name(), clock.now().wall);
        }
        Err(error) => {
            metrics.set_source_guarded(source.name(), error.kind() == "guarded");
            metrics.source_error(source.name(), error.kind());
            tracing::error!(source.name = source.name(), error = chain(&error), "the people file was not taken");
        }
    }
}

/// Refreshes the keys of all issuers, and of others once the configuration names them.
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

/// Keeps every new key set for the next start.
pub async fn keep_keys(mut fresh: mpsc::Receiver<FreshKeys>, notes: Notes) {
    while let Some(keys) = fresh.recv().await {
        if let Err(error) = store::keep_keys(&notes, &keys).await {
            tracing::warn!(issuer.name = %keys.issuer, error = %error, "signing keys were not kept for a restart");
        }
    }
}

/// Every second: compares the clocks, ends what expired, lets the audit trail know the time.
pub async fn time(clock: Arc<Clock>, inbox: Inbox, recorder: Recorder, notes: Notes) {
    let mut timer = interval(COMPARE);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticks = 0_u32;
    loop {
        timer.tick().await;
        clock.compare();
        let now = clock.now();
        recorder.tick(now);
        if let Err(error) = inbox.ask(Command::Tick, now).await {
            tracing::error!(error = %error, "what expired was not ended; it is tried again");
        }
        ticks = ticks.wrapping_add(1);
        if ticks % KEEP_CLOCK == 0
            && let Err(error) = store::keep_clock(&notes, now.steady).await
        {
            tracing::warn!(error = %error, "the time was not kept");
        }
    }
}
