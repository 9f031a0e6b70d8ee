//! What the service is made of, in the groups in which it is built and started. Nothing works yet: [`super::tasks`] starts it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, watch};

use super::alarms::{Alarms, Mixed};
use super::audit_events::{AuditFollower, CallRecorder, Enforced, EventForwarder};
use super::check_handler::LiveCheckHandler;
use super::clock::Clock;
use super::cut::{Cutter, Limits};
use super::listeners::{self, ListenError, Socket};
use super::matches::Matches;
use super::observed::Observed;
use super::on_demand_lookup::OnDemandLookup;
use super::operators::LiveOperators;
use super::reload::Reloader;
use super::seen_credentials::SeenCredentials;
use super::sources::Sources;
use super::start_error::StartError;
use super::troubles::Troubles;
use super::verifiers::Verifiers;
use super::views::LiveViews;
use super::views::problems::Problems;
use super::{secret, store};
use crate::audit::AuditError;
use crate::audit::open::{Options, open};
use crate::audit::sink::Recorder;
use crate::audit::writer::TrailWriter;
use crate::config::settings::{Listener, ServerSettings, Settings, StoreSettings};
use crate::config::{Configuration, Inputs};
use crate::control::guard::{Bootstrap, CallGuard};
use crate::control::service::Operator;
use crate::domain::command::{Envelope, WriterHandle};
use crate::domain::key::Keyer;
use crate::domain::policy::Policy;
use crate::jose::keys::FreshKeys;
use crate::log::embedded::Embedded;
use crate::log::{KeyValues, LogError};
use crate::state::Published;
use crate::telemetry::health::{Block, Readiness};
use crate::telemetry::logging::Lasting;
use crate::telemetry::metrics::Metrics;
use crate::writer::{Ids, Replayed, Writer, WriterIdentity, replay};

/// Everything that was made, and not yet started.
pub(super) struct Parts {
    pub(super) base: Base,
    pub(super) verification: Verification,
    pub(super) leave: LeavePath,
    pub(super) audit: AuditPath,
    pub(super) ready: ReadyWhen,
    pub(super) handler: Arc<LiveCheckHandler>,
    pub(super) control: ControlPlane,
    pub(super) reloads: Reloads,
    pub(super) sockets: Sockets,
}

/// What every other part uses.
pub(super) struct Base {
    pub(super) log: Arc<Embedded>,
    pub(super) key_values: Arc<dyn KeyValues>,
    pub(super) keyer: Keyer,
    /// Name of this process in the log.
    pub(super) process: String,
    /// The first settings and policy; a reload hands on its own.
    pub(super) settings: Settings,
    pub(super) policy: Arc<Policy>,
    pub(super) clock: Arc<Clock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) recorder: Recorder,
    pub(super) troubles: Arc<Troubles>,
}

impl Base {
    /// Replays the log, then opens the audit trail: the time goes on from the highest that either of log and store knows.
    pub(super) async fn build(
        configuration: &Configuration,
        log: Embedded,
    ) -> Result<(Self, TrailWriter, Replayed), StartError> {
        let settings = configuration.settings.clone();
        let key_values = log.key_values();
        let log = Arc::new(log);
        let StoreSettings::Embedded { secret_file, .. } = &settings.store;
        let secret = secret::of_installation(key_values.as_ref(), secret_file.as_deref(), &settings.audit.path).await?;
        let keyer = Keyer::of(&secret);
        let history = replay(log.as_ref(), keyer.clone()).await?;
        let policy = store::policy(configuration, &history.fold);
        let process = store::process(key_values.as_ref()).await?;
        let floor = store::clock(key_values.as_ref()).await?.max(Some(history.fold.witnessed));
        let clock = Clock::start(floor);
        let (recorder, trail) = open_trail(&settings, secret.salt(), &clock)?;
        let metrics = Arc::new(Metrics::new().map_err(|error| StartError::File(error.to_string()))?);
        metrics.know(&policy);
        let troubles = Arc::default();
        let base = Self { log, key_values, keyer, process, settings, policy, clock, metrics, recorder, troubles };
        Ok((base, trail, history))
    }
}

fn open_trail(settings: &Settings, salt: [u8; 32], clock: &Clock) -> Result<(Recorder, TrailWriter), AuditError> {
    let options = Options { settings: settings.audit.clone(), replica: replica(), salt };
    open(options, clock.now())
}

