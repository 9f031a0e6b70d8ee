//! Nobody decides what concerns themself: who lifts a denial, or judges a listing, is somebody else (contract section 7).

use super::admission::Identified;
use super::views::{Concerned, PersonView, SourceView};

/// What a caller hears who tries.
pub(super) const OWN: &str = "nobody decides what concerns themself: ask another operator";

/// Whether a revocation means the caller.
pub(super) fn is_meant(caller: &Identified, concerned: &Concerned) -> bool {
    let persons = concerned.persons.iter().any(|person| caller.persons.contains(person));
    persons || concerned.target.as_ref().is_some_and(|target| caller.targets.contains(target))
}

/// Whether one of these people is the caller.
pub(super) fn is_among(caller: &Identified, people: &[PersonView]) -> bool {
    people.iter().any(|view| caller.persons.contains(&view.person.id))
}

/// Whether the held-back listing of a source leaves out the caller, or empties a group of theirs. `people` are the caller's
/// own records.
pub(super) fn is_held(source: &SourceView, people: &[PersonView]) -> bool {
    let Some(held) = &source.held else { return false };
    people.iter().filter(|view| view.person.id.source == source.name).any(|view| {
        held.missing.contains(&view.person.id.key)
            || view.person.groups.iter().any(|group| held.emptied.contains(group))
    })
}
