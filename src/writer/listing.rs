//! Plans listings: what they contain, and what they leave out.
//!
//! ```text
//! ListingPage ─▶ page: disables at once; the rest is taken in ─▶ OpenListing (a key for each row, a record for each that differs)
//! ListingEnd  ─▶ diff (what it changes) ─▶ judge (how much may be missing) ─▶ accepted ─▶ Drain: a thousand at a time
//!                                                                          └▶ held back (ListingHeld, in the feed), or rejected
//! Command::Judge ─▶ answer_held: discarded, or confirmed ─▶ Drain of the held listing
//! ```
//!
//! Pages and accepted listings are kept in [`Listings`]. Planning does not change them (see [`Effect`]).

pub(super) mod backwards;
pub(super) mod diff;
mod held;
mod judgement;
mod step;
mod verdict;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(super) use held::seen;
pub(super) use verdict::{answer_held, expect};

use self::diff::{diff, same};
use self::judgement::{Judgement, Limits};
use super::listings::{Drain, Effect, Listings, OpenListing, void};
use super::person::{change, disable};
use super::plan::{Outcome, Plan, When};
use crate::domain::command::{ListingId, Refused};
use crate::domain::key::{Key, KeySet};
use crate::domain::person::{Person, PersonId, Status};
use crate::domain::time::{Now, Timestamp};
use crate::faults::{Fault, planted};
use crate::state::people::person_key;

fn known_people(plan: &Plan, source: &str) -> usize {
    let [active, suspended, _] = plan.state.fold.people.counts().get(source).copied().unwrap_or_default();
    active + suspended
}

/// Plans what takes effect at once of a row; returns the record that waits for the end of the listing, if any.
fn row(
    plan: &mut Plan,
    (person, shared): (&Person, impl Fn() -> Arc<Person>),
    key: Key,
    (first, fresh): (bool, bool),
    when: When,
) -> Option<Arc<Person>> {
    let known = plan.state.fold.people.get(key);
    let is_same = known.is_some_and(|known| same(&known.person, person));
    // Of a provider that was rolled back only a disablement counts: an identifier may belong to somebody else by now.
    if person.status != Status::Active && known.is_some() && backwards::reason(plan, &person.id.source).is_some() {
        disable(plan, &person.id, person.status, when.now);
        return None;
    }
    // Nobody can be missing from the first listing, so nothing waits.
    if person.status != Status::Active || (first && fresh) || planted(Fault::GuardedListingRestores) {
        change(plan, shared(), None, when);
        return None;
    }
    (!is_same && fresh).then(shared)
}

/// Plans a listing in one piece.
pub(super) fn listing(
    plan: &mut Plan,
    (source, people, whole): (&str, &[Person], bool),
    at: Timestamp,
    now: Now,
) -> Result<Outcome, Refused> {
    let rules = plan.source_rules(source)?;
    let first = !plan.state.fold.sources.contains_key(source);
    let when = When { now, provider: None };
    let mut open = OpenListing { known: known_people(plan, source), ..OpenListing::default() };
    for person in people {
        let key = person_key(&plan.state.fold.keyer, &person.id);
        // Newer than any page of an open listing.
        plan.touch(source, key);
        let waits = row(plan, (person, || Arc::new(person.clone())), key, (first, true), when);
        open.take(vec![(key, waits)], vec![]);
    }
    if !whole {
        if backwards::reason(plan, source).is_none() {
            open.waiting.values().for_each(|person| change(plan, Arc::clone(person), None, when));
        }
        return Ok(Outcome::default());
    }
    let diff = diff(&plan.state.fold.people, source, &open, &KeySet::default());
    match judgement::judge(&diff, &Limits::of(&rules, plan, now), at) {
        Judgement::Accept { removed, .. } => {
            let mut drain = Drain::of_listing((source, 0), (diff.changed, diff.missing), (at, removed));
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
    (people, doubted, unread): (&[Arc<Person>], &[Person], &[PersonId]),
    now: Now,
) -> Result<Outcome, Refused> {
    plan.source_rules(source)?;
    let first = !plan.state.fold.sources.contains_key(source);
    let open = listings.open.get(source);
    // A source that was replaced may still send the rest of a request.
    if listings.newest(source).is_some_and(|newest| newest > id) || is_overtaken(plan, source, id) {
        return Err(void(source, "a newer one has started"));
    }
    if listings.is_draining(source, id) || listings.in_force.get(source) == Some(&id) {
        return Err(void(source, "a page came after its end"));
    }
    let known = known_people(plan, source);
    let open = open.filter(|open| open.id == id);
    let when = When { now, provider: None };
    let doubted: Vec<&Person> = doubted.iter().filter(|person| !is_active(plan, person)).collect();
    let mut rows = Vec::with_capacity(people.len() + doubted.len());
    let mut take = |person: &Person, shared: &dyn Fn() -> Arc<Person>| {
        let key = person_key(&plan.state.fold.keyer, &person.id);
        let fresh = !plan.touched.contains(&key) && open.is_none_or(|open| !open.touched.contains(&key));
        rows.push((key, row(plan, (person, shared), key, (first, fresh), when)));
    };
    people.iter().for_each(|person| take(person, &|| Arc::clone(person)));
    doubted.into_iter().for_each(|person| take(person, &|| Arc::new(person.clone())));
    let unread = unread.iter().map(|id| person_key(&plan.state.fold.keyer, id)).collect();
    plan.effects.push(Effect::Page { source: source.to_owned(), id, known, rows, unread });
    Ok(Outcome::default())
}

/// Whether a newer listing starts in the same batch.
fn is_overtaken(plan: &Plan, source: &str, listing: ListingId) -> bool {
    let is_newer =
        |effect: &Effect| matches!(effect, Effect::Page { source: of, id, .. } if of == source && *id > listing);
    plan.effects.iter().any(is_newer)
}

/// Whether a person is known to be active, so that leaving them out would take something from them.
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
    let rules = plan.source_rules(end.source)?;
    let source = end.source.to_owned();
    if listings.is_draining(end.source, end.id) {
        return Ok(Outcome { waits: Some((source, Some(end.id))), ..Outcome::default() });
    }
    if listings.in_force.get(end.source) == Some(&end.id) {
        return Ok(Outcome::default());
    }
    let open = listings.open.get(end.source).filter(|open| open.id == end.id);
    let Some(open) = open.filter(|_| !is_overtaken(plan, end.source, end.id)) else {
        return Err(void(end.source, "its pages are lost; start a new listing"));
    };
    let rows = open.rows();
    if let Some(count) = end.count.filter(|count| *count != rows) {
        plan.effects.push(Effect::Closed { source });
        return Err(void(end.source, format!("it has {rows} people but the provider counts {count}")));
    }
    let diff = diff(&plan.state.fold.people, end.source, open, &plan.touched);
    match judgement::judge(&diff, &Limits::of(&rules, plan, now), end.at) {
        Judgement::Accept { verify, .. } if end.verify && !verify.is_empty() => {
            Ok(Outcome { persons: verify, ..Outcome::default() })
        }
        Judgement::Accept { removed, .. } => {
            let mut drain = Drain::of_listing((end.source, end.id), (diff.changed, diff.missing), (end.at, removed));
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
