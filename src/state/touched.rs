//! The keys that an event touches: those under which a check finds what it changed.

use super::fold::Fold;
use super::people::person_key;
use crate::domain::event::Event;
use crate::domain::key::{Key, RefKey};
use crate::domain::person::PersonId;
use crate::domain::revocation::Target;

impl Fold {
    /// The keys under which a check looks up what this event changed, sorted. Empty if checks look up nothing that it
    /// changed (the state of a source, the configuration role, an answer).
    #[must_use]
    pub fn touched(&self, event: &Event) -> Vec<Key> {
        let mut keys = match event {
            Event::Revoked(revocation) => self.of_target(&revocation.target, &revocation.persons),
            Event::Extended { target, person, .. } => self.of_target(target, std::slice::from_ref(person)),
            Event::Ended(ended) => self.of_target(&ended.target, &ended.persons),
            Event::Person(person) => vec![person_key(&self.keyer, &person.id)],
            Event::Exempted(exemption) => self.of_persons(&exemption.persons),
            Event::ExemptionEnded { persons, .. } | Event::Unpinned { persons, .. } => self.of_persons(persons),
            Event::Pinned { person, .. } => vec![person_key(&self.keyer, person)],
            Event::Synced { .. }
            | Event::ListingAccepted { .. }
            | Event::Linked { .. }
            | Event::Heartbeat { .. }
            | Event::ListingHeld(_)
            | Event::ListingHeldUpdated(_)
            | Event::Released { .. }
            | Event::Expected { .. }
            | Event::MembershipsConfirmed { .. }
            | Event::ConfigurationRole(_)
            | Event::Answered(_) => Vec::new(),
        };
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    fn of_target(&self, target: &Target, persons: &[PersonId]) -> Vec<Key> {
        let mut keys = self.of_persons(persons);
        keys.extend(target.keys(&self.keyer));
        if let Some(reference) = target.reference() {
            keys.extend(RefKey::of(&self.keyer, reference).iter().map(|name| name.key));
        }
        keys
    }

    fn of_persons(&self, persons: &[PersonId]) -> Vec<Key> {
        persons.iter().map(|person| person_key(&self.keyer, person)).collect()
    }
}
