//! The guard: how much a listing may leave out (law 3), and what is held back.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::{OpenListing, OpenListings, backwards, present};
use crate::domain::command::Refused;
use crate::domain::event::Event;
use crate::domain::guard::{Confirmed, HeldListing, HeldListingUpdate, Removals, is_lately};
use crate::domain::name::Directory;
use crate::domain::person::{Person, PersonId};
use crate::domain::source::{MaxChange, SourceRules};
use crate::domain::time::{Now, Timestamp};
use crate::writer::plan::Plan;

/// What the guard lets through.
pub(super) struct Passed {
    /// Who is missing.
    pub(super) missing: Vec<PersonId>,
    /// Who is there, and leaves a group without anybody: as little to be believed of one look as a missing person.
    pub(super) doubtful: Vec<PersonId>,
    /// What counts for the next listings.
    pub(super) left_out: Removals,
}

#[derive(Clone, Copy, Debug)]
struct Memberships {
    known: usize,
    lost: usize,
    gained: usize,
}

/// A group that several people are known to be in, and none in the listing.
struct Emptied<'a> {
    name: &'a str,
    /// Who was.
    members: Vec<&'a PersonId>,
    /// What they all are in instead.
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

impl OpenListing {
    /// What the listing does to memberships in groups. Those of people who are missing go with them.
    fn memberships(&self, plan: &Plan, source: &str) -> Memberships {
        let people = &plan.state.fold.people;
        let directory = people.directory(source);
        let here = people.of_source(source).filter(|known| present(&known.person));
        let mut all = Memberships { known: here.map(|known| known.person.groups.len()).sum(), lost: 0, gained: 0 };
        for (key, new) in &self.waiting {
            let known = people.get(*key).map_or(&[][..], |known| &known.person.groups);
            all.lost += not_among(directory, known, &new.groups).len();
            all.gained += not_among(directory, &new.groups, known).len();
        }
        all
    }

    /// Groups that become empty. Only those that somebody leaves are looked at.
    fn emptied<'a>(&'a self, plan: &'a Plan, source: &'a str) -> Vec<Emptied<'a>> {
        let directory = plan.state.fold.people.directory(source);
        let mut left: BTreeMap<&str, Emptied<'a>> = BTreeMap::new();
        for (key, new) in &self.waiting {
            let Some(known) = plan.state.fold.people.get(*key).map(|known| &known.person) else { continue };
            let gained = || not_among(directory, &new.groups, &known.groups).into_iter();
            for name in not_among(directory, &known.groups, &new.groups) {
                let group = left.entry(name).or_insert_with(|| Emptied {
                    name,
                    members: Vec::new(),
                    instead: gained().collect(),
                });
                group.members.push(&known.id);
                group.instead.retain(|instead| new.groups.iter().any(|group| group == instead));
            }
        }
        left.retain(|_, group| group.members.len() > 1);
        if left.is_empty() {
            return Vec::new();
        }
        // How many come into each of what would be new names; none where somebody was in it already.
        let names = left.values().flat_map(|group| group.instead.iter().copied());
        let mut new_names: BTreeMap<&str, Option<usize>> = names.map(|name| (name, Some(0))).collect();
        for known in plan.state.fold.people.of_source(source).filter(|known| self.seen.contains(&known.key)) {
            let new = self.waiting.get(&known.key).map_or(&known.person.groups, |new| &new.groups);
            new.iter().for_each(|group| drop(left.remove(group.as_str())));
            for (groups, is_new) in [(new, true), (&known.person.groups, false)] {
                for group in groups {
                    if let Some(many) = new_names.get_mut(group.as_str()) {
                        *many = many.filter(|_| is_new).map(|many| many + 1);
                    }
                }
            }
        }
        for new in self.waiting.values() {
            new.groups.iter().for_each(|group| drop(left.remove(group.as_str())));
        }
        // Called otherwise is what has the same people, and nobody else of those who are known.
        for group in left.values_mut() {
            let many = Some(group.members.len());
            group.instead.retain(|name| new_names.get(name).is_some_and(|new| *new == many));
        }
        left.into_values().collect()
    }

    /// Asks the guard: what the listing leaves out, if that is not too much.
    pub(super) fn judged(
        &self,
        plan: &Plan,
        rules: &SourceRules,
        at: Timestamp,
        now: Now,
    ) -> Result<Passed, Box<HeldListing>> {
        let source = rules.name.as_str();
        let missing: Vec<PersonId> = self.absent(plan, source).map(|known| known.person.id.clone()).collect();
        let mut groups = self.memberships(plan, source);
        // Who is in a group that is called otherwise has lost nothing.
        let (renamed, emptied): (Vec<Emptied<'_>>, Vec<Emptied<'_>>) =
            self.emptied(plan, source).into_iter().partition(|group| !group.instead.is_empty());
        groups.lost = groups.lost.saturating_sub(renamed.iter().map(|group| group.members.len()).sum());
        let guard = RemovalGuard::of(rules, plan, now);
        let left_out = Removals {
            people: missing.len(),
            known: self.known,
            // What was confirmed is not missing any more.
            memberships: groups.lost.saturating_sub(guard.confirmed_memberships),
            all_memberships: groups.known,
        };
        // Nobody at all is no company: from an empty listing nothing is concluded, not even from the first (law 3).
        let nobody = self.seen.is_empty() || (!missing.is_empty() && missing.len() >= self.known);
        let no_groups = left_out.memberships > 1 && groups.lost >= groups.known + groups.gained;
        let all_gone = (nobody || no_groups) && !guard.all_may_go;
        let (small, large): (Vec<Emptied<'_>>, Vec<Emptied<'_>>) =
            emptied.into_iter().partition(|group| group.members.len() < guard.limit.from);
        let mut emptied: Vec<String> = large.iter().map(|group| group.name.to_owned()).collect();
        emptied.retain(|group| !guard.all_may_go && !guard.confirmed.contains(group));
        // One that says again what is known is not older any more. Of whom it cannot be read that is not known.
        let same = missing.is_empty() && self.waiting.is_empty() && self.unread == 0;
        let because = backwards::reason(plan, source).map(str::to_owned);
        let older = because.is_some() && !same;
        if !all_gone && emptied.is_empty() && !guard.is_passed(left_out) && !older {
            let mut doubtful: Vec<PersonId> = small.iter().flat_map(|group| &group.members).copied().cloned().collect();
            doubtful.sort_unstable();
            doubtful.dedup();
            // What was announced is not added to what happens afterwards.
            let left_out = if guard.announced { Removals::default() } else { left_out };
            return Ok(Passed { missing, doubtful, left_out });
        }
        let mut missing: Vec<String> = missing.into_iter().map(|id| id.key).collect();
        missing.sort_unstable();
        let (memberships, all_memberships) = (groups.lost, groups.known);
        let (known, source) = (self.known, source.to_owned());
        let unlisted = false;
        let held = HeldListing { source, at, missing, known, memberships, all_memberships, emptied, because, unlisted };
        Err(Box::new(held))
    }
}

