//! The guard over random companies: what `diff` and `judge` say, against a naive reading of the same listing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;

use super::diff::{ListingDiff, diff, same};
use super::judgement::{Judgement, Limits, judge};
use crate::corp::at;
use crate::domain::event::{Event, NewEvent, Recorded};
use crate::domain::guard::Removals;
use crate::domain::key::{KeySet, Keyer};
use crate::domain::person::{Person, PersonId, Status};
use crate::domain::source::MaxChange;
use crate::state::fold::Fold;
use crate::state::people::person_key;
use crate::writer::listings::OpenListing;

const SHARE: f64 = 0.2;
const FROM: usize = 10;

/// Everybody of the source, by key: their groups; `None`: departed.
type Company = BTreeMap<String, Option<BTreeSet<String>>>;

#[derive(Clone, Debug)]
enum Change {
    /// So many are not in the listing.
    Leave(Vec<Index>),
    /// So many come.
    Join(usize),
    /// A group is called otherwise.
    Rename(usize),
    /// Nobody is in a group any more.
    Empty(usize),
    /// Some change into another group.
    Move(Vec<Index>, usize),
}

fn company() -> impl Strategy<Value = Company> {
    let groups = prop::collection::btree_set((0..6_usize).prop_map(|number| format!("g{number}")), 0..3);
    let person = prop::option::weighted(0.95, groups);
    prop::collection::vec(person, 1..300)
        .prop_map(|people| (0..).zip(people).map(|(number, person)| (format!("p{number:03}"), person)).collect())
}

fn change() -> impl Strategy<Value = Change> {
    let some = || prop::collection::vec(any::<Index>(), 0..80);
    prop_oneof![
        some().prop_map(Change::Leave),
        (0..20_usize).prop_map(Change::Join),
        (0..6_usize).prop_map(Change::Rename),
        (0..6_usize).prop_map(Change::Empty),
        (some(), 0..6_usize).prop_map(|(who, group)| Change::Move(who, group)),
    ]
}

/// What a listing says after these changes: nobody in it has departed.
fn listing(company: &Company, changes: &[Change]) -> BTreeMap<String, BTreeSet<String>> {
    let mut listed: BTreeMap<String, BTreeSet<String>> =
        company.iter().filter_map(|(key, groups)| Some((key.clone(), groups.clone()?))).collect();
    let keys: Vec<String> = listed.keys().cloned().collect();
    let named = |number: &usize| format!("g{number}");
    for change in changes {
        match change {
            Change::Leave(who) if !keys.is_empty() => {
                who.iter().for_each(|index| drop(listed.remove(index.get(&keys))));
            }
            Change::Join(many) => {
                let new = (0..*many).map(|number| (format!("new{number:03}"), BTreeSet::from(["g0".to_owned()])));
                listed.extend(new);
            }
            Change::Rename(number) => {
                let members = listed.values_mut().filter_map(|groups| groups.remove(&named(number)).then_some(groups));
                for groups in members {
                    groups.insert(format!("{} renamed", named(number)));
                }
            }
            Change::Empty(number) => {
                for groups in listed.values_mut() {
                    groups.remove(&named(number));
                }
            }
            Change::Move(who, number) if !keys.is_empty() => {
                for key in who.iter().map(|index| index.get(&keys)) {
                    if let Some(groups) = listed.get_mut(key) {
                        *groups = BTreeSet::from([named(number)]);
                    }
                }
            }
            Change::Leave(_) | Change::Move(..) => {}
        }
    }
    listed
}

fn person(key: &str, groups: Option<&BTreeSet<String>>) -> Person {
    let status = if groups.is_some() { Status::Active } else { Status::Departed };
    let groups = groups.into_iter().flatten().cloned().collect();
    Person { groups, ..Person::new(PersonId { source: "hr".into(), key: key.into() }, status) }
}

struct Stage(Fold);

impl Stage {
    fn of(company: &Company) -> Self {
        let mut stage = Self(Fold::empty(Keyer::new([1; 16]), 1));
        company.iter().for_each(|(key, groups)| stage.put(person(key, groups.as_ref())));
        stage
    }

    fn put(&mut self, person: Person) {
        let new = NewEvent { time: at(0).wall, happened: None, id: None, event: Event::Person(Arc::new(person)) };
        self.0.apply(&Recorded { position: self.0.epoch.position + 1, new });
    }

    /// The listing, as its pages are taken in.
    fn diff(&self, listed: &BTreeMap<String, BTreeSet<String>>) -> ListingDiff {
        let known = self.0.people.counts().get("hr").map_or(0, |[active, suspended, _]| active + suspended);
        let mut open = OpenListing { known, ..OpenListing::default() };
        for (key, groups) in listed {
            let new = person(key, Some(groups));
            let key = person_key(&self.0.keyer, &new.id);
            let is_same = self.0.people.get(key).is_some_and(|known| same(&known.person, &new));
            open.take(vec![(key, (!is_same).then(|| Arc::new(new)))], vec![]);
        }
        diff(&self.0.people, "hr", &open, &KeySet::default())
    }

    fn accept(&mut self, diff: ListingDiff) {
        diff.changed.into_values().for_each(|person| self.put(Person::clone(&person)));
        for id in diff.missing.into_values() {
            self.put(Person::new(id, Status::Departed));
        }
    }
}

fn limits() -> Limits {
    let change = MaxChange { share: SHARE, from: FROM };
    Limits {
        change,
        unreadable: change,
        announced: false,
        all_may_go: false,
        confirmed: vec![],
        confirmed_memberships: 0,
        lately: Removals::default(),
        older: None,
    }
}

