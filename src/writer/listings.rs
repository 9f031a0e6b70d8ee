//! The listings that the writer is in the middle of: open ones, and accepted ones that are not fully applied.
//!
//! Planning reads them and changes nothing here. What it decides is an [`Effect`], carried out once the log has the events.
//! So a plan that the log did not take is simply made again.

mod drain;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

pub(super) use self::drain::{Drain, Origin, Step};

use self::drain::{Reply, superseded};
use crate::domain::command::{ListingId, Refused};
use crate::domain::key::Key;
use crate::domain::person::Person;

/// What was taken in of one listing.
#[derive(Debug, Default)]
pub(super) struct OpenListing {
    pub(super) id: ListingId,
    /// How many people were known when it began.
    pub(super) known: usize,
    /// Who is in it, or became known in another way since it began.
    pub(super) seen: HashSet<Key>,
    /// What differs from what is known, and waits for the guard.
    pub(super) waiting: BTreeMap<Key, Arc<Person>>,
    /// Who became known in another way since it began.
    pub(super) touched: HashSet<Key>,
    /// Those of them whom no page named: they do not count as rows.
    pub(super) unlisted: HashSet<Key>,
    /// Who is in it and cannot be read.
    pub(super) unread: HashSet<Key>,
}

/// What was taken in of all sources. It is nowhere but here: after a restart a source begins anew.
#[derive(Debug, Default)]
pub(super) struct Listings {
    pub(super) open: HashMap<String, OpenListing>,
    /// What was accepted, and is not in force as a whole yet.
    pub(super) draining: VecDeque<Drain>,
    /// The last one of each source that is in force as a whole: whoever asks once more hears so.
    pub(super) in_force: HashMap<String, ListingId>,
}

/// What becomes of what was taken in, once the log has the events that were planned with it.
#[derive(Debug)]
pub(super) enum Effect {
    /// A page is taken in.
    Page {
        /// Name of the source.
        source: String,
        /// Which listing; another one before it is over.
        id: ListingId,
        /// How many people are known, where this begins it.
        known: usize,
        /// Who is in it, and what of them waits.
        rows: Vec<(Key, Option<Arc<Person>>)>,
        /// Who cannot be read.
        unread: Vec<Key>,
    },
    /// One person became known in another way: what a listing says of them is out of date.
    Touched {
        /// Name of the source.
        source: String,
        /// Who.
        key: Key,
    },
    /// Somebody is there after all: whoever confirmed that they are missing does not mean them.
    Back {
        /// Name of the source.
        source: String,
        /// Who.
        key: Key,
    },
    /// The listing is over: it was held back, or is none.
    Closed {
        /// Name of the source.
        source: String,
    },
    /// Something was accepted, and comes into force in steps.
    Accepted {
        /// What is to come.
        drain: Box<Drain>,
    },
    /// What was accepted goes on no more.
    Cancelled {
        /// Name of the source.
        source: String,
        /// Only what an operator confirmed.
        confirmed: bool,
    },
}

impl Listings {
    /// Carries out what a plan came to.
    pub(super) fn carry_out(&mut self, effects: impl IntoIterator<Item = Effect>) {
        for effect in effects {
            match effect {
                Effect::Page { source, id, known, rows, unread } => {
                    // Newer than a listing that was accepted before.
                    let keys = rows.iter().map(|(key, _)| key).chain(&unread);
                    keys.for_each(|key| self.forget(&source, *key));
                    let open = self.open.entry(source).or_default();
                    if open.id != id {
                        *open = OpenListing { id, known, ..OpenListing::default() };
                    }
                    open.take(rows, unread);
                }
                Effect::Touched { source, key } => {
                    if let Some(open) = self.open.get_mut(&source) {
                        open.touch(key);
                    }
                    self.forget(&source, key);
                }
                Effect::Back { source, key } => {
                    self.draining.iter_mut().filter(|drain| drain.source == source).for_each(|drain| drain.back(key));
                }
                Effect::Closed { source } => drop(self.open.remove(&source)),
                Effect::Accepted { drain } => self.accept(*drain),
                Effect::Cancelled { source, confirmed } => self.cancel(&source, confirmed),
            }
        }
    }

    fn forget(&mut self, source: &str, key: Key) {
        self.draining.iter_mut().filter(|drain| drain.source == source).for_each(|drain| drain.forget(key));
    }

    fn accept(&mut self, drain: Drain) {
        if let Some(id) = drain.listing() {
            self.open.remove(&drain.source);
            // What was to be concluded from an older one is over.
            self.cancel(&drain.source, false);
            if drain.is_over() {
                self.in_force.insert(drain.source, id);
                return;
            }
        }
        if !drain.is_over() {
            self.draining.push_back(drain);
        }
    }

    fn cancel(&mut self, source: &str, confirmed: bool) {
        let is_it = |drain: &Drain| drain.source == source && (!confirmed || drain.listing().is_none());
        for drain in std::mem::take(&mut self.draining) {
            if is_it(&drain) { drain.cancelled() } else { self.draining.push_back(drain) }
        }
    }

    /// Waits for what was accepted of a source: a listing, or `None` for what an operator confirmed.
    pub(super) fn wait(&mut self, (source, id): &(String, Option<ListingId>), reply: Reply) {
        match self.draining.iter_mut().find(|drain| drain.source == *source && drain.listing() == *id) {
            Some(drain) => drain.wait(reply),
            // Something in the same batch took its place.
            None => drop(reply.send(Err(superseded(source, *id)))),
        }
    }

    pub(super) fn is_draining(&self, source: &str, id: ListingId) -> bool {
        self.draining.iter().any(|drain| drain.source == source && drain.listing() == Some(id))
    }

    /// The newest listing of a source that is known here, wherever it stands.
    pub(super) fn newest(&self, source: &str) -> Option<ListingId> {
        let draining = self.draining.iter().filter(|drain| drain.source == source).filter_map(Drain::listing);
        let open = self.open.get(source).map(|open| open.id);
        draining.chain(open).chain(self.in_force.get(source).copied()).max()
    }

    pub(super) fn is_confirming(&self, source: &str) -> bool {
        self.draining.iter().any(|drain| drain.source == source && drain.listing().is_none())
    }
}

impl OpenListing {
    pub(super) fn take(&mut self, rows: Vec<(Key, Option<Arc<Person>>)>, unread: Vec<Key>) {
        for (key, waits) in rows {
            self.seen.insert(key);
            self.unlisted.remove(&key);
            // What an earlier page said of somebody is older.
            match waits {
                Some(person) => drop(self.waiting.insert(key, person)),
                None => drop(self.waiting.remove(&key)),
            }
        }
        for key in unread {
            self.seen.insert(key);
            self.unlisted.remove(&key);
            self.unread.insert(key);
        }
    }

    fn touch(&mut self, key: Key) {
        self.waiting.remove(&key);
        self.touched.insert(key);
        if self.seen.insert(key) {
            self.unlisted.insert(key);
        }
    }

    /// How many rows it has.
    pub(super) fn rows(&self) -> usize {
        self.seen.len() - self.unlisted.len()
    }
}

/// The refusal of a listing that is void, and why it is.
pub(super) fn void(source: &str, what: impl Into<String>) -> Refused {
    Refused::Void { source_name: source.to_owned(), what: what.into() }
}
