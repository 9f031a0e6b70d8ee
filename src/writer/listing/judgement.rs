//! The guard: how much a listing may leave out (law 3). Pure: a judgement depends on nothing but a diff and limits.

use super::backwards;
use super::diff::{EmptiedGroup, ListingDiff};
use crate::domain::guard::{Confirmed, HeldListing, Removals, is_lately};
use crate::domain::person::PersonId;
use crate::domain::source::{MaxChange, SourceRules};
use crate::domain::time::{Now, Timestamp};
use crate::writer::plan::Plan;

/// The judgement of a listing.
#[derive(Clone, Debug)]
pub(super) enum Judgement {
    /// It may be applied.
    Accept {
        /// People who are missing, or whose groups become empty: the source looks each up before that is believed.
        verify: Vec<PersonId>,
        /// The removals that count for the next listings.
        removed: Removals,
    },
    /// It leaves out too much, or comes from a provider that was rolled back.
    Block(Box<HeldListing>),
    /// It is invalid, for this reason.
    Reject(String),
}

/// The limits of what may be missing.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// The configured share and number, or the announced share if that is larger.
    pub(super) change: MaxChange,
    /// How many rows may be unreadable.
    pub(super) unreadable: MaxChange,
    /// Whether an operator announced removals.
    pub(super) announced: bool,
    /// Whether everybody may be missing.
    pub(super) all_may_go: bool,
    /// Groups that may become empty.
    pub(super) confirmed: Vec<String>,
    /// Further memberships that may be missing.
    pub(super) confirmed_memberships: usize,
    /// The recent removals of earlier listings.
    pub(super) lately: Removals,
    /// How it is known that the provider was rolled back, if it was.
    pub(super) older: Option<String>,
}

impl Limits {
    /// The limits by the configuration, operators and earlier listings.
    pub(super) fn of(rules: &SourceRules, plan: &Plan, now: Now) -> Self {
        let feed = plan.state.fold.feeds.get(&rules.name);
        // An announcement ends as soon as either clock says so.
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
            // Confirming lost groups allows no removal of people.
            confirmed: confirmed.map(|confirmed| confirmed.groups.clone()).unwrap_or_default(),
            confirmed_memberships: confirmed.map_or(0, |confirmed| confirmed.memberships),
            lately: lately.map(|(_, lately)| lately).unwrap_or_default(),
            older: backwards::reason(plan, &rules.name).map(str::to_owned),
        }
    }

    /// Whether these removals, together with the recent ones, are too many.
    fn is_passed(&self, left_out: Removals) -> bool {
        let sum = self.lately.and(left_out);
        (left_out.people > 0 && self.change.is_passed(sum.people, sum.known))
            || (left_out.memberships > 0 && self.change.is_passed(sum.memberships, sum.all_memberships))
    }
}

/// Judges a listing taken at this time.
pub(super) fn judge(diff: &ListingDiff, limits: &Limits, at: Timestamp) -> Judgement {
    let unreadable = diff.unreadable;
    // Too many unreadable records make the listing invalid.
    if unreadable > 0 && (unreadable >= diff.rows || limits.unreadable.is_passed(unreadable, diff.rows)) {
        return Judgement::Reject(format!(
            "{unreadable} of {} people cannot be read; grant offboard the missing permission",
            diff.rows
        ));
    }
    let groups = diff.memberships;
    // Members of a renamed group have lost nothing.
    let (renamed, emptied): (Vec<&EmptiedGroup>, Vec<&EmptiedGroup>) =
        diff.emptied.iter().partition(|group| group.renamed);
    let lost = groups.lost.saturating_sub(renamed.iter().map(|group| group.members.len()).sum());
    let removed = Removals {
        people: diff.missing.len(),
        known: diff.known,
        // Confirmed losses no longer count.
        memberships: lost.saturating_sub(limits.confirmed_memberships),
        all_memberships: groups.known,
    };
    // An empty listing removes nobody, not even if it is the first (law 3).
    let nobody = diff.is_empty || (!diff.missing.is_empty() && diff.missing.len() >= diff.known);
    let no_groups = removed.memberships > 1 && lost >= groups.known + groups.gained;
    let all_gone = (nobody || no_groups) && !limits.all_may_go;
    let (small, large): (Vec<&EmptiedGroup>, Vec<&EmptiedGroup>) =
        emptied.into_iter().partition(|group| group.members.len() < limits.change.from);
    let is_unexpected = |group: &&&EmptiedGroup| !limits.all_may_go && !limits.confirmed.contains(&group.name);
    let emptied: Vec<String> = large.iter().filter(is_unexpected).map(|group| group.name.clone()).collect();
    // A listing that matches what is known ends the rollback. Unreadable records do not match.
    let same = diff.missing.is_empty() && diff.changed.is_empty() && unreadable == 0;
    let older = limits.older.is_some() && !same;
    if !all_gone && emptied.is_empty() && !limits.is_passed(removed) && !older {
        let mut doubtful: Vec<PersonId> = small.iter().flat_map(|group| &group.members).cloned().collect();
        doubtful.sort_unstable();
        doubtful.dedup();
        let verify = diff.missing.values().cloned().chain(doubtful).collect();
        // Announced removals do not count for later listings.
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
