//! Names in bindings, and the persons that they are pinned to.

use std::sync::Arc;

use super::Fold;
use crate::domain::person::PersonId;
use crate::state::people::person_key;

impl Fold {
    /// Holds a name to a person, besides those that it is held to already.
    pub(super) fn pin(&mut self, issuer: &str, name: &str, person: &PersonId) {
        let pin_name = (issuer.to_owned(), name.to_owned());
        let mut persons = self.pins.get(&pin_name).cloned().unwrap_or_default();
        if !persons.contains(person) {
            persons.push(person.clone());
        }
        let key = person_key(&self.keyer, person);
        let mut names = self.pinned.get(&key).cloned().unwrap_or_default();
        if !names.iter().any(|other| **other == pin_name) {
            names.push(Arc::new(pin_name.clone()));
        }
        self.pinned.insert(key, names);
        self.pins.insert(pin_name, persons);
    }

    /// Lets go of a name.
    pub(super) fn unpin(&mut self, issuer: &str, name: &str) {
        let pin_name = (issuer.to_owned(), name.to_owned());
        for person in self.pins.remove(&pin_name).unwrap_or_default() {
            let key = person_key(&self.keyer, &person);
            let mut names = self.pinned.remove(&key).unwrap_or_default();
            names.retain(|other| **other != pin_name);
            if !names.is_empty() {
                self.pinned.insert(key, names);
            }
        }
    }
}
