//! The known people: who is linked to a credential, in which groups, with which names.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use super::table::{Keyed, Table};
use crate::domain::key::{GroupKey, Key, KeyKind, Keyer, LinkKey, NameKey, RefKey, fold_name};
use crate::domain::name::{Compare, Directory, Match};
use crate::domain::person::{Person, PersonId, Status, UNVERIFIED_EMAIL};
use crate::faults::{Fault, planted};

/// One person, with the keys that a check compares.
#[derive(Clone, Debug)]
pub struct Known {
    /// The key of `(source, immutable key)`.
    pub key: Key,
    /// The rest behind one reference: changing the table copies entries, and each reference costs a cache line.
    rest: Arc<KnownRecord>,
}

/// What is known of a person, beside their key.
#[derive(Debug)]
pub struct KnownRecord {
    /// The record of the source.
    pub person: Arc<Person>,
    /// The keys of their names, each a REF that may be revoked.
    pub names: Box<[NameKey]>,
}

impl Known {
    fn new(key: Key, person: Arc<Person>, names: Vec<NameKey>) -> Self {
        Self { key, rest: Arc::new(KnownRecord { person, names: names.into() }) }
    }
}

impl Deref for Known {
    type Target = KnownRecord;

    fn deref(&self) -> &KnownRecord {
        &self.rest
    }
}

impl Keyed for Known {
    const CROWD: usize = 32;
    const FILTERED: bool = false;

    fn key(&self) -> Key {
        self.key
    }
    fn rank(&self) -> (u64, u64) {
        (0, 0)
    }
}

/// An index entry: `key` leads to `person`.
#[derive(Clone, Copy, Debug)]
struct Pointer {
    key: Key,
    person: Key,
    /// For a link: equal values grant access, see [`LinkKey`].
    strict: u64,
}

impl Keyed for Pointer {
    const CROWD: usize = 32;
    const FILTERED: bool = false;

    fn key(&self) -> Key {
        self.key
    }
    fn rank(&self) -> (u64, u64) {
        // Two values of one person may fold to the same key: each has its own entry.
        (self.person.high ^ self.strict, self.person.low)
    }
}

/// The name of a group as written, and as it is compared.
#[derive(Clone, Copy, Debug)]
struct GroupName {
    key: Key,
    compared: GroupKey,
}

impl Keyed for GroupName {
    const CROWD: usize = 32;
    const FILTERED: bool = false;

    fn key(&self) -> Key {
        self.key
    }
    fn rank(&self) -> (u64, u64) {
        (0, 0)
    }
}

/// The number of active, suspended and departed people of a source.
pub type Counts = [usize; 3];

/// Everybody whom a source ever reported.
#[derive(Clone, Debug, Default)]
pub struct People {
    known: Table<Known>,
    by_name: Table<Pointer>,
    by_link: Table<Pointer>,
    groups: Table<GroupName>,
    counts: Arc<BTreeMap<String, Counts>>,
    /// The directory whose rules compare the names of each source, as far as known from the log.
    directories: Arc<BTreeMap<String, Directory>>,
}

/// The key of a person.
#[must_use]
pub fn person_key(keyer: &Keyer, id: &PersonId) -> Key {
    keyer.key(KeyKind::Person, &[&id.source, &id.key])
}

/// The rule for an attribute that `link` compares. Without known rules of the source it is that of the version that
/// wrote the log.
fn link_rule(directory: Option<Directory>, attribute: &str) -> Compare {
    if planted(Fault::NamesExactly) {
        return Compare::Exact;
    }
    directory.map_or(Compare::Exact, |directory| directory.compares(attribute))
}

fn name_rule(directory: Option<Directory>, attribute: &str) -> Compare {
    match (directory, attribute) {
        (_, "id") => Compare::Exact,
        (None, _) => Compare::IgnoreCase,
        (Some(_), other) => link_rule(directory, other),
    }
}

/// The index entries of one person, and the keys of their names.
#[derive(Default)]
struct Indexed {
    names: Vec<NameKey>,
    by_name: Vec<Key>,
    by_link: Vec<(Key, u64)>,
}

