//! What sources deny while the store is gone: enforced from memory, and written down once the store is back.
//!
//! The one exception to law 11 (contract section 3, "The store"): whoever has to go must not stay because somebody deleted
//! a directory. Nothing that gives access is taken in, nothing that an operator asks for, and no block ends. What was
//! taken in is known by its ids, which begin where no log gets to; it lasts until the store is back, when the log gets it
//! before anything else, or until the process ends.

use std::collections::HashSet;
use std::sync::Arc;

use super::identity::WriterIdentity;
use super::listing::Listings;
use super::listing::drain::Drain;
use super::plan::Plan;
use super::{Answer, Writer, directory};
use crate::domain::command::{Command, Done, Envelope, Observation, Refused};
use crate::domain::event::{Event, NewEvent, Position, Recorded};
use crate::domain::id::RevocationId;
use crate::domain::person::{Person, Status};
use crate::domain::revocation::{Owner, Revocation, Shape};
use crate::domain::time::{Now, Timestamp};
use crate::faults::{Fault, planted};
use crate::log::{Log, LogError};
use crate::state::fold::Fold;
use crate::state::revocations::{EntryKind, OwnerKind, whose};
use crate::state::rules::Rules;
use crate::state::{State, StoreState};

/// Ids of what no log holds begin here.
const FIRST: Position = 1 << 62;

/// A revocation that no log holds, and its id.
type Taken = (RevocationId, Arc<Revocation>);

/// What is enforced from memory.
#[derive(Debug)]
pub(super) struct Volatile {
    /// What the log says, and that.
    pub(super) fold: Fold,
    /// What the log gets once it is back.
    waiting: Vec<NewEvent>,
    /// The next id.
    next: Position,
}

impl Volatile {
    fn new(fold: Fold) -> Self {
        Self { fold, waiting: Vec::new(), next: FIRST }
    }

    /// Takes in what an observation denies; what else it says is left out.
    fn observe(
        &mut self,
        listings: &mut Listings,
        (rules, identity): (&Arc<Rules>, &WriterIdentity),
        observation: &Observation,
        now: Now,
    ) -> (Result<Done, Refused>, Vec<Taken>) {
        let mut plan = self.plan(rules, identity);
        let outcome = directory::observe(&mut plan, listings, observation, None, now);
        let (events, effects) = plan.into_parts();
        listings.carry_out(effects);
        let done = |outcome: super::plan::Outcome| Done {
            persons: outcome.persons,
            more: outcome.more,
            volatile: true,
            ..Done::default()
        };
        (outcome.map(done), self.take_in(events))
    }

    /// A plan that brings a listing into force at once: there is no log that it keeps waiting.
    fn plan(&self, rules: &Arc<Rules>, identity: &WriterIdentity) -> Plan {
        let state = State { fold: self.fold.clone(), rules: Arc::clone(rules) };
        let mut plan = Plan::new(state, identity.clone());
        plan.step = usize::MAX;
        plan
    }

