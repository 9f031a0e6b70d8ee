//! All of Offboard except its sockets, on any log: real tokens in, decisions out, time as an argument.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use offboard::app::alarms::Mixed;
use offboard::app::authenticators::{Active, Authenticators};
use offboard::app::check_handler::LiveCheckHandler;
use offboard::app::clock::Clock;
use offboard::app::matches::Matches;
use offboard::app::observed::Observed;
use offboard::app::on_demand_lookup::OnDemandLookup;
use offboard::app::seen_credentials::SeenCredentials;
use offboard::app::sources::Sources;
use offboard::audit;
use offboard::authenticate::Authenticator;
use offboard::authenticate::cache::CacheCounters;
use offboard::decide::decide;
use offboard::domain::command::{
    Command, Done, Observation, Refused, RevokeRequest, WhenAmbiguous, WhenUnknown, WriterHandle,
};
use offboard::domain::decision::Decision;
use offboard::domain::event::{Position, Recorded};
use offboard::domain::id::RevocationId;
use offboard::domain::key::{Key, Keyer};
use offboard::domain::person::{Person, Status};
use offboard::domain::policy::Policy;
use offboard::domain::reason::Reason;
use offboard::domain::revocation::{Shape, Target};
use offboard::domain::settings;
use offboard::domain::time::{Now, Timestamp};
use offboard::jose::fetch::Fetcher;
use offboard::jose::keys::KeyRings;
use offboard::log::embedded::Embedded;
use offboard::log::memory::Memory;
use offboard::log::{Log, LogError};
use offboard::request::Request;
use offboard::state::fold::Fold;
use offboard::state::{Published, snapshot};
use offboard::telemetry::metrics::Metrics;
use offboard::writer::{Around, EventObserver, Ids, Writer, WriterIdentity, replay, replay_with_marks};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::corp::{self, ISSUER};
use crate::support::provider::{Signer, jwks};

/// A place that keeps a log while processes come and go.
pub trait Store {
    /// The kind of log.
    type Log: Log;

    /// A new, empty place.
    fn new() -> Self;

    /// Opens the log as a process does when it starts. The process before has closed it.
    fn open(&self) -> Arc<Self::Log>;

    /// Takes the log away from a running process, or puts it back.
    fn take_away(&self, away: bool);
}

/// A log in memory.
pub struct InMemory(Arc<Memory>);

impl Store for InMemory {
    type Log = Memory;

    fn new() -> Self {
        Self(Arc::default())
    }

    fn open(&self) -> Arc<Memory> {
        Arc::clone(&self.0)
    }

    fn take_away(&self, away: bool) {
        self.0.moved.store(away, Ordering::Release);
    }
}

/// A log in SQLite.
pub struct OnDisk(tempfile::TempDir);

impl Store for OnDisk {
    type Log = Embedded;

    fn new() -> Self {
        Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    /// Another test in this process may be starting a child. Between fork and exec, the child holds a copy of the lock
    /// of a store that was closed in the meantime. No service has children.
    fn open(&self) -> Arc<Embedded> {
        let patience = Instant::now() + Duration::from_secs(10);
        loop {
            match Embedded::open(self.0.path()) {
                Err(LogError::Locked { .. }) if Instant::now() < patience => std::thread::yield_now(),
                opened => return Arc::new(opened.unwrap()),
            }
        }
    }

    fn take_away(&self, away: bool) {
        let (place, aside) = (self.0.path(), self.0.path().with_extension("aside"));
        let (from, to) = if away { (place, aside.as_path()) } else { (aside.as_path(), place) };
        std::fs::rename(from, to).unwrap();
    }
}

struct Silent;

impl EventObserver for Silent {
    fn enforced(&self, _: &Recorded, _: &[Key], _: Around<'_>) {}

    fn store_failed(&self, _: &str) {}
}

/// One process, from its writer to its decisions.
pub struct World<S: Store> {
    pub store: S,
    pub log: Arc<S::Log>,
    pub keyer: Keyer,
    pub writer: WriterHandle,
    pub published: Arc<Published>,
    pub authenticator: Authenticator,
    pub cache: Arc<CacheCounters>,
    pub signer: Signer,
    writers: JoinSet<()>,
}

/// A gate and what is behind it.
pub struct Doors {
    pub handler: LiveCheckHandler,
    /// Writes the trail once somebody runs it.
    pub audit: audit::writer::TrailWriter,
    /// The keys that the gate verifies with.
    pub rings: KeyRings,
}

/// The keyer that all these installations share.
pub fn keyer() -> Keyer {
    Keyer::new([1; 16])
}

/// An authenticator that has these keys, and that gets no answer from any provider.
pub fn authenticator(policy: &Arc<Policy>, cache: &Arc<CacheCounters>, keys: &[&Signer]) -> Authenticator {
    let (fresh, _) = mpsc::channel(1);
    let kept = |_: &str, _: &str| Some(jwks(keys).into_bytes());
    let rings = KeyRings::build(&policy.issuers, &KeyRings::default(), &Fetcher::new(), &fresh, kept);
    Authenticator::new(Arc::clone(policy), keyer(), rings, Arc::clone(cache))
}

fn signer() -> Signer {
    Signer::new("a", 1)
}

impl<S: Store> World<S> {
    /// A process on an empty log, whose people file lists alice and bob.
    pub async fn start(store: S) -> Self {
        Self::with(store, corp::policy()).await
    }

