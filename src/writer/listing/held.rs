//! Records listings that the guard holds back.

use super::diff::present;
use crate::domain::command::Refused;
use crate::domain::event::Event;
use crate::domain::guard::{HeldListing, HeldListingUpdate, Removals, is_lately};
use crate::domain::person::Person;
use crate::domain::time::Now;
use crate::state::people::person_key;
use crate::writer::plan::Plan;

/// Plans that a listing is held back; returns the refusal that says so.
pub(super) fn hold(plan: &mut Plan, held: HeldListing, now: Now) -> Refused {
    let feed = plan.state.fold.feeds.get(&held.source);
    let lately = feed.and_then(|feed| feed.left_out_for_good()).filter(|(since, _)| is_lately(*since, now.wall));
    let mut beside = held.emptied.iter().map(|group| format!(", group `{group}` would be empty")).collect::<String>();
    if let Some((since, lately)) = lately {
        let Removals { people, memberships, .. } = lately;
        beside +=
            &format!(", beside {people} people and {memberships} memberships that listings left out since {since}");
    }
    if let Some(because) = &held.because {
        beside += &format!(", and {because}");
    }
    let refused = Refused::Guarded {
        beside,
        source_name: held.source.clone(),
        missing: held.missing.len(),
        known: held.known,
        memberships: held.memberships,
    };
    match plan.state.fold.feeds.get(&held.source).and_then(|feed| feed.held.clone()) {
        None => plan.add(Event::ListingHeld(held), now),
        Some(before) => {
            if let Some(on) = before.until(&held) {
                plan.add(Event::ListingHeldUpdated(on), now);
            }
        }
    }
    refused
}

/// A person is present after all: the held listing no longer counts them as missing.
pub(in crate::writer) fn seen(plan: &mut Plan, person: &Person, now: Now) {
    if !present(person) {
        return;
    }
    let source = &person.id.source;
    plan.back(source, person_key(&plan.state.fold.keyer, &person.id));
    let is_missing = |held: &HeldListing| held.missing.binary_search(&person.id.key).is_ok();
    let feed = plan.state.fold.feeds.get(source);
    let Some(held) = feed.and_then(|feed| feed.held.clone()).filter(|held| is_missing(held)) else { return };
    let on = HeldListingUpdate {
        missing: held.missing.len() - 1,
        more: Vec::new(),
        back: vec![person.id.key.clone()],
        held: held.without_missing(),
    };
    plan.add(Event::ListingHeldUpdated(on), now);
}