    /// Takes in what events deny.
    fn take_in(&mut self, events: Vec<NewEvent>) -> Vec<Taken> {
        let mut taken = Vec::new();
        for new in events {
            if planted(Fault::VolatileGives) {
                self.apply(new);
            } else if let Some(event) = signs_of_life(&self.fold, &new.event) {
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

    /// The epoch stays: it says up to where the log is enforced.
    fn apply(&mut self, new: NewEvent) {
        let epoch = self.fold.epoch;
        self.fold.epoch.position = self.next - 1;
        self.fold.apply(&Recorded { position: self.next, new });
        self.fold.epoch = epoch;
        self.next += 1;
    }
}

/// What takes access and gives none, of an event that a source caused.
fn denial(fold: &Fold, event: Event) -> Option<Event> {
    match event {
        Event::Revoked(revocation) if matches!(revocation.owner, Owner::Source(_)) => Some(Event::Revoked(revocation)),
        Event::Extended { .. } => Some(event),
        Event::Person(new) => less(fold, new).map(Event::Person),
        _ => None,
    }
}

/// A person with what the new record takes from them, and nothing of what it gives; `None` where it takes nothing.
fn less(fold: &Fold, new: Person) -> Option<Person> {
    let Some(known) = fold.people.find(&fold.keyer, &new.id) else {
        let out = new.status != Status::Active;
        return out.then_some(Person { groups: Vec::new(), ..new });
    };
    let mut person = Person::clone(&known.person);
    if new.status != Status::Active {
        person.status = new.status;
    }
    let directory = fold.people.directory(&new.id.source);
    let same = |one: &String, other: &String| directory.is_some_and(|by| by.is_same_group(one, other));
    let stays = |group: &String| new.groups.contains(group) || new.groups.iter().any(|other| same(group, other));
    person.groups.retain(stays);
    // A name that left them stays cut off, and is not cut off anew by each listing.
    for attribute in known.person.attributes().map(|(attribute, _)| attribute) {
        let rule = fold.people.rule(&new.id.source, attribute);
        person.forget(attribute, |value| !new.values(attribute).any(|other| rule.matches(value, other).is_some()));
    }
    (person != *known.person).then_some(person)
}

/// That a source lives is known as well as before, whether it can be written down or not; from where it goes on is not
/// moved, so that after a restart it tells everything again.
fn signs_of_life(fold: &Fold, event: &Event) -> Option<Event> {
    match event {
        Event::Heartbeat { source, at, .. } if *at != Timestamp::MIN => {
            Some(Event::Heartbeat { source: source.clone(), at: *at, cursor: None })
        }
        Event::Synced { source, .. } if fold.sources.contains_key(source) => Some(event.clone()),
        _ => None,
    }
}

/// Whether the log says this already: a batch may have been written in the moment in which the store went.
fn is_told(fold: &Fold, event: &Event) -> bool {
    let Event::Revoked(revocation) = event else { return false };
    let own = whose(&fold.keyer, &revocation.owner);
    let stands = fold.revocations.under(revocation.target.key(&fold.keyer)).iter().any(|entry| {
        (entry.stand, entry.owner, entry.whose) == (EntryKind::Block, OwnerKind::Source, own)
            && entry.kind == revocation.target.kind()
    });
    revocation.shape == Shape::Block && stands
}

impl<L: Log> Writer<L> {
    /// Answers a batch that the log cannot take: what sources deny is in force, and nothing else.
    pub(super) fn answer_without_log(&mut self, batch: &[Envelope], error: &LogError) -> Vec<Result<Answer, Refused>> {
        let mut volatile = self.volatile.take().unwrap_or_else(|| Volatile::new(self.follower.fold.clone()));
        let (mut answers, mut taken) = (Vec::with_capacity(batch.len()), Vec::new());
        for letter in batch {
            answers.push(match &letter.command {
                Command::Observe(observation) => {
                    let (rules, identity) = (&self.follower.rules, &self.identity);
                    let (answer, more) =
                        volatile.observe(&mut self.listings, (rules, identity), observation, letter.now);
                    taken.extend(more);
                    answer.map(|done| Answer { done, waits: None })
                }
                // It asks for nothing; what it would have ended stands.
                Command::Tick => Ok(Answer::default()),
                _ => Err(Refused::Gone(error.to_string())),
            });
        }
        self.volatile = Some(volatile);
        self.enforce_from_memory(taken, error);
        answers
    }

    /// The rest of what was accepted, where the store went in the middle of it.
    pub(super) fn drain_without_log(&mut self, drain: &Drain, error: &LogError) {
        let mut volatile = self.volatile.take().unwrap_or_else(|| Volatile::new(self.follower.fold.clone()));
        let mut plan = volatile.plan(&self.follower.rules, &self.identity);
        drain.plan_step(&mut plan, usize::MAX, self.latest);
        let taken = volatile.take_in(plan.into_events());
        self.volatile = Some(volatile);
        self.enforce_from_memory(taken, error);
    }

    fn enforce_from_memory(&mut self, taken: Vec<Taken>, error: &LogError) {
        self.publish();
        for (_, revocation) in &taken {
            tracing::error!(
                revocation.target = %revocation.target,
                revocation.owner = %revocation.owner,
                "the store is gone: this denial is enforced from memory only, and a restart forgets it"
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

    /// Where the store is back, the log gets what was enforced without it, before anything else.
    pub(super) async fn rejoin(&mut self) -> Result<(), LogError> {
        if self.volatile.is_none() {
            return Ok(());
        }
        self.log.standing().await?;
        let head = loop {
            let waiting = self.volatile.as_ref().map_or(&[][..], |volatile| &volatile.waiting);
            let events: Vec<NewEvent> =
                waiting.iter().filter(|new| !is_told(&self.follower.fold, &new.event)).cloned().collect();
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
            // What it denies is in the log, and not read yet.
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
