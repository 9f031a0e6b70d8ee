//! Groups of a realm: the tree, who is in which, and what a membership amounts to.
//!
//! Somebody in `/payments-eng/payments-leads` is in `payments-eng` too. A group goes by its path, and by its bare
//! name where no other group of the realm has it: tokens name groups either way.

use std::collections::{BTreeSet, HashMap};

use super::api::{Api, Group, Member};
use crate::source::error::SourceError;

/// Rows that are asked for at once.
const ROWS: usize = 1000;

/// The groups of a realm.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Ids, with what being in it amounts to.
    names: HashMap<String, Vec<String>>,
    /// Bare names that more than one group has.
    shared: BTreeSet<String>,
}

/// `/a/b` → `/a`, `/a/b`. A `/` in a name is written `~/`.
fn ancestors(path: &str) -> Vec<&str> {
    let bytes = path.as_bytes();
    let cut =
        |at: &usize| bytes.get(*at) == Some(&b'/') && at.checked_sub(1).and_then(|at| bytes.get(at)) != Some(&b'~');
    let mut found: Vec<&str> = (1..bytes.len()).filter(cut).filter_map(|at| path.get(..at)).collect();
    found.push(path);
    found
}

/// `/a/b` → `b`
fn bare(path: &str) -> String {
    let parents = ancestors(path);
    let parent = parents.len().checked_sub(2).and_then(|at| parents.get(at)).map_or(0, |parent| parent.len());
    path.get(parent + 1..).unwrap_or(path).replace("~/", "/")
}

impl Tree {
    /// The tree that these groups are.
    #[must_use]
    pub fn of(groups: &[Group]) -> Self {
        let (mut seen, mut shared) = (BTreeSet::new(), BTreeSet::new());
        for group in groups {
            let name = bare(&group.path);
            if !seen.insert(name.clone()) {
                shared.insert(name);
            }
        }
        let mut tree = Self { names: HashMap::new(), shared };
        for group in groups {
            let names = tree.names_of(&group.path);
            tree.names.insert(group.id.clone(), names);
        }
        tree
    }

    /// What being in the group of this path amounts to.
    #[must_use]
    pub fn names_of(&self, path: &str) -> Vec<String> {
        let both = |path: &str| {
            let name = Some(bare(path)).filter(|name| !self.shared.contains(name));
            std::iter::once(path.to_owned()).chain(name)
        };
        ancestors(path).into_iter().flat_map(both).collect()
    }

    /// Ids of all groups.
    pub fn ids(&self) -> impl Iterator<Item = &String> {
        self.names.keys()
    }

    /// What being in these groups amounts to, sorted and without doubles.
    pub fn flat<'a>(&self, ids: impl IntoIterator<Item = &'a String>) -> Vec<String> {
        let names: BTreeSet<String> = ids.into_iter().filter_map(|id| self.names.get(id)).flatten().cloned().collect();
        names.into_iter().collect()
    }
}

/// Reads the whole tree: top-level groups, and the children of those that have some.
///
/// # Errors
/// [`SourceError`].
pub async fn read(api: &mut Api) -> Result<Tree, SourceError> {
    let mut all: Vec<Group> = Vec::new();
    let mut parents: Vec<Option<String>> = vec![None];
    while let Some(parent) = parents.pop() {
        let mut first = 0;
        loop {
            let (from, rows) = (first.to_string(), ROWS.to_string());
            let query = [("first", from.as_str()), ("max", rows.as_str()), ("briefRepresentation", "true")];
            let path = match &parent {
                Some(id) => vec!["groups", id.as_str(), "children"],
                None => vec!["groups"],
            };
            let found: Vec<Group> = api.get("list groups", &path, &query, "view-users").await?;
            let (many, known) = (found.len(), all.len());
            for group in found {
                if group.sub_group_count != Some(0) {
                    parents.push(Some(group.id.clone()));
                }
                all.push(group);
            }
            first += many;
            if many < ROWS {
                break;
            }
            // A server that does not know `first` says the same for ever.
            if known > 1_000_000 {
                return Err(SourceError::Malformed { step: "list groups", what: "it does not end".to_owned() });
            }
        }
    }
    Ok(Tree::of(&all))
}

/// The direct members of one group.
///
/// # Errors
/// [`SourceError`].
pub async fn members(api: &mut Api, group: &str) -> Result<Vec<String>, SourceError> {
    let mut ids: Vec<String> = Vec::new();
    loop {
        let (from, rows) = (ids.len().to_string(), ROWS.to_string());
        let query = [("first", from.as_str()), ("max", rows.as_str()), ("briefRepresentation", "true")];
        let path = ["groups", group, "members"];
        let found: Vec<Member> = match api.get("list members of a group", &path, &query, "view-users").await {
            // It was deleted meanwhile: its event says so.
            Err(SourceError::NotFound { .. }) => return Ok(ids),
            found => found?,
        };
        let many = found.len();
        let repeats = found.first().is_some_and(|member| ids.contains(&member.id));
        if repeats {
            return Err(SourceError::Malformed { step: "list members of a group", what: "a page repeats".to_owned() });
        }
        ids.extend(found.into_iter().map(|member| member.id));
        if many < ROWS {
            return Ok(ids);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(id: &str, path: &str) -> Group {
        Group { id: id.into(), path: path.into(), sub_group_count: None }
    }

    #[test]
    fn a_member_of_a_group_is_one_of_its_parents() {
        let tree = Tree::of(&[
            group("1", "/eng"),
            group("2", "/eng/leads"),
            group("3", "/sales"),
            group("4", "/sales/leads"),
            group("5", "/r~/d"),
        ]);
        assert_eq!(tree.flat([&"2".to_owned()]), ["/eng", "/eng/leads", "eng"], "two groups are called `leads`");
        assert_eq!(tree.flat([&"1".to_owned(), &"3".to_owned()]), ["/eng", "/sales", "eng", "sales"]);
        assert_eq!(tree.flat([&"5".to_owned()]), ["/r~/d", "r/d"], "a slash in a name");
        assert_eq!(tree.flat([&"9".to_owned()]), Vec::<String>::new());
    }
}
