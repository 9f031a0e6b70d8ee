//! From nothing to bound: the store, the configuration, the replay, the parts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, watch};

use super::alarms::{Alarms, Mixed};
use super::audit_events::{AuditFollower, CallRecorder, EventForwarder};
use super::check_handler::{Active, Authenticators, LiveCheckHandler};
use super::clock::Clock;
use super::cut::{Cutter, Limits};
use super::listeners::{self, ListenError};
use super::matches::Matches;
use super::on_demand_lookup::OnDemandLookup;
use super::reload::{self, Reloader};
use super::secret::{self, SecretError};
use super::serve::{Bound, Parts};
use super::sources::Sources;
use super::store::{self, Chosen};
use super::views::LiveViews;
use crate::audit::AuditError;
use crate::audit::open::{Options, open};
use crate::audit::sink::Recorder;
use crate::audit::writer::TrailWriter;
use crate::authenticate::Authenticator;
use crate::authenticate::cache::CacheCounters;
use crate::authenticate::seen_identifiers::SeenIdentifiers;
use crate::config::settings::{Listener, Settings, StoreSettings};
use crate::config::{self, Inputs, Invalid};
use crate::control::guard::{Bootstrap, CallGuard};
use crate::domain::command::WriterHandle;
use crate::domain::policy::Policy;
use crate::jose::fetch::Fetcher;
use crate::jose::keys::KeyRings;
use crate::log::LogError;
use crate::log::embedded::Embedded;
use crate::telemetry::health::{Block, Readiness};
use crate::telemetry::metrics::Metrics;
use crate::writer::{Ids, Writer, replay};

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is invalid, and no good one is kept.
    #[error("{0}")]
    Configuration(Invalid),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] LogError),
    /// The store cannot be read with the secret that there is.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The audit trail cannot be written.
    #[error("open the audit trail")]
    Audit(#[from] AuditError),
    /// A listener does not listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system has no random numbers to name revocations with.
    #[error("draw random numbers for names: {0}")]
    Random(getrandom::Error),
    /// A file that the configuration names cannot be used.
    #[error("{0}")]
    File(String),
}

/// What the process was started with.
#[derive(Clone, Debug)]
pub struct Start {
    /// Files and directories of the configuration.
    pub paths: Vec<PathBuf>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
}

fn store_path(settings: &Settings) -> &PathBuf {
    let StoreSettings::Embedded { path, .. } = &settings.store;
    path
}

/// The configuration to start with, and the open store. Invalid files are no reason to stay down where the
/// store kept a good configuration.
async fn choose(start: &Start) -> Result<(Chosen, Embedded), StartError> {
    match store::read(&start.paths, &start.environment) {
        Ok(chosen) => {
            let log = open_log(store_path(&chosen.configuration.settings).clone()).await?;
            Ok((chosen, log))
        }
        Err(invalid) => {
            let path = config::store_hint(&start.paths, &start.environment);
            if !path.is_dir() {
                return Err(StartError::Configuration(invalid));
            }
            let log = open_log(path).await?;
            match store::last_good(log.key_values().as_ref(), &start.environment).await? {
                Some((inputs, configuration)) => Ok((Chosen { inputs, configuration, instead_of: Some(invalid) }, log)),
                None => Err(StartError::Configuration(invalid)),
            }
        }
    }
}

async fn open_log(path: PathBuf) -> Result<Embedded, LogError> {
    let opened = tokio::task::spawn_blocking(move || Embedded::open(path)).await;
    opened.map_err(|error| LogError::Io { step: "open the store", cause: error.to_string() })?
}

fn open_audit(settings: &Settings, salt: [u8; 32], clock: &Clock) -> Result<(Recorder, TrailWriter), AuditError> {
    let options = Options {
        dir: settings.audit.path.clone(),
        replica: replica(),
        decisions: reload::decisions(settings.audit.decisions),
        retention: settings.audit.retention,
        salt,
    };
    open(options, clock.now())
}

/// Name of this replica: the pod's, else the machine's.
fn replica() -> String {
    std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "offboard".to_owned())
}

