//! The running sources: one task each, started, supervised and replaced as the configuration demands.

mod build;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

pub use build::build;

use super::clock::Clock;
use crate::config::settings::Settings;
use crate::config::sources::{SourceKind, SourceSettings};
use crate::domain::command::WriterHandle;
use crate::domain::person::{Person, Status};
use crate::domain::source::{Link, SourceErrorKind};
use crate::domain::time::Timestamp;
use crate::source::context::{SourceContext, SourceRequest, Time};
use crate::source::directory::{Directory, Finding, Grade};
use crate::source::error::{SourceError, chain};
use crate::source::file::Found;
use crate::source::health::{Health, Report, Reports};
use crate::source::poller::Poller;
use crate::state::Published;
use crate::telemetry::metrics::Metrics;

/// Requests that may wait for a source.
const WAITING: usize = 64;
/// Delay before a failed source task is restarted.
const AGAIN: Duration = Duration::from_secs(5);

/// A running source, as seen by others.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: mpsc::Sender<SourceRequest>,
    health: watch::Receiver<Health>,
    settings: SourceSettings,
}

/// The running sources, by name. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Sources(Arc<ArcSwap<BTreeMap<String, Handle>>>);

impl Sources {
    /// The health of a source.
    #[must_use]
    pub fn health(&self, name: &str) -> Option<Health> {
        self.0.load().get(name).map(|handle| handle.health.borrow().clone())
    }

    /// Syncs a source now; with `full`, lists everybody. Returns when the result is enforced.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn sync(&self, name: &str, full: bool) -> Result<(), String> {
        let requests = self.0.load().get(name).map(|handle| handle.requests.clone());
        let requests = requests.ok_or_else(|| format!("unknown source `{name}`"))?;
        let (reply, answer) = oneshot::channel();
        let stopped = || format!("source `{name}` has stopped");
        requests.send(SourceRequest::Sync { full, reply }).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Requests a listing soon. If the source is too busy, its next scheduled listing has to do.
    pub fn list_soon(&self, name: &str) {
        if let Some(requests) = self.0.load().get(name).map(|handle| handle.requests.clone()) {
            let (reply, _) = oneshot::channel();
            let _ = requests.try_send(SourceRequest::Sync { full: true, reply });
        }
    }

    /// Looks somebody up at a source; `None` if the source could not tell in time.
    pub async fn look_up(&self, name: &str, attribute: &str, value: &str) -> Option<bool> {
        let requests = self.0.load().get(name).map(|handle| handle.requests.clone())?;
        let (reply, answer) = oneshot::channel();
        let (attribute, value) = (attribute.to_owned(), value.to_owned());
        // Full: the source is too busy. Nobody waits for that.
        requests.try_send(SourceRequest::LookUp { attribute, value, reply }).ok()?;
        answer.await.ok().flatten()
    }

    /// Tests everything that a source will need.
    ///
    /// # Errors
    /// The source is unknown.
    pub async fn examine(&self, name: &str) -> Result<Vec<Finding>, String> {
        let settings = self.0.load().get(name).map(|handle| handle.settings.clone());
        Ok(examine(settings.ok_or_else(|| format!("unknown source `{name}`"))?).await)
    }
}

/// Tests everything that a source with these settings will need.
pub async fn examine(settings: SourceSettings) -> Vec<Finding> {
    let time = time(&Clock::start(None));
    let mut directory = build(&settings, Arc::clone(&time));
    let mut found = directory.examine().await;
    found.extend(directory.date().map(|there| clock(there, time().wall)));
    found
}

/// All groups with members in a people file; `None` if the source is no file, or the file cannot be read here.
pub async fn groups_in_file(settings: &SourceSettings) -> Option<BTreeSet<String>> {
    let SourceKind::File { path } = &settings.kind else { return None };
    let people = build::file(settings, path, time(&Clock::start(None))).now().await.ok()?;
    let here = people.into_iter().filter(|person| person.status != Status::Departed);
    Some(here.flat_map(|person| person.groups).collect())
}

