//! An accepted listing that is not fully applied: what is left of it, and who waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::void;
use crate::domain::command::{Done, ListingId, Refused};
use crate::domain::event::Epoch;
use crate::domain::guard::{HeldListing, Removals};
use crate::domain::key::Key;
use crate::domain::person::{Person, PersonId};
use crate::domain::time::Timestamp;

/// The channel for an answer.
pub(in crate::writer) type Reply = oneshot::Sender<Result<Done, Refused>>;

/// The rest of an accepted listing.
#[derive(Debug)]
pub(in crate::writer) struct Drain {
    /// Name of the source.
    pub(in crate::writer) source: String,
    pub(in crate::writer) changed: BTreeMap<Key, Arc<Person>>,
    pub(in crate::writer) missing: BTreeMap<Key, PersonId>,
    pub(in crate::writer) origin: Origin,
    /// Whether it is fully applied.
    pub(in crate::writer) over: bool,
    /// People it has marked departed, to be reported to whoever waits.
    persons: Vec<PersonId>,
    waiting: Vec<Reply>,
}

/// Where an accepted listing comes from.
#[derive(Debug)]
pub(in crate::writer) enum Origin {
    /// A listing that passed the guard.
    Listing {
        id: ListingId,
        at: Timestamp,
        /// Its removals that are not counted yet.
        removed: Removals,
    },
    /// A held listing that an operator confirmed.
    Confirmed { held: Arc<HeldListing>, actor: String },
}

/// The records that one step planned, removed from the rest once the log has them.
#[derive(Debug, Default)]
pub(in crate::writer) struct Step {
    pub(in crate::writer) changed: Vec<Key>,
    pub(in crate::writer) missing: Vec<Key>,
    pub(in crate::writer) over: bool,
}

impl Drain {
    /// From a listing that the guard accepted.
    pub(in crate::writer) fn of_listing(
        (source, id): (&str, ListingId),
        records: (BTreeMap<Key, Arc<Person>>, BTreeMap<Key, PersonId>),
        (at, removed): (Timestamp, Removals),
    ) -> Self {
        Self::new(source, records, Origin::Listing { id, at, removed })
    }

    /// From a held listing that an operator confirmed, without people who have left already.
    pub(in crate::writer) fn of_confirmed(
        source: &str,
        missing: BTreeMap<Key, PersonId>,
        (held, actor): (Arc<HeldListing>, String),
    ) -> Self {
        Self::new(source, (BTreeMap::new(), missing), Origin::Confirmed { held, actor })
    }

    fn new(
        source: &str,
        (changed, missing): (BTreeMap<Key, Arc<Person>>, BTreeMap<Key, PersonId>),
        origin: Origin,
    ) -> Self {
        let (persons, waiting) = (Vec::new(), Vec::new());
        Self { source: source.to_owned(), changed, missing, origin, over: false, persons, waiting }
    }

    /// The listing; `None` if an operator confirmed it.
    pub(in crate::writer) fn listing(&self) -> Option<ListingId> {
        match self.origin {
            Origin::Listing { id, .. } => Some(id),
            Origin::Confirmed { .. } => None,
        }
    }

    /// The number of records still to apply.
    pub(in crate::writer) fn len(&self) -> usize {
        self.changed.len() + self.missing.len()
    }

    pub(in crate::writer) fn is_over(&self) -> bool {
        self.over
    }

    /// Drops what a listing says of a person whose record changed by other means. A confirmed listing keeps them: the
    /// operator meant them, unless they are [`Drain::back`].
    pub(in crate::writer) fn forget(&mut self, key: Key) {
        if self.listing().is_some() {
            self.changed.remove(&key);
            self.missing.remove(&key);
        }
    }

    /// A person is present after all, whether or not their record counts.
    pub(in crate::writer) fn back(&mut self, key: Key) {
        if self.listing().is_none() {
            self.missing.remove(&key);
        }
    }

    /// Removes a step that the log has.
    pub(in crate::writer) fn advance(&mut self, step: &Step) {
        for key in &step.changed {
            self.changed.remove(key);
        }
        for key in &step.missing {
            self.persons.extend(self.missing.remove(key));
        }
        self.over = step.over;
    }

    /// Takes the people it has marked departed and not reported yet.
    pub(in crate::writer) fn take_persons(&mut self) -> Vec<PersonId> {
        std::mem::take(&mut self.persons)
    }

    /// Adds a waiting caller. A source is answered after each step, so that it gets its turn; an operator once the
    /// listing is fully applied.
    pub(in crate::writer) fn wait(&mut self, reply: Reply) {
        self.waiting.push(reply);
    }

    pub(in crate::writer) fn answer(&mut self, answer: &Result<Done, Refused>) {
        // The caller may be gone; the listing is applied all the same.
        self.waiting.drain(..).for_each(|reply| drop(reply.send(answer.clone())));
    }

    pub(in crate::writer) fn advanced(&mut self, epoch: Epoch) {
        if self.over || self.listing().is_some() {
            let persons = self.persons.clone();
            if !self.waiting.is_empty() {
                self.persons.clear();
            }
            self.answer(&Ok(Done { epoch, persons, more: !self.over, ..Done::default() }));
        }
    }

    /// Stops it and answers whoever waits.
    pub(in crate::writer) fn cancelled(mut self) {
        let refused = superseded(&self.source, self.listing());
        self.answer(&Err(refused));
    }
}

/// The answer to callers that wait for a listing that was stopped.
pub(in crate::writer) fn superseded(source: &str, listing: Option<ListingId>) -> Refused {
    match listing {
        Some(_) => void(source, "a newer listing replaced it; start a new listing"),
        None => Refused::NothingHeld(source.to_owned()),
    }
}
