//! What was accepted comes into force, a thousand records at a time: others get their turn between two steps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::diff::{ListingDiff, present};
use super::{STEP, void};
use crate::domain::command::{Done, ListingId, Refused};
use crate::domain::event::{Epoch, Event};
use crate::domain::guard::{Confirmed, HeldListing, ReleaseCause, Removals};
use crate::domain::key::Key;
use crate::domain::person::{Person, PersonId};
use crate::domain::time::{Now, Timestamp};
use crate::log::{Log, LogError};
use crate::writer::directory::{When, change, gone};
use crate::writer::plan::Plan;
use crate::writer::unsettled::Unsettled;
use crate::writer::{Writer, configured};

/// How long a listing that says again what an operator confirmed is let pass.
const CONFIRMED_FOR: Duration = Duration::from_secs(3_600);

/// Where an answer goes.
pub(super) type Reply = oneshot::Sender<Result<Done, Refused>>;

/// What was accepted, and is not in force yet.
#[derive(Debug)]
pub(in crate::writer) struct Drain {
    /// Name of the source.
    pub(super) source: String,
    changed: BTreeMap<Key, Arc<Person>>,
    missing: BTreeMap<Key, PersonId>,
    of: Of,
    /// It is in force as a whole.
    over: bool,
    /// Who went by it so far.
    persons: Vec<PersonId>,
    waiting: Vec<Reply>,
}

/// Where it comes from.
#[derive(Debug)]
enum Of {
    /// A listing that the guard let pass.
    Listing {
        id: ListingId,
        at: Timestamp,
        /// What of it is still to be counted for the next listings.
        removed: Removals,
    },
    /// A held-back listing that an operator confirmed.
    Confirmed { held: Arc<HeldListing>, actor: String },
}

/// What one step planned: taken off once the log has it.
#[derive(Debug, Default)]
pub(in crate::writer) struct Step {
    changed: Vec<Key>,
    missing: Vec<Key>,
    over: bool,
}

impl Drain {
    /// Of a listing that was accepted.
    pub(super) fn of_listing(
        (source, id): (&str, ListingId),
        diff: ListingDiff,
        (at, removed): (Timestamp, Removals),
    ) -> Self {
        Self::new(source, (diff.changed, diff.missing), Of::Listing { id, at, removed })
    }

    /// Of a held-back listing that was confirmed, less who left already.
    pub(super) fn of_confirmed(
        source: &str,
        missing: BTreeMap<Key, PersonId>,
        (held, actor): (Arc<HeldListing>, String),
    ) -> Self {
        Self::new(source, (BTreeMap::new(), missing), Of::Confirmed { held, actor })
    }

    fn new(source: &str, (changed, missing): (BTreeMap<Key, Arc<Person>>, BTreeMap<Key, PersonId>), of: Of) -> Self {
        let (persons, waiting) = (Vec::new(), Vec::new());
        Self { source: source.to_owned(), changed, missing, of, over: false, persons, waiting }
    }

    /// Which listing; `None`: an operator confirmed it.
    pub(super) fn listing(&self) -> Option<ListingId> {
        match self.of {
            Of::Listing { id, .. } => Some(id),
            Of::Confirmed { .. } => None,
        }
    }

