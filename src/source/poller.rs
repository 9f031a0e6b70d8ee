//! The loop around every provider that is asked: when, in which order, and what happens after a failure.
//!
//! Events first, for speed; a full listing every `reconcile`, for truth. They take turns, page by page and round by round: a
//! large listing delays nobody's departure, and many events delay no listing. One task per source, one request at a time.

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::context::{SourceContext, SourceRequest, observe};
use super::directory::{Changes, Directory, ListingOutcome};
use super::error::{SourceError, chain};
use super::health::{Operation, Report, SyncError};
use super::listing::ListingRun;
use super::pace::{back_off, jittered};
use super::schedule::{Pause, Scheduler, Turn};
use crate::domain::command::{Command, Observation, Refused};
use crate::domain::settings::Schedule;
use crate::domain::time::Timestamp;

/// Asks one provider for as long as it runs.
pub struct Poller {
    name: String,
    directory: Box<dyn Directory>,
    schedule: Scheduler,
    context: SourceContext,
    /// The cursor that is kept for a restart.
    kept: Option<String>,
    /// The directory gave changes that the log did not take. They are told before anything else is asked: what is asked
    /// later is newer.
    untold: bool,
    /// The last round of events succeeded.
    heard: bool,
    listing: Option<ListingRun>,
    /// Callers who wait for all events to be read.
    waiting_for_events: Vec<oneshot::Sender<Result<(), String>>>,
    /// Callers who wait for the next listing to end.
    waiting: Vec<oneshot::Sender<Result<(), String>>>,
}