    /// The same, with this policy.
    pub async fn with(store: S, policy: Policy) -> Self {
        let world = Self::empty(store, policy).await;
        world.list(&[person("alice"), person("bob")], corp::at(0)).await.unwrap();
        world
    }

    /// A process whose sources have said nothing yet.
    pub async fn empty(store: S, policy: Policy) -> Self {
        let log = store.open();
        let fold = replay(log.as_ref(), keyer()).await.unwrap();
        let policy = Arc::new(Policy { retired: fold.fold.retired(&policy.sources), ..policy });
        let (writer_loop, published) = Writer::new(
            Arc::clone(&log),
            fold,
            Arc::clone(&policy),
            vec![Box::new(Silent)],
            WriterIdentity::alone("test", Ids::from_system().unwrap()),
        );
        let (writer, envelopes) = WriterHandle::new();
        let mut writers = JoinSet::new();
        writers.spawn(writer_loop.run(envelopes, std::future::pending()));
        let cache = Arc::default();
        let authenticator = authenticator(&policy, &cache, &[&signer()]);
        Self { store, log, keyer: keyer(), writer, published, authenticator, cache, signer: signer(), writers }
    }

    /// Stops, as on SIGTERM, and starts again with this policy.
    pub async fn restart(self, policy: Policy) -> Self {
        let Self { store, log, writer, mut writers, .. } = self;
        drop(writer);
        while writers.join_next().await.is_some() {}
        drop(log);
        Self::empty(store, policy).await
    }

    /// A second writer on the same log, as another replica has one.
    pub async fn beside(&mut self) -> (WriterHandle, Arc<Published>) {
        self.beside_with_marks(1_000).await
    }

    /// The same, with a digest of its fold at each multiple of `every`.
    pub async fn beside_with_marks(&mut self, every: u64) -> (WriterHandle, Arc<Published>) {
        let policy = Arc::clone(&self.published.load().rules.policy);
        let fold = replay_with_marks(self.log.as_ref(), keyer(), every).await.unwrap();
        let (writer_loop, published) = Writer::new(
            Arc::clone(&self.log),
            fold,
            policy,
            vec![Box::new(Silent)],
            WriterIdentity::alone("test", Ids::from_system().unwrap()),
        );
        let (writer, envelopes) = WriterHandle::new();
        self.writers.spawn(writer_loop.run(envelopes, std::future::pending()));
        (writer, published)
    }

    /// A reload.
    pub async fn configure(&mut self, policy: Policy, now: Now) -> Result<Done, Refused> {
        let retired = self.published.load().fold.retired(&policy.sources);
        let policy = Arc::new(Policy { retired, ..policy });
        self.authenticator = authenticator(&policy, &self.cache, &[&signer()]);
        self.writer.ask(Command::Configure(policy), now).await
    }

    /// Forgets all keys, as after a start that found none anywhere.
    pub fn forget_keys(&mut self) {
        let policy = Arc::clone(self.authenticator.policy());
        self.authenticator = authenticator(&policy, &self.cache, &[]);
    }

    /// A complete listing of the people file.
    pub async fn list(&self, people: &[Person], now: Now) -> Result<Done, Refused> {
        self.observe(people, true, now).await
    }

    /// A listing of the people file, complete or not.
    pub async fn observe(&self, people: &[Person], complete: bool, now: Now) -> Result<Done, Refused> {
        let people = people.to_vec();
        let listing = Observation::Listing { source: "hr".into(), people, complete, at: now.wall };
        self.writer.ask(Command::Observe(listing), now).await
    }

    /// `offboard revoke`, with no end.
    pub async fn revoke(&self, target: Target, now: Now) -> Result<Done, Refused> {
        self.writer.ask(Command::Revoke(request(target)), now).await
    }

    /// The id of the first revocation in force on a target.
    pub fn standing(&self, target: &Target) -> RevocationId {
        let fold = &self.published.load().fold;
        fold.revocations.under(target.key(&fold.keyer)).first().unwrap().id
    }

    /// `offboard restore`.
    pub async fn restore(&self, id: RevocationId, now: Now) -> Result<Done, Refused> {
        let command = Command::Restore { id, reason: "back".into(), actor: "ops".into() };
        self.writer.ask(command, now).await
    }

    /// `offboard exempt`.
    pub async fn exempt(&self, reference: &str, expires: Now, now: Now) -> Result<Done, Refused> {
        let (reference, expires) = (reference.to_owned(), expires.wall);
        let command = Command::Exempt { reference, expires, reason: "wrong".into(), actor: "ops".into() };
        self.writer.ask(command, now).await
    }

    /// Time passes.
    pub async fn tick(&self, now: Now) {
        self.writer.ask(Command::Tick, now).await.unwrap();
    }

