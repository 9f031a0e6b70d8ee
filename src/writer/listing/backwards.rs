//! A provider that went back to an older state: a backup was restored, or a lagging replica answers (contract section
//! 3).
//!
//! What removes access takes effect as usual. What grants access may have been revoked since: it waits, in listings and
//! events, until an operator confirms the listing that is held back, or until a listing matches what is known. The log
//! records it as a held listing with a reason, so it survives a restart.

use crate::domain::event::Event;
use crate::domain::guard::HeldListing;
use crate::domain::person::{Person, Status};
use crate::domain::time::Now;
use crate::state::people::person_key;
use crate::writer::listings::Effect;
use crate::writer::plan::Plan;

/// Why grants of this source wait, if they do.
pub(in crate::writer) fn reason<'a>(plan: &'a Plan, source: &str) -> Option<&'a str> {
    plan.state.fold.feeds.get(source)?.held.as_ref()?.because.as_deref()
}

/// Plans that a provider went back. Repeating it changes nothing.
pub(in crate::writer) fn went_back(plan: &mut Plan, (source, because): (&str, &str), now: Now) {
    if reason(plan, source).is_some() {
        return;
    }
    tracing::error!(
        source.name = source,
        because,
        "provider was rolled back; nothing it reports grants access until a matching listing or `source confirm`"
    );
    plan.add(Event::ListingHeld(HeldListing::unlisted(source, now.wall, because.to_owned())), now);
    // Stop applying accepted and confirmed listings alike.
    plan.effects.push(Effect::Cancelled { source: source.to_owned(), confirmed: false });
}

/// Whether a record from an event counts. That of an active person does not while grants wait, neither for what it
/// grants nor for what it omits. What an open listing says of them is kept, since an operator sees only that.
pub(in crate::writer) fn counts(plan: &mut Plan, person: &Person) -> bool {
    if person.status == Status::Active && reason(plan, &person.id.source).is_some() {
        return false;
    }
    plan.touch(&person.id.source, person_key(&plan.state.fold.keyer, &person.id));
    true
}
