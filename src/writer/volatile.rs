//! Denials of sources while the store is unavailable: enforced from memory, and logged once the store is back.
//!
//! The one exception to law 11 (contract section 3, "The store"): nobody must keep access because somebody deleted a
//! directory. Nothing that grants access is accepted, no operator command is executed, and no block ends. These denials
//! have ids beyond those of any log. They last until the store is back, when they are logged before anything else, or
//! until the process ends.

use std::collections::HashSet;
use std::sync::Arc;

use super::identity::WriterIdentity;
use super::listings::{Drain, Listings};
use super::plan::Plan;
use super::{Answer, Writer, observation};
use crate::domain::command::{Command, Done, Envelope, Observation, Refused};
use crate::domain::event::{Event, NewEvent, Position, Recorded};
use crate::domain::id::RevocationId;
use crate::domain::person::{Person, Status};
use crate::domain::revocation::{Owner, Revocation, Shape};
use crate::domain::time::{Now, Timestamp};
use crate::faults::{Fault, planted};
use crate::log::{Log, LogError};
use crate::state::fold::Fold;
use crate::state::revocations::{EntryKind, OwnerKind, owner_hash};
use crate::state::rules::Rules;
use crate::state::{State, StoreState};

/// The first id of a denial that no log holds.
const FIRST: Position = 1 << 62;

/// A revocation that no log holds, with its id.
type Taken = (RevocationId, Arc<Revocation>);

/// The state enforced from memory.
#[derive(Debug)]
pub(super) struct Volatile {
    /// The fold of the log, with the denials that it lacks.
    pub(super) fold: Fold,
    /// The events to append once the store is back.
    waiting: Vec<NewEvent>,
    /// The next id.
    next: Position,
}

impl Volatile {
    fn new(fold: Fold) -> Self {
        Self { fold, waiting: Vec::new(), next: FIRST }
    }

    /// Applies the denials of an observation and ignores the rest of it.
    fn observe(
        &mut self,
        listings: &mut Listings,
        (rules, identity): (&Arc<Rules>, &WriterIdentity),
        observation: &Observation,
        now: Now,
    ) -> (Result<Done, Refused>, Vec<Taken>) {
        let mut plan = self.plan(rules, identity);
        let outcome = observation::observe(&mut plan, listings, observation, None, now);
        let (planned, effects) = plan.into_parts();
        listings.carry_out(effects);
        let done = |outcome: super::plan::Outcome| Done {
            persons: outcome.persons,
            more: outcome.more,
            volatile: true,
            ..Done::default()
        };
        (outcome.map(done), self.take_in(planned.events))
    }

    /// A plan that applies a listing in one step, since it keeps no log waiting.
    fn plan(&self, rules: &Arc<Rules>, identity: &WriterIdentity) -> Plan {
        let state = State { fold: self.fold.clone(), rules: Arc::clone(rules) };
        let mut plan = Plan::new(state, identity.clone());
        plan.step = usize::MAX;
        plan
    }

    /// Applies the denials among events.
    fn take_in(&mut self, events: Vec<NewEvent>) -> Vec<Taken> {
        let mut taken = Vec::new();
        for new in events {
            if planted(Fault::VolatileGives) {
                self.apply(new);
            } else if let Some(event) = heartbeat(&self.fold, &new.event) {
                self.apply(NewEvent { event, ..new });
            } else if let Some(event) = denial(&self.fold, new.event) {
                let new = NewEvent { event, ..new };
                self.waiting.push(new.clone());
                if let Event::Revoked(revocation) = &new.event {
                    taken.push((revocation.id_at(self.next), Arc::new(revocation.clone())));
                }
                self.apply(new);
            }
        }
        taken
    }

    /// The epoch stays: it is the position up to which the log is enforced.
    fn apply(&mut self, new: NewEvent) {
        let epoch = self.fold.epoch;
        self.fold.epoch.position = self.next - 1;
        self.fold.apply(&Recorded { position: self.next, new });
        self.fold.epoch = epoch;
        self.next += 1;
    }
}

/// The part of a source's event that removes access and grants none.
fn denial(fold: &Fold, event: Event) -> Option<Event> {
    match event {
        Event::Revoked(revocation) if matches!(revocation.owner, Owner::Source(_)) => Some(Event::Revoked(revocation)),
        Event::Extended { .. } => Some(event),
        Event::Person(new) => reduced(fold, &new).map(|person| Event::Person(Arc::new(person))),
        _ => None,
    }
}

/// The known record without what the new one removes, and with nothing that it grants; `None` if it removes nothing.
fn reduced(fold: &Fold, new: &Person) -> Option<Person> {
    let Some(known) = fold.people.find(&fold.keyer, &new.id) else {
        let out = new.status != Status::Active;
        return out.then(|| Person { groups: Vec::new(), ..new.clone() });
    };
    let mut person = Person::clone(&known.person);
    if new.status != Status::Active {
        person.status = new.status;
    }
    let directory = fold.people.directory(&new.id.source);
    let same = |one: &String, other: &String| directory.is_some_and(|by| by.is_same_group(one, other));
    let stays = |group: &String| new.groups.contains(group) || new.groups.iter().any(|other| same(group, other));
    person.groups.retain(stays);
    // A lost name is dropped here too, so that not every listing cuts it off again.
    for attribute in known.person.attributes().map(|(attribute, _)| attribute) {
        let rule = fold.people.rule(&new.id.source, attribute);
        person.forget(attribute, |value| !new.values(attribute).any(|other| rule.matches(value, other).is_some()));
    }
    (person != *known.person).then_some(person)
}

