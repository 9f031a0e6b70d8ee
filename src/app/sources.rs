//! The sources at work: one task for each, started, watched and replaced as the configuration wants it.

mod build;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{Id, JoinSet};

use build::{With, build};

use super::clock::Clock;
use crate::config::settings::Settings;
use crate::config::sources::SourceSettings;
use crate::domain::inbox::Inbox;
use crate::domain::time::Timestamp;
use crate::source::directory::{Directory, Finding, Grade};
use crate::source::health::{Health, Report, Reports};
use crate::source::poller::{Order, Poller, Rhythm, Surroundings, Time};
use crate::state::Published;
use crate::telemetry::metrics::Metrics;

/// Orders that may wait at a source.
const WAITING: usize = 64;
/// A source whose task failed is started again after this.
const AGAIN: Duration = Duration::from_secs(5);

/// One source at work, from outside.
#[derive(Clone, Debug)]
pub struct Handle {
    orders: mpsc::Sender<Order>,
    health: watch::Receiver<Health>,
    settings: SourceSettings,
}

/// The sources at work, by name. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Sources(Arc<ArcSwap<BTreeMap<String, Handle>>>);

impl Sources {
    /// How a source fares.
    #[must_use]
    pub fn health(&self, name: &str) -> Option<Health> {
        self.0.load().get(name).map(|handle| handle.health.borrow().clone())
    }

    /// Asks a source at once; with `full`, for everybody. Answered when that is enforced.
    ///
    /// # Errors
    /// Why it came to nothing.
    pub async fn sync(&self, name: &str, full: bool) -> Result<(), String> {
        let orders = self.0.load().get(name).map(|handle| handle.orders.clone());
        let orders = orders.ok_or_else(|| format!("no source is called `{name}`"))?;
        let (reply, answer) = oneshot::channel();
        let stopped = || format!("source `{name}` has stopped");
        orders.send(Order::Sync { full, reply }).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Looks somebody up at a source; `None` where that could not be found out in time.
    pub async fn look_up(&self, name: &str, attribute: &str, value: &str) -> Option<bool> {
        let orders = self.0.load().get(name).map(|handle| handle.orders.clone())?;
        let (reply, answer) = oneshot::channel();
        let (attribute, value) = (attribute.to_owned(), value.to_owned());
        // Full: the source has more to do than it can. Nobody waits for that.
        orders.try_send(Order::LookUp { attribute, value, reply }).ok()?;
        answer.await.ok().flatten()
    }

    /// Tries everything that a source will need.
    ///
    /// # Errors
    /// There is no such source.
    pub async fn examine(&self, name: &str) -> Result<Vec<Finding>, String> {
        let settings = self.0.load().get(name).map(|handle| handle.settings.clone());
        Ok(examine(settings.ok_or_else(|| format!("no source is called `{name}`"))?).await)
    }
}

/// Tries everything that a source of these settings will need.
pub async fn examine(settings: SourceSettings) -> Vec<Finding> {
    let time = time(&Clock::start(None));
    match build(&settings, Arc::clone(&time), Examine(time)) {
        Ok(found) => found.await,
        Err(text) => vec![Finding { grade: Grade::Bad, what: "configuration", text }],
    }
}

/// A provider's clock that is further off than this makes cut-offs too early or too late.
const CLOCK: Duration = Duration::from_secs(5);

/// How far a provider's clock is from ours; it tells whole seconds.
fn clock(there: Timestamp, here: Timestamp) -> Finding {
    let off = here.since(there).max(there.since(here));
    let (grade, what) = if off <= CLOCK { (Grade::Good, "") } else { (Grade::Warning, ": set one of them right") };
    Finding { grade, what: "clock", text: format!("the provider's is {} s from ours{what}", off.as_secs()) }
}

/// Examines a directory once.
struct Examine(Time);

impl With for Examine {
    type Made = BoxFuture<'static, Vec<Finding>>;