/// Looks up the person named by a token's claim, as a source with these settings will.
pub async fn try_sample(settings: SourceSettings, link: &Link, value: &str) -> Finding {
    let time = time(&Clock::start(None));
    let look_up = LookUp { attribute: &link.attribute };
    let (grade, text) = match &settings.kind {
        // A file that is being written matters only to a listing.
        SourceKind::File { path } => {
            look_up.told_of_file(build::file(&settings, path, time).find(&link.attribute, value).await)
        }
        _ => look_up.told(build(&settings, time).look_up(&link.attribute, value).await),
    };
    let shown = format!("`{}` is `{}` (signature not verified)", link.claim, value.escape_debug());
    Finding { grade, what: "token sample", text: format!("{shown}: {text}") }
}

/// Describes the result of a look-up.
struct LookUp<'a> {
    attribute: &'a str,
}

impl LookUp<'_> {
    fn told(&self, found: Result<Option<Person>, SourceError>) -> (Grade, String) {
        match found {
            Ok(Some(person)) => (Grade::Good, format!("it matches {}, {}", person.id, person.status.word())),
            Ok(None) => (Grade::Bad, format!("nobody, or more than one person, has this as `{}`", self.attribute)),
            Err(error) => (Grade::Bad, chain(&error)),
        }
    }

    /// A file distinguishes nobody from several, and near misses.
    fn told_of_file(&self, found: Result<Found, SourceError>) -> (Grade, String) {
        let attribute = self.attribute;
        let text = match found {
            Ok(Found::One(person)) => return self.told(Ok(Some(*person))),
            Err(error) => return self.told(Err(error)),
            Ok(Found::Several(many)) => format!("{many} people have this as `{attribute}`; link by a unique attribute"),
            Ok(Found::Nobody { in_another_case: 0, elsewhere }) => {
                let others: Vec<String> = elsewhere.iter().map(|other| format!("`{other}`")).collect();
                let hint = format!("; people here have it as {}; link by that", others.join(", "));
                format!("nobody has this as `{attribute}`{}", if others.is_empty() { "" } else { &hint })
            }
            Ok(Found::Nobody { in_another_case: 1, .. }) => format!(
                "nobody has this as `{attribute}`; it would match `{attribute}` if case were ignored: the provider writes \
                 it differently"
            ),
            Ok(Found::Nobody { in_another_case, .. }) => format!(
                "nobody has this as `{attribute}`; it would match `{attribute}` of {in_another_case} people if case were \
                 ignored"
            ),
        };
        (Grade::Bad, text)
    }
}

/// With a larger clock difference, cut-offs are noticeably early or late.
const CLOCK: Duration = Duration::from_secs(5);

/// How far a provider's clock is from ours; it has a resolution of a second.
fn clock(there: Timestamp, here: Timestamp) -> Finding {
    let off = here.since(there).max(there.since(here));
    let (grade, what) = if off <= CLOCK { (Grade::Good, "") } else { (Grade::Warning, "; correct one of them") };
    Finding {
        grade,
        what: "clock",
        text: format!("the provider's clock differs from ours by {} s{what}", off.as_secs()),
    }
}

/// The running tasks, by source.
#[derive(Default)]
struct Tasks {
    all: JoinSet<()>,
    names: BTreeMap<Id, (String, AbortHandle)>,
    /// Failed sources, and when each may be restarted.
    resting: BTreeMap<String, Instant>,
}

