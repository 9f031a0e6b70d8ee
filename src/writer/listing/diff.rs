//! What a listing changes of what is known. Pure: the same listing and the same people give the same diff.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::domain::key::Key;
use crate::domain::name::Directory;
use crate::domain::person::{Person, PersonId, Status};
use crate::state::people::{Known, People};
use crate::writer::listings::OpenListing;

/// What a listing changes, and what it leaves out.
#[derive(Clone, Debug, Default)]
pub(in crate::writer) struct ListingDiff {
    /// Name of the source.
    pub(super) source: String,
    /// How many rows it has.
    pub(super) rows: usize,
    /// Nobody is in it.
    pub(super) is_empty: bool,
    /// How many people were known when it began.
    pub(super) known: usize,
    /// Who is new, or differs from what is known.
    pub(super) changed: BTreeMap<Key, Arc<Person>>,
    /// Who is known to be there, and is not in it.
    pub(super) missing: BTreeMap<Key, PersonId>,
    /// How many are in it who cannot be read.
    pub(super) unreadable: usize,
    /// What it does to memberships in groups. Those of people who are missing go with them.
    pub(super) memberships: Memberships,
    /// Groups that several people are known to be in, and nobody in the listing.
    pub(super) emptied: Vec<EmptiedGroup>,
}

/// How many memberships there are, and how many come and go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::writer) struct Memberships {
    pub(super) known: usize,
    pub(super) lost: usize,
    pub(super) gained: usize,
}

/// A group that several people are known to be in, and nobody in the listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::writer) struct EmptiedGroup {
    pub(super) name: String,
    /// Who was.
    pub(super) members: Vec<PersonId>,
    /// It is only called otherwise: there is another group that all of them are in, and nobody else.
    pub(super) renamed: bool,
}

/// Compares what was taken in with what is known. Who was `touched` meanwhile is known in another way.
pub(in crate::writer) fn diff(
    people: &People,
    source: &str,
    open: &OpenListing,
    touched: &HashSet<Key>,
) -> ListingDiff {
    let is_news = |(key, new): &(&Key, &Arc<Person>)| {
        !touched.contains(key) && people.get(**key).is_none_or(|known| !same(&known.person, new))
    };
    let changed: BTreeMap<Key, Arc<Person>> =
        open.waiting.iter().filter(is_news).map(|(key, new)| (*key, Arc::clone(new))).collect();
    let known = people.of_source(source);
    let absent = known
        .filter(|known| present(&known.person) && !open.seen.contains(&known.key) && !touched.contains(&known.key));
    let missing = absent.map(|known| (known.key, known.person.id.clone())).collect();
    let compared = Compared { people, source, changed: &changed, open };
    ListingDiff {
        source: source.to_owned(),
        rows: open.rows(),
        is_empty: open.seen.is_empty(),
        known: open.known,
        unreadable: open.unread.len(),
        memberships: compared.memberships(),
        emptied: compared.emptied(),
        missing,
        changed,
    }
}

struct Compared<'a> {
    people: &'a People,
    source: &'a str,
    changed: &'a BTreeMap<Key, Arc<Person>>,
    open: &'a OpenListing,
}

impl<'a> Compared<'a> {
    fn memberships(&self) -> Memberships {
        let directory = self.people.directory(self.source);
        let here = self.people.of_source(self.source).filter(|known| present(&known.person));
        let mut all = Memberships { known: here.map(|known| known.person.groups.len()).sum(), lost: 0, gained: 0 };
        for (key, new) in self.changed {
            let known = self.people.get(*key).map_or(&[][..], |known| &known.person.groups);
            all.lost += not_among(directory, known, &new.groups).len();
            all.gained += not_among(directory, &new.groups, known).len();
        }
        all
    }

    /// Only groups that somebody leaves are looked at.
    fn emptied(&self) -> Vec<EmptiedGroup> {
        let mut left = self.left();
        left.retain(|_, group| group.members.len() > 1);
        if left.is_empty() {
            return Vec::new();
        }
        // How many come into each of what would be new names; none where somebody was in it already.
        let names = left.values().flat_map(|group| group.instead.iter().copied());
        let mut new_names: BTreeMap<&str, Option<usize>> = names.map(|name| (name, Some(0))).collect();
        for known in self.people.of_source(self.source).filter(|known| self.open.seen.contains(&known.key)) {
            let new = self.changed.get(&known.key).map_or(&known.person.groups, |new| &new.groups);
            new.iter().for_each(|group| drop(left.remove(group.as_str())));
            for (groups, is_new) in [(new, true), (&known.person.groups, false)] {
                for group in groups {
                    if let Some(many) = new_names.get_mut(group.as_str()) {
                        *many = many.filter(|_| is_new).map(|many| many + 1);
                    }
                }
            }
        }
        for new in self.changed.values() {
            new.groups.iter().for_each(|group| drop(left.remove(group.as_str())));
        }
        // Called otherwise is what has the same people, and nobody else of those who are known.
        let is_new_name = |name: &&str, many| new_names.get(*name).is_some_and(|new| *new == Some(many));
        let group = |(name, group): (&str, Left<'_>)| EmptiedGroup {
            name: name.to_owned(),
            renamed: group.instead.iter().any(|name| is_new_name(name, group.members.len())),
            members: group.members.into_iter().cloned().collect(),
        };
        left.into_iter().map(group).collect()
    }

    /// Groups that somebody leaves.
    fn left(&self) -> BTreeMap<&'a str, Left<'a>> {
        let directory = self.people.directory(self.source);
        let mut left: BTreeMap<&str, Left<'a>> = BTreeMap::new();
        for (key, new) in self.changed {
            let Some(known) = self.people.get(*key).map(|known: &Known| &known.person) else { continue };
            let gained = || not_among(directory, &new.groups, &known.groups).into_iter();
            for name in not_among(directory, &known.groups, &new.groups) {
                let group =
                    left.entry(name).or_insert_with(|| Left { members: Vec::new(), instead: gained().collect() });
                group.members.push(&known.id);
                group.instead.retain(|instead| new.groups.iter().any(|group| group == instead));
            }
        }
        left
    }
}

/// Who leaves a group, and what they all are in instead.
struct Left<'a> {
    members: Vec<&'a PersonId>,
    instead: BTreeSet<&'a str>,
}

/// The groups among `these` that are none of `those`, as the directory compares their names.
fn not_among<'a>(directory: Option<Directory>, these: &'a [String], those: &[String]) -> Vec<&'a str> {
    let mut left: Vec<&str> = these.iter().filter(|group| !those.contains(group)).map(String::as_str).collect();
    if let Some(directory) = directory.filter(|_| !left.is_empty()) {
        let folded = |group: &str| directory.compares_group(group).fold(group).text.into_owned();
        let those: HashSet<String> = those.iter().map(|group| folded(group)).collect();
        left.retain(|group| !those.contains(&folded(group)));
    }
    left
}

/// What is the same to us, however the record is written.
pub(super) fn same(known: &Person, new: &Person) -> bool {
    let mut groups: Vec<&String> = new.groups.iter().collect();
    groups.sort_unstable();
    groups.dedup();
    known.groups.iter().eq(groups)
        && (known.status, &known.email, &known.username, &known.attributes, &known.more, known.changed)
            == (new.status, &new.email, &new.username, &new.attributes, &new.more, new.changed)
}

pub(super) fn present(person: &Person) -> bool {
    person.status != Status::Departed
}