    /// How many records are to come.
    pub(super) fn len(&self) -> usize {
        self.changed.len() + self.missing.len()
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Plans that a listing is accepted which does not come into force at once. Written down before anybody goes: a crash in
    /// the middle forgets nothing of what counts for the next. What never came into force of an older one counts no more.
    pub(super) fn count(&mut self, plan: &mut Plan, most: usize, now: Now) {
        let is_rest_open = plan.state.fold.feeds.get(&self.source).is_some_and(|feed| feed.to_come.is_some());
        let is_in_steps = self.len() > most;
        if let Of::Listing { at, removed, .. } = &mut self.of
            && (is_in_steps || is_rest_open)
        {
            let left_out = std::mem::take(removed);
            plan.add(Event::ListingAccepted { source: self.source.clone(), at: *at, left_out }, now);
        }
    }

    /// Somebody became known in another way: what a listing says of them is out of date. An operator means whom they
    /// confirmed, until they are [`Drain::back`].
    pub(super) fn forget(&mut self, key: Key) {
        if self.listing().is_some() {
            self.changed.remove(&key);
            self.missing.remove(&key);
        }
    }

    /// Somebody is there after all, whether what was said of them counts or not.
    pub(super) fn back(&mut self, key: Key) {
        if self.listing().is_none() {
            self.missing.remove(&key);
        }
    }

    /// Plans the next records, so many at most, and what is said once all of them are in force.
    pub(in crate::writer) fn plan_step(&self, plan: &mut Plan, most: usize, now: Now) -> Step {
        let when = When { now, provider: None };
        let mut step = Step::default();
        for (key, person) in self.changed.iter().take(most) {
            change(plan, Person::clone(person), None, when);
            step.changed.push(*key);
        }
        for (key, id) in self.missing.iter().take(most - step.changed.len()) {
            gone(plan, id, None, when);
            step.missing.push(*key);
        }
        step.over = step.changed.len() + step.missing.len() == self.len();
        if step.over {
            self.conclude(plan, now);
        }
        step
    }

    fn conclude(&self, plan: &mut Plan, now: Now) {
        let held = plan.state.fold.feeds.get(&self.source).and_then(|feed| feed.held.clone());
        match &self.of {
            Of::Listing { at, removed, .. } => {
                let source = self.source.clone();
                if held.is_some() {
                    let (source, actor) = (source.clone(), source.clone());
                    plan.add(Event::Released { source, cause: ReleaseCause::Superseded, actor }, now);
                }
                plan.add(Event::Synced { source, at: *at, left_out: *removed }, now);
            }
            Of::Confirmed { held: confirmed, actor } => {
                let (source, actor) = (self.source.clone(), actor.clone());
                if confirmed.memberships > 0 {
                    // Who lost them is not kept: the next listing, which says it again, is let pass.
                    let until = now.wall.max(now.steady).plus(CONFIRMED_FOR);
                    let groups = confirmed.emptied.clone();
                    let confirmed = Confirmed { memberships: confirmed.memberships, groups, until };
                    let (source, actor) = (source.clone(), actor.clone());
                    plan.add(Event::MembershipsConfirmed { source, confirmed, actor }, now);
                }
                if held.is_some() {
                    plan.add(Event::Released { source, cause: ReleaseCause::Confirmed, actor }, now);
                }
            }
        }
    }

    /// The log has this step.
    pub(super) fn advance(&mut self, step: &Step) {
        for key in &step.changed {
            self.changed.remove(key);
        }
        for key in &step.missing {
            self.persons.extend(self.missing.remove(key));
        }
        self.over = step.over;
    }

    /// Whom it made depart so far, and of whom nobody was told.
    pub(super) fn take_persons(&mut self) -> Vec<PersonId> {
        std::mem::take(&mut self.persons)
    }

    /// Somebody waits for it. A source hears after each step, to get its turn; an operator once it is in force.
    pub(super) fn wait(&mut self, reply: Reply) {
        self.waiting.push(reply);
    }

    fn tell(&mut self, answer: &Result<Done, Refused>) {
        // Whoever asked may have gone: it comes into force all the same.
        self.waiting.drain(..).for_each(|reply| drop(reply.send(answer.clone())));
    }

    fn advanced(&mut self, epoch: Epoch) {
        if self.over || self.listing().is_some() {
            let persons = self.persons.clone();
            if !self.waiting.is_empty() {
                self.persons.clear();
            }
            self.tell(&Ok(Done { epoch, persons, more: !self.over, ..Done::default() }));
        }
    }

    /// It goes on no more.
    pub(super) fn cancelled(mut self) {
        let refused = no_more(&self.source, self.listing());
        self.tell(&Err(refused));
    }
}

impl<L: Log> Writer<L> {
    /// Whether something that was accepted is still to come into force.
    pub(in crate::writer) fn is_draining(&self) -> bool {
        !self.listings.draining.is_empty()
    }

    /// Brings the next step of what was accepted into force. Each takes its turn.
    pub(in crate::writer) async fn drain(&mut self) {
        let Some(mut drain) = self.listings.draining.pop_front() else { return };
        // A source that was taken out has no more say.
        if drain.listing().is_some()
            && !self.follower.rules.policy.sources.iter().any(|rules| rules.name == drain.source)
        {
            return drain.cancelled();
        }
        let step = match self.make_ready().await {
            Ok(()) => self.append_step(&drain).await,
            Err(error) => Err(error),
        };
        match step {
            Ok(step) => {
                drain.advance(&step);
                drain.advanced(self.follower.fold.epoch);
                match drain.listing().filter(|_| drain.over) {
                    Some(id) => drop(self.listings.in_force.insert(drain.source, id)),
                    None if drain.over => {}
                    None => self.listings.draining.push_back(drain),
                }
            }
            // What is true by then is not planned again.
            Err(LogError::Unknown { .. }) => self.listings.draining.push_back(drain),
            Err(error) => {
                self.follower.store_failed();
                if let LogError::Moved { .. } = error {
                    self.drain_without_log(&drain, &error);
                } else {
                    tracing::error!(error = %error, "the log took nothing of a listing: it is begun anew");
                }
                drain.tell(&Err(Refused::Log(error.to_string())));
            }
        }
    }

    async fn append_step(&mut self, drain: &Drain) -> Result<Step, LogError> {
        loop {
            let mut plan = self.new_plan();
            let step = drain.plan_step(&mut plan, STEP, self.latest);
            if plan.people_changed {
                configured::pin(&mut plan, self.latest);
            }
            match self.log.append(self.follower.fold.epoch, plan.into_events()).await {
                Ok(head) => {
                    self.catch_up_to(head).await?;
                    return Ok(step);
                }
                // Planned again: what somebody else appended may say otherwise.
                Err(LogError::Conflict { .. }) => self.catch_up().await?,
                Err(LogError::Unknown { events, cause }) => {
                    let (after, effects) = (self.follower.fold.epoch, Vec::new());
                    self.unsettled = Some(Unsettled { after, events, effects, cause });
                    self.find_out().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// What whoever waits for it hears where it goes on no more.
pub(super) fn no_more(source: &str, listing: Option<ListingId>) -> Refused {
    match listing {
        Some(_) => void(source, "what came meanwhile took its place"),
        None => Refused::NothingHeld(source.to_owned()),
    }
}

/// Who of a held-back listing is still there.
pub(super) fn still_there(plan: &Plan, held: &HeldListing, key: impl Fn(&PersonId) -> Key) -> BTreeMap<Key, PersonId> {
    let ids = held.missing.iter().map(|key| PersonId { source: held.source.clone(), key: key.clone() });
    let is_there = |id: &PersonId| {
        plan.state.fold.people.find(&plan.state.fold.keyer, id).is_some_and(|known| present(&known.person))
    };
    ids.filter(is_there).map(|id| (key(&id), id)).collect()
}
