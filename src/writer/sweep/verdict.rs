//! What operators say to the guard: to a listing that it holds back, and before one comes.

use std::time::Duration;

use crate::domain::event::{Event, ReleaseCause};
use crate::domain::inbox::{Refused, Verdict};
use crate::domain::person::PersonId;
use crate::domain::time::{Now, Timestamp};
use crate::writer::directory::{When, gone, source_rules};
use crate::writer::plan::{Outcome, Plan};

/// How long a listing that says again what an operator confirmed is let pass.
const CONFIRMED_FOR: Duration = Duration::from_secs(3_600);

/// Plans what an operator says to the listing that is held back.
pub(in crate::writer) fn judge(
    plan: &mut Plan,
    source: &str,
    verdict: Verdict,
    actor: &str,
    now: Now,
) -> Result<Outcome, Refused> {
    let held = plan.state.fold.feeds.get(source).and_then(|feed| feed.held.clone());
    let held = held.ok_or_else(|| Refused::NothingHeld(source.to_owned()))?;
    let until = now.wall.max(now.steady).plus(CONFIRMED_FOR);
    let (cause, persons) = match verdict {
        Verdict::Discard => (ReleaseCause::Discarded, Vec::new()),
        Verdict::Confirm => {
            let id = |key: &String| PersonId { source: source.to_owned(), key: key.clone() };
            (ReleaseCause::Confirmed, held.missing.iter().map(id).collect())
        }
    };
    for id in &persons {
        gone(plan, id, None, When { now, provider: None });
    }
    if verdict == Verdict::Confirm && held.memberships > 0 {
        // Who lost them is not kept: the next listing, which says it again, is let pass.
        let share = (held.memberships.saturating_mul(10_000)).div_ceil(held.all_memberships.max(1));
        let share = u32::try_from(share).unwrap_or(10_000).min(10_000);
        let (source, actor) = (source.to_owned(), actor.to_owned());
        plan.add(Event::MembershipsConfirmed { source, share, until, actor }, now);
    }
    plan.add(Event::Released { source: source.to_owned(), cause, actor: actor.to_owned() }, now);
    Ok(Outcome { persons, ..Outcome::default() })
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