impl Indexed {
    fn of(keyer: &Keyer, directory: Option<Directory>, person: &Person) -> Self {
        let (mut names, mut by_link) = (Vec::new(), Vec::new());
        for (attribute, value) in person.attributes() {
            match attribute {
                "id" => names.push(NameKey::id(keyer, value)),
                _ => names.extend(NameKey::of(keyer, name_rule(directory, attribute), value)),
            }
            let rule = link_rule(directory, attribute);
            let link = LinkKey::of(keyer, &person.id.source, attribute, (rule, value));
            by_link.push((link.folded, link.strict));
        }
        names.sort_unstable();
        names.dedup();
        let mut by_name: Vec<Key> = names.iter().map(|name| name.key).collect();
        by_name.dedup();
        // `SOURCE/KEY` is found without an index.
        names.push(NameKey::id(keyer, &person.id.to_string()));
        by_link.sort_unstable();
        by_link.dedup();
        Self { names, by_name, by_link }
    }
}

impl People {
    /// Indexes `people` by the rules of these directories.
    #[must_use]
    pub(super) fn build(
        keyer: &Keyer,
        people: Vec<Arc<Person>>,
        directories: Arc<BTreeMap<String, Directory>>,
    ) -> Self {
        let mut built = Self { directories, ..Self::default() };
        let (mut known, mut by_name, mut by_link) = (Vec::with_capacity(people.len()), Vec::new(), Vec::new());
        for person in people {
            let key = person_key(keyer, &person.id);
            let indexed = Indexed::of(keyer, built.directory(&person.id.source), &person);
            by_name.extend(indexed.by_name.iter().map(|name| Pointer { key: *name, person: key, strict: 0 }));
            by_link.extend(indexed.by_link.iter().map(|&(link, strict)| Pointer { key: link, person: key, strict }));
            built.name_groups(keyer, &person);
            built.count(&person, 1);
            known.push(Known::new(key, person, indexed.names));
        }
        (built.known, built.by_name, built.by_link) =
            (Table::build(known), Table::build(by_name), Table::build(by_link));
        built
    }

