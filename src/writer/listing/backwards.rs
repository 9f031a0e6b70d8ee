//! A provider that went back to an older state: a backup was restored, or one answers that lags behind (contract section 3).
//!
//! Its word is worth as much as ever where it takes access away. What it gives may have been taken since: that waits, by
//! listings and by events, until an operator confirms the listing that is held back for it, or until one says again
//! what is known. The log has it as a listing held back with a reason, so a restart does not forget it.

use crate::domain::event::Event;
use crate::domain::guard::HeldListing;
use crate::domain::person::{Person, Status};
use crate::domain::time::Now;
use crate::state::people::person_key;
use crate::writer::listings::Effect;
use crate::writer::plan::Plan;

/// Why whatever this source gives has to wait, if it has.
pub(in crate::writer) fn reason<'a>(plan: &'a Plan, source: &str) -> Option<&'a str> {
    plan.state.fold.feeds.get(source)?.held.as_ref()?.because.as_deref()
}

/// Plans that a provider went back. Said again, it is the same.
pub(in crate::writer) fn went_back(plan: &mut Plan, (source, because): (&str, &str), now: Now) {
    if reason(plan, source).is_some() {
        return;
    }
    tracing::error!(
        source.name = source,
        because,
        "the provider went back: what gives access waits for `source confirm`"
    );
    plan.add(Event::ListingHeld(HeldListing::unlisted(source, now.wall, because.to_owned())), now);
    // Neither a listing that was let pass, nor what an operator said to an earlier one, goes on.
    plan.effects.push(Effect::Cancelled { source: source.to_owned(), confirmed: false });
}

/// Whether a record that came by itself counts: of somebody who is active it says what it gives and what it does not, and
/// both wait. What a listing says of them stays, since that is all that an operator will see of it.
pub(in crate::writer) fn counts(plan: &mut Plan, person: &Person) -> bool {
    if person.status == Status::Active && reason(plan, &person.id.source).is_some() {
        return false;
    }
    plan.touch(&person.id.source, person_key(&plan.state.fold.keyer, &person.id));
    true
}
