//! Break glass: exemptions, which lift what sources say of a person for a while.

use super::operator::resolve;
use super::plan::{Outcome, Plan};
use crate::domain::command::Refused;
use crate::domain::event::{EndCause, Event, Exemption};
use crate::domain::id::ExemptionId;
use crate::domain::key::Key;
use crate::domain::name::Match;
use crate::domain::person::PersonId;
use crate::domain::time::{Now, Timestamp};
use crate::state::State;
use crate::state::people::Known;
use crate::state::revocations::{Entry, EntryKind, OwnerKind};

/// Plans an exemption; those that its persons have end.
pub(super) fn exempt(
    plan: &mut Plan,
    reference: &str,
    expires: Timestamp,
    (reason, actor): (&str, &str),
    now: Now,
) -> Result<Outcome, Refused> {
    if reason.trim().is_empty() {
        return Err(Refused::Invalid("an exemption needs a reason".to_owned()));
    }
    let max = plan.state.rules.policy.exemptions_max;
    if expires <= now.steady || expires > now.wall.plus(max) {
        let max = humantime::format_duration(max);
        return Err(Refused::Invalid(format!("an exemption must end within {max} from now (`exemptions.max`)")));
    }
    let mut persons = resolve(&plan.state, reference)?;
    // A name that matches only after folding grants nobody access.
    let surely = plan.state.meant(reference);
    persons.retain(|id| surely.iter().any(|(other, by)| other == id && *by == Match::Grants));
    if persons.is_empty() {
        return Err(Refused::Nobody(reference.to_owned()));
    }
    let by = denied_by(&plan.state, &persons, now);
    if !by.is_empty() {
        return Err(Refused::Denied { reference: reference.to_owned(), by });
    }
    replace(plan, &persons, (reason, actor), now);
    let exemption = Exemption {
        id: None,
        reference: reference.to_owned(),
        persons: persons.clone(),
        expires,
        actor: actor.to_owned(),
        reason: reason.to_owned(),
    };
    let exemption = Some(plan.exempt(exemption, now));
    Ok(Outcome { persons, exemption, ..Outcome::default() })
}

/// Plans the end of a person's exemptions.
pub(super) fn end(
    plan: &mut Plan,
    reference: &str,
    (reason, actor): (&str, &str),
    now: Now,
) -> Result<Outcome, Refused> {
    let persons = resolve(&plan.state, reference)?;
    if persons.is_empty() {
        return Err(Refused::Nobody(reference.to_owned()));
    }
    let standing = of_persons(&plan.state, &persons);
    if standing.is_empty() {
        return Err(Refused::NotExempted(reference.to_owned()));
    }
    for (id, exemption) in standing {
        plan.add(exemption_ended(id, exemption.persons, EndCause::Restored, (reason, actor)), now);
    }
    Ok(Outcome { persons, ..Outcome::default() })
}

/// The event that ends an exemption.
pub(super) fn exemption_ended(
    exemption: ExemptionId,
    persons: Vec<PersonId>,
    cause: EndCause,
    (reason, actor): (&str, &str),
) -> Event {
    Event::ExemptionEnded { exemption, persons, cause, actor: actor.to_owned(), reason: reason.to_owned() }
}

/// The exemptions in force for any of these persons.
fn of_persons(state: &State, persons: &[PersonId]) -> Vec<(ExemptionId, Exemption)> {
    let concerned = |exemption: &Exemption| exemption.persons.iter().any(|person| persons.contains(person));
    let all = state.fold.exemptions.iter();
    all.filter(|(_, exemption)| concerned(exemption))
        .map(|(id, exemption)| (*id, Exemption::clone(exemption)))
        .collect()
}

/// Ends what these persons have; whoever else had a part in it keeps that.
fn replace(plan: &mut Plan, persons: &[PersonId], (reason, actor): (&str, &str), now: Now) {
    for (id, mut old) in of_persons(&plan.state, persons) {
        plan.add(exemption_ended(id, old.persons.clone(), EndCause::Replaced, (reason, actor)), now);
        old.persons.retain(|person| !persons.contains(person));
        if !old.persons.is_empty() {
            plan.exempt(old, now);
        }
    }
}

/// What denies these persons and is no source's: blocks in force of operators and of the configuration. A cut-off that is
/// left over does not count.
fn denied_by(state: &State, persons: &[PersonId], now: Now) -> Vec<String> {
    let known = persons.iter().filter_map(|person| state.fold.people.find(&state.fold.keyer, person));
    let mut by: Vec<String> = known.flat_map(|known| blocks_on(state, known, now)).collect();
    by.sort_unstable();
    by.dedup();
    by
}

fn blocks_on(state: &State, known: &Known, now: Now) -> Vec<String> {
    let policy = &state.rules.policy;
    let keys: Vec<Key> = std::iter::once(known.key).chain(known.names.iter().map(|name| name.key)).collect();
    let counts = |entry: &&Entry| {
        let named = entry.key == known.key
            || known.names.iter().any(|name| name.key == entry.key && name.is(entry.rules, entry.owner_hash));
        entry.effect == EntryKind::Block && entry.effective <= now.steady && named
    };
    let configured = keys.iter().flat_map(|key| state.rules.configured(*key)).filter(counts).map(|entry| {
        let place = policy.revocation_place(u32::try_from(entry.id.number()).unwrap_or(u32::MAX));
        format!("`revocations` at {place} (take it out there)")
    });
    let mut found: Vec<String> = configured.collect();
    let is_configured = !found.is_empty();
    let standing = keys.iter().flat_map(|key| state.fold.revocations.under(*key)).filter(counts);
    found.extend(standing.filter_map(|entry| match entry.owner {
        OwnerKind::Operator => Some(format!("revocation {id} of an operator (`offboard restore {id}`)", id = entry.id)),
        OwnerKind::Configuration if !is_configured => {
            Some(format!("revocation {} of an earlier configuration (`revocations: []` ends it)", entry.id))
        }
        OwnerKind::Configuration | OwnerKind::Source => None,
    }));
    found
}
