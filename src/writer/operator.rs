//! Operators' commands: revoke, restore, undo.

use std::time::Duration;

use super::again;
use super::plan::{Outcome, Plan};
use crate::domain::command::{Refused, RevokeRequest, WhenAmbiguous, WhenUnknown};
use crate::domain::event::{EndCause, Ended, Recorded};
use crate::domain::id::RevocationId;
use crate::domain::person::PersonId;
use crate::domain::policy::Policy;
use crate::domain::revocation::{Owner, Revocation, Shape, Target};
use crate::domain::time::{Now, Timestamp};
use crate::log::{Log, LogError};
use crate::state::State;
use crate::state::fold::note_of;
use crate::state::people::Known;

/// Resolves a REF, which must mean one person in each source.
///
/// # Errors
/// [`Refused::Ambiguous`] lists everybody who may be meant.
pub(super) fn resolve(state: &State, reference: &str) -> Result<Vec<PersonId>, Refused> {
    let ambiguous = |candidates| Refused::Ambiguous { reference: reference.to_owned(), candidates };
    state.one_per_source(reference).map_err(ambiguous)
}

/// The persons whom a revocation denies besides its target.
fn persons(state: &State, request: &RevokeRequest) -> Result<Vec<PersonId>, Refused> {
    let Target::Person { reference } = &request.target else { return Ok(Vec::new()) };
    let persons = match request.when_ambiguous {
        WhenAmbiguous::Refuse => resolve(state, reference)?,
        WhenAmbiguous::DenyAll => state.resolve(reference),
    };
    if persons.is_empty() && request.when_unknown == WhenUnknown::Refuse {
        return Err(Refused::Nobody(reference.clone()));
    }
    Ok(persons)
}

/// The revocation that an operator asks for.
fn revocation(state: &State, request: &RevokeRequest, now: Now) -> Result<Revocation, Refused> {
    if request.reason.trim().is_empty() {
        return Err(Refused::Invalid("a revocation needs a reason".to_owned()));
    }
    let effective = request.effective.unwrap_or(now.wall);
    if request.expires.is_some_and(|expires| expires <= now.steady || expires <= effective) {
        return Err(Refused::Invalid("the revocation would expire before it takes effect".to_owned()));
    }
    Ok(Revocation {
        id: None,
        target: state.rules.policy.canonical(&request.target),
        shape: request.shape,
        reason: request.reason.clone(),
        owner: Owner::Operator,
        actor: request.actor.clone(),
        effective,
        expires: request.expires,
        persons: persons(state, request)?,
        by_rule: true,
    })
}

/// How far back `effective` may be: time passes between writing a time and sending it.
const LATE: Duration = Duration::from_secs(60);

/// Refuses a revocation that claims to have been in effect before it was made, unless it was. The trail would say that
/// somebody was out who was let in.
fn not_backdated(request: &RevokeRequest, stands: bool, now: Now) -> Result<(), Refused> {
    match request.effective {
        Some(effective) if !stands && effective.plus(LATE) < now.wall => Err(Refused::Invalid(format!(
            "a revocation cannot take effect in the past ({effective}): without that time it takes effect now"
        ))),
        _ => Ok(()),
    }
}

/// Checks a revocation as [`revoke`] does, and plans nothing.
pub(super) async fn check_revoke<L: Log>(
    plan: &Plan,
    log: &L,
    request: &RevokeRequest,
    now: Now,
) -> Result<Result<Outcome, Refused>, LogError> {
    let revocation = match revocation(&plan.state, request, now) {
        Ok(revocation) => revocation,
        Err(refused) => return Ok(Err(refused)),
    };
    let stood = again::standing(plan, log, request, &revocation, now).await?;
    if let Err(refused) = not_backdated(request, stood.is_some(), now) {
        return Ok(Err(refused));
    }
    Ok(Ok(Outcome { persons: revocation.persons, stood: stood.into_iter().collect(), ..Outcome::default() }))
}

