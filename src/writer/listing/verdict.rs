//! What operators say to the guard: to a listing that it holds back, and before one comes.

use std::sync::Arc;

use super::step::still_there;
use crate::domain::command::{Refused, Verdict};
use crate::domain::event::Event;
use crate::domain::guard::{HeldListing, ReleaseCause};
use crate::domain::time::{Now, Timestamp};
use crate::state::people::person_key;
use crate::writer::listings::{Drain, Effect, Listings};
use crate::writer::plan::{Outcome, Plan};

/// Plans what an operator says to the listing that is held back. What they confirm comes into force as an accepted listing
/// does; another listing that comes meanwhile changes nothing in whom they mean.
pub(in crate::writer) fn judge(
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
        // Nor does what was confirmed of it go on.
        plan.effects.push(Effect::Cancelled { source: source.to_owned(), confirmed: true });
        return Ok(Outcome::default());
    }
    if listings.is_confirming(source) {
        return Err(Refused::Invalid(format!("what is missing from the listing of source `{source}` departs already")));
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

/// The listing that is held back, if it is the one that is meant.
fn held(plan: &Plan, source: &str, listing: Option<Timestamp>) -> Result<Arc<HeldListing>, Refused> {
    let held = plan.state.fold.feeds.get(source).and_then(|feed| feed.held.clone());
    let held = held.ok_or_else(|| Refused::NothingHeld(source.to_owned()))?;
    if listing.is_some_and(|listing| listing != held.at) {
        return Err(Refused::Invalid(format!("another listing of source `{source}` is held back by now: look at it")));
    }
    Ok(held)
}

/// Plans the announcement that many will leave.
pub(in crate::writer) fn expect(
    plan: &mut Plan,
    (source, share, until): (&str, u32, Timestamp),
    actor: &str,
    now: Now,
) -> Result<Outcome, Refused> {
    plan.source_rules(source)?;
    if share > 10_000 {
        return Err(Refused::Invalid("more than 100 % cannot leave".to_owned()));
    }
    if until <= now.wall.max(now.steady) {
        return Err(Refused::Invalid("the time until which they are expected is over".to_owned()));
    }
    plan.add(Event::Expected { source: source.to_owned(), share, until, actor: actor.to_owned() }, now);
    Ok(Outcome::default())
}