/// Groups that two at least leave by this listing, and that nobody in it is in; whether each is only called otherwise.
fn emptied(company: &Company, listed: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, (usize, bool)> {
    let members = |group: &str| -> BTreeSet<&String> {
        let is_in = |(key, groups): (&'_ _, &Option<BTreeSet<String>>)| {
            let _: &String = key;
            groups.as_ref().is_some_and(|groups| groups.contains(group))
        };
        company
            .iter()
            .filter(|(key, groups)| is_in((*key, *groups)) && listed.contains_key(*key))
            .map(|(key, _)| key)
            .collect()
    };
    let names: BTreeSet<&String> = company.values().flatten().flatten().collect();
    let mut emptied = BTreeMap::new();
    for name in names {
        let left = members(name);
        if left.len() < 2 || listed.values().any(|groups| groups.contains(name)) {
            continue;
        }
        // Another name with the same people and nobody else of those who are known, and whom nobody was in.
        let is_new_name = |other: &String| {
            let of_it: BTreeSet<&String> = listed
                .iter()
                .filter(|(key, groups)| company.contains_key(*key) && groups.contains(other))
                .map(|(key, _)| key)
                .collect();
            of_it == left
                && !company.iter().any(|(key, groups)| {
                    listed.contains_key(key) && groups.as_ref().is_some_and(|groups| groups.contains(other))
                })
        };
        let others: BTreeSet<&String> = listed.values().flatten().collect();
        emptied.insert(name.clone(), (left.len(), others.into_iter().any(is_new_name)));
    }
    emptied
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_passes_leaves_out_no_more_than_it_may(
        company in company(),
        changes in prop::collection::vec(change(), 0..5),
        lately in 0..40_usize,
    ) {
        let listed = listing(&company, &changes);
        let mut stage = Stage::of(&company);
        let found = stage.diff(&listed);

        let here: BTreeMap<&String, &BTreeSet<String>> =
            company.iter().filter_map(|(key, groups)| Some((key, groups.as_ref()?))).collect();
        let missing = here.keys().filter(|key| !listed.contains_key(**key)).count();
        let emptied = emptied(&company, &listed);
        let renamed: usize = emptied.values().filter(|(_, renamed)| *renamed).map(|(members, _)| members).sum();
        let lost = |(key, groups): (&&String, &&BTreeSet<String>)| {
            listed.get(*key).map_or(0, |new| groups.iter().filter(|group| !new.contains(*group)).count())
        };
        let lost = here.iter().map(lost).sum::<usize>() - renamed;
        let memberships: usize = here.values().map(|groups| groups.len()).sum();
        prop_assert_eq!(found.missing.len(), missing);
        prop_assert_eq!(found.memberships.known, memberships);

        let limits = Limits {
            lately: Removals { people: lately, known: here.len(), memberships: 0, all_memberships: 0 },
            ..limits()
        };
        let too_many = |many: usize, of: usize| {
            let (many, of) = (i32::try_from(many).unwrap(), i32::try_from(of).unwrap());
            many >= 10 && f64::from(many) > f64::from(of) * SHARE
        };
        let nobody = listed.is_empty() || (missing > 0 && missing >= here.len());
        let too_many_people = missing > 0 && too_many(missing + lately, here.len());
        let too_many_memberships = lost > 0 && too_many(lost, memberships);
        let none_in_a_group = lost > 1 && lost >= memberships + found.memberships.gained;
        let large_is_empty = emptied.values().any(|(members, renamed)| *members >= FROM && !renamed);
        let wanted = !(nobody || too_many_people || too_many_memberships || none_in_a_group || large_is_empty);
        match judge(&found, &limits, at(5).wall) {
            Judgement::Accept { removed, verify } => {
                prop_assert!(wanted, "{missing} people, {lost} of {memberships} memberships, {emptied:?}");
                prop_assert_eq!((removed.people, removed.memberships), (missing, lost));
                prop_assert!(verify.len() >= missing);
                // All of it in force: the same listing changes nothing more.
                stage.accept(found);
                let again = stage.diff(&listed);
                prop_assert!(again.changed.is_empty() && again.missing.is_empty(), "{again:?}");
            }
            Judgement::Block(held) => {
                prop_assert!(!wanted, "{missing} people, {lost} of {memberships} memberships, {emptied:?}");
                prop_assert_eq!((held.missing.len(), held.memberships), (missing, lost));
            }
            Judgement::Reject(what) => prop_assert!(false, "{what}"),
        }
    }

    #[test]
    fn what_a_day_leaves_out_is_added_up(company in company(), first in prop::collection::vec(any::<Index>(), 0..60)) {
        let mut stage = Stage::of(&company);
        let listed = listing(&company, &[Change::Leave(first)]);
        let found = stage.diff(&listed);
        let Judgement::Accept { removed, .. } = judge(&found, &limits(), at(5).wall) else { return Ok(()) };
        let known = found.known;
        stage.accept(found);
        // One more each time: never more than may go in all.
        let (mut lately, mut left) = (removed, listed);
        while let Some((key, _)) = left.pop_last() {
            let found = stage.diff(&left);
            match judge(&found, &Limits { lately, ..limits() }, at(6).wall) {
                Judgement::Accept { removed, .. } => {
                    lately = lately.and(removed);
                    stage.accept(found);
                }
                _ => break,
            }
            prop_assert!(!key.is_empty());
        }
        let most = FROM.max(known / 5 + 1);
        prop_assert!(lately.people < most || known <= 1, "{} of {known}", lately.people);
    }
}
