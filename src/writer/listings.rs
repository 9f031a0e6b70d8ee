//! The listings that the writer is in the middle of: open ones, and accepted ones that are not fully applied.
//!
//! Planning reads them and changes nothing here. What it decides is an [`Effect`], carried out once the log has the events.
//! So a plan that the log did not take is simply made again.

mod drain;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

pub(super) use self::drain::{Drain, Origin, Step};

use self::drain::{Reply, superseded};
use crate::domain::command::{ListingId, Refused};
use crate::domain::key::{Key, KeySet};
use crate::domain::person::Person;

/// An open listing: what its pages said so far.
#[derive(Debug, Default)]
pub(super) struct OpenListing {
    pub(super) id: ListingId,
    /// The number of known people when it began.
    pub(super) known: usize,
    /// People who are in it, or whose record changed by other means since it began.
    pub(super) seen: KeySet,
    /// Records that differ from the known ones and wait for the guard.
    pub(super) waiting: BTreeMap<Key, Arc<Person>>,
    /// People whose record changed by other means since it began.
    pub(super) touched: KeySet,
    /// Those of them that no page contains: they do not count as rows.
    pub(super) unlisted: KeySet,
    /// People who are in it and whose records are unreadable.
    pub(super) unread: KeySet,
}

/// The open and accepted listings of all sources. They exist only in memory: after a restart a source starts a new
/// listing.
#[derive(Debug, Default)]
pub(super) struct Listings {
    pub(super) open: HashMap<String, OpenListing>,
    /// Accepted listings that are not fully applied.
    pub(super) draining: VecDeque<Drain>,
    /// The last fully applied listing of each source, to answer repeated requests.
    pub(super) in_force: HashMap<String, ListingId>,
}

/// A change to the listings, made once the log has the events that were planned with it.
#[derive(Debug)]
pub(super) enum Effect {
    /// Add a page.
    Page {
        /// Name of the source.
        source: String,
        /// The listing; an earlier open one is dropped.
        id: ListingId,
        /// The number of known people, if this page starts the listing.
        known: usize,
        /// The people in it, with the record that waits for the guard, if any.
        rows: Vec<(Key, Option<Arc<Person>>)>,
        /// People with unreadable records.
        unread: Vec<Key>,
    },
    /// A person's record changed by other means: what a listing says of them is outdated.
    Touched {
        /// Name of the source.
        source: String,
        /// Who.
        key: Key,
    },
    /// A person is present after all: a confirmed listing no longer counts them as missing.
    Back {
        /// Name of the source.
        source: String,
        /// Who.
        key: Key,
    },
    /// Drop the open listing: it was held back or rejected.
    Closed {
        /// Name of the source.
        source: String,
    },
    /// A listing was accepted and is applied in steps.
    Accepted {
        /// The rest of it.
        drain: Box<Drain>,
    },
    /// Stop applying an accepted listing.
    Cancelled {
        /// Name of the source.
        source: String,
        /// Only one that an operator confirmed.
        confirmed: bool,
    },
}

impl Listings {
    /// Makes the changes that a plan decided on.
    pub(super) fn carry_out(&mut self, effects: impl IntoIterator<Item = Effect>) {
        for effect in effects {
            match effect {
                Effect::Page { source, id, known, rows, unread } => {
                    // This page is newer than a listing accepted before it.
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
            // It replaces the rest of an older one.
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

    /// Answers `reply` when an accepted listing of a source is applied; `None` for one that an operator confirmed.
    pub(super) fn wait(&mut self, (source, id): &(String, Option<ListingId>), reply: Reply) {
        match self.draining.iter_mut().find(|drain| drain.source == *source && drain.listing() == *id) {
            Some(drain) => drain.wait(reply),
            // Another listing in the same batch replaced it.
            None => drop(reply.send(Err(superseded(source, *id)))),
        }
    }

    pub(super) fn is_draining(&self, source: &str, id: ListingId) -> bool {
        self.draining.iter().any(|drain| drain.source == source && drain.listing() == Some(id))
    }

    /// The newest listing of a source, whether open, accepted or fully applied.
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
            // A later page overrides an earlier one.
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

    /// The number of rows.
    pub(super) fn rows(&self) -> usize {
        self.seen.len() - self.unlisted.len()
    }
}

/// The refusal of a listing that is void, and why it is.
pub(super) fn void(source: &str, what: impl Into<String>) -> Refused {
    Refused::Void { source_name: source.to_owned(), what: what.into() }
}