/// Name of this replica: the pod's, else the machine's.
fn replica() -> String {
    std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "offboard".to_owned())
}

/// What verifies credentials, and the keys to be kept for the next start.
pub(super) struct Verification {
    pub(super) verifiers: Arc<Verifiers>,
    pub(super) fresh_keys: mpsc::Receiver<FreshKeys>,
}

impl Verification {
    pub(super) async fn build(base: &Base) -> Result<Self, LogError> {
        let key_values = Arc::clone(&base.key_values);
        let (verifiers, fresh_keys) = Verifiers::start(base.keyer.clone(), key_values, &base.policy).await?;
        Ok(Self { verifiers: Arc::new(verifiers), fresh_keys })
    }
}

/// From sources and operators to the log and the state: the writer, and the sources that tell it.
pub(super) struct LeavePath {
    pub(super) writer_loop: Writer<Embedded>,
    pub(super) envelopes: mpsc::Receiver<Envelope>,
    pub(super) writer: WriterHandle,
    /// The state in force.
    pub(super) published: Arc<Published>,
    pub(super) enforced: mpsc::Receiver<Enforced>,
    pub(super) alarms: Arc<Alarms>,
    pub(super) sources: Sources,
}

impl LeavePath {
    pub(super) fn build(base: &Base, history: Replayed) -> Result<Self, StartError> {
        let alarms = Arc::<Alarms>::default();
        let told = (Arc::clone(&alarms), Arc::clone(&base.troubles));
        let (forwarder, enforced) = EventForwarder::new(Arc::clone(&base.clock), Arc::clone(&base.metrics), told);
        let (log, policy) = (Arc::clone(&base.log), Arc::clone(&base.policy));
        let identity = WriterIdentity::alone(base.process.clone(), Ids::from_system().map_err(StartError::Random)?);
        let (writer_loop, published) = Writer::new(log, history, policy, vec![Box::new(forwarder)], identity);
        let (writer, envelopes) = WriterHandle::new();
        Ok(Self { writer_loop, envelopes, writer, published, enforced, alarms, sources: Sources::default() })
    }

    /// What answers checks, on the state that this path publishes.
    pub(super) fn check_handler(&self, base: &Base, verification: &Verification) -> Arc<LiveCheckHandler> {
        Arc::new(LiveCheckHandler {
            published: Arc::clone(&self.published),
            authenticators: Arc::clone(&verification.verifiers.authenticators),
            clock: Arc::clone(&base.clock),
            recorder: base.recorder.clone(),
            metrics: Arc::clone(&base.metrics),
            lookup: OnDemandLookup::new(self.sources.clone()),
            mixed: Mixed::default(),
            matches: Matches::default(),
            seen: SeenCredentials::default(),
            observed: Observed::since(base.clock.now().wall),
        })
    }
}

/// What writes the audit trail, and what tells it of events of the log.
pub(super) struct AuditPath {
    pub(super) trail: TrailWriter,
    pub(super) follower: AuditFollower<Embedded>,
    /// What cuts off the log what the trail has.
    pub(super) cutter: Cutter<Embedded>,
}

impl AuditPath {
    pub(super) fn build(base: &Base, leave: &LeavePath, trail: TrailWriter) -> Self {
        let head = leave.published.load().fold.epoch.position;
        // A trail that has no event begins now: what was before is in the log. One that is ahead belongs to another.
        let done = trail.audited().map_or(head, |audited| audited.min(head));
        let (progress, audited) = watch::channel(done);
        let cutter = Cutter {
            log: Arc::clone(&base.log),
            published: Arc::clone(&leave.published),
            audited,
            recorder: base.recorder.clone(),
            limits: Limits::default(),
        };
        let follower = AuditFollower {
            log: Arc::clone(&base.log),
            published: Arc::clone(&leave.published),
            recorder: base.recorder.clone(),
            clock: Arc::clone(&base.clock),
            done,
            progress,
            trouble: Lasting::default(),
        };
        Self { trail, follower, cutter }
    }
}

/// What readiness waits for.
pub(super) struct ReadyWhen {
    pub(super) readiness: Readiness,
    /// Held until everything serves.
    pub(super) replaying: Block,
    /// One for each required source that never completed a full sync.
    pub(super) first_syncs: Vec<(String, Block)>,
}

