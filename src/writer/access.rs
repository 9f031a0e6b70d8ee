//! What a source says of access, apart from who its people are: cut-offs, ended sessions, disabled clients, and
//! that it lives.

use std::time::Duration;

use super::operator::end;
use super::plan::{Plan, When};
use crate::domain::event::{EndCause, Event};
use crate::domain::policy::Policy;
use crate::domain::revocation::{Owner, Revocation, Shape, Target};
use crate::domain::time::{Now, Timestamp};
use crate::state::revocations::{Entry, EntryKind, OwnerKind, whose};

/// A sign of life is written down this often in the shortest time after which somebody calls the source stale.
const SIGNS: u32 = 3;

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

/// Plans that what was issued at or before `at` is dead, unless that stands already.
pub(super) fn cut_off(plan: &mut Plan, source: &str, (target, at): (&Target, Timestamp), reason: &str, now: Now) {
    let key = target.key(&plan.state.fold.keyer);
    let covers = |entry: &Entry| {
        entry.stand != EntryKind::Block
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
    // Each ends only its own: another source that knows the same client may still say no.
    let whose = whose(&plan.state.fold.keyer, &Owner::Source(source.to_owned()));
    let own = |entry: &&Entry| {
        entry.stand == EntryKind::Block
            && (entry.owner, entry.whose) == (OwnerKind::Source, whose)
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

/// Plans a sign of life, if the last one is old enough or the source goes on from elsewhere.
pub(super) fn heard(plan: &mut Plan, source: &str, at: Timestamp, cursor: Option<&String>, now: Now) {
    let fold = &plan.state.fold;
    let moved = cursor.is_some() && fold.feeds.get(source).and_then(|feed| feed.cursor.as_ref()) != cursor;
    let every = shortest_patience(&plan.state.rules.policy, source) / SIGNS;
    // One that lies in the future was written while the clock was ahead.
    let due = |last: Timestamp| at != Timestamp::MIN && (last.plus(every) <= at || last > now.wall);
    let due = fold.sources.get(source).is_some_and(|state| due(state.last_heard));
    if moved || due {
        let event = Event::Heartbeat { source: source.to_owned(), at, cursor: cursor.cloned() };
        plan.add(event, now);
    }
}

/// The shortest time after which some service calls this source stale.
fn shortest_patience(policy: &Policy, source: &str) -> Duration {
    let own = policy.sources.iter().find(|rules| rules.name == source).map(|rules| rules.max_staleness);
    let services = policy.services.iter().filter_map(|service| service.max_staleness);
    services.chain(own).min().unwrap_or(Duration::from_secs(900))
}
