//! The machinery around every provider that is asked: when, in which order, and what of a failure.
//!
//! Events first, for speed; a full listing every `reconcile`, for truth. Both take turns, piece by piece, so that a
//! large listing delays nobody's departure; and round by round, so that many events delay no listing. One task for
//! each source, one request at a time.

use std::time::Duration;

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::context::{Schedule, SourceContext, SourceRequest, observe};
use super::directory::Changes;
use super::dyn_directory::DynDirectory;
use super::error::{SourceError, chain};
use super::health::{Operation, Report, SyncError};
use super::listing::ListingRun;
use super::pace::{back_off, jittered};
use crate::domain::command::{Command, Observation, Refused};
use crate::domain::time::Timestamp;

/// How long orders may hold up what is due.
const OVERDUE: Duration = Duration::from_millis(500);
/// How long a listing has its turns, where events are waited for.
const TURN: Duration = Duration::from_millis(200);
/// Listings that are asked for before their time leave as much time in between as the last one took, up to this.
const REST: Duration = Duration::from_secs(60);

/// Asks one provider for as long as it runs.
pub struct Poller {
    name: String,
    directory: Box<dyn DynDirectory>,
    schedule: Schedule,
    context: SourceContext,
    cursor: Option<String>,
    /// What was heard, and since when, and the log did not take: it is told before anything else is asked. A provider
    /// may say it only once, and what is asked later is newer.
    untold: Option<(Timestamp, Changes)>,
    /// The last round of events came to something.
    heard: bool,
    /// There are more events, and a listing that is due has its turn before them.
    yields: bool,
    listing: Option<ListingRun>,
    /// The provider does not want to be asked before.
    not_before: Instant,
    /// Once the listing on its way is over, another is due.
    again: bool,
    next_poll: Instant,
    next_sweep: Instant,
    /// Something asked for the next one, or for that which is on its way, before its time.
    hurried: bool,
    /// After one of these, as long as it took.
    rested: Instant,
    /// When the last listing that was taken was over; `None`: something happened that only the next one tells.
    swept: Option<Instant>,
    /// Who waits for all events to be read.
    waiting_for_events: Vec<oneshot::Sender<Result<(), String>>>,
    /// Who waits for the next listing to be over.
    waiting: Vec<oneshot::Sender<Result<(), String>>>,
}