/// How much may be missing.
struct RemovalGuard {
    limit: MaxChange,
    /// It was announced that many will leave.
    announced: bool,
    /// … or that nobody may be left.
    all_may_go: bool,
    /// Groups that may be left without anybody.
    confirmed: Vec<String>,
    /// Memberships that may be missing beside.
    confirmed_memberships: usize,
    /// What listings left out lately.
    lately: Removals,
}

impl RemovalGuard {
    fn of(rules: &SourceRules, plan: &Plan, now: Now) -> Self {
        let feed = plan.state.fold.feeds.get(&rules.name);
        // What was announced is over as soon as either clock says so.
        let in_force = |until: Timestamp| now.wall.max(now.steady) < until;
        let share = |share: u32| f64::from(share) / 10_000.0;
        let announced = feed.and_then(|feed| feed.expected).filter(|(_, until)| in_force(*until));
        let confirmed: Option<&Confirmed> =
            feed.and_then(|feed| feed.confirmed.as_ref()).filter(|confirmed| in_force(confirmed.until));
        let lately = feed.and_then(|feed| feed.left_out).filter(|(since, _)| is_lately(*since, now.wall));
        let announced_share = announced.map_or(0.0, |(announced, _)| share(announced));
        let limit = MaxChange { share: rules.max_change.share.max(announced_share), ..rules.max_change };
        Self {
            limit,
            announced: announced.is_some(),
            all_may_go: announced_share >= 1.0,
            // Lost groups that were confirmed say nothing of people.
            confirmed: confirmed.map(|confirmed| confirmed.groups.clone()).unwrap_or_default(),
            confirmed_memberships: confirmed.map_or(0, |confirmed| confirmed.memberships),
            lately: lately.map(|(_, lately)| lately).unwrap_or_default(),
        }
    }

    /// Whether that is too much, together with what was left out lately.
    fn is_passed(&self, left_out: Removals) -> bool {
        let sum = self.lately.and(left_out);
        (left_out.people > 0 && self.limit.is_passed(sum.people, sum.known))
            || (left_out.memberships > 0 && self.limit.is_passed(sum.memberships, sum.all_memberships))
    }
}

/// Plans what is known of a listing that the guard holds back, and says so.
pub(super) fn hold(plan: &mut Plan, held: HeldListing, now: Now) -> Refused {
    let feed = plan.state.fold.feeds.get(&held.source);
    let lately = feed.and_then(|feed| feed.left_out).filter(|(since, _)| is_lately(*since, now.wall));
    let mut beside = held.emptied.iter().map(|group| format!(", nobody is left in `{group}`")).collect::<String>();
    if let Some((since, lately)) = lately {
        let Removals { people, memberships, .. } = lately;
        beside +=
            &format!(", beside {people} people and {memberships} memberships that listings left out since {since}");
    }
    if let Some(because) = &held.because {
        beside += &format!(", and {because}");
    }
    let refused = Refused::Guarded {
        beside,
        source_name: held.source.clone(),
        missing: held.missing.len(),
        known: held.known,
        memberships: held.memberships,
    };
    match plan.state.fold.feeds.get(&held.source).and_then(|feed| feed.held.clone()) {
        None => plan.add(Event::ListingHeld(held), now),
        Some(before) => {
            if let Some(on) = before.until(&held) {
                plan.add(Event::ListingHeldUpdated(on), now);
            }
        }
    }
    refused
}

/// Somebody is there after all: whoever confirms the listing that is held back does not mean them.
pub(in crate::writer) fn seen(plan: &mut Plan, open_listings: &mut OpenListings, person: &Person, now: Now) {
    if !present(person) {
        return;
    }
    let is_missing = |held: &HeldListing| held.missing.binary_search(&person.id.key).ok();
    if let Some(judged) = open_listings.judged.get_mut(&person.id.source)
        && let Some(at) = is_missing(judged)
    {
        Arc::make_mut(judged).missing.remove(at);
    }
    let feed = plan.state.fold.feeds.get(&person.id.source);
    let Some(held) = feed.and_then(|feed| feed.held.clone()).filter(|held| is_missing(held).is_some()) else { return };
    let on = HeldListingUpdate {
        missing: held.missing.len() - 1,
        more: Vec::new(),
        back: vec![person.id.key.clone()],
        held: held.without_missing(),
    };
    plan.add(Event::ListingHeldUpdated(on), now);
}
