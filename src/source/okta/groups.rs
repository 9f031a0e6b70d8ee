//! Groups of an organization, and the names that membership gives. Okta's groups are not nested.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::api::Group;
use crate::source::names::Names;

/// The group that contains everybody.
const EVERYONE: &str = "Everyone";

/// The names of groups.
///
/// A group counts by its name, as in tokens. The names of Okta's own groups are unique, but a group that comes from an
/// application (a directory, say) may have the same name as another. It must not give what the other one gives: if its
/// name is taken, it counts by its id.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    names: HashMap<String, (String, Arc<str>)>,
    /// Groups whose name another group has by now: new members get only their id.
    taken: HashSet<String>,
    everyone: Option<Arc<str>>,
}

impl Groups {
    /// All groups of an organization.
    #[must_use]
    pub fn of(groups: &[Group]) -> Self {
        let called: Names<&str, &str> =
            groups.iter().map(|group| (group.profile.name.as_str(), group.id.as_str())).collect();
        let ids: HashSet<&str> = groups.iter().map(|group| group.id.as_str()).collect();
        let mut found = Self::default();
        for group in groups {
            let name = group.profile.name.as_str();
            let taken = !is_own(group) && !called.is_unique(name);
            // Nor does a group whose name equals the id of another.
            let taken = taken || ids.contains(name);
            let goes_by: Arc<str> = Arc::from(if taken { &group.id } else { name });
            if group.kind == "BUILT_IN" && name == EVERYONE {
                found.everyone = Some(Arc::clone(&goes_by));
            }
            found.names.insert(group.id.clone(), (name.to_owned(), goes_by));
        }
        found
    }

    /// Adds groups that are not known yet, and new names. What is gone in `new` stays until an event or a listing says
    /// so.
    pub fn learn(&mut self, new: &Self) {
        for (id, (name, goes_by)) in &new.names {
            if self.names.get(id).is_none_or(|(known, _)| known != name) {
                self.names.insert(id.clone(), (name.clone(), Arc::clone(goes_by)));
            }
            if **goes_by == **id {
                self.taken.insert(id.clone());
            } else {
                self.taken.remove(id);
            }
        }
        self.everyone = new.everyone.clone().or(self.everyone.take());
    }

    /// The name that membership in this group gives.
    #[must_use]
    pub fn name(&self, id: &str) -> Option<Arc<str>> {
        let (_, goes_by) = self.names.get(id)?;
        Some(if self.taken.contains(id) { Arc::from(id) } else { Arc::clone(goes_by) })
    }

    /// All names that membership in this group gives to anybody.
    pub fn all_names(&self, id: &str) -> impl Iterator<Item = Arc<str>> {
        self.names.get(id).map(|(_, goes_by)| Arc::clone(goes_by)).into_iter().chain(self.name(id))
    }

    /// Whether membership in any group gives another name in `other`.
    #[must_use]
    pub fn differs(&self, other: &Self) -> bool {
        let same = |id: &String| self.name(id) == other.name(id);
        self.everyone != other.everyone || !self.names.keys().chain(other.names.keys()).all(same)
    }

    /// The name of the group that contains everybody.
    #[must_use]
    pub fn everyone(&self) -> Option<Arc<str>> {
        self.everyone.clone()
    }

    /// Whether this group is known by this name.
    #[must_use]
    pub fn knows(&self, group: &Group) -> bool {
        self.names.get(&group.id).is_some_and(|(name, _)| *name == group.profile.name)
    }

    /// The ids of the groups whose members must be requested.
    #[must_use]
    pub fn to_ask(&self) -> Vec<String> {
        let everyone = |goes_by: &Arc<str>| self.everyone.as_ref() == Some(goes_by);
        self.names.iter().filter(|(_, (_, goes_by))| !everyone(goes_by)).map(|(id, _)| id.clone()).collect()
    }

    /// The number of groups.
    #[must_use]
    pub fn many(&self) -> usize {
        self.names.len()
    }
}

fn is_own(group: &Group) -> bool {
    group.kind != "APP_GROUP"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(id: &str, kind: &str, name: &str) -> Group {
        serde_json::from_value(serde_json::json!({ "id": id, "type": kind, "profile": { "name": name } })).unwrap()
    }

    #[test]
    fn a_group_of_an_application_never_passes_for_another() {
        let groups = Groups::of(&[
            group("1", "OKTA_GROUP", "payments-eng"),
            group("2", "APP_GROUP", "payments-eng"),
            group("3", "APP_GROUP", "sales"),
            group("4", "APP_GROUP", "ops"),
            group("5", "APP_GROUP", "ops"),
            group("6", "BUILT_IN", "Everyone"),
            group("7", "APP_GROUP", "Everyone"),
            group("8", "APP_GROUP", "4"),
        ]);
        let names: Vec<String> =
            ["1", "2", "3", "4", "5", "6", "7", "8"].iter().map(|id| groups.name(id).unwrap().to_string()).collect();
        assert_eq!(names, ["payments-eng", "2", "sales", "4", "5", "Everyone", "7", "8"]);
        assert_eq!(groups.everyone().as_deref(), Some("Everyone"));
        assert!(!groups.to_ask().contains(&"6".to_owned()), "everybody is in it");
        assert_eq!(groups.to_ask().len(), 7);
        assert!(groups.knows(&group("1", "OKTA_GROUP", "payments-eng")));
        assert!(!groups.knows(&group("1", "OKTA_GROUP", "payments")), "it was renamed");
        assert!(!groups.knows(&group("9", "OKTA_GROUP", "new")));
    }
}
