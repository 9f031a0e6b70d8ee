//! Listings: what is in them, and what they leave out.
//!
//! A large one comes in pieces. What says that somebody is disabled applies at once; whatever else differs from
//! what is known waits for the end, because only then the guard can judge what is missing (`max_change`). In
//! memory there is a key for each person listed, and a record for each that differs.

pub(super) mod backwards;
mod guard;
mod verdict;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

pub(super) use guard::seen;
use guard::{Passed, hold};
pub(super) use verdict::{expect, judge};

use super::directory::{When, change, gone, out, source_rules};
use super::plan::{Outcome, Plan};
use crate::domain::command::{ListingId, Refused};
use crate::domain::event::Event;
use crate::domain::guard::{HeldListing, ReleaseCause, Removals};
use crate::domain::key::Key;
use crate::domain::person::{Person, PersonId, Status};
use crate::domain::time::{Now, Timestamp};
use crate::faults::{Fault, planted};
use crate::state::people::{Known, person_key};

/// Records that a listing brings into force at once: others wait no longer for their turn than that takes.
pub(super) const STEP: usize = 1_000;

/// One listing on its way.
#[derive(Debug, Default)]
pub(super) struct OpenListing {
    id: ListingId,
    /// How many people were known when it began.
    known: usize,
    /// Who is in it.
    seen: HashSet<Key>,
    /// What differs from what is known, and waits for the guard.
    waiting: BTreeMap<Key, Person>,
    /// Who became known in another way since it began.
    touched: HashSet<Key>,
    /// Those of them whom no piece named: they do not count as rows.
    unlisted: HashSet<Key>,
    /// Who is missing from it, once the guard let it pass.
    missing: Option<Vec<PersonId>>,
    /// How many are in it who cannot be read.
    unread: usize,
    /// What counts of that for the next ones.
    left_out: Removals,
    /// What the last step took, until the log has it.
    step: Vec<Taken>,
}

#[derive(Debug)]
enum Taken {
    Changed(Key, Person),
    Missing(PersonId),
}

/// The listings of all sources that are on their way. They are nowhere but here: after a restart a source begins anew.
#[derive(Debug, Default)]
pub(super) struct OpenListings {
    under_way: HashMap<String, OpenListing>,
    /// The listings that an operator confirmed, and that are not in force as a whole yet.
    judged: HashMap<String, Arc<HeldListing>>,
}

impl OpenListings {
    /// The log has what was planned.
    pub(super) fn kept(&mut self) {
        self.under_way.values_mut().for_each(|open| open.step.clear());
        self.under_way.retain(|_, open| !open.is_done());
    }

    /// The log has nothing of it: it is planned again.
    pub(super) fn lost(&mut self) {
        self.under_way.values_mut().for_each(OpenListing::undo);
    }

    /// One person became known in another way since the listing began: what it says of them is out of date.
    pub(super) fn touched(&mut self, source: &str, key: Key) {
        if let Some(open) = self.under_way.get_mut(source) {
            open.waiting.remove(&key);
            open.touched.insert(key);
            if open.seen.insert(key) {
                open.unlisted.insert(key);
            }
        }
    }
}

impl OpenListing {
    fn begin(plan: &Plan, source: &str, id: ListingId) -> Self {
        let [active, suspended, _] = plan.state.fold.people.counts().get(source).copied().unwrap_or_default();
        Self { id, known: active + suspended, ..Self::default() }
    }

    fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.missing.as_ref().is_some_and(Vec::is_empty)
    }

    fn undo(&mut self) {
        for taken in std::mem::take(&mut self.step) {
            match taken {
                Taken::Changed(key, person) => {
                    self.waiting.insert(key, person);
                }
                Taken::Missing(id) => self.missing.get_or_insert_default().push(id),
            }
        }
    }

    /// Takes some people in.
    fn take(&mut self, plan: &mut Plan, people: &[Person], first: bool, when: When) {
        for person in people {
            let key = person_key(&plan.state.fold.keyer, &person.id);
            self.seen.insert(key);
            self.unlisted.remove(&key);
            let known = plan.state.fold.people.get(key);
            let same = known.is_some_and(|known| same(&known.person, person));
            let fresh = !self.touched.contains(&key);
            // Of an older provider nothing counts but that somebody is out: what they were called may be another's by now.
            if person.status != Status::Active
                && known.is_some()
                && backwards::reason(plan, &person.id.source).is_some()
            {
                self.waiting.remove(&key);
                out(plan, &person.id, person.status, when.now);
                continue;
            }
            // Nobody can be missing from the first listing: there is nothing to wait for.
            if person.status != Status::Active || (first && fresh) || planted(Fault::GuardedListingRestores) {
                self.waiting.remove(&key);
                change(plan, person.clone(), None, when);
            } else if same {
                // What an earlier piece said of them is older.
                self.waiting.remove(&key);
            } else if fresh {
                self.waiting.insert(key, person.clone());
            }
        }
    }

    /// Everybody of the source who is known to be there, and not in the listing.
    fn absent<'a>(&'a self, plan: &'a Plan, source: &'a str) -> impl Iterator<Item = &'a Known> {
        let known = plan.state.fold.people.of_source(source);
        known.filter(|known| present(&known.person) && !self.seen.contains(&known.key))
    }

    /// Plans the next step of a listing that the guard let pass; whether that was the last.
    fn step(&mut self, plan: &mut Plan, when: When) -> bool {
        while self.step.len() < STEP
            && let Some((key, person)) = self.waiting.pop_first()
        {
            change(plan, person.clone(), None, when);
            self.step.push(Taken::Changed(key, person));
        }
        let missing = self.missing.get_or_insert_default();
        while self.step.len() < STEP
            && let Some(id) = missing.pop()
        {
            if self.touched.contains(&person_key(&plan.state.fold.keyer, &id)) {
                continue;
            }
            gone(plan, &id, None, When { provider: None, ..when });
            self.step.push(Taken::Missing(id));
        }
        self.is_done()
    }
}

/// What is the same to us, however the record is written.
fn same(known: &Person, new: &Person) -> bool {
    let mut groups: Vec<&String> = new.groups.iter().collect();
    groups.sort_unstable();
    groups.dedup();
    known.groups.iter().eq(groups)
        && (known.status, &known.email, &known.username, &known.attributes, &known.more, known.changed)
            == (new.status, &new.email, &new.username, &new.attributes, &new.more, new.changed)
}

fn present(person: &Person) -> bool {
    person.status != Status::Departed
}

fn complete(plan: &mut Plan, source: &str, (at, left_out): (Timestamp, Removals), now: Now) {
    if plan.state.fold.feeds.get(source).is_some_and(|feed| feed.held.is_some()) {
        let (source, actor) = (source.to_owned(), source.to_owned());
        plan.add(Event::Released { source, cause: ReleaseCause::Superseded, actor }, now);
    }
    plan.add(Event::Synced { source: source.to_owned(), at, left_out }, now);
}

/// Plans a listing in one piece.
pub(super) fn listing(
    plan: &mut Plan,
    open_listings: &mut OpenListings,
    (source, people, whole): (&str, &[Person], bool),
    at: Timestamp,
    now: Now,
) -> Result<Outcome, Refused> {
    let rules = source_rules(plan, source)?;
    // Newer than any piece of a listing that is on its way.
    people.iter().for_each(|person| open_listings.touched(source, person_key(&plan.state.fold.keyer, &person.id)));
    let when = When { now, provider: None };
    let mut open = OpenListing::begin(plan, source, 0);
    let first = !plan.state.fold.sources.contains_key(source);
    open.take(plan, people, first, when);
    if !whole {
        if backwards::reason(plan, source).is_some() {
            open.waiting.clear();
        }
        open.missing = Some(Vec::new());
        while !open.step(plan, when) {
            open.step.clear();
        }
        return Ok(Outcome::default());
    }
    let passed = open.judged(plan, &rules, at, now).map_err(|held| hold(plan, *held, now))?;
    open.missing = Some(passed.missing);
    while !open.step(plan, when) {
        open.step.clear();
    }
    complete(plan, source, (at, passed.left_out), now);
    open_listings.judged.remove(source);
    Ok(Outcome::default())
}

