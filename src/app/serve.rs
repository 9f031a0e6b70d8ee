//! From bound to stopped: the tasks, and the drain.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::alarms::Alarms;
use super::audit_events::{AuditFollower, CallRecorder, Enforced};
use super::check_handler::LiveCheckHandler;
use super::cut::Cutter;
use super::feeds;
use super::listeners::Socket;
use super::reload::Reloader;
use super::servers::{serve_authz, serve_control, serve_ops};
use super::sources::{Manager, Sources, build};
use super::start::InForce;
use super::supervisor::Supervisor;
use super::views::LiveViews;
use crate::audit::writer::TrailWriter;
use crate::authenticate::cache::CacheCounters;
use crate::config::settings::Settings;
use crate::config::watch::{POLL, Watcher};
use crate::control::guard::CallGuard;
use crate::control::service::Operator;
use crate::domain::command::{Command, Envelope};
use crate::domain::person::Status;
use crate::domain::policy::Policy;
use crate::domain::revocation::TargetKind;
use crate::jose::keys::{FreshKeys, KeyRings};
use crate::log::embedded::Embedded;
use crate::telemetry::health::{Block, Readiness};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::ops::{Refresh, router};
use crate::writer::Writer;

/// Everything that was made, and not yet started.
pub(super) struct Parts {
    pub(super) authz: Socket,
    pub(super) control: Socket,
    pub(super) ops: Socket,
    pub(super) handler: Arc<LiveCheckHandler>,
    pub(super) guard: CallGuard,
    pub(super) call_audit: Arc<CallRecorder>,
    pub(super) views: Arc<LiveViews<Embedded>>,
    pub(super) reloader: Arc<Reloader>,
    pub(super) paths: Vec<PathBuf>,
    pub(super) in_force: InForce,
    pub(super) first: Arc<Policy>,
    pub(super) writer_loop: Writer<Embedded>,
    pub(super) envelopes: mpsc::Receiver<Envelope>,
    pub(super) audit: TrailWriter,
    pub(super) audit_follower: AuditFollower<Embedded>,
    pub(super) cutter: Cutter<Embedded>,
    pub(super) enforced: mpsc::Receiver<Enforced>,
    pub(super) alarms: Arc<Alarms>,
    pub(super) fresh_keys: mpsc::Receiver<FreshKeys>,
    pub(super) rings: watch::Receiver<KeyRings>,
    pub(super) settings: watch::Receiver<Settings>,
    pub(super) sources: Sources,
    pub(super) cache: Arc<CacheCounters>,
    pub(super) readiness: Readiness,
    pub(super) replayed: Block,
    pub(super) waiting: Vec<(String, Block)>,
    pub(super) drain: Duration,
}

/// Where it listens.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Addresses {
    message: &'static str,
    /// Proxies.
    pub authz: SocketAddr,
    /// Operators.
    pub control: SocketAddr,
    /// Metrics and probes.
    pub ops: SocketAddr,
}

/// The service, bound and not yet serving.
pub struct Bound {
    parts: Parts,
}