    /// A token of the issuer with these claims, on top of those that every token has.
    pub fn token_of(&self, claims: &Value) -> String {
        let mut all = json!({ "iss": ISSUER, "aud": "mesh", "exp": corp::at(1_000_000).wall.as_millis() / 1000 });
        let all_members = all.as_object_mut().unwrap();
        all_members.extend(claims.as_object().unwrap().clone());
        self.signer.sign(&all)
    }

    /// A token of `subject`'s session `s1`, issued at `issued`.
    pub fn token(&self, subject: &str, issued: Now) -> String {
        self.token_of(&json!({ "sub": subject, "sid": "s1", "iat": issued.wall.as_millis() / 1000 }))
    }

    /// Decides a request with these headers.
    pub async fn decide(&self, headers: &[(&str, &str)], now: Now) -> Decision {
        self.decide_at("orders.example.com", headers, now).await
    }

    /// Decides a request to this host with these headers.
    pub async fn decide_at(&self, host: &str, headers: &[(&str, &str)], now: Now) -> Decision {
        let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        let request = Request::synthetic("GET", host, "/v1/orders", headers);
        let shown = self.authenticator.authenticate(&request, now).await;
        decide(&self.published.load(), &request, &shown, now)
    }

    /// Decides a request with this token.
    pub async fn check(&self, token: &str, now: Now) -> Decision {
        self.decide(&[("authorization", &format!("Bearer {token}"))], now).await
    }

    /// The reason of the decision on a request with a token of `subject`, issued at `issued`.
    pub async fn ask(&self, subject: &str, issued: Now, now: Now) -> Reason {
        self.check(&self.token(subject, issued), now).await.reason
    }

    /// The gate of this process, as proxies ask it, with an audit trail in `audit`. It uses the clock of the machine.
    pub fn handler(&self, audit: &Path) -> Doors {
        let (clock, policy) = (Clock::start(None), Arc::clone(&self.published.load().rules.policy));
        let authenticator = authenticator(&policy, &self.cache, &[&signer()]);
        let settings = settings::audit::TrailSettings {
            path: audit.to_owned(),
            decisions: settings::audit::Decisions::All,
            retention: Duration::from_secs(86_400),
        };
        let options = audit::open::Options { settings, replica: "test".into(), salt: [7; 32] };
        let (recorder, audit) = audit::open::open(options, clock.now()).unwrap();
        let (rings, metrics) = (authenticator.rings().clone(), Arc::new(Metrics::new().unwrap()));
        let authenticators = Arc::new(Authenticators::new(Active { policy, authenticator, control: None }));
        Doors {
            handler: LiveCheckHandler {
                published: Arc::clone(&self.published),
                authenticators,
                clock,
                recorder,
                metrics,
                lookup: OnDemandLookup::new(Sources::default()),
                mixed: Mixed::default(),
                matches: Matches::default(),
                seen: SeenCredentials::default(),
                observed: Observed::since(Timestamp::MIN),
            },
            audit,
            rings,
        }
    }

    /// Digests of the state in force, of the fold of the whole log, and of that fold written to a snapshot and read
    /// back.
    pub async fn digests(&self) -> [String; 3] {
        let live = self.published.snapshot().fold.digest();
        let anew = self.refold(Fold::empty(keyer(), 1)).await;
        let kept = snapshot::read(&snapshot::write(&anew).unwrap(), keyer()).unwrap();
        [live, anew.digest(), kept.digest()]
    }

    /// Digest of the fold of the whole log.
    pub async fn refold_digest(&self) -> String {
        self.refold(Fold::empty(keyer(), 1)).await.digest()
    }

    /// Applies to a fold what comes after it in the log, up to a position.
    pub async fn refold_to(&self, mut fold: Fold, end: Position) -> Fold {
        let missing = usize::try_from(end - fold.epoch.position).unwrap();
        self.log.read(fold.epoch.position, missing).await.unwrap().iter().for_each(|recorded| fold.apply(recorded));
        fold
    }

    /// Applies to a fold all that comes after it in the log.
    pub async fn refold(&self, mut fold: Fold) -> Fold {
        fold.epoch.generation = self.log.head().await.unwrap().generation;
        loop {
            let page = self.log.read(fold.epoch.position, 1000).await.unwrap();
            if page.is_empty() {
                return fold;
            }
            page.iter().for_each(|recorded| fold.apply(recorded));
        }
    }
}

/// What an operator asks for: a block on `target`, at once and with no end.
pub fn request(target: Target) -> RevokeRequest {
    let (shape, reason, actor, effective, expires) = (Shape::Block, "left".into(), "ops".into(), None, None);
    let (when_unknown, when_ambiguous) = (WhenUnknown::DenyName, WhenAmbiguous::Refuse);
    RevokeRequest { target, shape, reason, actor, effective, expires, when_unknown, when_ambiguous }
}

/// An active person of the people file.
pub fn person(key: &str) -> Person {
    corp::person(key, Status::Active)
}

/// The same, suspended.
pub fn suspended(key: &str) -> Person {
    corp::person(key, Status::Suspended)
}

/// Alice, by her e-mail address.
pub fn alice() -> Target {
    Target::Person { reference: "alice@example.com".into() }
}
