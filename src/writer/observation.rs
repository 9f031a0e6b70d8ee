//! Observations: passes what a source saw to the planner that compares it with what is known.

use std::sync::Arc;

use super::access;
use super::listing::{self, End, backwards};
use super::listings::Listings;
use super::person::{change, departed, disable};
use super::plan::{Outcome, Plan, STEP, When};
use crate::domain::command::{Observation, Refused};
use crate::domain::person::{Person, PersonId};
use crate::domain::time::{Now, Timestamp};
use crate::state::people::{Known, person_key};

/// The id that makes repeated delivery of an observation harmless.
pub(super) fn event_id(observation: &Observation) -> Option<String> {
    match observation {
        Observation::Change { person, event_id: Some(id), .. } => Some(format!("{}:{id}", person.id.source)),
        _ => None,
    }
}

/// When it happened, on the provider's clock.
pub(super) fn happened(observation: &Observation) -> Option<Timestamp> {
    match observation {
        Observation::Change { at, .. } => *at,
        _ => None,
    }
}

/// Plans what an observation changes.
pub(super) fn observe(
    plan: &mut Plan,
    listings: &Listings,
    observation: &Observation,
    id: Option<String>,
    now: Now,
) -> Result<Outcome, Refused> {
    match observation {
        Observation::Change { person, at, .. } => {
            plan.source_rules(&person.id.source)?;
            if backwards::counts(plan, person) {
                change(plan, Arc::new(person.clone()), id, When { now, provider: *at });
            }
            listing::seen(plan, person, now);
        }
        Observation::Deleted { person, at } => {
            plan.source_rules(&person.source)?;
            touch(plan, person);
            departed(plan, person, *at, When { now, provider: *at });
        }
        Observation::UnknownDeleted { person } => {
            plan.source_rules(&person.source)?;
            if plan.state.fold.people.find(&plan.state.fold.keyer, person).is_some() {
                touch(plan, person);
                departed(plan, person, None, When { now, provider: None });
            }
        }
        Observation::PartialDisable { person, status } => {
            plan.source_rules(&person.source)?;
            if disable(plan, person, *status, now) {
                touch(plan, person);
            }
        }
        Observation::GroupDeleted { source, group } => {
            plan.source_rules(source)?;
            return Ok(delete_group(plan, (source, group), now));
        }
        Observation::Listing { source, people, complete, at } => {
            return listing::listing(plan, (source, people, *complete), *at, now);
        }
        Observation::ListingPage { source, listing, people, doubted, unread } => {
            return listing::page(plan, listings, (source, *listing), (people, doubted, unread), now);
        }
        Observation::ListingEnd { source, listing: id, at, count, verify } => {
            let end = End { source, id: *id, at: *at, count: *count, verify: *verify };
            return listing::end(plan, listings, end, now);
        }
        Observation::RolledBack { source, because } => {
            plan.source_rules(source)?;
            backwards::went_back(plan, (source, because), now);
        }
        Observation::CutOff { source, target, at, reason } => {
            plan.source_rules(source)?;
            access::cut_off(plan, source, (target, *at), reason, now);
        }
        Observation::Block { source, target, stands, at, expires, reason } => {
            plan.source_rules(source)?;
            if !stands && backwards::reason(plan, source).is_some() {
                return Ok(Outcome::default());
            }
            let when = When { now, provider: *at };
            access::block(plan, source, (target, *stands, *expires), reason, when);
        }
        Observation::Heartbeat { source, at, cursor } => {
            plan.source_rules(source)?;
            access::heartbeat(plan, source, *at, cursor.as_ref(), now);
        }
    }
    Ok(Outcome::default())
}

/// Marks what an open listing says of a person as outdated.
fn touch(plan: &mut Plan, id: &PersonId) {
    plan.touch(&id.source, person_key(&plan.state.fold.keyer, id));
}

/// Plans one step of a group's deletion: its known members are no longer in it (law 8).
fn delete_group(plan: &mut Plan, (source, group): (&str, &str), now: Now) -> Outcome {
    let directory = plan.state.fold.people.directory(source);
    let is_it = |name: &str| name == group || directory.is_some_and(|by| by.is_same_group(name, group));
    let is_in = |known: &&Known| known.person.groups.iter().any(|name| is_it(name));
    let members = plan.state.fold.people.of_source(source).filter(is_in).take(STEP + 1);
    let mut members: Vec<Person> = members.map(|known| Person::clone(&known.person)).collect();
    let more = members.len() > STEP;
    members.truncate(STEP);
    for mut person in members {
        person.groups.retain(|name| !is_it(name));
        touch(plan, &person.id);
        change(plan, Arc::new(person), None, When { now, provider: None });
    }
    Outcome { more, ..Outcome::default() }
}
