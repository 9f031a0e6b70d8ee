//! Listings: what is in them, and what they leave out.
//!
//! ```text
//! ListingPage ─▶ page: disables at once; the rest is taken in ─▶ OpenListing (a key for each row, a record for each that differs)
//! ListingEnd  ─▶ diff (what it changes) ─▶ judge (how much may be missing) ─▶ accepted ─▶ Drain: a thousand at a time
//!                                                                          └▶ held back, or rejected
//! ```
//!
//! Planning reads what was taken in and changes nothing of it: what it comes to is an [`Effect`], which is carried out once
//! the log has the events. So a plan that the log did not take is simply made again.

pub(super) mod backwards;
pub(super) mod diff;
pub(super) mod drain;
mod held;
mod judgement;
mod verdict;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

pub(super) use held::seen;
pub(super) use verdict::{expect, judge};

use self::diff::{diff, same};
use self::drain::{Drain, Reply};
use self::judgement::{Judgement, Limits};
use super::directory::{When, change, out, source_rules};
use super::plan::{Outcome, Plan};
use crate::domain::command::{ListingId, Refused};
use crate::domain::key::Key;
use crate::domain::person::{Person, PersonId, Status};
use crate::domain::time::{Now, Timestamp};
use crate::faults::{Fault, planted};
use crate::state::people::person_key;

/// Records that a listing brings into force at once: others wait no longer for their turn than that takes.
pub(super) const STEP: usize = 1_000;

/// What was taken in of one listing.
#[derive(Debug, Default)]
pub(super) struct OpenListing {
    id: ListingId,
    /// How many people were known when it began.
    known: usize,
    /// Who is in it, or became known in another way since it began.
    seen: HashSet<Key>,
    /// What differs from what is known, and waits for the guard.
    waiting: BTreeMap<Key, Arc<Person>>,
    /// Who became known in another way since it began.
    touched: HashSet<Key>,
    /// Those of them whom no page named: they do not count as rows.
    unlisted: HashSet<Key>,
    /// Who is in it and cannot be read.
    unread: HashSet<Key>,
}

/// What was taken in of all sources. It is nowhere but here: after a restart a source begins anew.
#[derive(Debug, Default)]
pub(super) struct Listings {
    open: HashMap<String, OpenListing>,
    /// What was accepted, and is not in force as a whole yet.
    draining: VecDeque<Drain>,
    /// The last one of each source that is in force as a whole: whoever asks once more hears so.
    in_force: HashMap<String, ListingId>,
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
            None => drop(reply.send(Err(drain::no_more(source, *id)))),
        }
    }

    fn is_draining(&self, source: &str, id: ListingId) -> bool {
        self.draining.iter().any(|drain| drain.source == source && drain.listing() == Some(id))
    }

    /// The newest listing of a source that is known here, wherever it stands.
    fn newest(&self, source: &str) -> Option<ListingId> {
        let draining = self.draining.iter().filter(|drain| drain.source == source).filter_map(Drain::listing);
        let open = self.open.get(source).map(|open| open.id);
        draining.chain(open).chain(self.in_force.get(source).copied()).max()
    }

    fn is_confirming(&self, source: &str) -> bool {
        self.draining.iter().any(|drain| drain.source == source && drain.listing().is_none())
    }
}