/// Plans a revocation, unless the same one stands already.
pub(super) async fn revoke<L: Log>(
    plan: &mut Plan,
    log: &L,
    request: &RevokeRequest,
    now: Now,
) -> Result<Result<Outcome, Refused>, LogError> {
    let made = revoke_all(plan, log, std::slice::from_ref(request), now).await?;
    Ok(made.map(|outcome| Outcome {
        revocation: outcome.revocations.first().copied(),
        revocations: Vec::new(),
        ..outcome
    }))
}

/// Plans several revocations, or none if one of them is refused. Those that stand already are not made again.
pub(super) async fn revoke_all<L: Log>(
    plan: &mut Plan,
    log: &L,
    requests: &[RevokeRequest],
    now: Now,
) -> Result<Result<Outcome, Refused>, LogError> {
    let all: Result<Vec<Revocation>, Refused> =
        requests.iter().map(|request| revocation(&plan.state, request, now)).collect();
    let all = match all {
        Ok(all) => all,
        Err(refused) => return Ok(Err(refused)),
    };
    for (request, revocation) in requests.iter().zip(&all).filter(|(request, _)| request.effective.is_some()) {
        let stands = again::standing(plan, log, request, revocation, now).await?.is_some();
        if let Err(refused) = not_backdated(request, stands, now) {
            return Ok(Err(refused));
        }
    }
    let persons = all.iter().flat_map(|revocation| revocation.persons.clone()).collect();
    let mut outcome = Outcome { persons, ..Outcome::default() };
    for (request, revocation) in requests.iter().zip(all) {
        let id = match again::standing(plan, log, request, &revocation, now).await? {
            Some(stood) => {
                let id = stood.id;
                outcome.stood.push(stood);
                id
            }
            None => plan.revoke(revocation, None, now),
        };
        outcome.revocations.push(id);
    }
    Ok(Ok(outcome))
}

/// Plans the end of one revocation.
pub(super) fn restore(
    plan: &mut Plan,
    id: RevocationId,
    found: Option<Recorded>,
    reason: &str,
    actor: &str,
    now: Now,
) -> Result<Outcome, Refused> {
    let Some(revocation) = found.as_ref().and_then(Recorded::revocation).map(|(_, revocation)| revocation.clone())
    else {
        return Err(Refused::NotFound(id));
    };
    let key = revocation.target.key(&plan.state.fold.keyer);
    if !plan.state.fold.revocations.stands(key, id) {
        return Err(Refused::NotFound(id));
    }
    may_restore(&plan.state.rules.policy, id, &revocation, now)?;
    let persons = revocation.persons.clone();
    // The part of a future cut-off that has passed stays: earlier cut-offs were merged into it.
    let past = is_mistaken(&revocation, now).then(|| Revocation {
        shape: Shape::CutOff { at: now.wall },
        reason: format!("{}; corrected: {reason}", revocation.reason),
        actor: actor.to_owned(),
        ..revocation.clone()
    });
    let ended = end(id, revocation, (EndCause::Restored, now.wall), (actor, reason), now);
    plan.end(ended, now);
    if let Some(past) = past {
        plan.revoke(past, None, now);
    }
    Ok(Outcome { persons, ..Outcome::default() })
}