impl Bound {
    pub(super) fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        let parts = &self.parts;
        Addresses {
            message: "listening",
            authz: parts.authz.address,
            control: parts.control.address,
            ops: parts.ops.address,
        }
    }

    /// Serves until `stop`, then drains. `checks` are the threads that answer proxies and do nothing else;
    /// everything else runs on `work`.
    ///
    /// # Errors
    /// The first task that ended though nobody had asked it to.
    pub async fn run(self, checks: &[Handle], work: &Handle, stop: impl Future<Output = ()>) -> Result<(), String> {
        let parts = self.parts;
        let (drain, readiness) = (parts.drain, parts.readiness.clone());
        let (recorder, clock) = (parts.handler.recorder.clone(), Arc::clone(&parts.handler.clock));
        let mut audit = Supervisor::default();
        let mut core = Supervisor::default();
        let mut servers = Supervisor::default();
        let mut books = Supervisor::default();
        let AuditTasks { trail, audit_follower, enforced } =
            spawn_all(parts, (&mut core, &mut servers), (checks, work)).await;
        audit.spawn("audit.trail", work, async move {
            let ran = tokio::task::spawn_blocking(move || trail.run()).await;
            ran.map_err(|error| error.to_string())?.map_err(|error| crate::telemetry::logging::chain(&error))
        });
        books.spawn("audit.events", work, async move {
            audit_follower.run(enforced).await.map_err(|error| error.to_string())
        });

        let ended = tokio::select! {
            () = stop => None,
            ended = servers.first_end() => Some(ended),
            ended = core.first_end() => Some(ended),
            ended = books.first_end() => Some(ended),
            ended = audit.first_end() => Some(ended),
        };
        readiness.drain();
        tracing::info!("draining");
        // Whoever sends us requests sees first that we are no longer ready. Then they get most of the time, and what
        // has to be kept the rest: a caller that never ends costs no record.
        if ended.is_none() {
            tokio::time::sleep(drain / 10).await;
        }
        if tokio::time::timeout(drain * 6 / 10, servers.stop()).await.is_err() {
            tracing::warn!("the drain took too long: callers that were left were cut off");
            servers.abort().await;
        }
        if tokio::time::timeout(drain * 2 / 10, core.stop()).await.is_err() {
            // A snapshot of many people: without it the next start reads more of the log.
            tracing::warn!("the drain took too long: no snapshot was kept");
            core.abort().await;
        }
        let kept = tokio::time::timeout(drain / 10, async {
            books.stop().await;
            recorder.close(clock.now()).await;
            audit.stop().await;
        });
        if kept.await.is_err() {
            tracing::error!("not everything was written down before the end of the drain");
        }
        ended.map_or(Ok(()), |ended| Err(ended.to_string()))
    }
}

struct AuditTasks {
    trail: TrailWriter,
    audit_follower: AuditFollower<Embedded>,
    enforced: mpsc::Receiver<Enforced>,
}

/// Starts everything: the writer first, then what feeds it, then what asks it.
async fn spawn_all(
    parts: Parts,
    (core, servers): (&mut Supervisor, &mut Supervisor),
    (checks, work): (&[Handle], &Handle),
) -> AuditTasks {
    let (handler, reloader, cache) =
        (Arc::clone(&parts.handler), Arc::clone(&parts.reloader), Arc::clone(&parts.cache));
    let (readiness, rings, settings) = (parts.readiness.clone(), parts.rings.clone(), parts.settings.clone());
    let metrics = Arc::clone(&handler.metrics);
    let (writer, clock, key_values) =
        (reloader.writer.clone(), Arc::clone(&handler.clock), Arc::clone(&reloader.key_values));
    let stop = core.stop_token();
    let running = parts.writer_loop.run(parts.envelopes, stop.clone().cancelled_owned());
    core.spawn("writer", work, async move {
        running.await;
        if stop.is_cancelled() { Ok(()) } else { Err("it ended on its own".to_owned()) }
    });
    let time = feeds::time(Arc::clone(&clock), writer.clone(), handler.recorder.clone(), Arc::clone(&key_values));
    core.spawn_until_stop("clock", work, time);
    let watched = (Arc::clone(&handler.published), Arc::clone(&metrics));
    core.spawn_until_stop("alarms", work, feeds::alarms(parts.alarms, watched, Arc::clone(&clock)));
    core.spawn_until_stop("store", work, feeds::store(Arc::clone(&handler.published), readiness.clone()));
    core.spawn_until_stop("log.cut", work, parts.cutter.run(Arc::clone(&clock)));
    core.spawn_until_stop("groups", work, super::bound_groups::watch(Arc::clone(&handler.published)));
    core.spawn_until_stop("keys.keep", work, feeds::keep_keys(parts.fresh_keys, key_values));
    core.spawn_until_stop("keys.refresh", work, feeds::signing_keys(rings.clone(), Arc::clone(&clock)));
    let manager = Manager {
        sources: parts.sources,
        writer: writer.clone(),
        published: Arc::clone(&handler.published),
        clock: Arc::clone(&clock),
        metrics: Arc::clone(&metrics),
        build,
    };
    core.spawn_until_stop("sources", work, manager.run(settings));

    // What `revocations:` says is noted before the first check is answered; it denies in any case.
    if let Err(error) = writer.ask(Command::Configure(Arc::clone(&parts.first)), clock.now()).await {
        tracing::error!(error = %error, "the configuration is in force, but not all of it is in the log");
    }
    let watcher = Watcher::new(parts.paths, parts.in_force.as_ref(), POLL);
    metrics.reloaded(parts.in_force.as_ref().map(|_| clock.now().wall));
    if let Some(inputs) = &parts.in_force
        && let Err(error) = super::store::keep_configuration(reloader.key_values.as_ref(), inputs).await
    {
        tracing::error!(error = %error, "the configuration was not kept for a restart");
    }
    core.spawn_until_stop("config.watch", work, Arc::clone(&reloader).follow(watcher));
    let first_syncs = wait_for_syncs(parts.waiting, Arc::clone(&handler));
    core.spawn("source.first", work, {
        let stop = core.stop_token();
        async move {
            tokio::select! { () = first_syncs => stop.cancelled().await, () = stop.cancelled() => {} }
            Ok(())
        }
    });

    let refresh = refresh(Arc::clone(&handler), rings, cache);
    let ops = router(Arc::clone(&metrics), readiness.clone(), refresh);
    serve_ops(servers, work, parts.ops, ops);
    serve_control(servers, work, parts.control, parts.guard, Operator::new(writer, parts.views, parts.call_audit));
    serve_authz(servers, (checks, work), parts.authz, &handler, readiness.clone());
    drop(parts.replayed);
    AuditTasks { trail: parts.audit, audit_follower: parts.audit_follower, enforced: parts.enforced }
}

