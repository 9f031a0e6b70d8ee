//! Plans: the events that a batch will append, and the state that they will lead to.

use std::collections::HashSet;
use std::time::Duration;

use super::identity::WriterIdentity;
use super::listings::Effect;
use crate::domain::call::Stood;
use crate::domain::command::{ListingId, Refused};
use crate::domain::event::{Ended, Event, EventFormat, Exemption, NewEvent, Recorded};
use crate::domain::id::{ExemptionId, RevocationId};
use crate::domain::key::{Key, KeySet};
use crate::domain::person::PersonId;
use crate::domain::revocation::Revocation;
use crate::domain::source::SourceRules;
use crate::domain::time::{Now, Timestamp};
use crate::state::State;
use crate::state::fold::Fold;

/// How many records a command changes in one batch. The rest follows in later batches, so that others are not kept waiting.
pub(super) const STEP: usize = 1_000;

/// How far our clock and an issuer's may differ, where we date the end of access ourselves (design section 2).
const SKEW: Duration = Duration::from_secs(5);

/// When something happened: our time, and the provider's own time if it gave one.
#[derive(Clone, Copy)]
pub(super) struct When {
    pub(super) now: Now,
    pub(super) provider: Option<Timestamp>,
}

impl When {
    pub(super) fn ended(self) -> Timestamp {
        self.provider.unwrap_or(self.now.wall)
    }

    pub(super) fn cut_off(self) -> Timestamp {
        self.provider.unwrap_or_else(|| self.now.wall.plus(SKEW))
    }
}

/// The result of planning a command, apart from its events.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// The persons that a REF resolved to.
    pub(super) persons: Vec<PersonId>,
    /// The id of the revocation that it created.
    pub(super) revocation: Option<RevocationId>,
    /// The ids of the revocations that it created together.
    pub(super) revocations: Vec<RevocationId>,
    /// Those of them that stood already.
    pub(super) stood: Vec<Stood>,
    /// The id of the exemption that it created.
    pub(super) exemption: Option<ExemptionId>,
    /// More steps follow.
    pub(super) more: bool,
    /// Set if the answer waits for an accepted listing to be applied: the source, and the listing, or `None` for a held
    /// listing that an operator confirmed.
    pub(super) waits: Option<(String, Option<ListingId>)>,
}

/// Planned events, in order, and the fold that they lead to.
#[derive(Debug)]
pub(super) struct PlannedEvents {
    pub(super) events: Vec<NewEvent>,
    pub(super) fold: Fold,
}

/// The events to append, and the resulting state.
#[derive(Debug)]
pub(super) struct Plan {
    /// The state with these events applied.
    pub(super) state: State,
    events: Vec<NewEvent>,
    ids: HashSet<String>,
    pub(super) identity: WriterIdentity,
    /// The prefix of the names of its events.
    batch: Option<u64>,
    /// A person was added or changed, so names may resolve differently.
    pub(super) people_changed: bool,
    /// The most records of a listing to apply in this plan.
    pub(super) step: usize,
    /// Changes to the listings, made once the log has the events.
    pub(super) effects: Vec<Effect>,
    /// People whose record changed by other means than a listing in pages.
    pub(super) touched: KeySet,
}

impl Plan {
    /// Nothing planned yet.
    pub(super) fn new(state: State, identity: WriterIdentity) -> Self {
        let (events, ids, effects, touched) = (Vec::new(), HashSet::new(), Vec::new(), KeySet::default());
        Self { state, events, ids, identity, batch: None, people_changed: false, step: STEP, effects, touched }
    }

    /// Marks what an open listing says of a person as outdated.
    pub(super) fn touch(&mut self, source: &str, key: Key) {
        self.touched.insert(key);
        self.effects.push(Effect::Touched { source: source.to_owned(), key });
    }

    /// Records that a person is present after all.
    pub(super) fn back(&mut self, source: &str, key: Key) {
        self.effects.push(Effect::Back { source: source.to_owned(), key });
    }