impl Poller {
    /// A poller that goes on from `cursor`.
    #[must_use]
    pub fn new(
        name: String,
        directory: Box<dyn DynDirectory>,
        schedule: Schedule,
        cursor: Option<String>,
        context: SourceContext,
    ) -> Self {
        let now = Instant::now();
        Self {
            name,
            directory,
            schedule,
            context,
            cursor,
            untold: None,
            heard: false,
            yields: false,
            listing: None,
            not_before: now,
            hurried: false,
            rested: now,
            again: false,
            next_poll: now,
            next_sweep: now,
            swept: None,
            waiting_for_events: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// Asks until nobody can order anything any more. Events come before the first listing: what happens from then on
    /// is in one of them.
    pub async fn run(mut self) {
        loop {
            let due = self.next_poll.min(self.next_sweep);
            // Orders go first, but not for ever: whoever looks strangers up delays nobody's departure.
            if due + OVERDUE <= Instant::now() {
                self.turn().await;
                // And whatever takes long keeps no order waiting for ever.
                match self.context.orders.try_recv() {
                    Ok(order) => self.handle(order).await,
                    Err(TryRecvError::Empty) => {}
                    Err(TryRecvError::Disconnected) => return,
                }
                continue;
            }
            tokio::select! {
                biased;
                order = self.context.orders.recv() => match order {
                    Some(order) => self.handle(order).await,
                    None => return,
                },
                () = sleep_until(due) => self.turn().await,
            }
        }
    }

    async fn turn(&mut self) {
        let now = Instant::now();
        let yields = std::mem::take(&mut self.yields) && self.next_sweep <= now;
        if self.next_poll <= now && !yields {
            self.turn_to_events().await;
        } else {
            let listed = match self.ask_before_listing().await {
                Ok(()) => self.list_on().await,
                Err(error) => Err(error),
            };
            self.next_sweep = self.after_listing(&listed);
            self.tell_listing(&listed);
        }
    }

    /// Where events tell that a provider is older than it was, they are asked before everybody is listed. What is out of
    /// reach is not listed either; where only they cannot be asked, for want of a right, a listing is all that there is.
    async fn ask_before_listing(&mut self) -> Result<(), SourceError> {
        if !self.directory.goes_back() || self.listing.is_some() {
            return Ok(());
        }
        let mut polled = self.poll().await;
        if self.heard && matches!(polled, Err(SourceError::Unreachable { .. })) {
            // It was there, and may be again: only who asks learns that a connection is dead.
            polled = self.poll().await;
        }
        let every = if matches!(polled, Ok(true)) { Duration::ZERO } else { jittered(self.schedule.poll) };
        self.heard = polled.is_ok();
        self.next_poll = self.after(Operation::Events, &polled, every);
        match polled {
            Err(error @ SourceError::Unreachable { .. }) => Err(error),
            _ => Ok(()),
        }
    }

    /// One round of events. Look-ups, and a piece of a listing that is due, come before the next one.
    async fn turn_to_events(&mut self) {
        let polled = self.poll().await;
        self.heard = polled.is_ok();
        if matches!(polled, Ok(true)) {
            (self.yields, self.next_poll) = (true, Instant::now());
            return;
        }
        // One that waits for events by itself is asked without a pause, unless a listing wants its turns.
        let lists = self.listing.is_some() || self.next_sweep <= Instant::now();
        let every = match (self.directory.waits(), lists) {
            (true, false) => Duration::ZERO,
            (true, true) => self.schedule.poll.min(TURN),
            (false, _) => jittered(self.schedule.poll),
        };
        self.next_poll = self.after(Operation::Events, &polled, every);
        let told = polled.map(drop).map_err(|error| chain(&error));
        for reply in self.waiting_for_events.drain(..) {
            // Whoever asked may have gone.
            let _ = reply.send(told.clone());
        }
    }

    /// When to go on with the listing, or with the next.
    fn after_listing(&mut self, listed: &Result<bool, SourceError>) -> Instant {
        let next = Instant::now() + jittered(self.schedule.reconcile);
        if !matches!(listed, Ok(false)) {
            let rest = match (std::mem::take(&mut self.hurried), &self.listing) {
                (true, Some(listing)) => listing.took().min(REST),
                _ => Duration::ZERO,
            };
            self.rested = Instant::now() + rest;
        }
        match listed {
            Ok(false) => Instant::now(),
            Ok(true) => {
                match self.listing.as_ref().and_then(ListingRun::trouble) {
                    Some(trouble) => drop(self.failed(Operation::Listing, &trouble)),
                    None => drop(self.after(Operation::Listing, listed, Duration::ZERO)),
                }
                self.directory.concluded(true);
                // One that began before something that only a listing tells does not tell it.
                let again = std::mem::take(&mut self.again);
                (self.listing, self.swept) = (None, (!again).then(Instant::now));
                if again { self.rested } else { next }
            }
            Err(SourceError::Refused(Refused::Guarded { .. })) => {
                // Somebody has to look at it; until then not everything is known.
                self.directory.concluded(false);
                (self.listing, self.swept) = (None, None);
                self.after(Operation::Listing, listed, self.schedule.reconcile);
                next
            }
            Err(error) => {
                self.listing = self.listing.take().and_then(|mut listing| (!listing.is_lost(error)).then_some(listing));
                if self.listing.is_none() {
                    self.directory.concluded(false);
                }
                self.after(Operation::Listing, listed, self.schedule.reconcile).min(next)
            }
        }
    }

    /// When to ask again after this.
    fn after<T>(&mut self, asked: Operation, outcome: &Result<T, SourceError>, every: Duration) -> Instant {
        let Err(error) = outcome else {
            let mut over = None;
            self.context.health.send_if_modified(|health| {
                over = health.errors.remove(&asked);
                over.is_some()
            });
            if let Some(SyncError { kind, times, .. }) = over {
                tracing::info!(source.name = %self.name, error.kind = kind.word(), times, "what had failed works again");
            }
            return Instant::now() + every;
        };
        let times = self.failed(asked, error);
        let pause = error.wait().unwrap_or_else(|| back_off(times));
        if error.wait().is_some() {
            let until = Instant::now() + pause;
            self.not_before = self.not_before.max(until);
            // The budget is one, for events and listings. Strangers put off nothing but strangers: whether the rest has
            // to wait the provider says where it is asked.
            if asked != Operation::LookUp {
                (self.next_poll, self.next_sweep) = (self.next_poll.max(until), self.next_sweep.max(until));
            }
        }
        Instant::now() + pause
    }

    /// Says that something failed; how often in a row it did.
    fn failed(&self, asked: Operation, error: &SourceError) -> u32 {
        let (at, kind, text) = ((self.context.time)().wall, error.kind(), chain(error));
        (self.context.reports)(&self.name, Report::Failed(kind));
        let (mut times, mut known) = (1, false);
        self.context.health.send_modify(|health| {
            // What is wrong with events and listings alike is one error.
            known = health.errors.values().any(|trouble| trouble.is_said_by(error));
            times += health.errors.get(&asked).map_or(0, |trouble| trouble.times);
            health.errors.insert(asked, SyncError { at, kind, text: text.clone(), times });
        });
        // It stands in `source show` as long as it lasts, and in the log until it changes.
        if known {
            tracing::debug!(source.name = %self.name, error.kind = kind.word(), error = %text, times, "the source failed again");
        } else {
            tracing::error!(source.name = %self.name, error.kind = kind.word(), error = %text, "the source failed");
        }
        times
    }

    /// Whether what is heard from the source is all that there is to know: the last listing was taken, and is not
    /// much older than it may be.
    fn is_whole(&self) -> bool {
        self.swept.is_some_and(|swept| swept.elapsed() <= self.schedule.reconcile * 2)
    }

    /// Asks once what happened; whether there is more already.
    async fn poll(&mut self) -> Result<bool, SourceError> {
        self.tell().await?;
        let began = (self.context.time)().wall;
        let changes = self.directory.changes(self.cursor.as_deref()).await?;
        if !changes.observations.is_empty() {
            (self.context.reports)(&self.name, Report::Told(changes.observations.len()));
        }
        let more = changes.more;
        self.untold = Some((began, changes));
        let trouble = self.tell().await?;
        match trouble {
            Some(error) => Err(error),
            None if more => Ok(true),
            None => {
                self.context.health.send_modify(|health| health.last_poll = Some(began));
                Ok(false)
            }
        }
    }

    /// Tells what was heard and not told, if there is any; what the provider could not be asked beside it.
    async fn tell(&mut self) -> Result<Option<SourceError>, SourceError> {
        let Some((began, mut changes)) = self.untold.take() else { return Ok(None) };
        let told = self.take_in(began, &changes).await;
        if matches!(told, Err(SourceError::Refused(Refused::Log(_) | Refused::Stopped))) {
            self.untold = Some((began, changes));
        } else if told.is_ok() {
            self.cursor = changes.cursor.or_else(|| self.cursor.take());
            // It may be old by now: what came since is asked for at once.
            self.next_poll = Instant::now();
            return Ok(changes.trouble.take());
        }
        told.map(|()| None)
    }

    /// Hands over what was heard, and then up to where that was.
    async fn take_in(&mut self, began: Timestamp, changes: &Changes) -> Result<(), SourceError> {
        observe(&self.context, changes.observations.iter().cloned()).await?;
        self.directory.taken_in();
        if changes.resync {
            // What was listed before it happened does not tell it.
            self.again |= self.listing.is_some();
            (self.swept, self.hurried) = (None, true);
            // However often that happens: a listing, and as much time again without one.
            self.next_sweep = self.next_sweep.min(Instant::now().max(self.rested));
        }
        let told = changes.trouble.is_none() && !changes.more && !changes.silent;
        let whole = told && self.is_whole();
        let moved = changes.cursor.is_some() && changes.cursor != self.cursor;
        let at = if whole { began } else { Timestamp::MIN };
        if moved || at != Timestamp::MIN {
            let cursor = changes.cursor.clone().or_else(|| self.cursor.clone());
            let heard = Observation::Heartbeat { source: self.name.clone(), at, cursor };
            self.context.writer.ask(Command::Observe(heard), (self.context.time)()).await?;
        }
        Ok(())
    }

    /// The next step of a listing; whether it was the last.
    async fn list_on(&mut self) -> Result<bool, SourceError> {
        self.tell().await?;
        let Self { listing, directory, context, name, .. } = self;
        let listing = listing.get_or_insert_with(|| ListingRun::begin(name.clone(), (context.time)().wall));
        listing.step(directory.as_mut(), context).await
    }

    fn tell_listing(&mut self, listed: &Result<bool, SourceError>) {
        let progress = self.listing.as_ref().map(ListingRun::progress);
        let now = (self.context.time)().wall;
        self.context.health.send_modify(|health| {
            health.sweep = progress;
            if matches!(listed, Ok(true)) {
                health.last_sweep = Some(now);
            }
        });
        let told = match listed {
            Ok(false) => return,
            Ok(true) => Ok(()),
            Err(error) => Err(chain(error)),
        };
        for reply in self.waiting.drain(..) {
            // Whoever asked may have gone.
            let _ = reply.send(told.clone());
        }
    }

    async fn handle(&mut self, order: SourceRequest) {
        match order {
            SourceRequest::Sync { full: true, reply } => {
                // One that began before the order does not count for it.
                if self.listing.take().is_some() {
                    self.directory.concluded(false);
                }
                self.next_sweep = Instant::now();
                self.waiting.push(reply);
            }
            SourceRequest::Sync { full: false, reply } => {
                (self.yields, self.next_poll) = (false, Instant::now());
                self.waiting_for_events.push(reply);
            }
            // Nobody waits for it any more, or the provider does not want to be asked now.
            SourceRequest::LookUp { reply, .. } if reply.is_closed() || Instant::now() < self.not_before => {
                let _ = reply.send(None);
            }
            SourceRequest::LookUp { attribute, value, reply } => {
                let found = self.look_up(&attribute, &value).await;
                self.after(Operation::LookUp, &found, Duration::ZERO);
                let _ = reply.send(found.ok());
            }
        }
    }

    async fn look_up(&mut self, attribute: &str, value: &str) -> Result<bool, SourceError> {
        self.tell().await?;
        let Some(person) = self.directory.look_up(attribute, value).await? else { return Ok(false) };
        let change = Observation::Change { person, at: None, event_id: None };
        observe(&self.context, vec![change]).await?;
        Ok(true)
    }
}
