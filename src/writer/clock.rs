//! Revocations and exemptions that expire.

use std::sync::Arc;

use super::exempt::exemption_ended;
use super::operator::end;
use super::plan::{Outcome, Plan};
use crate::domain::event::{EndCause, Exemption};
use crate::domain::id::{ExemptionId, RevocationId};
use crate::domain::revocation::Revocation;
use crate::domain::time::Now;

/// Plans the end of everything that has expired. An end weakens, so it follows the time that never falls; the residual
/// cut-off (law 7) is dated with the time of expiry.
pub(super) fn tick(plan: &mut Plan, now: Now) -> Outcome {
    let over: Vec<(RevocationId, Arc<Revocation>)> = plan
        .state
        .fold
        .expiring
        .iter()
        .take_while(|((expires, _), _)| *expires <= now.steady)
        .map(|((_, id), revocation)| (*id, Arc::clone(revocation)))
        .collect();
    for (id, revocation) in over {
        let at = revocation.expires.unwrap_or(now.wall);
        let ended = end(id, Arc::unwrap_or_clone(revocation), (EndCause::Expired, at), ("clock", "its time came"), now);
        plan.end(ended, now);
    }
    let over: Vec<(ExemptionId, Arc<Exemption>)> = plan
        .state
        .fold
        .exemptions
        .iter()
        .filter(|(_, exemption)| exemption.expires <= now.steady)
        .map(|(id, exemption)| (*id, Arc::clone(exemption)))
        .collect();
    for (id, exemption) in over {
        let persons = exemption.persons.clone();
        plan.add(exemption_ended(id, persons, EndCause::Expired, ("", "")), now);
    }
    Outcome::default()
}