impl ReadyWhen {
    pub(super) fn build(base: &Base, leave: &LeavePath, readiness: Readiness, replaying: Block) -> Self {
        let state = leave.published.load();
        let waiting = base.policy.sources.iter().filter(|source| source.required);
        let waiting = waiting.filter(|source| !state.fold.sources.contains_key(&source.name));
        let block = |name: &String| (name.clone(), readiness.block(format!("first sync of source {name}")));
        let first_syncs = waiting.map(|source| block(&source.name)).collect();
        Self { readiness, replaying, first_syncs }
    }
}

/// What answers operators.
pub(super) struct ControlPlane {
    pub(super) guard: CallGuard,
    pub(super) operator: Operator,
    pub(super) problems: Arc<Problems>,
}

impl ControlPlane {
    pub(super) fn build(
        base: &Base,
        verification: &Verification,
        leave: &LeavePath,
        handler: &Arc<LiveCheckHandler>,
        readiness: &Readiness,
    ) -> Result<Self, StartError> {
        let (recorder, clock, metrics) = (base.recorder.clone(), Arc::clone(&base.clock), Arc::clone(&base.metrics));
        let call_audit = Arc::new(CallRecorder { recorder, clock, metrics });
        let operators = Arc::new(LiveOperators {
            published: Arc::clone(&leave.published),
            authenticators: Arc::clone(&verification.verifiers.authenticators),
            clock: Arc::clone(&base.clock),
            lookup: OnDemandLookup::new(leave.sources.clone()),
        });
        let clock = Arc::clone(&base.clock);
        let time = Arc::new(move || clock.now().steady);
        let guard = CallGuard::new(bootstrap(&base.settings.server)?, operators, Arc::clone(&call_audit) as _, time);
        let problems = Arc::new(Problems {
            handler: Arc::clone(handler),
            rings: verification.verifiers.rings(),
            sources: leave.sources.clone(),
            readiness: readiness.clone(),
            troubles: Arc::clone(&base.troubles),
        });
        let views = LiveViews {
            handler: Arc::clone(handler),
            log: Arc::clone(&base.log),
            seen: Arc::clone(&verification.verifiers.seen),
            replica: replica(),
            problems: Arc::clone(&problems),
            trail: base.settings.audit.path.clone(),
        };
        let operator = Operator::new(leave.writer.clone(), Arc::new(views), call_audit);
        Ok(Self { guard, operator, problems })
    }
}

fn bootstrap(server: &ServerSettings) -> Result<Option<Bootstrap>, StartError> {
    let Some(path) = &server.bootstrap_token_sha256_file else { return Ok(None) };
    let named = |what: String| StartError::File(format!("bootstrap token hash `{}`: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
    Bootstrap::from_hex(text.trim()).map(Some).map_err(|error| named(error.to_string()))
}

/// What puts a changed configuration in force.
pub(super) struct Reloads {
    pub(super) reloader: Arc<Reloader>,
    /// Settings in force.
    pub(super) settings: watch::Receiver<Settings>,
    pub(super) paths: Vec<PathBuf>,
    /// The files of the configuration in force; `None` if it is not the one in the files.
    pub(super) in_force: Option<Inputs>,
}

impl Reloads {
    pub(super) fn build(
        base: &Base,
        verification: &Verification,
        leave: &LeavePath,
        (paths, environment): (Vec<PathBuf>, BTreeMap<String, String>),
        in_force: Option<Inputs>,
    ) -> Self {
        let (sender, settings) = watch::channel(base.settings.clone());
        let reloader = Reloader {
            environment,
            verifiers: Arc::clone(&verification.verifiers),
            published: Arc::clone(&leave.published),
            writer: leave.writer.clone(),
            settings: sender,
            key_values: Arc::clone(&base.key_values),
            recorder: base.recorder.clone(),
            metrics: Arc::clone(&base.metrics),
            troubles: Arc::clone(&base.troubles),
            clock: Arc::clone(&base.clock),
            turn: Mutex::new(()),
        };
        Self { reloader: Arc::new(reloader), settings, paths, in_force }
    }
}

/// The sockets of the listeners.
pub(super) struct Sockets {
    pub(super) authz: Socket,
    pub(super) control: Socket,
    pub(super) ops: Socket,
}

impl Sockets {
    pub(super) fn bind(server: &ServerSettings) -> Result<Self, ListenError> {
        Ok(Self {
            authz: listeners::bind("authz", &server.authz)?,
            control: listeners::bind("control", &server.control)?,
            ops: listeners::bind("ops", &Listener { listen: server.ops, tls: None })?,
        })
    }
}
