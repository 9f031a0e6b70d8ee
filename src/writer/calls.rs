//! Calls that bear an idempotency key: each acts once, and is answered alike for a day, across restarts too.
//!
//! The answer is an event behind those that the call makes, in one append with them: there is none without the other.
//! Calls that are refused are not kept, since they changed nothing: sent again, they are judged again.

use super::listings::Listings;
use super::plan::{Outcome, Plan};
use crate::domain::call::Answered;
use crate::domain::command::{Command, Envelope, Refused, Verdict};
use crate::domain::event::{Event, EventFormat};

/// The answer that this call got before, if it did.
pub(super) fn answered(plan: &Plan, listings: &Listings, envelope: &Envelope) -> Option<Result<Outcome, Refused>> {
    let call = envelope.call.as_ref()?;
    let known = plan.state.fold.answers.find(&call.name, envelope.now.wall)?;
    if known.request != call.request {
        return Some(Err(Refused::KeyReused));
    }
    // What the first one confirmed may still be on its way into force (law 5).
    let waits = match &envelope.command {
        Command::Judge { source, verdict: Verdict::Confirm, .. } if listings.is_confirming(source) => {
            Some((source.clone(), None))
        }
        _ => None,
    };
    let is_of_several = matches!(envelope.command, Command::RevokeAll(_));
    Some(Ok(Outcome {
        persons: known.persons.clone(),
        revocation: known.revocations.first().copied().filter(|_| !is_of_several),
        revocations: if is_of_several { known.revocations.clone() } else { Vec::new() },
        stood: known.stood.clone(),
        exemption: known.exemption,
        waits,
        ..Outcome::default()
    }))
}

/// Plans that the answer to this call is kept. In the first event format no call has an effect beyond itself.
pub(super) fn keep(plan: &mut Plan, envelope: &Envelope, outcome: &Outcome) {
    let Some(call) = envelope.call.as_ref().filter(|_| plan.identity.format >= EventFormat::Two) else { return };
    let answered = Answered {
        call: call.name.clone(),
        request: call.request.clone(),
        revocations: outcome.revocation.iter().chain(&outcome.revocations).copied().collect(),
        stood: outcome.stood.clone(),
        exemption: outcome.exemption,
        persons: outcome.persons.clone(),
    };
    plan.add(Event::Answered(answered), envelope.now);
}