    /// The person with this key.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&Known> {
        self.known.get(key).first()
    }

    /// The person with this id.
    #[must_use]
    pub fn find(&self, keyer: &Keyer, id: &PersonId) -> Option<&Known> {
        self.get(person_key(keyer, id))
    }

    /// The people with a link key, each with what the match is good for. A person with several equal values is named
    /// once for each.
    pub fn linked<'a>(&'a self, link: &LinkKey) -> impl Iterator<Item = (&'a Known, Match)> + use<'a> {
        let LinkKey { folded, exact, strict } = *link;
        let under = self.by_link.get(folded).iter();
        let as_is = if exact == folded { &[] } else { self.by_link.get(exact) };
        let found = under.map(move |pointer| (pointer, pointer.strict == strict));
        let found = found.chain(as_is.iter().map(move |pointer| (pointer, pointer.strict == exact.low)));
        found.filter_map(|(pointer, same)| {
            Some((self.get(pointer.person)?, if same { Match::Grants } else { Match::Denies }))
        })
    }

    /// The people with a name, each with what the match is good for; sorted by id.
    #[must_use]
    pub fn named(&self, keyer: &Keyer, reference: &str) -> Vec<(PersonId, Match)> {
        let reference = reference.trim();
        if let Ok(id) = reference.parse::<PersonId>()
            && let Some(known) = self.find(keyer, &id)
        {
            return vec![(known.person.id.clone(), Match::Grants)];
        }
        let mut found: Vec<(PersonId, Match)> = Vec::new();
        for key in RefKey::of(keyer, reference) {
            for known in self.by_name.get(key.key).iter().filter_map(|pointer| self.get(pointer.person)) {
                let directory = self.directory(&known.person.id.source);
                let names = known.person.attributes().filter_map(|(attribute, value)| {
                    let found = name_rule(directory, attribute).matches(value.trim(), reference);
                    // For denials: as the first versions compare.
                    let before = attribute != "id" && fold_name(value) == fold_name(reference);
                    let found = found.or(before.then_some(Match::Denies))?;
                    Some(if attribute == UNVERIFIED_EMAIL { Match::Denies } else { found })
                });
                found.extend(names.max().map(|by| (known.person.id.clone(), by)));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The rule that compares a source's values of an attribute.
    #[must_use]
    pub fn rule(&self, source: &str, attribute: &str) -> Compare {
        link_rule(self.directory(source), attribute)
    }

    /// The rule that compares a REF with a source's values of an attribute.
    #[must_use]
    pub fn name_rule(&self, source: &str, attribute: &str) -> Compare {
        name_rule(self.directory(source), attribute)
    }

    /// The link key of a value of a source's attribute, by the rule that its people are indexed by.
    #[must_use]
    pub fn link_key(&self, keyer: &Keyer, source: &str, attribute: &str, value: &str) -> LinkKey {
        LinkKey::of(keyer, source, attribute, (self.rule(source, attribute), value))
    }

    /// The directory whose rules compare the names of a source, if known from the log.
    #[must_use]
    pub fn directory(&self, source: &str) -> Option<Directory> {
        self.directories.get(source).copied()
    }

    /// The key by which a source's group is compared, if its directory compares groups by a rule.
    #[must_use]
    pub fn group(&self, keyer: &Keyer, source: &str, name: &str) -> Option<GroupKey> {
        self.directory(source).filter(|directory| directory.compares_group(name) != Compare::Exact)?;
        self.groups.get(keyer.key(KeyKind::Group, &[name])).first().map(|group| group.compared)
    }

    /// The number of people.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nobody is known.
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
        // Comparing the names would read a further part of each record.
        let is_the_only_one = self.counts.len() == 1 && self.counts.contains_key(source);
        self.known.iter().filter(move |known| is_the_only_one || known.person.id.source == source)
    }

    /// The number of people by source and status.
    #[must_use]
    pub fn counts(&self) -> &BTreeMap<String, Counts> {
        &self.counts
    }

    /// Changes the rules that compare the names of these sources.
    pub(crate) fn compare_by<'a>(
        &mut self,
        keyer: &Keyer,
        sources: impl IntoIterator<Item = (&'a str, Option<Directory>)>,
    ) {
        let mut concerned = false;
        for (source, directory) in sources {
            if self.directory(source) == directory {
                continue;
            }
            let directories = Arc::make_mut(&mut self.directories);
            match directory {
                Some(directory) => drop(directories.insert(source.to_owned(), directory)),
                None => drop(directories.remove(source)),
            }
            concerned |= self.counts.contains_key(source);
        }
        if concerned {
            let everybody = self.known.iter().map(|known| Arc::clone(&known.person)).collect();
            *self = Self::build(keyer, everybody, Arc::clone(&self.directories));
        }
    }

    /// Replaces the record of one person. Index entries that stay are not touched.
    pub(super) fn put(&mut self, keyer: &Keyer, person: Arc<Person>) {
        let key = person_key(keyer, &person.id);
        let directory = self.directory(&person.id.source);
        let new = Indexed::of(keyer, directory, &person);
        let old = self.get(key).map(|known| Arc::clone(&known.person));
        if let Some(old) = &old {
            self.count(old, -1);
        }
        let old = old.map(|old| Indexed::of(keyer, directory, &old)).unwrap_or_default();
        for name in old.by_name.iter().filter(|name| !new.by_name.contains(name)) {
            self.by_name.remove(*name, |pointer| pointer.person == key);
        }
        for link in old.by_link.iter().filter(|link| !new.by_link.contains(link)) {
            let (link, strict) = *link;
            self.by_link.remove(link, |pointer| pointer.person == key && pointer.strict == strict);
        }
        for name in new.by_name.iter().filter(|name| !old.by_name.contains(name)) {
            self.by_name.insert(Pointer { key: *name, person: key, strict: 0 });
        }
        for link in new.by_link.iter().filter(|link| !old.by_link.contains(link)) {
            let (link, strict) = *link;
            self.by_link.insert(Pointer { key: link, person: key, strict });
        }
        self.name_groups(keyer, &person);
        self.count(&person, 1);
        self.known.insert(Known::new(key, person, new.names));
    }

    /// Records how the groups of a person are compared, once for each group.
    fn name_groups(&mut self, keyer: &Keyer, person: &Person) {
        let Some(directory) = self.directory(&person.id.source) else { return };
        for name in &person.groups {
            let rule = directory.compares_group(name);
            let key = keyer.key(KeyKind::Group, &[name]);
            if rule != Compare::Exact && self.groups.get(key).is_empty() {
                self.groups.insert(GroupName { key, compared: GroupKey::of(keyer, (rule, name)) });
            }
        }
    }

    fn count(&mut self, person: &Person, by: isize) {
        let all = Arc::make_mut(&mut self.counts);
        let counts = match all.get_mut(&person.id.source) {
            Some(counts) => counts,
            None => all.entry(person.id.source.clone()).or_default(),
        };
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