/// Waits until this time, or forever without one.
async fn rest(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Builds a directory from settings; it gets the clock.
pub type Build = fn(&SourceSettings, Time) -> Box<dyn Directory>;

/// Keeps the configured sources running.
pub struct Manager {
    /// The running sources, shared with others.
    pub sources: Sources,
    /// The writer.
    pub writer: WriterHandle,
    /// Tells where each source continues.
    pub published: Arc<Published>,
    /// The clock.
    pub clock: Arc<Clock>,
    /// Counts failures and events.
    pub metrics: Arc<Metrics>,
    /// Builds the directory of a source.
    pub build: Build,
}

impl Manager {
    /// Runs forever. A reload restarts the sources that it changes; the others go on.
    pub async fn run(self, mut settings: watch::Receiver<Settings>) {
        let mut tasks = Tasks::default();
        let mut store = self.published.store_state();
        let mut returns = store.borrow_and_update().returns;
        loop {
            let wanted = settings.borrow_and_update().sources.clone();
            self.stop_unwanted(&wanted, &mut tasks).await;
            self.start_missing(&wanted, &mut tasks);
            let rested = tasks.resting.values().min().copied();
            tokio::select! {
                changed = settings.changed() => if changed.is_err() { return },
                changed = store.changed() => {
                    if changed.is_err() { return }
                    let now = store.borrow_and_update().returns;
                    if std::mem::replace(&mut returns, now) != now {
                        // Each source repeats what it reported while nothing was stored, from where the store left off.
                        self.stop_unwanted(&[], &mut tasks).await;
                    }
                }
                Some(ended) = tasks.all.join_next_with_id() => self.ended(ended, &mut tasks),
                () = rest(rested) => {}
            }
        }
    }

    /// Stops sources that are no longer wanted as they are, even within a request, and waits for them: an old task's
    /// answers and cursor must not arrive after those of the new one.
    async fn stop_unwanted(&self, wanted: &[SourceSettings], tasks: &mut Tasks) {
        let handles = self.sources.0.load();
        let unwanted = handles.values().filter(|handle| !wanted.contains(&handle.settings));
        let unwanted: Vec<String> = unwanted.map(|handle| handle.settings.name.clone()).collect();
        for name in &unwanted {
            self.forget(name);
            tasks.names.iter().filter(|(_, (of, _))| of == name).for_each(|(_, (_, task))| task.abort());
        }
        while tasks.names.values().any(|(name, _)| unwanted.contains(name)) {
            let Some(ended) = tasks.all.join_next_with_id().await else { return };
            self.ended(ended, tasks);
        }
    }

    /// Handles the end of a task. A failed source pauses; nothing else waits for that.
    fn ended(&self, ended: Result<(Id, ()), JoinError>, tasks: &mut Tasks) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let name = tasks.names.remove(&id).map(|(name, _)| name).unwrap_or_default();
        let Some(error) = ended.err().filter(|error| !error.is_cancelled()) else { return };
        // A decoder may panic on a malformed answer, for example. What is known stays.
        self.metrics.source_error(&name, SourceErrorKind::Internal);
        tracing::error!(source.name = name, error.message = %error, "source task failed; restarting it");
        self.forget(&name);
        tasks.resting.insert(name, Instant::now() + AGAIN);
    }

    fn forget(&self, name: &str) {
        let mut handles = BTreeMap::clone(&self.sources.0.load());
        handles.remove(name);
        self.sources.0.store(Arc::new(handles));
    }

    /// Starts the sources that are not running.
    fn start_missing(&self, wanted: &[SourceSettings], tasks: &mut Tasks) {
        let (mut handles, now) = (BTreeMap::clone(&self.sources.0.load()), Instant::now());
        tasks.resting.retain(|_, until| *until > now);
        for settings in wanted {
            if handles.contains_key(&settings.name) || tasks.resting.contains_key(&settings.name) {
                continue;
            }
            let (requests, received) = mpsc::channel(WAITING);
            let (health, shown) = watch::channel(Health::default());
            let context = SourceContext {
                writer: self.writer.clone(),
                time: time(&self.clock),
                reports: self.reports(),
                health,
                requests: received,
            };
            let cursor = self.published.load().fold.feeds.get(&settings.name).and_then(|feed| feed.cursor.clone());
            let directory = (self.build)(settings, time(&self.clock));
            let poller = Poller::new(settings.name.clone(), directory, settings.schedule, cursor, context);
            let task = tasks.all.spawn(poller.run());
            tasks.names.insert(task.id(), (settings.name.clone(), task));
            handles.insert(settings.name.clone(), Handle { requests, health: shown, settings: settings.clone() });
        }
        self.sources.0.store(Arc::new(handles));
    }

    fn reports(&self) -> Reports {
        let metrics = Arc::clone(&self.metrics);
        Arc::new(move |name, report| match report {
            Report::Failed(kind) => metrics.source_error(name, kind),
            Report::Told(many) => metrics.source_events(name, many as u64),
        })
    }
}

/// The clock as a function.
fn time(clock: &Arc<Clock>) -> Time {
    let clock = Arc::clone(clock);
    Arc::new(move || clock.now())
}
