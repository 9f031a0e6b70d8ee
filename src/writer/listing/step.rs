//! Applies accepted listings a thousand records at a time: other commands get their turn between two steps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::diff::present;
use crate::domain::command::Refused;
use crate::domain::event::Event;
use crate::domain::guard::{Confirmed, HeldListing, ReleaseCause};
use crate::domain::key::Key;
use crate::domain::person::PersonId;
use crate::domain::time::Now;
use crate::log::{Log, LogError};
use crate::writer::listings::{Drain, Origin, Step};
use crate::writer::person::{change, departed};
use crate::writer::plan::{Plan, STEP, When};
use crate::writer::unsettled::Unsettled;
use crate::writer::{Writer, configured};

/// How long later listings with the same lost memberships are accepted after an operator confirmed them.
const CONFIRMED_FOR: Duration = Duration::from_secs(3_600);

impl Drain {
    /// Plans the acceptance of a listing that is applied in more than one step. It is logged before the first removal,
    /// so that a crash in the middle loses nothing that counts for the next listings. The rest of an older one that was
    /// never applied no longer counts.
    pub(super) fn count(&mut self, plan: &mut Plan, most: usize, now: Now) {
        let is_rest_open = plan.state.fold.feeds.get(&self.source).is_some_and(|feed| feed.to_come.is_some());
        let is_in_steps = self.len() > most;
        if let Origin::Listing { at, removed, .. } = &mut self.origin
            && (is_in_steps || is_rest_open)
        {
            let left_out = std::mem::take(removed);
            plan.add(Event::ListingAccepted { source: self.source.clone(), at: *at, left_out }, now);
        }
    }

    /// Plans the next records, at most `most`, and the final events once all are applied.
    pub(in crate::writer) fn plan_step(&self, plan: &mut Plan, most: usize, now: Now) -> Step {
        let when = When { now, provider: None };
        let mut step = Step::default();
        for (key, person) in self.changed.iter().take(most) {
            change(plan, Arc::clone(person), None, when);
            step.changed.push(*key);
        }
        for (key, id) in self.missing.iter().take(most - step.changed.len()) {
            departed(plan, id, None, when);
            step.missing.push(*key);
        }
        step.over = step.changed.len() + step.missing.len() == self.len();
        if step.over {
            self.conclude(plan, now);
        }
        step
    }

    fn conclude(&self, plan: &mut Plan, now: Now) {
        let held = plan.state.fold.feeds.get(&self.source).and_then(|feed| feed.held.clone());
        match &self.origin {
            Origin::Listing { at, removed, .. } => {
                let source = self.source.clone();
                if held.is_some() {
                    let (source, actor) = (source.clone(), source.clone());
                    plan.add(Event::Released { source, cause: ReleaseCause::Superseded, actor }, now);
                }
                plan.add(Event::Synced { source, at: *at, left_out: *removed }, now);
            }
            Origin::Confirmed { held: confirmed, actor } => {
                let (source, actor) = (self.source.clone(), actor.clone());
                if confirmed.memberships > 0 {
                    // Who lost them is not stored: the next listing with the same loss is accepted.
                    let until = now.wall.max(now.steady).plus(CONFIRMED_FOR);
                    let groups = confirmed.emptied.clone();
                    let confirmed = Confirmed { memberships: confirmed.memberships, groups, until };
                    let (source, actor) = (source.clone(), actor.clone());
                    plan.add(Event::MembershipsConfirmed { source, confirmed, actor }, now);
                }
                if held.is_some() {
                    plan.add(Event::Released { source, cause: ReleaseCause::Confirmed, actor }, now);
                }
            }
        }
    }
}

impl<L: Log> Writer<L> {
    /// Whether an accepted listing is not fully applied.
    pub(in crate::writer) fn is_draining(&self) -> bool {
        !self.listings.draining.is_empty()
    }

    /// Applies the next step of an accepted listing, in turn with the others.
    pub(in crate::writer) async fn drain(&mut self) {
        let Some(mut drain) = self.listings.draining.pop_front() else { return };
        // A source that was removed no longer counts.
        if drain.listing().is_some()
            && !self.follower.rules.policy.sources.iter().any(|rules| rules.name == drain.source)
        {
            return drain.cancelled();
        }
        let step = match self.make_ready().await {
            Ok(()) => self.append_step(&drain).await,
            Err(error) => Err(error),
        };
        match step {
            Ok(step) => {
                drain.advance(&step);
                drain.advanced(self.follower.fold.epoch);
                match drain.listing().filter(|_| drain.over) {
                    Some(id) => drop(self.listings.in_force.insert(drain.source, id)),
                    None if drain.over => {}
                    None => self.listings.draining.push_back(drain),
                }
            }
            // Records that turn out to be applied are not planned again.
            Err(LogError::Unknown { .. }) => self.listings.draining.push_back(drain),
            Err(error) => {
                self.follower.store_failed(&error);
                if let LogError::Moved { .. } = error {
                    self.drain_without_log(&drain, &error);
                } else {
                    tracing::error!(error.message = %error, "log append failed; restarting the listing");
                }
                drain.answer(&Err(Refused::Log(error.to_string())));
            }
        }
    }

    async fn append_step(&mut self, drain: &Drain) -> Result<Step, LogError> {
        loop {
            let mut plan = self.new_plan();
            let step = drain.plan_step(&mut plan, STEP, self.latest);
            if plan.people_changed {
                configured::pin(&mut plan, self.latest);
            }
            let (planned, _) = plan.into_parts();
            match self.log.append(self.follower.fold.epoch, planned.events.clone()).await {
                Ok(head) => {
                    self.read_back(planned, head).await?;
                    return Ok(step);
                }
                // Plan again: what another process appended may change the step.
                Err(LogError::Conflict { .. }) => self.catch_up().await?,
                Err(LogError::Unknown { events, cause }) => {
                    let (after, effects) = (self.follower.fold.epoch, Vec::new());
                    self.unsettled = Some(Unsettled { after, events, effects, cause });
                    self.resolve_unsettled().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The people missing from a held listing who have not departed.
pub(super) fn still_there(plan: &Plan, held: &HeldListing, key: impl Fn(&PersonId) -> Key) -> BTreeMap<Key, PersonId> {
    let ids = held.missing.iter().map(|key| PersonId { source: held.source.clone(), key: key.clone() });
    let is_there = |id: &PersonId| {
        plan.state.fold.people.find(&plan.state.fold.keyer, id).is_some_and(|known| present(&known.person))
    };
    ids.filter(is_there).map(|id| (key(&id), id)).collect()
}
