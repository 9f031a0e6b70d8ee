//! Groups of a realm: the tree, and which names a membership gives.
//!
//! A member of `/payments-eng/payments-leads` is also in `payments-eng`. A group counts by its path and by its bare
//! name, since tokens use either; but not by a name that another group of the realm has too. (A slash in a name looks
//! like one between names: a top-level group `a/b`, and `b` in `a`, are both `/a/b`.)

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::api::Api;
use super::shapes::{Count, Group};
use crate::source::error::SourceError;
use crate::source::names::Names;

/// How often to read a tree that changes while it is read.
const ATTEMPTS: usize = 3;

/// Each user's groups, by id.
pub type Memberships = HashMap<Box<str>, Vec<Arc<str>>>;

/// What is known of a realm's groups.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// The groups of the realm.
    pub tree: Tree,
    /// Who is in which group, from a listing and from later reads.
    pub memberships: Memberships,
}

impl Groups {
    /// The names that a user's memberships give.
    #[must_use]
    pub fn of(&self, user: &str) -> Vec<String> {
        self.memberships.get(user).map(|ids| self.tree.flat(ids)).unwrap_or_default()
    }

    /// Replaces the tree; returns the users whose groups change by that.
    pub fn replace(&mut self, new: &Tree) -> impl Iterator<Item = &str> {
        let changed = std::mem::replace(&mut self.tree, new.clone()).changed(new);
        let moved = self.memberships.iter().filter(move |(_, ids)| ids.iter().any(|id| changed.contains(id)));
        moved.map(|(user, _)| &**user)
    }
}

/// The groups of a realm: the names that each gives, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<Arc<str>, Vec<String>>);

impl Tree {
    /// The tree of these groups.
    #[must_use]
    pub fn of(groups: &[Group]) -> Self {
        let by_id: HashMap<&str, &Group> = groups.iter().map(|group| (group.id.as_str(), group)).collect();
        let mut called: Names<&str, &str> = Names::default();
        for group in groups {
            called.add(&group.path, &group.id);
            called.add(&group.name, &group.id);
        }
        let mut tree = BTreeMap::new();
        for group in groups {
            let mut names = BTreeSet::new();
            let mut next = Some(group);
            // INVARIANT: a path has at most as many levels as there are groups, so a circle of parents ends here.
            for _ in 0..groups.len() {
                let Some(group) = next else { break };
                names.extend(
                    [&group.path, &group.name].into_iter().filter(|name| called.is_unique(name.as_str())).cloned(),
                );
                next = group.parent_id.as_ref().and_then(|id| by_id.get(id.as_str()).copied());
            }
            tree.insert(Arc::from(group.id.as_str()), names.into_iter().collect());
        }
        Self(tree)
    }

    /// The ids of all groups.
    pub fn ids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.keys()
    }

    /// The id as stored in the tree; `None` for a group that is not in it.
    #[must_use]
    pub fn id(&self, id: &str) -> Option<Arc<str>> {
        self.0.get_key_value(id).map(|(id, _)| Arc::clone(id))
    }

    /// The names that membership in these groups gives, sorted and without duplicates.
    #[must_use]
    pub fn flat(&self, ids: &[Arc<str>]) -> Vec<String> {
        let names: BTreeSet<&String> = ids.iter().filter_map(|id| self.0.get(id)).flatten().collect();
        names.into_iter().cloned().collect()
    }

    /// The names of these groups and of the groups below them that are gone in `new`, except names that still exist
    /// there.
    #[must_use]
    pub fn dissolved(&self, ids: &BTreeSet<String>, new: &Self) -> BTreeSet<&String> {
        let left: BTreeSet<&String> = new.0.values().flatten().collect();
        let lost = |id: &str| self.0.get(id).into_iter().flatten().filter(|name| !left.contains(name));
        let gone = |id: &&str| !new.0.contains_key(*id);
        let own: BTreeSet<&String> = ids.iter().map(String::as_str).filter(gone).flat_map(lost).collect();
        // A member of a subgroup is also in its parents, and has their names.
        let below = self.0.iter().filter(|(id, names)| gone(&&***id) && names.iter().any(|name| own.contains(name)));
        below.flat_map(|(id, _)| lost(id)).collect()
    }

    /// Adds what is not known yet. Known entries stay: they show what an event changed.
    pub fn learn(&mut self, new: &Self) {
        for (id, names) in &new.0 {
            self.0.entry(Arc::clone(id)).or_insert_with(|| names.clone());
        }
    }

    /// Groups that are gone in `new`, or give other names there. A new group has no members that no event names.
    #[must_use]
    pub fn changed(&self, new: &Self) -> BTreeSet<Arc<str>> {
        self.0.iter().filter(|(id, names)| new.0.get(*id) != Some(*names)).map(|(id, _)| Arc::clone(id)).collect()
    }
}

