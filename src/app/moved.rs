//! What a mover had and has, for the audit trail.

use serde_json::{Value, json};

use crate::audit::sink::Moved;
use crate::decide::roles;
use crate::domain::event::{Event, Recorded};
use crate::domain::person::PersonId;
use crate::domain::time::Now;
use crate::state::State;
use crate::writer::Around;

/// Groups that a record lists; of more, how many there are.
const LISTED: usize = 256;

/// What the person of an event had before and has now; `None`: it is not about a person, or changes neither groups nor roles.
pub(super) fn of(recorded: &Recorded, around: Around<'_>, now: Now) -> Option<Moved> {
    let Event::Person(person) = &recorded.new.event else { return None };
    let before = held(around.before, &person.id, now)?;
    let after = held(around.after, &person.id, now)?;
    (before != after).then_some(Moved { before, after })
}

/// The groups of a person, and the roles that follow.
fn held(state: &State, person: &PersonId, now: Now) -> Option<Value> {
    let known = state.fold.people.find(&state.fold.keyer, person)?;
    let held = roles::of_person(state, known, now);
    let roles: Vec<&str> = held.iter().map(|held| state.rules.policy.role_name(held.role)).collect();
    let groups: Vec<&String> = known.person.groups.iter().take(LISTED).collect();
    let further = known.person.groups.len() - groups.len();
    Some(match further {
        0 => json!({ "groups": groups, "roles": roles }),
        _ => json!({ "groups": groups, "further_groups": further, "roles": roles }),
    })
}
