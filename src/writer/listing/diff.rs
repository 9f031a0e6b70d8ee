//! The difference between a listing and the known people. Pure: the same input gives the same diff.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::domain::key::{Key, KeySet};
use crate::domain::name::Directory;
use crate::domain::person::{Person, PersonId, Status};
use crate::state::people::{Known, People};
use crate::writer::listings::OpenListing;

/// The difference between a listing and the known people.
#[derive(Clone, Debug, Default)]
pub(in crate::writer) struct ListingDiff {
    /// Name of the source.
    pub(super) source: String,
    /// The number of rows.
    pub(super) rows: usize,
    /// Whether nobody is in it.
    pub(super) is_empty: bool,
    /// The number of known people when it began.
    pub(super) known: usize,
    /// New people, and people whose record differs.
    pub(super) changed: BTreeMap<Key, Arc<Person>>,
    /// Present people who are not in it.
    pub(super) missing: BTreeMap<Key, PersonId>,
    /// The number of people in it with unreadable records.
    pub(super) unreadable: usize,
    /// Its changes to group memberships, without those of missing people.
    pub(super) memberships: Memberships,
    /// Groups with several known members and none in the listing.
    pub(super) emptied: Vec<EmptiedGroup>,
}

/// The number of memberships that are known, lost and gained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::writer) struct Memberships {
    pub(super) known: usize,
    pub(super) lost: usize,
    pub(super) gained: usize,
}

/// A group with several known members and none in the listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::writer) struct EmptiedGroup {
    pub(super) name: String,
    /// Its known members.
    pub(super) members: Vec<PersonId>,
    /// Whether it was only renamed: another group has exactly these members.
    pub(super) renamed: bool,
}

/// Compares an open listing with the known people. People in `touched` changed by other means and are left out.
pub(in crate::writer) fn diff(people: &People, source: &str, open: &OpenListing, touched: &KeySet) -> ListingDiff {
    let is_news = |(key, new): &(&Key, &Arc<Person>)| {
        !touched.contains(key) && people.get(**key).is_none_or(|known| !same(&known.person, new))
    };
    let changed: BTreeMap<Key, Arc<Person>> =
        open.waiting.iter().filter(is_news).map(|(key, new)| (*key, Arc::clone(new))).collect();
    let (mut missing, mut memberships) = (BTreeMap::new(), 0);
    // One pass: reading a million records takes longer than comparing them.
    for known in people.of_source(source).filter(|known| present(&known.person)) {
        memberships += known.person.groups.len();
        if !open.seen.contains(&known.key) && !touched.contains(&known.key) {
            missing.insert(known.key, known.person.id.clone());
        }
    }
    let compared = Compared { people, source, changed: &changed, open };
    ListingDiff {
        source: source.to_owned(),
        rows: open.rows(),
        is_empty: open.seen.is_empty(),
        known: open.known,
        unreadable: open.unread.len(),
        memberships: compared.memberships(memberships),
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
    fn memberships(&self, known: usize) -> Memberships {
        let directory = self.people.directory(self.source);
        let mut all = Memberships { known, lost: 0, gained: 0 };
        for (key, new) in self.changed {
            let known = self.people.get(*key).map_or(&[][..], |known| &known.person.groups);
            all.lost += not_among(directory, known, &new.groups).len();
            all.gained += not_among(directory, &new.groups, known).len();
        }
        all
    }

    /// Looks only at groups that somebody leaves.
    fn emptied(&self) -> Vec<EmptiedGroup> {
        let mut left = self.left();
        left.retain(|_, group| group.members.len() > 1);
        if left.is_empty() {
            return Vec::new();
        }
        // The number of people who join each possible new name; `None` if it had a member before.
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
        // A group was renamed if the new name has the same members and no other known ones.
        let is_new_name = |name: &&str, many| new_names.get(*name).is_some_and(|new| *new == Some(many));
        let group = |(name, group): (&str, Left<'_>)| EmptiedGroup {
            name: name.to_owned(),
            renamed: group.instead.iter().any(|name| is_new_name(name, group.members.len())),
            members: group.members.into_iter().cloned().collect(),
        };
        left.into_iter().map(group).collect()
    }

    /// The groups that somebody leaves.
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

/// The people who leave a group, and the groups they all join instead.
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

/// Whether two records are equal apart from the order of groups.
pub(super) fn same(known: &Person, new: &Person) -> bool {
    let are_same_groups = || {
        // Nearly always equal as they are: nothing is allocated then.
        known.groups == new.groups || {
            let mut groups: Vec<&String> = new.groups.iter().collect();
            groups.sort_unstable();
            groups.dedup();
            known.groups.iter().eq(groups)
        }
    };
    (known.status, known.changed, &known.email, &known.username, &known.attributes, &known.more)
        == (new.status, new.changed, &new.email, &new.username, &new.attributes, &new.more)
        && are_same_groups()
}

pub(super) fn present(person: &Person) -> bool {
    person.status != Status::Departed
}
