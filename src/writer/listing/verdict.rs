//! What operators say to the guard: to a listing that it holds back, and before one comes.

use std::sync::Arc;
use std::time::Duration;

use super::{OpenListings, STEP, present};
use crate::domain::command::{Refused, Verdict};
use crate::domain::event::Event;
use crate::domain::guard::{Confirmed, HeldListing, ReleaseCause};
use crate::domain::person::PersonId;
use crate::domain::time::{Now, Timestamp};
use crate::writer::directory::{When, gone, source_rules};
use crate::writer::plan::{Outcome, Plan};

/// How long a listing that says again what an operator confirmed is let pass.
const CONFIRMED_FOR: Duration = Duration::from_secs(3_600);

/// Plans what an operator says to the listing that is held back, a step at a time. Another listing that comes between
/// two steps changes nothing in whom they mean.
pub(in crate::writer) fn judge(
    plan: &mut Plan,
    open_listings: &mut OpenListings,
    (source, listing): (&str, Option<Timestamp>),
    (verdict, actor): (Verdict, &str),
    now: Now,
) -> Result<Outcome, Refused> {
    let (source, actor) = (source.to_owned(), actor.to_owned());
    let (held, began) = match open_listings.judged.remove(&source) {
        Some(held) if verdict == Verdict::Confirm && listing == Some(held.at) => (held, true),
        _ => (held(plan, &source, listing)?, false),
    };
    if held.unlisted {
        let what = format!(
            "everybody of source `{source}` is listed anew, and that is not over: `offboard source show {source}` says what it \
             changes once it is"
        );
        return Err(Refused::Invalid(what));
    }
    if verdict == Verdict::Discard {
        plan.add(Event::Released { source, cause: ReleaseCause::Discarded, actor }, now);
        return Ok(Outcome::default());
    }
    let ids = held.missing.iter().map(|key| PersonId { source: source.clone(), key: key.clone() });
    let mut left = ids.filter(|id| is_there(plan, id)).collect::<Vec<_>>();
    let more = left.len() > STEP;
    left.truncate(STEP);
    for id in &left {
        gone(plan, id, None, When { now, provider: None });
    }
    if more {
        // Kept whole: what the log does not take of this step is asked for again.
        open_listings.judged.insert(source, held);
        return Ok(Outcome { persons: left, more });
    }
    if held.memberships > 0 {
        // Who lost them is not kept: the next listing, which says it again, is let pass.
        let until = now.wall.max(now.steady).plus(CONFIRMED_FOR);
        let confirmed = Confirmed { memberships: held.memberships, groups: held.emptied.clone(), until };
        plan.add(Event::MembershipsConfirmed { source: source.clone(), confirmed, actor: actor.clone() }, now);
    }
    if !began || plan.state.fold.feeds.get(&source).is_some_and(|feed| feed.held.is_some()) {
        plan.add(Event::Released { source, cause: ReleaseCause::Confirmed, actor }, now);
    }
    Ok(Outcome { persons: left, more })
}

/// The listing that is held back, if it is the one that is meant.
fn held(plan: &Plan, source: &str, listing: Option<Timestamp>) -> Result<Arc<HeldListing>, Refused> {
    let held = plan.state.fold.feeds.get(source).and_then(|feed| feed.held.clone());
    let held = held.ok_or_else(|| Refused::NothingHeld(source.to_owned()))?;
    if listing.is_some_and(|listing| listing != held.at) {
        return Err(Refused::Invalid(format!("another listing of source `{source}` is held back by now: look at it")));
    }
    Ok(held)
}

fn is_there(plan: &Plan, id: &PersonId) -> bool {
    plan.state.fold.people.find(&plan.state.fold.keyer, id).is_some_and(|known| present(&known.person))
}

/// Plans the announcement that many will leave.
pub(in crate::writer) fn expect(
    plan: &mut Plan,
    (source, share, until): (&str, u32, Timestamp),
    actor: &str,
    now: Now,
) -> Result<Outcome, Refused> {
    source_rules(plan, source)?;
    if share > 10_000 {
        return Err(Refused::Invalid("more than 100 % cannot leave".to_owned()));
    }
    if until <= now.wall.max(now.steady) {
        return Err(Refused::Invalid("the time until which they are expected is over".to_owned()));
    }
    plan.add(Event::Expected { source: source.to_owned(), share, until, actor: actor.to_owned() }, now);
    Ok(Outcome::default())
}
