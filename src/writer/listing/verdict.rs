//! Operators' commands to the guard: verdicts on held listings, and announcements.

use std::sync::Arc;

use super::step::still_there;
use crate::domain::command::{Refused, Verdict};
use crate::domain::event::Event;
use crate::domain::guard::{HeldListing, ReleaseCause};
use crate::domain::time::{Now, Timestamp};
use crate::state::people::person_key;
use crate::writer::listings::{Drain, Effect, Listings};
use crate::writer::plan::{Outcome, Plan};

/// Plans an operator's verdict on the held listing. A confirmed one is applied like an accepted listing; a listing that
/// comes meanwhile does not change whom the operator meant.
pub(in crate::writer) fn answer_held(
    plan: &mut Plan,
    listings: &Listings,
    (source, listing): (&str, Option<Timestamp>),
    (verdict, actor): (Verdict, &str),
    now: Now,
) -> Result<Outcome, Refused> {
    let actor = actor.to_owned();
    let held = held(plan, source, listing)?;
    if held.unlisted {
        let what = format!(
            "everybody of source `{source}` is listed anew, and that is not over: `offboard source show {source}` says what it \
             changes once it is"
        );
        return Err(Refused::Invalid(what));
    }
    if verdict == Verdict::Discard {
        plan.add(Event::Released { source: source.to_owned(), cause: ReleaseCause::Discarded, actor }, now);
        // Stop applying what was confirmed of it.
        plan.effects.push(Effect::Cancelled { source: source.to_owned(), confirmed: true });
        return Ok(Outcome::default());
    }
    if listings.is_confirming(source) {
        return Err(Refused::Invalid(format!("the held listing of source `{source}` is being applied already")));
    }
    let missing = still_there(plan, &held, |id| person_key(&plan.state.fold.keyer, id));
    let mut drain = Drain::of_confirmed(source, missing, (held, actor));
    let step = drain.plan_step(plan, plan.step, now);
    drain.advance(&step);
    if drain.is_over() {
        return Ok(Outcome { persons: drain.take_persons(), ..Outcome::default() });
    }
    plan.effects.push(Effect::Accepted { drain: Box::new(drain) });
    Ok(Outcome { waits: Some((source.to_owned(), None)), ..Outcome::default() })
}

/// The held listing, if it is the one that is meant.
fn held(plan: &Plan, source: &str, listing: Option<Timestamp>) -> Result<Arc<HeldListing>, Refused> {
    let held = plan.state.fold.feeds.get(source).and_then(|feed| feed.held.clone());
    let held = held.ok_or_else(|| Refused::NothingHeld(source.to_owned()))?;
    if listing.is_some_and(|listing| listing != held.at) {
        return Err(Refused::Invalid(format!(
            "another listing of source `{source}` is held back by now; review it with `offboard source show {source}`"
        )));
    }
    Ok(held)
}

/// Plans a temporarily raised removal limit.
pub(in crate::writer) fn expect(
    plan: &mut Plan,
    (source, share, until): (&str, u32, Timestamp),
    actor: &str,
    now: Now,
) -> Result<Outcome, Refused> {
    plan.source_rules(source)?;
    if share > 10_000 {
        return Err(Refused::Invalid("the share must be at most 100 %".to_owned()));
    }
    if until <= now.wall.max(now.steady) {
        return Err(Refused::Invalid("the end of the announcement must be in the future".to_owned()));
    }
    plan.add(Event::Expected { source: source.to_owned(), share, until, actor: actor.to_owned() }, now);
    Ok(Outcome::default())
}
