//! The tasks of the service: how they start, and in which order they stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::alarms::Alarms;
use super::audit_events::{AuditFollower, Enforced};
use super::check_handler::LiveCheckHandler;
use super::gauges::refresh;
use super::parts::{Base, LeavePath, Parts, Reloads, Verification};
use super::servers::{serve_authz, serve_control, serve_ops};
use super::signals::hangups;
use super::sources::{Manager, Sources, build};
use super::supervisor::{Ended, Supervisor};
use super::{bound_groups, feeds, store};
use crate::audit::writer::TrailWriter;
use crate::config::settings::Settings;
use crate::config::watch::{POLL, Watcher};
use crate::domain::command::{Command, Envelope, WriterHandle};
use crate::log::embedded::Embedded;
use crate::telemetry::health::{Block, Readiness};
use crate::telemetry::logging::chain;
use crate::telemetry::ops::{Problems, router};
use crate::writer::Writer;

/// The threads that tasks run on.
#[derive(Clone, Copy)]
pub(super) struct Threads<'a> {
    /// They answer proxies and do nothing else.
    pub(super) checks: &'a [Handle],
    /// For everything else.
    pub(super) work: &'a Handle,
}

/// The tasks at work, in the order in which they stop.
#[derive(Default)]
pub(super) struct Tasks {
    /// What answers proxies, operators and probes.
    servers: Supervisor,
    /// The writer, and what feeds it.
    core: Supervisor,
    /// What tells the trail of events of the log.
    audit_follower: Supervisor,
    /// What writes the trail.
    trail: Supervisor,
}

impl Tasks {
    /// Starts everything: the writer first, then what feeds it, then what asks it. Only then may it be ready.
    pub(super) async fn start(parts: Parts, threads: Threads<'_>) -> Self {
        let mut tasks = Self::default();
        let Parts { base, verification, leave, audit, ready, handler, control, reloads, sockets } = parts;
        let (work, readiness) = (threads.work, ready.readiness);
        let LeavePath { writer_loop, envelopes, writer, enforced, .. } = leave;
        let (rings, cache) = (verification.verifiers.rings(), Arc::clone(&verification.verifiers.cache));

        spawn_writer(&mut tasks.core, work, writer_loop, envelopes);
        let watched = Watched { base: &base, handler: &handler, writer: &writer };
        watched.spawn_feeds(&mut tasks.core, work, leave.alarms, &readiness);
        spawn_keys(&mut tasks.core, work, &base, verification);
        watched.spawn_sources(&mut tasks.core, work, leave.sources, reloads.settings.clone());
        let (cutter, clock) = (audit.cutter, Arc::clone(&base.clock));
        tasks.core.spawn_until_stop("log.cut", work, cutter.run(clock));
        put_in_force(&mut tasks.core, work, &base, &writer, reloads).await;
        spawn_first_syncs(&mut tasks.core, work, ready.first_syncs, Arc::clone(&handler));

        let refresh = refresh(Arc::clone(&handler), rings, cache);
        let problems: Problems = Arc::new(move || control.problems.lines());
        let ops = router(Arc::clone(&base.metrics), readiness.clone(), (refresh, problems));
        serve_ops(&mut tasks.servers, work, sockets.ops, ops);
        serve_control(&mut tasks.servers, work, sockets.control, control.guard, control.operator);
        serve_authz(&mut tasks.servers, (threads.checks, work), sockets.authz, &handler, readiness);
        // INVARIANT: readiness is blocked until everything serves.
        drop(ready.replaying);
        tasks.spawn_audit(work, (audit.trail, audit.follower), enforced);
        tasks
    }

    fn spawn_audit(
        &mut self,
        work: &Handle,
        (trail, follower): (TrailWriter, AuditFollower<Embedded>),
        enforced: mpsc::Receiver<Enforced>,
    ) {
        self.trail.spawn("audit.trail", work, async move {
            let ran = tokio::task::spawn_blocking(move || trail.run()).await;
            ran.map_err(|error| error.to_string())?.map_err(|error| chain(&error))
        });
        self.audit_follower.spawn("audit.events", work, async move {
            follower.run(enforced).await.map_err(|error| error.to_string())
        });
    }

    /// Waits for the first task that ends.
    pub(super) async fn first_end(&mut self) -> Ended {
        tokio::select! {
            ended = self.servers.first_end() => ended,
            ended = self.core.first_end() => ended,
            ended = self.audit_follower.first_end() => ended,
            ended = self.trail.first_end() => ended,
        }
    }

    /// Stops them one after the other, within `drain`. Callers get most of the time, and what has to be kept the rest: a
    /// caller that never ends costs no record. `close` ends the trail.
    pub(super) async fn stop(mut self, drain: Duration, close: impl Future<Output = ()>) {
        // INVARIANT: whoever sends stops before whoever receives, so that nothing acknowledged misses its record.
        if timeout(drain * 6 / 10, self.servers.stop()).await.is_err() {
            tracing::warn!("drain timed out; remaining connections were closed");
            self.servers.abort().await;
        }
        if timeout(drain * 2 / 10, self.core.stop()).await.is_err() {
            // A snapshot of many people: without it the next start reads more of the log.
            tracing::warn!("drain timed out; no snapshot was written");
            self.core.abort().await;
        }
        let kept = timeout(drain / 10, async {
            self.audit_follower.stop().await;
            close.await;
            self.trail.stop().await;
        });
        if kept.await.is_err() {
            tracing::error!("drain timed out; not all audit records were written");
        }
    }
}

