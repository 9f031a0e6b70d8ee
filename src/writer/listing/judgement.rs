//! The guard: how much a listing may leave out (law 3). Pure: a diff and limits give a judgement.

use super::backwards;
use super::diff::{EmptiedGroup, ListingDiff};
use crate::domain::guard::{Confirmed, HeldListing, Removals, is_lately};
use crate::domain::person::PersonId;
use crate::domain::source::{MaxChange, SourceRules};
use crate::domain::time::{Now, Timestamp};
use crate::writer::plan::Plan;

/// What becomes of a listing.
#[derive(Clone, Debug)]
pub(super) enum Judgement {
    /// It may come into force.
    Accept {
        /// Who is missing, or leaves a group without anybody: one look is not enough to believe that.
        verify: Vec<PersonId>,
        /// What counts for the next listings.
        removed: Removals,
    },
    /// It leaves out too much, or gives what an older provider gives.
    Block(Box<HeldListing>),
    /// It is no listing, and why.
    Reject(String),
}

/// How much may be missing.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// The configured share and number, or the announced share where that is more.
    pub(super) change: MaxChange,
    /// Of how many rows some may be unreadable.
    pub(super) unreadable: MaxChange,
    /// It was announced that many will leave.
    pub(super) announced: bool,
    /// … or that nobody may be left.
    pub(super) all_may_go: bool,
    /// Groups that may be left without anybody.
    pub(super) confirmed: Vec<String>,
    /// Memberships that may be missing beside.
    pub(super) confirmed_memberships: usize,
    /// What listings left out lately.
    pub(super) lately: Removals,
    /// The provider went back to an older state, and how that is known.
    pub(super) older: Option<String>,
}

impl Limits {
    /// What the configuration, operators and earlier listings say.
    pub(super) fn of(rules: &SourceRules, plan: &Plan, now: Now) -> Self {
        let feed = plan.state.fold.feeds.get(&rules.name);
        // What was announced is over as soon as either clock says so.
        let in_force = |until: Timestamp| now.wall.max(now.steady) < until;
        let share = |share: u32| f64::from(share) / 10_000.0;
        let announced = feed.and_then(|feed| feed.expected).filter(|(_, until)| in_force(*until));
        let confirmed: Option<&Confirmed> =
            feed.and_then(|feed| feed.confirmed.as_ref()).filter(|confirmed| in_force(confirmed.until));
        let lately = feed.and_then(|feed| feed.left_out_for_good()).filter(|(since, _)| is_lately(*since, now.wall));
        let announced_share = announced.map_or(0.0, |(announced, _)| share(announced));
        Self {
            change: MaxChange { share: rules.max_change.share.max(announced_share), ..rules.max_change },
            unreadable: rules.max_change,
            announced: announced.is_some(),
            all_may_go: announced_share >= 1.0,
            // Lost groups that were confirmed say nothing of people.
            confirmed: confirmed.map(|confirmed| confirmed.groups.clone()).unwrap_or_default(),
            confirmed_memberships: confirmed.map_or(0, |confirmed| confirmed.memberships),
            lately: lately.map(|(_, lately)| lately).unwrap_or_default(),
            older: backwards::reason(plan, &rules.name).map(str::to_owned),
        }
    }

    /// Whether that is too much, together with what was left out lately.
    fn is_passed(&self, left_out: Removals) -> bool {
        let sum = self.lately.and(left_out);
        (left_out.people > 0 && self.change.is_passed(sum.people, sum.known))
            || (left_out.memberships > 0 && self.change.is_passed(sum.memberships, sum.all_memberships))
    }
}

/// What becomes of a listing that was taken at this time and changes this.
pub(super) fn judge(diff: &ListingDiff, limits: &Limits, at: Timestamp) -> Judgement {
    let unreadable = diff.unreadable;
    // Of many who cannot be read nothing is known: that is no listing.
    if unreadable > 0 && (unreadable >= diff.rows || limits.unreadable.is_passed(unreadable, diff.rows)) {
        return Judgement::Reject(format!("{unreadable} of {} people cannot be read: a right is missing", diff.rows));
    }
    let groups = diff.memberships;
    // Who is in a group that is called otherwise has lost nothing.
    let (renamed, emptied): (Vec<&EmptiedGroup>, Vec<&EmptiedGroup>) =
        diff.emptied.iter().partition(|group| group.renamed);
    let lost = groups.lost.saturating_sub(renamed.iter().map(|group| group.members.len()).sum());
    let removed = Removals {
        people: diff.missing.len(),
        known: diff.known,
        // What was confirmed is not missing any more.
        memberships: lost.saturating_sub(limits.confirmed_memberships),
        all_memberships: groups.known,
    };
    // Nobody at all is no company: from an empty listing nothing is concluded, not even from the first (law 3).
    let nobody = diff.is_empty || (!diff.missing.is_empty() && diff.missing.len() >= diff.known);
    let no_groups = removed.memberships > 1 && lost >= groups.known + groups.gained;
    let all_gone = (nobody || no_groups) && !limits.all_may_go;
    let (small, large): (Vec<&EmptiedGroup>, Vec<&EmptiedGroup>) =
        emptied.into_iter().partition(|group| group.members.len() < limits.change.from);
    let is_unexpected = |group: &&&EmptiedGroup| !limits.all_may_go && !limits.confirmed.contains(&group.name);
    let emptied: Vec<String> = large.iter().filter(is_unexpected).map(|group| group.name.clone()).collect();
    // One that says again what is known is not older any more. Of whom it cannot be read that is not known.
    let same = diff.missing.is_empty() && diff.changed.is_empty() && unreadable == 0;
    let older = limits.older.is_some() && !same;
    if !all_gone && emptied.is_empty() && !limits.is_passed(removed) && !older {
        let mut doubtful: Vec<PersonId> = small.iter().flat_map(|group| &group.members).cloned().collect();
        doubtful.sort_unstable();
        doubtful.dedup();
        let verify = diff.missing.values().cloned().chain(doubtful).collect();
        // What was announced is not added to what happens afterwards.
        return Judgement::Accept { verify, removed: if limits.announced { Removals::default() } else { removed } };
    }
    let mut missing: Vec<String> = diff.missing.values().map(|id| id.key.clone()).collect();
    missing.sort_unstable();
    Judgement::Block(Box::new(HeldListing {
        source: diff.source.clone(),
        at,
        missing,
        known: diff.known,
        memberships: lost,
        all_memberships: groups.known,
        emptied,
        because: limits.older.clone(),
        unlisted: false,
    }))
}