impl OpenListing {
    fn take(&mut self, rows: Vec<(Key, Option<Arc<Person>>)>, unread: Vec<Key>) {
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
    fn rows(&self) -> usize {
        self.seen.len() - self.unlisted.len()
    }
}

fn known_people(plan: &Plan, source: &str) -> usize {
    let [active, suspended, _] = plan.state.fold.people.counts().get(source).copied().unwrap_or_default();
    active + suspended
}

/// Plans what a row says at once; what of it waits for the end of the listing, if anything does.
fn row(plan: &mut Plan, person: &Person, key: Key, (first, fresh): (bool, bool), when: When) -> Option<Arc<Person>> {
    let known = plan.state.fold.people.get(key);
    let is_same = known.is_some_and(|known| same(&known.person, person));
    // Of an older provider nothing counts but that somebody is out: what they were called may be another's by now.
    if person.status != Status::Active && known.is_some() && backwards::reason(plan, &person.id.source).is_some() {
        out(plan, &person.id, person.status, when.now);
        return None;
    }
    // Nobody can be missing from the first listing: there is nothing to wait for.
    if person.status != Status::Active || (first && fresh) || planted(Fault::GuardedListingRestores) {
        change(plan, person.clone(), None, when);
        return None;
    }
    (!is_same && fresh).then(|| Arc::new(person.clone()))
}

/// Plans a listing in one piece.
pub(super) fn listing(
    plan: &mut Plan,
    (source, people, whole): (&str, &[Person], bool),
    at: Timestamp,
    now: Now,
) -> Result<Outcome, Refused> {
    let rules = source_rules(plan, source)?;
    let first = !plan.state.fold.sources.contains_key(source);
    let when = When { now, provider: None };
    let mut open = OpenListing { known: known_people(plan, source), ..OpenListing::default() };
    for person in people {
        let key = person_key(&plan.state.fold.keyer, &person.id);
        // Newer than any page of a listing that is on its way.
        plan.touch(source, key);
        let waits = row(plan, person, key, (first, true), when);
        open.take(vec![(key, waits)], vec![]);
    }
    if !whole {
        if backwards::reason(plan, source).is_none() {
            open.waiting.values().for_each(|person| change(plan, Person::clone(person), None, when));
        }
        return Ok(Outcome::default());
    }
    let diff = diff(&plan.state.fold.people, source, &open, &HashSet::new());
    match judgement::judge(&diff, &Limits::of(&rules, plan, now), at) {
        Judgement::Accept { removed, .. } => {
            let mut drain = Drain::of_listing((source, 0), diff, (at, removed));
            drain.count(plan, usize::MAX, now);
            drain.plan_step(plan, usize::MAX, now);
            plan.effects.push(Effect::Cancelled { source: source.to_owned(), confirmed: true });
            Ok(Outcome::default())
        }
        Judgement::Block(held) => Err(held::hold(plan, *held, now)),
        Judgement::Reject(what) => Err(void(source, what)),
    }
}

/// Plans a page of a listing.
pub(super) fn page(
    plan: &mut Plan,
    listings: &Listings,
    (source, id): (&str, ListingId),
    (people, doubted, unread): (&[Person], &[Person], &[PersonId]),
    now: Now,
) -> Result<Outcome, Refused> {
    source_rules(plan, source)?;
    let first = !plan.state.fold.sources.contains_key(source);
    let open = listings.open.get(source);
    // A source that was replaced may still be in the middle of a request.
    if listings.newest(source).is_some_and(|newest| newest > id) || is_overtaken(plan, source, id) {
        return Err(void(source, "a newer one has begun"));
    }
    if listings.is_draining(source, id) || listings.in_force.get(source) == Some(&id) {
        return Err(void(source, "a page came behind its end"));
    }
    let known = known_people(plan, source);
    let open = open.filter(|open| open.id == id);
    let when = When { now, provider: None };
    let doubted: Vec<&Person> = doubted.iter().filter(|person| !is_active(plan, person)).collect();
    let mut rows = Vec::with_capacity(people.len() + doubted.len());
    for person in people.iter().chain(doubted) {
        let key = person_key(&plan.state.fold.keyer, &person.id);
        let fresh = !plan.touched.contains(&key) && open.is_none_or(|open| !open.touched.contains(&key));
        rows.push((key, row(plan, person, key, (first, fresh), when)));
    }
    let unread = unread.iter().map(|id| person_key(&plan.state.fold.keyer, id)).collect();
    plan.effects.push(Effect::Page { source: source.to_owned(), id, known, rows, unread });
    Ok(Outcome::default())
}

/// Whether a newer listing begins in the same batch.
fn is_overtaken(plan: &Plan, source: &str, listing: ListingId) -> bool {
    let is_newer =
        |effect: &Effect| matches!(effect, Effect::Page { source: of, id, .. } if of == source && *id > listing);
    plan.effects.iter().any(is_newer)
}

/// Whether somebody is known to be active, so that a list that leaves them out takes something from them.
fn is_active(plan: &Plan, person: &Person) -> bool {
    let known = plan.state.fold.people.find(&plan.state.fold.keyer, &person.id);
    known.is_some_and(|known| known.person.status == Status::Active)
}

/// The end of a listing in pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct End<'a> {
    pub(super) source: &'a str,
    pub(super) id: ListingId,
    pub(super) at: Timestamp,
    pub(super) count: Option<usize>,
    pub(super) verify: bool,
}

/// Plans the end of a listing in pages.
pub(super) fn end(plan: &mut Plan, listings: &Listings, end: End<'_>, now: Now) -> Result<Outcome, Refused> {
    let rules = source_rules(plan, end.source)?;
    let source = end.source.to_owned();
    if listings.is_draining(end.source, end.id) {
        return Ok(Outcome { waits: Some((source, Some(end.id))), ..Outcome::default() });
    }
    if listings.in_force.get(end.source) == Some(&end.id) {
        return Ok(Outcome::default());
    }
    let open = listings.open.get(end.source).filter(|open| open.id == end.id);
    let Some(open) = open.filter(|_| !is_overtaken(plan, end.source, end.id)) else {
        return Err(void(end.source, "nothing of it is here any more: begin anew"));
    };
    let rows = open.rows();
    if let Some(count) = end.count.filter(|count| *count != rows) {
        plan.effects.push(Effect::Closed { source });
        return Err(void(end.source, format!("it has {rows} people, and the provider counts {count}")));
    }
    let diff = diff(&plan.state.fold.people, end.source, open, &plan.touched);
    match judgement::judge(&diff, &Limits::of(&rules, plan, now), end.at) {
        Judgement::Accept { verify, .. } if end.verify && !verify.is_empty() => {
            Ok(Outcome { persons: verify, ..Outcome::default() })
        }
        Judgement::Accept { removed, .. } => {
            let mut drain = Drain::of_listing((end.source, end.id), diff, (end.at, removed));
            drain.count(plan, plan.step, now);
            let done = drain.plan_step(plan, plan.step, now);
            drain.advance(&done);
            let outcome = Outcome { more: !drain.is_over(), ..Outcome::default() };
            plan.effects.push(Effect::Accepted { drain: Box::new(drain) });
            Ok(outcome)
        }
        Judgement::Block(held) => {
            plan.effects.push(Effect::Closed { source });
            Err(held::hold(plan, *held, now))
        }
        Judgement::Reject(what) => {
            plan.effects.push(Effect::Closed { source });
            Err(void(end.source, what))
        }
    }
}

fn void(source: &str, what: impl Into<String>) -> Refused {
    Refused::Void { source_name: source.to_owned(), what: what.into() }
}
