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

/// Where an answer goes.
pub(in crate::writer) type Reply = oneshot::Sender<Result<Done, Refused>>;

/// What was accepted, and is not in force yet.
#[derive(Debug)]
pub(in crate::writer) struct Drain {
    /// Name of the source.
    pub(in crate::writer) source: String,
    pub(in crate::writer) changed: BTreeMap<Key, Arc<Person>>,
    pub(in crate::writer) missing: BTreeMap<Key, PersonId>,
    pub(in crate::writer) origin: Origin,
    /// It is in force as a whole.
    pub(in crate::writer) over: bool,
    /// Who went by it so far.
    persons: Vec<PersonId>,
    waiting: Vec<Reply>,
}

/// Where it comes from.
#[derive(Debug)]
pub(in crate::writer) enum Origin {
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
    pub(in crate::writer) changed: Vec<Key>,
    pub(in crate::writer) missing: Vec<Key>,
    pub(in crate::writer) over: bool,
}

impl Drain {
    /// Of a listing that was accepted.
    pub(in crate::writer) fn of_listing(
        (source, id): (&str, ListingId),
        records: (BTreeMap<Key, Arc<Person>>, BTreeMap<Key, PersonId>),
        (at, removed): (Timestamp, Removals),
    ) -> Self {
        Self::new(source, records, Origin::Listing { id, at, removed })
    }

    /// Of a held-back listing that was confirmed, less who left already.
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

    /// Which listing; `None`: an operator confirmed it.
    pub(in crate::writer) fn listing(&self) -> Option<ListingId> {
        match self.origin {
            Origin::Listing { id, .. } => Some(id),
            Origin::Confirmed { .. } => None,
        }
    }

    /// How many records are to come.
    pub(in crate::writer) fn len(&self) -> usize {
        self.changed.len() + self.missing.len()
    }

    pub(in crate::writer) fn is_over(&self) -> bool {
        self.over
    }

    /// Somebody became known in another way: what a listing says of them is out of date. An operator means whom they
    /// confirmed, until they are [`Drain::back`].
    pub(in crate::writer) fn forget(&mut self, key: Key) {
        if self.listing().is_some() {
            self.changed.remove(&key);
            self.missing.remove(&key);
        }
    }

    /// Somebody is there after all, whether what was said of them counts or not.
    pub(in crate::writer) fn back(&mut self, key: Key) {
        if self.listing().is_none() {
            self.missing.remove(&key);
        }
    }

    /// The log has this step.
    pub(in crate::writer) fn advance(&mut self, step: &Step) {
        for key in &step.changed {
            self.changed.remove(key);
        }
        for key in &step.missing {
            self.persons.extend(self.missing.remove(key));
        }
        self.over = step.over;
    }

    /// Whom it made depart so far, and of whom nobody was told.
    pub(in crate::writer) fn take_persons(&mut self) -> Vec<PersonId> {
        std::mem::take(&mut self.persons)
    }

    /// Somebody waits for it. A source hears after each step, to get its turn; an operator once it is in force.
    pub(in crate::writer) fn wait(&mut self, reply: Reply) {
        self.waiting.push(reply);
    }

    pub(in crate::writer) fn tell(&mut self, answer: &Result<Done, Refused>) {
        // Whoever asked may have gone: it comes into force all the same.
        self.waiting.drain(..).for_each(|reply| drop(reply.send(answer.clone())));
    }

    pub(in crate::writer) fn advanced(&mut self, epoch: Epoch) {
        if self.over || self.listing().is_some() {
            let persons = self.persons.clone();
            if !self.waiting.is_empty() {
                self.persons.clear();
            }
            self.tell(&Ok(Done { epoch, persons, more: !self.over, ..Done::default() }));
        }
    }

    /// It goes on no more.
    pub(in crate::writer) fn cancelled(mut self) {
        let refused = superseded(&self.source, self.listing());
        self.tell(&Err(refused));
    }
}

/// What whoever waits for it hears where it goes on no more.
pub(in crate::writer) fn superseded(source: &str, listing: Option<ListingId>) -> Refused {
    match listing {
        Some(_) => void(source, "what came meanwhile took its place"),
        None => Refused::NothingHeld(source.to_owned()),
    }
}
