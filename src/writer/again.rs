//! The same revocation asked for again by the same caller: as long as the first one stands, it is that one.

use super::plan::Plan;
use crate::domain::call::Stood;
use crate::domain::command::RevokeRequest;
use crate::domain::event::Recorded;
use crate::domain::id::RevocationId;
use crate::domain::revocation::{Revocation, Shape, Target};
use crate::domain::time::{Now, Timestamp};
use crate::log::{Log, LogError};
use crate::state::revocations::{Entry, EntryKind, OwnerKind};

/// The standing one that `revocation`, made of `request`, would be once more.
///
/// INVARIANT: it denies at least whom the new one would, from now on and for as long (law 6). Otherwise there is none.
pub(super) async fn standing<L: Log>(
    plan: &Plan,
    log: &L,
    request: &RevokeRequest,
    revocation: &Revocation,
    now: Now,
) -> Result<Option<Stood>, LogError> {
    for id in alike(plan, revocation) {
        let found = match log.revocation(id).await? {
            Some(found) => Some(found),
            // Made by a command before this one, and not in the log yet.
            None => plan.planned(id),
        };
        if let Some(recorded) = found
            && let Some((_, standing)) = recorded.revocation()
            && told(standing) == told(revocation)
            && begins_as_asked(&recorded, standing, request, now)
            && covers(plan, id, standing, revocation)
        {
            return Ok(Some(Stood { id, since: recorded.new.time, actor: standing.actor.clone() }));
        }
    }
    Ok(None)
}

/// What stands under the key of its target, as far as the state tells it from others.
fn alike(plan: &Plan, revocation: &Revocation) -> Vec<RevocationId> {
    let fold = &plan.state.fold;
    let has_shape = |entry: &Entry| match revocation.shape {
        Shape::Block => entry.effect == EntryKind::Block,
        Shape::CutOff { at } => entry.effect == EntryKind::CutOff && entry.at == at,
    };
    let under = fold.revocations.under(revocation.target.key(&fold.keyer)).iter();
    let alike = under.filter(|entry| {
        entry.owner == OwnerKind::Operator && entry.kind == revocation.target.kind() && has_shape(entry)
    });
    alike.map(|entry| entry.id).collect()
}

/// What makes two revocations one, except for when they take effect.
fn told(of: &Revocation) -> (&Target, Shape, &str, Option<Timestamp>, bool) {
    (&of.target, of.shape, &of.actor, of.expires, of.by_rule)
}

/// Whether it takes effect when the request says so. One that was made while the clock was ahead is still to come: it is not
/// what somebody means who wants it now.
fn begins_as_asked(recorded: &Recorded, standing: &Revocation, request: &RevokeRequest, now: Now) -> bool {
    match request.effective {
        Some(effective) => standing.effective == effective,
        None => standing.effective == recorded.new.time && standing.effective <= now.wall.min(now.steady),
    }
}

/// Whether it applies to everybody whom the REF means now.
fn covers(plan: &Plan, id: RevocationId, standing: &Revocation, revocation: &Revocation) -> bool {
    let extended = plan.state.fold.extensions.get(&id);
    revocation
        .persons
        .iter()
        .all(|person| standing.persons.contains(person) || extended.is_some_and(|extended| extended.contains(person)))
}