    /// The configuration of a source.
    ///
    /// # Errors
    /// [`Refused::Invalid`] if the source is not configured: after it was removed, its observations no longer count.
    pub(super) fn source_rules(&self, source: &str) -> Result<SourceRules, Refused> {
        let rules = self.state.rules.policy.sources.iter().find(|rules| rules.name == source);
        rules.cloned().ok_or_else(|| Refused::Invalid(format!("source `{source}` is not configured")))
    }

    /// How many events are planned.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// The name of the planned event at `index`.
    pub(super) fn id_of(&self, index: usize) -> Option<&str> {
        self.events.get(index)?.id.as_deref()
    }

    /// The planned event that makes this revocation.
    pub(super) fn planned(&self, id: RevocationId) -> Option<Recorded> {
        let after = self.state.fold.epoch.position - self.events.len() as u64;
        let all = (after + 1..).zip(&self.events).map(|(position, new)| Recorded { position, new: new.clone() });
        { all }.find(|recorded| recorded.revocation().is_some_and(|(name, _)| name == id))
    }

    /// Whether an event with this id is planned.
    pub(super) fn has_id(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Plans a revocation and returns its new id.
    pub(super) fn revoke(&mut self, revocation: Revocation, happened: Option<Timestamp>, now: Now) -> RevocationId {
        let id = (self.identity.format >= EventFormat::Two).then(|| self.identity.ids.revocation());
        let revocation = Revocation { id, ..revocation };
        let name = revocation.id_at(self.state.fold.epoch.position + 1);
        // The event has the same name, so that the log can find it.
        self.add_of(Event::Revoked(revocation), happened, id.map(|id| id.to_string()), now);
        name
    }

    /// Plans an exemption and returns its new id.
    pub(super) fn exempt(&mut self, exemption: Exemption, now: Now) -> ExemptionId {
        let id = (self.identity.format >= EventFormat::Two).then(|| self.identity.ids.exemption());
        let exemption = Exemption { id, ..exemption };
        let name = exemption.id_at(self.state.fold.epoch.position + 1);
        self.add_of(Event::Exempted(exemption), None, id.map(|id| id.to_string()), now);
        name
    }

    /// Plans the end of a revocation, for everybody whom it came to mean.
    pub(super) fn end(&mut self, mut ended: Ended, now: Now) {
        let later = self.state.fold.extensions.get(&ended.revocation).into_iter().flatten();
        let new: Vec<PersonId> = later.filter(|person| !ended.persons.contains(person)).cloned().collect();
        ended.persons.extend(new);
        self.add(Event::Ended(ended), now);
    }

    /// Plans an event of our own.
    pub(super) fn add(&mut self, event: Event, now: Now) {
        self.add_of(event, None, None, now);
    }

    /// Plans an event reported by a provider.
    pub(super) fn add_of(&mut self, event: Event, happened: Option<Timestamp>, id: Option<String>, now: Now) {
        self.people_changed |= matches!(event, Event::Person(_));
        let id = id.or_else(|| self.own_id());
        self.ids.extend(id.clone());
        let new = NewEvent { time: now.wall, happened, id, event };
        let recorded = Recorded { position: self.state.fold.epoch.position + 1, new };
        self.state.fold.apply(&recorded);
        self.events.push(recorded.new);
    }

    /// A name for the next event: the prefix of the plan, and the event's number in it.
    fn own_id(&mut self) -> Option<String> {
        if self.identity.format < EventFormat::Two {
            return None;
        }
        let batch = *self.batch.get_or_insert_with(|| self.identity.ids.batch());
        Some(format!("{batch:016x}.{}", self.events.len()))
    }

    /// The events with the fold that they lead to, and their effects on listings.
    pub(super) fn into_parts(self) -> (PlannedEvents, Vec<Effect>) {
        (PlannedEvents { events: self.events, fold: self.state.fold }, self.effects)
    }
}