    fn with<D: Directory>(self, mut directory: D) -> Self::Made {
        Box::pin(async move {
            let mut found = directory.examine().await;
            found.extend(directory.date().map(|there| clock(there, (self.0)().wall)));
            found
        })
    }
}

/// Keeps the sources of the configuration in force at work.
pub struct Manager {
    /// Who is at work, for everybody else.
    pub sources: Sources,
    /// The writer.
    pub inbox: Inbox,
    /// Where each goes on.
    pub published: Arc<Published>,
    /// Time.
    pub clock: Arc<Clock>,
    /// Where failures and events are counted.
    pub metrics: Arc<Metrics>,
}

impl Manager {
    /// Works for ever. A reload stops those sources that it changes and starts them anew; the others go on.
    pub async fn run(self, mut settings: watch::Receiver<Settings>) {
        let mut tasks: JoinSet<()> = JoinSet::new();
        let mut names: BTreeMap<Id, String> = BTreeMap::new();
        loop {
            let wanted = settings.borrow_and_update().sources.clone();
            self.replace(&wanted, &mut tasks, &mut names);
            tokio::select! {
                changed = settings.changed() => if changed.is_err() { return },
                Some(ended) = tasks.join_next_with_id() => {
                    let id = match &ended { Ok((id, ())) => *id, Err(error) => error.id() };
                    let name = names.remove(&id).unwrap_or_default();
                    if let Err(error) = ended {
                        // A malformed answer that its decoder panics on, say. What is known stays as it is.
                        self.metrics.source_error(&name, "internal");
                        tracing::error!(source.name = name, error = %error, "the source failed and is started again");
                        self.forget(&name);
                        tokio::time::sleep(AGAIN).await;
                    }
                }
            }
        }
    }

    fn forget(&self, name: &str) {
        let mut handles = BTreeMap::clone(&self.sources.0.load());
        handles.remove(name);
        self.sources.0.store(Arc::new(handles));
    }

    /// Drops the handles of sources that are no longer wanted as they are (their tasks end by that), and starts those
    /// that are not at work.
    fn replace(&self, wanted: &[SourceSettings], tasks: &mut JoinSet<()>, names: &mut BTreeMap<Id, String>) {
        let mut handles = BTreeMap::clone(&self.sources.0.load());
        handles.retain(|_, handle| wanted.contains(&handle.settings));
        for settings in wanted {
            if handles.contains_key(&settings.name) {
                continue;
            }
            let (orders, received) = mpsc::channel(WAITING);
            let (health, shown) = watch::channel(Health::default());
            let around = Surroundings {
                inbox: self.inbox.clone(),
                time: time(&self.clock),
                reports: self.reports(),
                health,
                orders: received,
            };
            let cursor = self.published.load().fold.feeds.get(&settings.name).and_then(|feed| feed.cursor.clone());
            let rhythm = Rhythm { poll: settings.poll, reconcile: settings.reconcile };
            let start = Start { name: settings.name.clone(), rhythm, cursor, around, tasks };
            let id = match build(settings, time(&self.clock), start) {
                Ok(id) => id,
                Err(error) => {
                    tracing::error!(source.name = %settings.name, error, "the source cannot be asked");
                    continue;
                }
            };
            names.insert(id, settings.name.clone());
            handles.insert(settings.name.clone(), Handle { orders, health: shown, settings: settings.clone() });
        }
        self.sources.0.store(Arc::new(handles));
    }

    fn reports(&self) -> Reports {
        let metrics = Arc::clone(&self.metrics);
        Arc::new(move |name, report| match report {
            Report::Failed(kind) => metrics.source_error(name, kind),
            Report::Told(kind, many) => metrics.source_events(name, kind, many as u64),
        })
    }
}

/// The clock, for those who only want to be told the time.
fn time(clock: &Arc<Clock>) -> Time {
    let clock = Arc::clone(clock);
    Arc::new(move || clock.now())
}

/// Asks a directory from now on.
struct Start<'a> {
    name: String,
    rhythm: Rhythm,
    cursor: Option<String>,
    around: Surroundings,
    tasks: &'a mut JoinSet<()>,
}

impl With for Start<'_> {
    type Made = Id;

    fn with<D: Directory>(self, directory: D) -> Id {
        let Self { name, rhythm, cursor, around, tasks } = self;
        tasks.spawn(Poller::new(name, directory, rhythm, cursor, around).run()).id()
    }
}
