//! The guard: how much a listing may leave out (law 3), and what is held back.

use std::sync::Arc;

use super::{Sweep, present};
use crate::domain::event::{Event, HeldBack};
use crate::domain::inbox::Refused;
use crate::domain::person::PersonId;
use crate::domain::source::{MaxChange, SourceRules};
use crate::domain::time::{Now, Timestamp};
use crate::writer::plan::Plan;

#[derive(Clone, Copy, Debug)]
struct Memberships {
    known: usize,
    lost: usize,
    gained: usize,
}

impl Sweep {
    /// What the listing does to memberships in groups. Those of people who are missing go with them.
    fn memberships(&self, plan: &Plan, source: &str) -> Memberships {
        let here = plan.state.fold.people.of_source(source).filter(|known| present(&known.person));
        let mut all = Memberships { known: here.map(|known| known.person.groups.len()).sum(), lost: 0, gained: 0 };
        for (key, new) in &self.waiting {
            let known = plan.state.fold.people.get(*key).map_or(&[][..], |known| &known.person.groups);
            all.lost += known.iter().filter(|group| !new.groups.contains(group)).count();
            all.gained += new.groups.iter().filter(|group| !known.contains(group)).count();
        }
        all
    }

    /// Asks the guard: what the listing leaves out, if that is too much.
    pub(super) fn judged(
        &self,
        plan: &Plan,
        rules: &SourceRules,
        at: Timestamp,
        now: Now,
    ) -> Result<Vec<PersonId>, HeldBack> {
        let source = rules.name.as_str();
        let absent: Vec<PersonId> = self.absent(plan, source).map(|known| known.person.id.clone()).collect();
        let groups = self.memberships(plan, source);
        let guard = Guard::of(rules, plan, now);
        // Nobody at all is no company: from an empty listing nothing is concluded, not even from the first (law 3).
        let nobody = self.seen.is_empty() || (!absent.is_empty() && absent.len() >= self.known);
        let no_groups = groups.lost > 1 && groups.lost >= groups.known + groups.gained;
        let too_much =
            guard.people.is_passed(absent.len(), self.known) || guard.memberships.is_passed(groups.lost, groups.known);
        let emptied = (nobody && !guard.all_people_may_go) || (no_groups && !guard.all_memberships_may_go);
        if !too_much && !emptied {
            return Ok(absent);
        }
        let mut missing: Vec<String> = absent.into_iter().map(|id| id.key).collect();
        missing.sort_unstable();
        let (memberships, all_memberships) = (groups.lost, groups.known);
        Err(HeldBack { source: source.to_owned(), at, missing, known: self.known, memberships, all_memberships })
    }
}

/// How much may be missing.
struct Guard {
    people: MaxChange,
    memberships: MaxChange,
    /// It was announced that nobody may be left.
    all_people_may_go: bool,
    /// … or that no group may be.
    all_memberships_may_go: bool,
}

impl Guard {
    fn of(rules: &SourceRules, plan: &Plan, now: Now) -> Self {
        let feed = plan.state.fold.feeds.get(&rules.name);
        // What was announced is over as soon as either clock says so.
        let in_force = |said: Option<(u32, Timestamp)>| {
            let said = said.filter(|(_, until)| now.wall.max(now.steady) < *until);
            said.map_or(0.0, |(share, _)| f64::from(share) / 10_000.0)
        };
        // Lost groups that were confirmed say nothing of people.
        let people = in_force(feed.and_then(|feed| feed.expected));
        let memberships = people.max(in_force(feed.and_then(|feed| feed.confirmed_memberships)));
        let limit = |share: f64| MaxChange { share: rules.max_change.share.max(share), ..rules.max_change };
        Self {
            people: limit(people),
            memberships: limit(memberships),
            all_people_may_go: people >= 1.0,
            all_memberships_may_go: memberships >= 1.0,
        }
    }
}

/// Plans what is known of a listing that the guard holds back, and says so.
pub(super) fn hold(plan: &mut Plan, held: HeldBack, now: Now) -> Refused {
    let refused = Refused::Guarded {
        source_name: held.source.clone(),
        missing: held.missing.len(),
        known: held.known,
        memberships: held.memberships,
    };
    let before = plan.state.fold.feeds.get(&held.source).and_then(|feed| feed.held.clone());
    let same = |before: &Arc<HeldBack>| before.missing == held.missing && before.memberships == held.memberships;
    if !before.as_ref().is_some_and(same) {
        plan.add(Event::HeldBack(held), now);
    }
    refused
}