/// Plans a piece of a listing.
pub(super) fn page(
    plan: &mut Plan,
    open_listings: &mut OpenListings,
    (source, id): (&str, ListingId),
    (people, doubted, unread): (&[Person], &[Person], &[PersonId]),
    now: Now,
) -> Result<Outcome, Refused> {
    source_rules(plan, source)?;
    let first = !plan.state.fold.sources.contains_key(source);
    // A source that was replaced may still be in the middle of a request.
    if open_listings.under_way.get(source).is_some_and(|open| open.id > id) {
        return Err(void(source, "a newer one has begun"));
    }
    let begun = || OpenListing::begin(plan, source, id);
    let open = open_listings.under_way.entry(source.to_owned()).and_modify(|open| {
        if open.id != id {
            *open = begun();
        }
    });
    let open = open.or_insert_with(begun);
    if open.missing.is_some() {
        return Err(void(source, "a piece came behind its end"));
    }
    let when = When { now, provider: None };
    open.take(plan, people, first, when);
    let doubted: Vec<Person> = doubted.iter().filter(|person| !is_active(plan, person)).cloned().collect();
    open.take(plan, &doubted, first, when);
    open.unread += unread.len();
    for key in unread.iter().map(|id| person_key(&plan.state.fold.keyer, id)) {
        open.seen.insert(key);
        open.unlisted.remove(&key);
    }
    Ok(Outcome::default())
}

/// Whether somebody is known to be active, so that a list that leaves them out takes something from them.
fn is_active(plan: &Plan, person: &Person) -> bool {
    let known = plan.state.fold.people.find(&plan.state.fold.keyer, &person.id);
    known.is_some_and(|known| known.person.status == Status::Active)
}

/// The end of a listing in pieces.
#[derive(Clone, Copy, Debug)]
pub(super) struct End<'a> {
    pub(super) source: &'a str,
    pub(super) id: ListingId,
    pub(super) at: Timestamp,
    pub(super) count: Option<usize>,
    pub(super) verify: bool,
}

/// Plans the end of a listing in pieces, a step at a time.
pub(super) fn swept(
    plan: &mut Plan,
    open_listings: &mut OpenListings,
    end: End<'_>,
    now: Now,
) -> Result<Outcome, Refused> {
    let rules = source_rules(plan, end.source)?;
    let Some(open) = open_listings.under_way.get_mut(end.source).filter(|open| open.id == end.id) else {
        return Err(void(end.source, "nothing of it is here any more: begin anew"));
    };
    if open.missing.is_none() {
        let rows = open.seen.len() - open.unlisted.len();
        if let Some(count) = end.count.filter(|count| *count != rows) {
            let what = format!("it has {rows} people, and the provider counts {count}");
            open_listings.under_way.remove(end.source);
            return Err(void(end.source, what));
        }
        // Of many who cannot be read nothing is known: that is no listing.
        if open.unread > 0 && (open.unread >= rows || rules.max_change.is_passed(open.unread, rows)) {
            let what = format!("{} of {rows} people cannot be read: a right is missing", open.unread);
            open_listings.under_way.remove(end.source);
            return Err(void(end.source, what));
        }
        match open.judged(plan, &rules, end.at, now) {
            Ok(Passed { missing, doubtful, .. }) if end.verify && !(missing.is_empty() && doubtful.is_empty()) => {
                let persons = missing.into_iter().chain(doubtful).collect();
                return Ok(Outcome { persons, ..Outcome::default() });
            }
            Ok(Passed { missing, left_out, .. }) => (open.missing, open.left_out) = (Some(missing), left_out),
            Err(held) => {
                open_listings.under_way.remove(end.source);
                return Err(hold(plan, *held, now));
            }
        }
    }
    let done = open.step(plan, When { now, provider: None });
    if done {
        complete(plan, end.source, (end.at, open.left_out), now);
        // What was to be concluded from an older one is over.
        open_listings.judged.remove(end.source);
    }
    Ok(Outcome { more: !done, ..Outcome::default() })
}

fn void(source: &str, what: impl Into<String>) -> Refused {
    Refused::Void { source_name: source.to_owned(), what: what.into() }
}
