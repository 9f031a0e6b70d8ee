//! Who is in which group of a tenant: direct members, as the provider reports them, and the groups that follow from
//! them.
//!
//! A group counts by its object id, which tokens contain, and by its display name if no other group of the tenant has
//! it, as anybody may choose a display name. A display name that looks like an id does not count: it might be another
//! group's. Each id is stored once and numbered; a membership takes some twenty bytes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::wire::is_guid;
use crate::source::names::Names;

/// The number of an id.
type Number = u32;

/// The groups of a tenant.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    numbers: HashMap<Arc<str>, Number>,
    ids: Vec<Arc<str>>,
    groups: HashMap<Number, Group>,
    /// The groups of which a user or group is a direct member.
    parents: HashMap<Number, Vec<Number>>,
    /// The groups that have each name.
    names: Names<String, Number>,
}

#[derive(Clone, Debug, Default)]
struct Group {
    name: String,
    members: BTreeSet<Number>,
}

impl Graph {
    fn number(&mut self, id: &str) -> Number {
        if let Some(number) = self.numbers.get(id) {
            return *number;
        }
        let (id, number) = (Arc::<str>::from(id), Number::try_from(self.ids.len()).unwrap_or(Number::MAX));
        self.ids.push(Arc::clone(&id));
        self.numbers.insert(id, number);
        number
    }

    fn id(&self, number: Number) -> &str {
        usize::try_from(number).ok().and_then(|number| self.ids.get(number)).map_or("", |id| id)
    }

    fn group(&self, id: &str) -> Option<&Group> {
        self.groups.get(self.numbers.get(id)?)
    }

    /// Whether this group exists.
    #[must_use]
    pub fn has(&self, group: &str) -> bool {
        self.group(group).is_some()
    }

    /// Whether this is a direct member of that group.
    #[must_use]
    pub fn is_in(&self, group: &str, member: &str) -> bool {
        self.group(group).zip(self.numbers.get(member)).is_some_and(|(group, member)| group.members.contains(member))
    }

    /// Adds a group, or renames it.
    pub fn put(&mut self, group: &str, name: &str) {
        let number = self.number(group);
        let known = self.groups.entry(number).or_default();
        if known.name != name {
            let before = std::mem::replace(&mut known.name, name.to_owned());
            self.names.remove(&before, number);
        }
        self.names.add(name.to_owned(), number);
    }

    /// Adds a direct member, a user or a group. Members may be reported before their group.
    pub fn join(&mut self, group: &str, member: &str) {
        let (group, member) = (self.number(group), self.number(member));
        if self.groups.entry(group).or_default().members.insert(member) {
            self.parents.entry(member).or_default().push(group);
        }
    }

    /// Removes a direct member.
    pub fn part(&mut self, group: &str, member: &str) {
        let Some((group, member)) = self.numbers.get(group).copied().zip(self.numbers.get(member).copied()) else {
            return;
        };
        if let Some(known) = self.groups.get_mut(&group) {
            known.members.remove(&member);
        }
        self.orphan(member, group);
    }

    fn orphan(&mut self, member: Number, group: Number) {
        if let Some(parents) = self.parents.get_mut(&member) {
            parents.retain(|parent| *parent != group);
            if parents.is_empty() {
                self.parents.remove(&member);
            }
        }
    }

    /// Sets the direct members of a group.
    pub fn set_members(&mut self, group: &str, members: &HashSet<String>) {
        for left in
            self.members(group).filter(|member| !members.contains(*member)).map(str::to_owned).collect::<Vec<_>>()
        {
            self.part(group, &left);
        }
        for member in members {
            self.join(group, member);
        }
    }

    /// The direct members of a group.
    pub fn members(&self, group: &str) -> impl Iterator<Item = &str> {
        self.group(group).into_iter().flat_map(|group| &group.members).map(|member| self.id(*member))
    }

    /// Removes a group.
    pub fn drop_group(&mut self, group: &str) {
        let Some(number) = self.numbers.get(group).copied() else { return };
        let Some(known) = self.groups.remove(&number) else { return };
        self.names.remove(&known.name, number);
        for member in known.members {
            self.orphan(member, number);
        }
        for parent in self.parents.remove(&number).unwrap_or_default() {
            if let Some(parent) = self.groups.get_mut(&parent) {
                parent.members.remove(&number);
            }
        }
    }

    /// The name by which a group counts beside its id, if any.
    #[must_use]
    pub fn goes_by(&self, group: &str) -> Option<&str> {
        self.own_name(self.group(group)?)
    }