/// Lets go of the blocks on readiness, one by one, as the sources complete their first sync.
async fn wait_for_syncs(mut waiting: Vec<(String, Block)>, handler: Arc<LiveCheckHandler>) {
    let mut epochs = handler.published.epochs();
    loop {
        waiting.retain(|(name, _)| !handler.published.load().fold.sources.contains_key(name));
        if waiting.is_empty() || epochs.changed().await.is_err() {
            return;
        }
    }
}

/// Brings the gauges up to date with the state in force.
fn refresh(handler: Arc<LiveCheckHandler>, rings: watch::Receiver<KeyRings>, cache: Arc<CacheCounters>) -> Refresh {
    Arc::new(move |metrics: &Metrics| {
        let state = handler.published.load();
        metrics.know(&state.rules.policy);
        metrics.set_epoch(state.fold.epoch.position);
        for kind in TargetKind::ALL {
            metrics.set_revocations(kind, state.fold.live(kind));
        }
        let now = handler.clock.now();
        for source in &state.rules.policy.sources {
            let counts = state.fold.people.counts().get(&source.name).copied().unwrap_or_default();
            for (status, count) in Status::ALL.into_iter().zip(counts) {
                metrics.set_people(&source.name, status, count);
            }
            let synced = state.fold.sources.get(&source.name);
            if let Some(state) = synced {
                metrics.source_synced(&source.name, state.last_heard);
            }
            let stale = synced.is_none_or(|state| state.is_stale(source.max_staleness, now));
            metrics.set_source_stale(&source.name, stale);
            let held = state.fold.feeds.get(&source.name).is_some_and(|feed| feed.held.is_some());
            metrics.set_source_guarded(&source.name, held);
        }
        metrics.set_exemptions(state.fold.exemptions.len());
        let unmatched = handler.matches.unmatched();
        for issuer in &state.rules.policy.issuers {
            metrics.set_issuer_unmatched(&issuer.name, unmatched.contains(&issuer.issuer));
        }
        for ring in rings.borrow().iter() {
            let status = ring.status();
            metrics.set_jwks_keys(ring.name(), status.keys);
            metrics.set_jwks_errors(ring.name(), status.errors);
            if let Some(at) = status.last_success {
                metrics.jwks_fetched(ring.name(), at);
            }
        }
        metrics.set_clock_steps(handler.clock.steps());
        metrics.set_cache(cache.hits(), cache.misses());
        let counts = handler.recorder.counts();
        metrics.set_audit(counts.records, counts.waiting, counts.lost, counts.failures);
    })
}

/// A token that is cancelled by SIGTERM or SIGINT.
///
/// # Errors
/// What the system said when it was asked for signals.
pub fn stop_signals() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    })
}
