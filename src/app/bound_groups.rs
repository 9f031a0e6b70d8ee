//! Finds bound groups without members: a misspelt group grants nothing, and nothing else reports it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::name::Directory;
use crate::domain::person::Status;
use crate::state::{Published, State};

/// A group named by a binding, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BoundGroup {
    /// Name of the issuer.
    pub issuer: String,
    /// Name of the group.
    pub group: String,
    /// `file:line` of the first binding.
    pub place: String,
}

/// Bound groups without members in any source of their issuer. Issuers with a source that never completed a full sync, or
/// supplies no groups, are skipped.
#[must_use]
pub fn of_nobody(state: &State) -> Vec<BoundGroup> {
    let policy = &state.rules.policy;
    let mut missing = Vec::new();
    for (index, issuer) in (0_u16..).zip(&policy.issuers) {
        let mut bound: BTreeMap<&str, BoundGroup> = BTreeMap::new();
        for binding in policy.bindings.iter().filter(|binding| binding.issuer == Some(index)) {
            for group in &binding.groups {
                let of = BoundGroup { issuer: issuer.name.clone(), group: group.clone(), place: binding.place.clone() };
                bound.entry(group).or_insert(of);
            }
        }
        let sources: Vec<_> = policy.sources.iter().filter(|source| source.issuer == index).collect();
        let known = |name: &str| state.fold.sources.contains_key(name);
        let all = sources.iter().all(|source| source.supplies.groups && known(&source.name));
        if bound.is_empty() || sources.is_empty() || !all {
            continue;
        }
        let names: BTreeSet<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        let present = |status: Status| status != Status::Departed;
        let people = state.fold.people.iter().map(|known| &known.person);
        let mut groups: BTreeMap<Directory, BTreeSet<&str>> = BTreeMap::new();
        for person in people.filter(|person| names.contains(person.id.source.as_str()) && present(person.status)) {
            let source = sources.iter().find(|source| source.name == person.id.source);
            let Some(directory) = source.map(|source| source.directory) else { continue };
            groups.entry(directory).or_default().extend(person.groups.iter().map(String::as_str));
        }
        for (directory, groups) in groups {
            let spelt = |group: &str| directory.compares_group(group).fold(group).text.into_owned();
            let groups: BTreeSet<String> = groups.into_iter().map(spelt).collect();
            bound.retain(|group, _| !groups.contains(&spelt(group)));
        }
        missing.extend(bound.into_values());
    }
    missing.sort();
    missing
}

/// Warns about each group once: after all sources of its issuer were listed, and when a configuration adds one.
pub async fn watch(published: Arc<Published>) {
    let mut epochs = published.epochs();
    let (mut looked, mut said) = (None, BTreeSet::new());
    loop {
        epochs.borrow_and_update();
        let state = published.snapshot();
        let due = Some((state.rules.generation, state.fold.sources.len()));
        if due != looked {
            looked = due;
            // This looks at everybody, so it must not run on a thread that others wait for.
            let found = tokio::task::spawn_blocking(move || of_nobody(&state)).await.unwrap_or_default();
            for BoundGroup { issuer, group, place } in found {
                if said.insert((issuer.clone(), group.clone())) {
                    tracing::warn!(
                        config.place = place,
                        issuer.name = issuer,
                        group,
                        "{place}: bound group `{group}` has no members in any source of `{issuer}`; check its spelling"
                    );
                }
            }
        }
        if epochs.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corp;
    use crate::domain::binding::Binding;
    use crate::domain::event::{Event, NewEvent, Recorded};
    use crate::domain::guard::Removals;
    use crate::domain::key::Keyer;
    use crate::state::fold::Fold;
    use crate::state::rules::Rules;

    fn tell(state: &mut State, event: Event) {
        let new = NewEvent { time: corp::at(0).wall, happened: None, id: None, event };
        state.fold.apply(&Recorded { position: state.fold.epoch.position + 1, new });
    }

    #[test]
    fn it_is_said_once_everybody_is_listed() {
        let keyer = Keyer::new([1; 16]);
        let mut policy = corp::policy();
        let bound = |groups: &[&str]| Binding {
            role: 0,
            issuer: Some(0),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            people: vec![],
            clients: vec![],
            everyone: false,
            expires: None,
            place: "roles.yaml:7".into(),
        };
        policy.bindings = vec![bound(&["night-shift", "nigth-shift"]), bound(&["old-crew"])];
        let rules = Arc::new(Rules::new(Arc::new(policy), 1, &keyer));
        let mut state = State { fold: Fold::empty(keyer, 1), rules };
        let mut dora = corp::person("dora", Status::Active);
        dora.groups = vec!["night-shift".into()];
        let mut emil = corp::person("emil", Status::Departed);
        emil.groups = vec!["old-crew".into()];
        for person in [dora, emil] {
            tell(&mut state, Event::Person(Arc::new(person)));
        }
        assert_eq!(of_nobody(&state), [], "nothing is concluded from half a listing");
        let synced = Event::Synced { source: "hr".into(), at: corp::at(1).wall, left_out: Removals::default() };
        tell(&mut state, synced);
        let found: Vec<(String, String)> = of_nobody(&state).into_iter().map(|of| (of.group, of.place)).collect();
        let expected = ["nigth-shift", "old-crew"].map(|group| (group.to_owned(), "roles.yaml:7".to_owned()));
        assert_eq!(found, expected);
    }
}