impl Poller {
    /// A poller that goes on from `kept`, the cursor that was kept at the last run.
    #[must_use]
    pub fn new(
        name: String,
        mut directory: Box<dyn Directory>,
        schedule: Schedule,
        kept: Option<String>,
        context: SourceContext,
    ) -> Self {
        directory.open(kept.clone());
        let schedule = Scheduler::new(schedule, directory.long_polls(), jittered, Instant::now());
        Self {
            name,
            directory,
            schedule,
            context,
            kept,
            untold: false,
            heard: false,
            listing: None,
            waiting_for_events: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// Runs until no more requests can come. Events are read before the first listing, so that what happens from then on is
    /// in one of them.
    pub async fn run(mut self) {
        loop {
            // Requests go first, but not for ever: looking up strangers must not delay anybody's departure.
            if self.schedule.is_overdue(Instant::now()) {
                self.turn().await;
                // And a long turn must not keep a request waiting for ever.
                match self.context.requests.try_recv() {
                    Ok(request) => self.handle(request).await,
                    Err(TryRecvError::Empty) => {}
                    Err(TryRecvError::Disconnected) => return,
                }
                continue;
            }
            tokio::select! {
                biased;
                request = self.context.requests.recv() => match request {
                    Some(request) => self.handle(request).await,
                    None => return,
                },
                () = sleep_until(self.schedule.due()) => self.turn().await,
            }
        }
    }

    async fn turn(&mut self) {
        match self.schedule.turn(Instant::now()) {
            Turn::Events => self.turn_to_events().await,
            Turn::Listing => {
                let listed = match self.ask_before_listing().await {
                    Ok(()) => self.list_on().await,
                    Err(error) => Err(error),
                };
                self.after_listing(&listed);
                self.tell_listing(&listed);
            }
        }
    }

    /// If events can show that the provider went back, reads them before a listing begins. If the provider is unreachable,
    /// nothing is listed either; if only events cannot be read, for lack of a right, the listing is all there is.
    async fn ask_before_listing(&mut self) -> Result<(), SourceError> {
        if !self.directory.events_show_rollback() || self.listing.is_some() {
            return Ok(());
        }
        let mut polled = self.poll().await;
        if self.heard && matches!(polled, Err(SourceError::Unreachable { .. })) {
            // It was there, and may be again: a dead connection is noticed only by using it.
            polled = self.poll().await;
        }
        self.heard = polled.is_ok();
        match polled {
            Ok(more) => {
                self.succeeded(Operation::Events);
                self.schedule.events_read_first(more, Instant::now());
                Ok(())
            }
            Err(error) => {
                let pause = self.pause(Operation::Events, &error);
                self.schedule.events_failed(pause, Instant::now());
                if matches!(error, SourceError::Unreachable { .. }) { Err(error) } else { Ok(()) }
            }
        }
    }

    /// One round of events.
    async fn turn_to_events(&mut self) {
        let polled = self.poll().await;
        self.heard = polled.is_ok();
        match &polled {
            Ok(more) => self.schedule.events_read(*more, self.listing.is_some(), Instant::now()),
            Err(error) => {
                let pause = self.pause(Operation::Events, error);
                self.schedule.events_failed(pause, Instant::now());
            }
        }
        match polled {
            Ok(true) => return,
            Ok(false) => self.succeeded(Operation::Events),
            Err(_) => {}
        }
        let told = polled.map(drop).map_err(|error| chain(&error));
        for reply in self.waiting_for_events.drain(..) {
            // The caller may be gone.
            let _ = reply.send(told.clone());
        }
    }

    /// Takes in how a step of a listing ended.
    fn after_listing(&mut self, listed: &Result<bool, SourceError>) {
        let took = self.listing.as_ref().map(ListingRun::took).unwrap_or_default();
        match listed {
            Ok(false) => self.schedule.piece_read(Instant::now()),
            Ok(true) => {
                match self.listing.take().and_then(|listing| listing.trouble()) {
                    Some(trouble) => _ = self.failed(Operation::Listing, &trouble),
                    None => self.succeeded(Operation::Listing),
                }
                self.directory.listing_over(ListingOutcome::Accepted);
                self.schedule.listing_taken(took, Instant::now());
            }
            Err(error @ SourceError::Refused(Refused::Guarded { .. })) => {
                self.listing = None;
                self.directory.listing_over(ListingOutcome::Dropped);
                self.failed(Operation::Listing, error);
                self.schedule.listing_held_back(took, Instant::now());
            }
            Err(error) => {
                self.listing = self.listing.take().and_then(|mut listing| (!listing.is_lost(error)).then_some(listing));
                if self.listing.is_none() {
                    self.directory.listing_over(ListingOutcome::Dropped);
                }
                let pause = self.pause(Operation::Listing, error);
                self.schedule.listing_failed(took, pause, Instant::now());
            }
        }
    }

    /// An operation succeeds again.
    fn succeeded(&self, asked: Operation) {
        let mut over = None;
        self.context.health.send_if_modified(|health| {
            over = health.errors.remove(&asked);
            over.is_some()
        });
        if let Some(SyncError { kind, times, .. }) = over {
            tracing::info!(source.name = %self.name, error.kind = kind.word(), times, "the source works again");
        }
    }

    /// Reports a failure; returns how long to wait.
    fn pause(&self, asked: Operation, error: &SourceError) -> Pause {
        let times = self.failed(asked, error);
        error.wait().map_or_else(|| Pause::BackOff(back_off(times)), Pause::Wanted)
    }

    /// Reports a failure; returns how often in a row it happened.
    fn failed(&self, asked: Operation, error: &SourceError) -> u32 {
        let (at, kind, text) = ((self.context.time)().wall, error.kind(), chain(error));
        (self.context.reports)(&self.name, Report::Failed(kind));
        let (mut times, mut known) = (1, false);
        self.context.health.send_modify(|health| {
            // The same failure of events and listings is one error.
            known = health.errors.values().any(|trouble| trouble.is_said_by(error));
            times += health.errors.get(&asked).map_or(0, |trouble| trouble.times);
            health.errors.insert(asked, SyncError { at, kind, text: text.clone(), times });
        });
        // `source show` has it as long as it lasts; it is logged once, until it changes.
        if known {
            tracing::debug!(source.name = %self.name, error.kind = kind.word(), error.message = %text, times, "the source failed again");
        } else {
            tracing::error!(source.name = %self.name, error.kind = kind.word(), error.message = %text, "the source failed");
        }
        times
    }

    /// Reads one round of events, after any that was refused; returns whether there is more already.
    async fn poll(&mut self) -> Result<bool, SourceError> {
        self.tell_untold().await?;
        self.round().await
    }

    /// Delivers the changes that the log refused, if there are any.
    async fn tell_untold(&mut self) -> Result<(), SourceError> {
        if self.untold {
            self.round().await?;
            self.schedule.told(Instant::now());
        }
        Ok(())
    }

    /// One round of events: read, deliver, acknowledge.
    async fn round(&mut self) -> Result<bool, SourceError> {
        let began = (self.context.time)().wall;
        let mut changes = self.directory.changes().await?;
        let trouble = changes.trouble.take();
        if !(self.untold || changes.observations.is_empty()) {
            (self.context.reports)(&self.name, Report::Told(changes.observations.len()));
        }
        // INVARIANT: until it is acknowledged, the directory gives the same again.
        self.untold = true;
        let (more, complete) = (changes.more, trouble.is_none() && !changes.more && !changes.silent);
        self.take_in(changes, complete.then_some(began)).await?;
        self.directory.acknowledged();
        self.untold = false;
        if let Some(error) = trouble {
            return Err(error);
        }
        if !more {
            self.context.health.send_modify(|health| health.last_poll = Some(began));
        }
        Ok(more)
    }

    /// Hands changes to the writer, and then the cursor. `complete`: the time up to which nothing is missing, if that is known.
    async fn take_in(&mut self, changes: Changes, complete: Option<Timestamp>) -> Result<(), SourceError> {
        let Changes { observations, cursor, resync, .. } = changes;
        observe(&self.context, observations).await?;
        if resync {
            self.schedule.resync(self.listing.is_some(), Instant::now());
        }
        let at = complete.filter(|_| self.schedule.is_whole(Instant::now())).unwrap_or(Timestamp::MIN);
        let moved = cursor.is_some() && cursor != self.kept;
        if moved || at != Timestamp::MIN {
            let cursor = cursor.or_else(|| self.kept.clone());
            let heard = Observation::Heartbeat { source: self.name.clone(), at, cursor: cursor.clone() };
            self.context.writer.ask(Command::Observe(heard), (self.context.time)()).await?;
            self.kept = cursor;
        }
        Ok(())
    }

    /// Takes the next step of a listing; returns whether it was the last.
    async fn list_on(&mut self) -> Result<bool, SourceError> {
        self.tell_untold().await?;
        let Self { listing, directory, context, name, .. } = self;
        let listing = listing.get_or_insert_with(|| ListingRun::begin(name.clone(), (context.time)().wall));
        listing.step(directory.as_mut(), context).await
    }

    fn tell_listing(&mut self, listed: &Result<bool, SourceError>) {
        let progress = self.listing.as_ref().map(ListingRun::progress);
        let now = (self.context.time)().wall;
        self.context.health.send_modify(|health| {
            health.listing = progress;
            if matches!(listed, Ok(true)) {
                health.last_listing = Some(now);
            }
        });
        let told = match listed {
            Ok(false) => return,
            Ok(true) => Ok(()),
            Err(error) => Err(chain(error)),
        };
        for reply in self.waiting.drain(..) {
            // The caller may be gone.
            let _ = reply.send(told.clone());
        }
    }

    async fn handle(&mut self, request: SourceRequest) {
        match request {
            SourceRequest::Sync { full: true, reply } => {
                // A listing that began before the request does not count.
                if self.listing.take().is_some() {
                    self.directory.listing_over(ListingOutcome::Dropped);
                }
                self.schedule.want_listing(Instant::now());
                self.waiting.push(reply);
            }
            SourceRequest::Sync { full: false, reply } => {
                self.schedule.want_events(Instant::now());
                self.waiting_for_events.push(reply);
            }
            // Nobody waits for it any more, or the provider asked to be left alone.
            SourceRequest::LookUp { reply, .. }
                if reply.is_closed() || !self.schedule.takes_strangers(Instant::now()) =>
            {
                let _ = reply.send(None);
            }
            SourceRequest::LookUp { attribute, value, reply } => {
                let found = self.look_up(&attribute, &value).await;
                match &found {
                    Ok(_) => self.succeeded(Operation::LookUp),
                    Err(error) => {
                        let pause = self.pause(Operation::LookUp, error);
                        self.schedule.look_up_failed(pause, Instant::now());
                    }
                }
                let _ = reply.send(found.ok());
            }
        }
    }

    async fn look_up(&mut self, attribute: &str, value: &str) -> Result<bool, SourceError> {
        self.tell_untold().await?;
        let Some(person) = self.directory.look_up(attribute, value).await? else { return Ok(false) };
        let change = Observation::Change { person, at: None, event_id: None };
        observe(&self.context, vec![change]).await?;
        Ok(true)
    }
}