/// Plans to take back an operator's revocation, whether it stands or not, with the cut-off that it left.
pub(super) fn undo(
    plan: &mut Plan,
    id: RevocationId,
    found: Option<&Recorded>,
    (reason, actor): (&str, &str),
    now: Now,
) -> Result<Outcome, Refused> {
    let Some((_, revocation)) = found.and_then(Recorded::revocation) else { return Err(Refused::NotFound(id)) };
    if revocation.owner != Owner::Operator {
        let advice =
            "only an operator's revocation can be undone; restore it, or end it where it comes from".to_owned();
        return Err(Refused::NotYours { id, owner: revocation.owner.to_string(), advice });
    }
    let fold = &plan.state.fold;
    let key = revocation.target.key(&fold.keyer);
    let stands = fold.revocations.stands(key, id);
    if !stands && fold.revocations.left(key, id).is_none() {
        return Err(Refused::NothingLeft(id));
    }
    if !stands && found.is_some_and(|found| found.position <= fold.merged_until) {
        return Err(Refused::Merged(id));
    }
    // Whom it came to mean besides: they have an entry of it.
    let concerned = |known: &&Known| fold.revocations.under(known.key).iter().any(|entry| entry.id == id);
    let mut persons: Vec<PersonId> =
        fold.people.iter().filter(concerned).map(|known| known.person.id.clone()).collect();
    persons.extend(revocation.persons.iter().cloned());
    persons.sort_unstable();
    persons.dedup();
    let revocation = Revocation { persons: persons.clone(), ..revocation.clone() };
    plan.end(end(id, revocation, (EndCause::Undone, now.wall), (actor, reason), now), now);
    Ok(Outcome { persons, ..Outcome::default() })
}

/// The event that ends a revocation.
///
/// Whether it had taken effect is judged by the time that never falls: after a clock was set back it must still leave
/// its residual cut-off (laws 6 and 7).
pub(super) fn end(
    id: RevocationId,
    revocation: Revocation,
    (cause, at): (EndCause, Timestamp),
    (actor, reason): (&str, &str),
    now: Now,
) -> Ended {
    Ended {
        began: revocation.effective <= now.steady,
        revocation: id,
        target: revocation.target,
        shape: revocation.shape,
        expires: revocation.expires,
        persons: revocation.persons,
        cause,
        at,
        actor: actor.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Each owner ends only its own revocations. Operators may end those of sources that were removed or only send events,
/// and a source's cut-off in the future, which no source takes back: it was a mistake or a wrong clock.
fn may_restore(policy: &Policy, id: RevocationId, revocation: &Revocation, now: Now) -> Result<(), Refused> {
    let advice = match &revocation.owner {
        Owner::Operator => return Ok(()),
        Owner::Configuration => configured_advice(policy, revocation),
        Owner::Source(name) => {
            let source = policy.sources.iter().find(|source| source.name == *name);
            if is_mistaken(revocation, now) || source.is_none_or(|source| !source.supplies.people) {
                return Ok(());
            }
            source_advice(name, revocation)
        }
    };
    Err(Refused::NotYours { id, owner: revocation.owner.to_string(), advice })
}

/// Whether it is a source's cut-off in the future.
fn is_mistaken(revocation: &Revocation, now: Now) -> bool {
    let future = matches!(revocation.shape, Shape::CutOff { at } if at > now.wall.max(now.steady));
    future && matches!(revocation.owner, Owner::Source(_))
}

fn source_advice(source: &str, revocation: &Revocation) -> String {
    if let Shape::CutOff { at } = revocation.shape {
        return format!("it denies what was issued at or before {at}: a new sign-in restores access");
    }
    match &revocation.target {
        Target::Client { client, .. } => format!("enable the client `{client}` again in `{source}`"),
        Target::Session { .. } => "an ended session cannot be restored; a new sign-in restores access".to_owned(),
        Target::Person { .. } | Target::DirectoryPerson { .. } => {
            format!("make the person active again in `{source}`, or `offboard exempt` them for a while")
        }
        _ => format!("change it in `{source}`"),
    }
}

fn configured_advice(policy: &Policy, revocation: &Revocation) -> String {
    let note = note_of(&revocation.target, revocation.shape);
    let entries = policy.revocations.iter().flatten();
    let found = entries.into_iter().find(|entry| note_of(&entry.target, entry.shape) == note);
    match found {
        Some(entry) => format!("remove it from `revocations` at {}", entry.place),
        None => "add `revocations:` without this entry to the configuration".to_owned(),
    }
}