    fn own_name<'a>(&self, group: &'a Group) -> Option<&'a str> {
        Some(group.name.as_str()).filter(|name| !name.is_empty() && !is_guid(name) && self.names.is_unique(*name))
    }

    /// A member's groups, direct and through other groups: their ids and names, sorted. Groups may contain each other;
    /// each is visited once.
    #[must_use]
    pub fn flat(&self, id: &str) -> Vec<String> {
        let Some(number) = self.numbers.get(id) else { return Vec::new() };
        let (mut next, mut seen, mut names) = (vec![*number], HashSet::new(), BTreeSet::new());
        while let Some(member) = next.pop() {
            for parent in self.parents.get(&member).into_iter().flatten().filter(|parent| seen.insert(**parent)) {
                next.push(*parent);
                names.insert(self.id(*parent));
                names.extend(self.groups.get(parent).and_then(|group| self.own_name(group)));
            }
        }
        names.into_iter().map(str::to_owned).collect()
    }

    /// Makes `change`, and returns the people whose groups differ afterwards. `touched` are the members that are added
    /// or removed, and the groups that are added, removed or renamed; `names` are the names of these groups before and
    /// after.
    pub fn moved<'a>(
        &mut self,
        touched: impl IntoIterator<Item = &'a str>,
        names: impl IntoIterator<Item = &'a str>,
        change: impl FnOnce(&mut Self),
    ) -> Vec<String> {
        let mut next: Vec<Number> = names.into_iter().flat_map(|name| self.names.holders(name)).collect();
        // A group without members affects nobody; a user who is in no group yet may join one.
        next.extend(touched.into_iter().map(|id| self.number(id)));
        let (mut seen, mut people) = (HashSet::new(), Vec::new());
        while let Some(number) = next.pop() {
            if !seen.insert(number) {
                continue;
            }
            match self.groups.get(&number) {
                Some(group) => next.extend(&group.members),
                None => people.push(self.id(number).to_owned()),
            }
        }
        let before: Vec<Vec<String>> = people.iter().map(|person| self.flat(person)).collect();
        change(self);
        let changed = people.into_iter().zip(before).filter(|(person, before)| self.flat(person) != *before);
        changed.map(|(person, _)| person).collect()
    }

    /// The name of a group.
    #[must_use]
    pub fn name(&self, group: &str) -> Option<&str> {
        self.group(group).map(|group| group.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// a ∈ eng ⊂ all ⊂ eng (a circle), b ∈ all, c ∈ sales
    fn graph() -> Graph {
        let mut graph = Graph::default();
        // Members may be told first.
        graph.join("1", "a");
        graph.join("2", "1");
        graph.join("1", "2");
        graph.join("2", "b");
        graph.put("1", "eng");
        graph.put("2", "all");
        graph.put("3", "sales");
        graph.join("3", "c");
        graph
    }

    #[test]
    fn a_member_of_a_group_is_one_of_what_that_is_in() {
        let graph = graph();
        assert_eq!(graph.flat("a"), ["1", "2", "all", "eng"]);
        assert_eq!(graph.flat("b"), ["1", "2", "all", "eng"], "they contain each other");
        assert_eq!(graph.flat("c"), ["3", "sales"]);
        assert_eq!(graph.flat("d"), Vec::<String>::new());
    }

    #[test]
    fn a_name_that_two_groups_have_is_nobodys() {
        let mut graph = graph();
        let moved = graph.moved(["4"], ["sales"], |graph| graph.put("4", "sales"));
        assert_eq!((moved, graph.flat("c")), (vec!["c".to_owned()], vec!["3".to_owned()]));
        let moved = graph.moved(["4"], ["sales"], |graph| graph.drop_group("4"));
        assert_eq!((moved.len(), graph.flat("c")), (1, vec!["3".to_owned(), "sales".to_owned()]));
        let moved = graph.moved(["3"], ["sales", "west"], |graph| graph.put("3", "west"));
        assert_eq!((moved.len(), graph.flat("c")), (1, vec!["3".to_owned(), "west".to_owned()]));
    }

    #[test]
    fn a_name_that_is_anothers_id_gives_nothing() {
        let (payments, own) = ("8b1ee412-0001-4aaa-bbbb-000000000001", "8b1ee412-0001-4aaa-bbbb-000000000002");
        let mut graph = Graph::default();
        graph.put(payments, "payments");
        // Everybody in a tenant may create groups, and call them as they like.
        graph.put(own, payments);
        graph.join(own, "a");
        assert_eq!(graph.flat("a"), [own]);
        graph.put(own, &payments.to_uppercase());
        assert_eq!(graph.flat("a"), [own]);
    }

    #[test]
    fn exactly_those_who_moved_are_named() {
        let mut graph = graph();
        let mut moved = graph.moved(["1"], [], |graph| graph.part("2", "1"));
        moved.sort();
        assert_eq!(moved, ["a"], "b is in eng by all, which is still in it");
        assert_eq!(graph.flat("a"), ["1", "eng"]);
        assert!(graph.moved(["1"], [], |graph| graph.part("2", "1")).is_empty(), "once");
        let mut moved = graph.moved(["2"], [], |graph| graph.join("3", "2"));
        moved.sort();
        assert_eq!((moved, graph.flat("b").len()), (vec!["b".to_owned()], 6));
        let moved = graph.moved(["new"], [], |graph| graph.join("3", "new"));
        assert_eq!(moved, ["new"]);
    }

    #[test]
    fn a_group_that_is_gone_takes_its_memberships_along() {
        let mut graph = graph();
        let mut moved = graph.moved(["2"], ["all"], |graph| graph.drop_group("2"));
        moved.sort();
        assert_eq!(moved, ["a", "b"]);
        assert_eq!((graph.flat("a"), graph.flat("b").len()), (vec!["1".to_owned(), "eng".to_owned()], 0));
        assert!(!graph.is_in("1", "2") && graph.is_in("1", "a"));
        graph.set_members("1", &HashSet::from(["b".to_owned()]));
        assert_eq!(graph.members("1").collect::<Vec<_>>(), ["b"]);
        assert_eq!(graph.flat("a"), Vec::<String>::new());
    }
}