fn spawn_writer(
    core: &mut Supervisor,
    work: &Handle,
    writer_loop: Writer<Embedded>,
    envelopes: mpsc::Receiver<Envelope>,
) {
    let stop = core.stop_token();
    let running = writer_loop.run(envelopes, stop.clone().cancelled_owned());
    core.spawn("writer", work, async move {
        running.await;
        if stop.is_cancelled() { Ok(()) } else { Err("it ended unexpectedly".to_owned()) }
    });
}

/// What the tasks that feed the writer look at, and where they send what they find.
struct Watched<'a> {
    base: &'a Base,
    handler: &'a LiveCheckHandler,
    writer: &'a WriterHandle,
}

impl Watched<'_> {
    /// The passing of time, and what wakes somebody.
    fn spawn_feeds(&self, core: &mut Supervisor, work: &Handle, alarms: Arc<Alarms>, readiness: &Readiness) {
        let published = || Arc::clone(&self.handler.published);
        let (clock, recorder) = (Arc::clone(&self.base.clock), self.base.recorder.clone());
        let store = (Arc::clone(&self.base.key_values), Arc::clone(&self.base.troubles));
        let time = feeds::time(clock, self.writer.clone(), recorder, store);
        core.spawn_until_stop("clock", work, time);
        let watched = (published(), Arc::clone(&self.base.metrics));
        core.spawn_until_stop("alarms", work, feeds::alarms(alarms, watched, Arc::clone(&self.base.clock)));
        core.spawn_until_stop("store", work, feeds::store(published(), readiness.clone()));
        core.spawn_until_stop("groups", work, bound_groups::watch(published()));
    }

    fn spawn_sources(
        &self,
        core: &mut Supervisor,
        work: &Handle,
        sources: Sources,
        settings: watch::Receiver<Settings>,
    ) {
        let manager = Manager {
            sources,
            writer: self.writer.clone(),
            published: Arc::clone(&self.handler.published),
            clock: Arc::clone(&self.base.clock),
            metrics: Arc::clone(&self.base.metrics),
            build,
        };
        core.spawn_until_stop("sources", work, manager.run(settings));
    }
}

fn spawn_keys(core: &mut Supervisor, work: &Handle, base: &Base, verification: Verification) {
    let Verification { verifiers, fresh_keys } = verification;
    core.spawn_until_stop("keys.keep", work, feeds::keep_keys(fresh_keys, Arc::clone(&base.key_values)));
    core.spawn_until_stop("keys.refresh", work, feeds::signing_keys(verifiers.rings(), Arc::clone(&base.clock)));
}

/// Hands the first configuration to the writer, keeps it for a restart, and follows its files. What `revocations:` says is
/// noted before the first check is answered; it denies in any case.
async fn put_in_force(core: &mut Supervisor, work: &Handle, base: &Base, writer: &WriterHandle, reloads: Reloads) {
    if let Err(error) = writer.ask(Command::Configure(Arc::clone(&base.policy)), base.clock.now()).await {
        tracing::error!(error.message = %error, "configuration applied, but the log does not hold all of it");
    }
    let Reloads { reloader, paths, in_force, .. } = reloads;
    let watcher = Watcher::new(paths, in_force.as_ref(), POLL);
    base.metrics.reloaded(in_force.as_ref().map(|_| base.clock.now().wall));
    if let Some(inputs) = &in_force
        && let Err(error) = store::keep_configuration(base.key_values.as_ref(), inputs).await
    {
        tracing::error!(error.message = %error, "cannot store the configuration for the next start");
    }
    match hangups() {
        Ok(hangups) => core.spawn_until_stop("config.watch", work, reloader.follow(watcher, hangups)),
        Err(error) => {
            tracing::error!(error.message = %error, "cannot follow the configuration; restart to apply changes")
        }
    }
}

fn spawn_first_syncs(
    core: &mut Supervisor,
    work: &Handle,
    waiting: Vec<(String, Block)>,
    handler: Arc<LiveCheckHandler>,
) {
    let (stop, synced) = (core.stop_token(), wait_for_syncs(waiting, handler));
    core.spawn("source.first", work, async move {
        tokio::select! { () = synced => stop.cancelled().await, () = stop.cancelled() => {} }
        Ok(())
    });
}

/// Lets go of the blocks on readiness, one by one, as the sources complete their first sync, or are not required any more.
async fn wait_for_syncs(mut waiting: Vec<(String, Block)>, handler: Arc<LiveCheckHandler>) {
    let mut epochs = handler.published.epochs();
    loop {
        let state = handler.published.snapshot();
        let is_required = |name: &str| state.rules.policy.sources.iter().any(|of| of.name == name && of.required);
        waiting.retain(|(name, _)| is_required(name) && !state.fold.sources.contains_key(name));
        drop(state);
        if waiting.is_empty() || epochs.changed().await.is_err() {
            return;
        }
    }
}