fn bootstrap(settings: &Settings) -> Result<Option<Bootstrap>, StartError> {
    let Some(path) = &settings.server.bootstrap_token_sha256_file else { return Ok(None) };
    let named = |what: String| StartError::File(format!("bootstrap token hash `{}`: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
    Bootstrap::from_hex(text.trim()).map(Some).map_err(|error| named(error.to_string()))
}

/// Blocks readiness for each required source that never completed a full sync.
fn first_syncs(readiness: &Readiness, policy: &Policy, synced: impl Fn(&str) -> bool) -> Vec<(String, Block)> {
    let waiting = policy.sources.iter().filter(|source| source.required && !synced(&source.name));
    waiting
        .map(|source| (source.name.clone(), readiness.block(format!("first sync of source {}", source.name))))
        .collect()
}

/// Binds everything. When it returns, every address is known and nothing serves yet.
///
/// # Errors
/// [`StartError`] says what stands in the way.
pub async fn bind(start: Start) -> Result<Bound, StartError> {
    let readiness = Readiness::new();
    let replayed = readiness.block("log replay");
    let (chosen, log) = choose(&start).await?;
    let Chosen { inputs, configuration, instead_of } = chosen;
    if let Some(invalid) = &instead_of {
        for error in invalid.to_string().lines() {
            tracing::error!(config.error = error, "configuration is invalid: {error}");
        }
        tracing::error!("starting with the last good configuration instead");
    }
    let settings = configuration.settings.clone();
    let key_values = log.key_values();
    let log = Arc::new(log);

    let StoreSettings::Embedded { secret_file, .. } = &settings.store;
    let secret = secret::of_installation(key_values.as_ref(), secret_file.as_deref(), &settings.audit.path).await?;
    let keyer = secret.keyer();
    let start_from = replay(log.as_ref(), keyer.clone()).await?;
    let policy = store::policy(&configuration, &start_from.fold);
    let floor = store::clock(key_values.as_ref()).await?.max(Some(start_from.fold.witnessed));
    let clock = Clock::start(floor);
    let (recorder, audit) = open_audit(&settings, secret.salt(), &clock)?;
    let metrics = Arc::new(Metrics::new().map_err(|error| StartError::File(error.to_string()))?);
    metrics.know(&policy);

    let fetcher = Fetcher::new();
    let (fresh, fresh_keys) = mpsc::channel(64);
    let rings = reload::rings(&policy, &KeyRings::default(), &fetcher, &fresh, key_values.as_ref()).await?;
    let cache = Arc::new(CacheCounters::default());
    let seen = Arc::<SeenIdentifiers>::default();
    let authenticator = Authenticator::new(Arc::clone(&policy), keyer.clone(), rings.clone(), Arc::clone(&cache));
    let authenticator = authenticator.noting_in(Arc::clone(&seen));
    let authenticators = Arc::new(Authenticators::new(Active { policy: Arc::clone(&policy), authenticator }));

    let alarms = Arc::<Alarms>::default();
    let ids = Ids::from_system().map_err(StartError::Random)?;
    let (forwarder, enforced) = EventForwarder::new(Arc::clone(&clock), Arc::clone(&metrics), Arc::clone(&alarms));
    let (writer_loop, published) =
        Writer::new(Arc::clone(&log), start_from, Arc::clone(&policy), vec![Box::new(forwarder)], ids);
    let head = published.load().fold.epoch.position;
    // A trail that has no event begins now: what was before is in the log. One that is ahead belongs to another.
    let done = audit.audited().map_or(head, |audited| audited.min(head));
    let (progress, audited) = watch::channel(done);
    let audit_follower = AuditFollower {
        log: Arc::clone(&log),
        published: Arc::clone(&published),
        recorder: recorder.clone(),
        clock: Arc::clone(&clock),
        done,
        progress,
    };
    let cutter = Cutter {
        log: Arc::clone(&log),
        published: Arc::clone(&published),
        audited,
        recorder: recorder.clone(),
        limits: Limits::default(),
    };
    let (writer, envelopes) = WriterHandle::new();
    let (rings_sender, rings) = watch::channel(rings);
    let (settings_sender, settings_receiver) = watch::channel(settings.clone());
    let waiting = first_syncs(&readiness, &policy, |name| published.load().fold.sources.contains_key(name));

    let sources = Sources::default();
    let handler = Arc::new(LiveCheckHandler {
        published: Arc::clone(&published),
        authenticators: Arc::clone(&authenticators),
        clock: Arc::clone(&clock),
        recorder: recorder.clone(),
        metrics: Arc::clone(&metrics),
        lookup: OnDemandLookup::new(sources.clone()),
        mixed: Mixed::default(),
        matches: Matches::default(),
    });
    let call_audit =
        Arc::new(CallRecorder { recorder: recorder.clone(), clock: Arc::clone(&clock), metrics: Arc::clone(&metrics) });
    let guard = CallGuard::new(bootstrap(&settings)?, Arc::clone(&call_audit) as _);
    let views = LiveViews {
        handler: Arc::clone(&handler),
        sources: sources.clone(),
        log: Arc::clone(&log),
        rings: rings.clone(),
        seen: Arc::clone(&seen),
        readiness: readiness.clone(),
        replica: replica(),
    };
    let reloader = Reloader {
        environment: start.environment,
        keyer,
        fetcher,
        fresh,
        rings: rings_sender,
        cache: Arc::clone(&cache),
        seen,
        authenticators,
        published,
        writer: writer.clone(),
        settings: settings_sender,
        key_values,
        recorder,
        metrics: Arc::clone(&metrics),
        clock,
        turn: Mutex::new(()),
    };
    let in_force = instead_of.is_none().then_some(inputs);
    let ops = Listener { listen: settings.server.ops, tls: None };
    let parts = Parts {
        authz: listeners::bind("authz", &settings.server.authz)?,
        control: listeners::bind("control", &settings.server.control)?,
        ops: listeners::bind("ops", &ops)?,
        handler,
        guard,
        call_audit,
        views: Arc::new(views),
        reloader: Arc::new(reloader),
        paths: start.paths,
        in_force,
        first: policy,
        writer_loop,
        envelopes,
        audit,
        audit_follower,
        cutter,
        enforced,
        alarms,
        fresh_keys,
        rings,
        settings: settings_receiver,
        sources,
        cache,
        readiness,
        replayed,
        waiting,
        drain: settings.server.drain,
    };
    Ok(Bound::new(parts))
}

/// The files of the configuration in force, if it is the one in the files.
pub(super) type InForce = Option<Inputs>;
