//! The directory as decisions see it: who is linked to a credential, in which groups, under which names.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::table::{Keyed, Table};
use crate::domain::key::{Key, KeyKind, Keyer, fold_name};
use crate::domain::person::{Person, PersonId, Status};

/// One person, with the keys that a check compares.
#[derive(Clone, Debug)]
pub struct Known {
    /// Key of `(source, immutable key)`.
    pub key: Key,
    /// What the source says.
    pub person: Arc<Person>,
    /// Keys of their names, each a REF that may be revoked.
    pub names: Arc<[Key]>,
}

impl Keyed for Known {
    const CROWD: usize = 32;

    fn key(&self) -> Key {
        self.key
    }
    fn rank(&self) -> (u64, u64) {
        (0, 0)
    }
}

/// An index entry: under `key` stands `person`.
#[derive(Clone, Copy, Debug)]
struct Pointer {
    key: Key,
    person: Key,
}

impl Keyed for Pointer {
    const CROWD: usize = 32;

    fn key(&self) -> Key {
        self.key
    }
    fn rank(&self) -> (u64, u64) {
        (self.person.high, self.person.low)
    }
}

/// How many people of a source are active, suspended, departed.
pub type Counts = [usize; 3];

/// Everybody whom a source ever spoke of.
#[derive(Clone, Debug, Default)]
pub struct People {
    known: Table<Known>,
    by_name: Table<Pointer>,
    by_link: Table<Pointer>,
    counts: Arc<BTreeMap<String, Counts>>,
}

/// The key of a person.
#[must_use]
pub fn person_key(keyer: &Keyer, id: &PersonId) -> Key {
    keyer.key(KeyKind::Person, &[&id.source, &id.key])
}

fn link_keys<'a>(keyer: &'a Keyer, person: &'a Person) -> impl Iterator<Item = Key> + 'a {
    person.attributes().map(|(attribute, value)| keyer.key(KeyKind::Link, &[&person.id.source, attribute, value]))
}

fn name_keys(keyer: &Keyer, person: &Person) -> Vec<Key> {
    let mut folded: Vec<String> = person.names().map(fold_name).collect();
    folded.sort_unstable();
    folded.dedup();
    folded.iter().map(|name| keyer.name(name)).collect()
}

impl People {
    /// The person of this key.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&Known> {
        self.known.get(key).first()
    }

    /// The person of this id.
    #[must_use]
    pub fn find(&self, keyer: &Keyer, id: &PersonId) -> Option<&Known> {
        self.get(person_key(keyer, id))
    }

    /// Whom a link key belongs to.
    pub fn linked(&self, link: Key) -> impl Iterator<Item = &Known> {
        self.by_link.get(link).iter().filter_map(|pointer| self.get(pointer.person))
    }

    /// Who goes by a name.
    pub fn named(&self, name: Key) -> impl Iterator<Item = &Known> {
        self.by_name.get(name).iter().filter_map(|pointer| self.get(pointer.person))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Everybody, by key.
    pub fn iter(&self) -> impl Iterator<Item = &Known> {
        self.known.iter()
    }

    /// Everybody of one source.
    pub fn of_source<'a>(&'a self, source: &'a str) -> impl Iterator<Item = &'a Known> {
        self.known.iter().filter(move |known| known.person.id.source == source)
    }

    /// How many there are, by source and status.
    #[must_use]
    pub fn counts(&self) -> &BTreeMap<String, Counts> {
        &self.counts
    }

    /// Replaces what is known of one person.
    pub(super) fn put(&mut self, keyer: &Keyer, person: Person) {
        let key = person_key(keyer, &person.id);
        if let Some(old) = self.get(key).cloned() {
            for name in old.names.iter() {
                self.by_name.remove(*name, |pointer| pointer.person == key);
            }
            for link in link_keys(keyer, &old.person) {
                self.by_link.remove(link, |pointer| pointer.person == key);
            }
            self.count(&old.person, -1);
        }
        let names: Arc<[Key]> = name_keys(keyer, &person).into();
        for name in names.iter() {
            self.by_name.insert(Pointer { key: *name, person: key });
        }
        for link in link_keys(keyer, &person) {
            self.by_link.insert(Pointer { key: link, person: key });
        }
        self.count(&person, 1);
        self.known.insert(Known { key, person: Arc::new(person), names });
    }

    fn count(&mut self, person: &Person, by: isize) {
        let counts = Arc::make_mut(&mut self.counts).entry(person.id.source.clone()).or_default();
        let slot = match person.status {
            Status::Active => 0,
            Status::Suspended => 1,
            Status::Departed => 2,
        };
        if let Some(slot) = counts.get_mut(slot) {
            *slot = slot.saturating_add_signed(by);
        }
    }
}