/// Heartbeats still count although they cannot be logged. The cursor does not move, so that the source repeats
/// everything after a restart.
fn heartbeat(fold: &Fold, event: &Event) -> Option<Event> {
    match event {
        Event::Heartbeat { source, at, .. } if *at != Timestamp::MIN => {
            Some(Event::Heartbeat { source: source.clone(), at: *at, cursor: None })
        }
        Event::Synced { source, .. } if fold.sources.contains_key(source) => Some(event.clone()),
        _ => None,
    }
}

/// Whether the log has this event already: a batch may have been written just before the store became unavailable.
fn is_logged(fold: &Fold, event: &Event) -> bool {
    let Event::Revoked(revocation) = event else { return false };
    let own_hash = owner_hash(&fold.keyer, &revocation.owner);
    let stands = fold.revocations.under(revocation.target.key(&fold.keyer)).iter().any(|entry| {
        (entry.effect, entry.owner, entry.owner_hash) == (EntryKind::Block, OwnerKind::Source, own_hash)
            && entry.kind == revocation.target.kind()
    });
    revocation.shape == Shape::Block && stands
}

impl<L: Log> Writer<L> {
    /// Answers a batch without the log: denials of sources take effect, and nothing else.
    pub(super) fn answer_without_log(&mut self, batch: &[Envelope], error: &LogError) -> Vec<Result<Answer, Refused>> {
        let mut volatile = self.volatile.take().unwrap_or_else(|| Volatile::new(self.follower.fold.clone()));
        let (mut answers, mut taken) = (Vec::with_capacity(batch.len()), Vec::new());
        for envelope in batch {
            answers.push(match &envelope.command {
                Command::Observe(observation) => {
                    let (rules, identity) = (&self.follower.rules, &self.identity);
                    let (answer, more) =
                        volatile.observe(&mut self.listings, (rules, identity), observation, envelope.now);
                    taken.extend(more);
                    answer.map(|done| Answer { done, waits: None })
                }
                // A tick needs no answer; whatever it would have ended still stands.
                Command::Tick => Ok(Answer::default()),
                _ => Err(Refused::Gone(error.to_string())),
            });
        }
        self.volatile = Some(volatile);
        self.enforce_from_memory(taken, error);
        answers
    }

    /// Applies the rest of an accepted listing without the log.
    pub(super) fn drain_without_log(&mut self, drain: &Drain, error: &LogError) {
        let mut volatile = self.volatile.take().unwrap_or_else(|| Volatile::new(self.follower.fold.clone()));
        let mut plan = volatile.plan(&self.follower.rules, &self.identity);
        drain.plan_step(&mut plan, usize::MAX, self.latest);
        let taken = volatile.take_in(plan.into_parts().0.events);
        self.volatile = Some(volatile);
        self.enforce_from_memory(taken, error);
    }

    fn enforce_from_memory(&mut self, taken: Vec<Taken>, error: &LogError) {
        self.publish();
        for (_, revocation) in &taken {
            tracing::error!(
                revocation.target = %revocation.target,
                revocation.owner = %revocation.owner,
                "store unavailable; this denial is enforced from memory only and lost at a restart"
            );
        }
        let why = Some(error.to_string());
        self.published.store(|state| {
            let news = state.gone != why || !taken.is_empty();
            state.gone = why;
            state.volatile.extend(taken);
            news
        });
    }

    /// Once the store is back, appends what was enforced without it, before anything else.
    pub(super) async fn rejoin(&mut self) -> Result<(), LogError> {
        if self.volatile.is_none() {
            return Ok(());
        }
        self.log.standing().await?;
        let head = loop {
            let waiting = self.volatile.as_ref().map_or(&[][..], |volatile| &volatile.waiting);
            let events: Vec<NewEvent> =
                waiting.iter().filter(|new| !is_logged(&self.follower.fold, &new.event)).cloned().collect();
            let appended = match events.is_empty() {
                true => self.log.head().await,
                false => self.log.append(self.follower.fold.epoch, events).await,
            };
            match appended {
                Ok(head) => break head,
                Err(LogError::Conflict { .. }) => self.catch_up().await?,
                // It took them the last time, and went before it could say so.
                Err(error @ LogError::Duplicate { .. }) => {
                    if !self.leave_out_known().await? {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        };
        let volatile = self.volatile.take();
        let caught_up = self.catch_up_to(head).await;
        if caught_up.is_err() {
            // Its denials are in the log, but not read yet.
            self.volatile = volatile.map(|volatile| Volatile { waiting: Vec::new(), ..volatile });
            self.publish();
            return caught_up;
        }
        self.published.store(|state| {
            *state = StoreState { returns: state.returns + 1, ..StoreState::default() };
            true
        });
        Ok(())
    }

    /// Leaves out of what the log is to get what it has by its name; whether there was any.
    async fn leave_out_known(&mut self) -> Result<bool, LogError> {
        let Some(volatile) = &mut self.volatile else { return Ok(false) };
        let mut known = HashSet::new();
        for id in volatile.waiting.iter().filter_map(|new| new.id.as_ref()) {
            if self.log.find(id).await?.is_some() {
                known.insert(id.clone());
            }
        }
        volatile.waiting.retain(|new| new.id.as_ref().is_none_or(|id| !known.contains(id)));
        Ok(!known.is_empty())
    }
}