/// Reads the whole tree at once. `search=*` finds groups of every level; a listing without it has only the top level.
///
/// # Errors
/// [`SourceError`] if a request fails; [`SourceError::Forbidden`] if the realm counts groups but shows none.
pub async fn read(api: &mut Api) -> Result<Tree, SourceError> {
    let step = "list groups";
    let brief = [("briefRepresentation", "true"), ("subGroupsCount", "false")];
    let query = [&[("search", "*"), ("populateHierarchy", "false"), ("max", "-1")], brief.as_slice()].concat();
    let (mut rows, mut count) = (0, 0);
    for _ in 0..ATTEMPTS {
        let groups: Vec<Group> = api.get(step, &["groups"], &query, "view-users").await?;
        count = api.get::<Count>("count groups", &["groups", "count"], &[], "view-users").await?.count;
        rows = groups.len();
        if rows == count {
            return Ok(Tree::of(&groups));
        }
    }
    Err(api.void(step, rows, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(id: &str, path: &str, name: &str, parent: Option<&str>) -> Group {
        Group { id: id.into(), name: name.into(), path: path.into(), parent_id: parent.map(Into::into) }
    }

    fn flat(tree: &Tree, ids: &[&str]) -> Vec<String> {
        tree.flat(&ids.iter().map(|id| Arc::from(*id)).collect::<Vec<_>>())
    }

    #[test]
    fn a_member_of_a_group_is_one_of_its_parents() {
        let tree = Tree::of(&[
            group("1", "/eng", "eng", None),
            group("2", "/eng/leads", "leads", Some("1")),
            group("3", "/sales", "sales", None),
            group("4", "/sales/leads", "leads", Some("3")),
            group("5", "/r/d", "r/d", None),
        ]);
        assert_eq!(flat(&tree, &["2"]), ["/eng", "/eng/leads", "eng"], "two groups are called `leads`");
        assert_eq!(flat(&tree, &["1", "3"]), ["/eng", "/sales", "eng", "sales"]);
        assert_eq!(flat(&tree, &["5"]), ["/r/d", "r/d"], "a slash in a name");
        assert_eq!(flat(&tree, &["9"]), Vec::<String>::new());
    }

    #[test]
    fn a_name_that_two_groups_have_is_nobodys() {
        let tree = Tree::of(&[
            group("1", "/eng", "eng", None),
            group("2", "/eng/leads", "leads", Some("1")),
            group("3", "/eng/leads", "eng/leads", None),
            group("4", "//eng", "/eng", None),
        ]);
        assert_eq!(flat(&tree, &["3"]), ["eng/leads"], "a slash in a name opens no other group");
        assert_eq!(flat(&tree, &["2"]), ["eng", "leads"]);
        assert_eq!(flat(&tree, &["4"]), ["//eng"]);
    }

    #[test]
    fn a_group_that_is_deleted_takes_its_names_along() {
        let eng = [group("1", "/eng", "eng", None), group("2", "/eng/leads", "leads", Some("1"))];
        let sales = [group("3", "/sales", "sales", None), group("4", "/sales/leads", "leads", Some("3"))];
        let (before, after) = (Tree::of(&[eng.clone(), sales.clone()].concat()), Tree::of(&sales));
        let dissolved = |ids: &[&str], after: &Tree| -> Vec<String> {
            let ids = ids.iter().map(|id| (*id).to_owned()).collect();
            before.dissolved(&ids, after).into_iter().cloned().collect()
        };
        assert_eq!(dissolved(&["1"], &after), ["/eng", "/eng/leads", "eng"], "and those below it");
        let without_leads = Tree::of(&[&eng[..1], &sales].concat());
        assert_eq!(dissolved(&["2"], &without_leads), ["/eng/leads"], "`eng` is still there");
        assert_eq!(dissolved(&["1"], &before), Vec::<String>::new(), "it is still there");
        assert_eq!(dissolved(&[], &Tree::default()), Vec::<String>::new(), "what cannot be seen was not deleted");
    }

    #[test]
    fn a_loop_ends() {
        let tree = Tree::of(&[group("1", "/a", "a", Some("2")), group("2", "/a/b", "b", Some("1"))]);
        assert_eq!(flat(&tree, &["1"]), ["/a", "/a/b", "a", "b"]);
    }

    #[test]
    fn what_changed_of_a_tree() {
        let [one, two] = [group("1", "/eng", "eng", None), group("2", "/eng/leads", "leads", Some("1"))];
        let tree = Tree::of(&[one.clone(), two.clone()]);
        let changed = |groups: &[Group]| {
            let changed = tree.changed(&Tree::of(groups));
            changed.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(changed(&[one.clone(), two.clone(), group("3", "/new", "new", None)]), "");
        assert_eq!(changed(std::slice::from_ref(&one)), "2", "deleted");
        assert_eq!(changed(&[group("1", "/x", "x", None), two.clone()]), "1 2", "renamed");
        assert_eq!(changed(&[one, two, group("3", "/leads", "leads", None)]), "2", "its name is shared by now");
    }
}
