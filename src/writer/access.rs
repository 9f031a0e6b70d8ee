//! What a source says apart from its people: cut-offs, ended sessions, disabled clients, and heartbeats.

use std::time::Duration;

use super::operator::end;
use super::plan::{Plan, When};
use crate::domain::event::{EndCause, Event};
use crate::domain::policy::Policy;
use crate::domain::revocation::{Owner, Revocation, Shape, Target};
use crate::domain::time::{Now, Timestamp};
use crate::state::revocations::{Entry, EntryKind, OwnerKind, owner_hash};

/// The number of heartbeats to log within the shortest `max_staleness` that applies to the source.
const HEARTBEATS: u32 = 3;

fn revocation(source: &str, target: &Target, shape: Shape, reason: &str, now: Now) -> Revocation {
    Revocation {
        id: None,
        target: target.clone(),
        shape,
        reason: reason.to_owned(),
        owner: Owner::Source(source.to_owned()),
        actor: source.to_owned(),
        effective: now.wall.min(now.steady),
        expires: None,
        persons: Vec::new(),
        by_rule: false,
    }
}

/// Plans a cut-off at `at`, unless one at or after it stands already.
pub(super) fn cut_off(plan: &mut Plan, source: &str, (target, at): (&Target, Timestamp), reason: &str, now: Now) {
    let key = target.key(&plan.state.fold.keyer);
    let covers = |entry: &Entry| {
        entry.effect != EntryKind::Block
            && entry.owner == OwnerKind::Source
            && entry.kind == target.kind()
            && entry.at >= at
            && entry.effective <= now.steady
    };
    if plan.state.fold.revocations.under(key).iter().any(covers) {
        return;
    }
    let revocation = revocation(source, target, Shape::CutOff { at }, reason, now);
    plan.revoke(revocation, Some(at), now);
}

/// Plans a source's block on something other than a person, or its end.
pub(super) fn block(
    plan: &mut Plan,
    source: &str,
    (target, stands, expires): (&Target, bool, Option<Timestamp>),
    reason: &str,
    when: When,
) {
    let key = target.key(&plan.state.fold.keyer);
    // A source ends only its own blocks: another source may still block the same client.
    let own_hash = owner_hash(&plan.state.fold.keyer, &Owner::Source(source.to_owned()));
    let own = |entry: &&Entry| {
        entry.effect == EntryKind::Block
            && (entry.owner, entry.owner_hash) == (OwnerKind::Source, own_hash)
            && entry.kind == target.kind()
    };
    let standing = plan.state.fold.revocations.under(key).iter().find(own).copied();
    let block = Revocation { expires, ..revocation(source, target, Shape::Block, reason, when.now) };
    match (stands, standing) {
        (true, None) => {
            plan.revoke(block, when.provider, when.now);
        }
        (false, Some(entry)) => {
            let block = Revocation { effective: entry.effective, ..block };
            let cause = (EndCause::ActiveAgain, when.ended());
            let ended = end(entry.id, block, cause, (source, reason), when.now);
            plan.add_of(Event::Ended(ended), when.provider, None, when.now);
        }
        (true, Some(_)) | (false, None) => {}
    }
}

/// Plans a heartbeat, if the last one is old enough or the cursor has moved.
pub(super) fn heartbeat(plan: &mut Plan, source: &str, at: Timestamp, cursor: Option<&String>, now: Now) {
    let fold = &plan.state.fold;
    let moved = cursor.is_some() && fold.feeds.get(source).and_then(|feed| feed.cursor.as_ref()) != cursor;
    let every = shortest_max_staleness(&plan.state.rules.policy, source) / HEARTBEATS;
    // A heartbeat in the future was logged while the clock was ahead.
    let due = |last: Timestamp| at != Timestamp::MIN && (last.plus(every) <= at || last > now.wall);
    let due = fold.sources.get(source).is_some_and(|state| due(state.last_heard));
    if moved || due {
        let event = Event::Heartbeat { source: source.to_owned(), at, cursor: cursor.cloned() };
        plan.add(event, now);
    }
}

/// The shortest time after which this source is stale for some service.
fn shortest_max_staleness(policy: &Policy, source: &str) -> Duration {
    let own = policy.sources.iter().find(|rules| rules.name == source).map(|rules| rules.max_staleness);
    let services = policy.services.iter().filter_map(|service| service.max_staleness);
    services.chain(own).min().unwrap_or(Duration::from_secs(900))
}
