//! Events on trial: what a batch is going to append, and the state that it will lead to.

use std::collections::HashSet;

use super::identity::WriterIdentity;
use super::listing::{Effect, STEP};
use crate::domain::command::ListingId;
use crate::domain::event::{Ended, Event, EventFormat, Exemption, NewEvent, Recorded};
use crate::domain::id::{ExemptionId, RevocationId};
use crate::domain::key::Key;
use crate::domain::person::PersonId;
use crate::domain::revocation::Revocation;
use crate::domain::time::{Now, Timestamp};
use crate::state::State;

/// What a command came to, apart from its events.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// Whom a REF turned out to mean.
    pub(super) persons: Vec<PersonId>,
    /// Name of the revocation that it made.
    pub(super) revocation: Option<RevocationId>,
    /// Name of the exemption that it made.
    pub(super) exemption: Option<ExemptionId>,
    /// There is another step to take.
    pub(super) more: bool,
    /// The answer comes when more of this is in force: what was accepted of a source, by which listing or, `None`, by an
    /// operator.
    pub(super) waits: Option<(String, Option<ListingId>)>,
}

/// Events that are going to be appended, and the state with them.
#[derive(Debug)]
pub(super) struct Plan {
    /// What will be when they are.
    pub(super) state: State,
    events: Vec<NewEvent>,
    ids: HashSet<String>,
    pub(super) identity: WriterIdentity,
    /// What the names of its events begin with.
    batch: Option<u64>,
    /// Somebody became known, or changed: names may mean somebody else.
    pub(super) people_changed: bool,
    /// How many records of a listing come into force at once.
    pub(super) step: usize,
    /// What becomes of listings, once the log has the events.
    pub(super) effects: Vec<Effect>,
    /// Who became known otherwise than by a listing in pages.
    pub(super) touched: HashSet<Key>,
}

impl Plan {
    /// Nothing planned yet.
    pub(super) fn new(state: State, identity: WriterIdentity) -> Self {
        let (events, ids, effects, touched) = (Vec::new(), HashSet::new(), Vec::new(), HashSet::new());
        Self { state, events, ids, identity, batch: None, people_changed: false, step: STEP, effects, touched }
    }

    /// What a listing on its way says of somebody is out of date.
    pub(super) fn touch(&mut self, source: &str, key: Key) {
        self.touched.insert(key);
        self.effects.push(Effect::Touched { source: source.to_owned(), key });
    }

    /// Somebody is there after all.
    pub(super) fn back(&mut self, source: &str, key: Key) {
        self.effects.push(Effect::Back { source: source.to_owned(), key });
    }

    /// How many events are planned.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Name of the planned event at `index`.
    pub(super) fn id_of(&self, index: usize) -> Option<&str> {
        self.events.get(index)?.id.as_deref()
    }

    /// Whether an event with this id is planned.
    pub(super) fn has_id(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Plans a revocation, and gives it a name.
    pub(super) fn revoke(&mut self, revocation: Revocation, happened: Option<Timestamp>, now: Now) -> RevocationId {
        let id = (self.identity.format >= EventFormat::Two).then(|| self.identity.ids.revocation());
        let revocation = Revocation { id, ..revocation };
        let name = revocation.id_at(self.state.fold.epoch.position + 1);
        // The event that begins it bears its name, so that the log finds it.
        self.add_of(Event::Revoked(revocation), happened, id.map(|id| id.to_string()), now);
        name
    }

    /// Plans an exemption, and gives it a name.
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

    /// Plans an event that a provider told of.
    pub(super) fn add_of(&mut self, event: Event, happened: Option<Timestamp>, id: Option<String>, now: Now) {
        self.people_changed |= matches!(event, Event::Person(_));
        let id = id.or_else(|| self.own_id());
        self.ids.extend(id.clone());
        let new = NewEvent { time: now.wall, happened, id, event };
        self.state.fold.apply(&Recorded { position: self.state.fold.epoch.position + 1, new: new.clone() });
        self.events.push(new);
    }

    /// A name for the next event: of the plan, and its number in it.
    fn own_id(&mut self) -> Option<String> {
        if self.identity.format < EventFormat::Two {
            return None;
        }
        let batch = *self.batch.get_or_insert_with(|| self.identity.ids.batch());
        Some(format!("{batch:016x}.{}", self.events.len()))
    }

    /// The events, in order.
    pub(super) fn into_events(self) -> Vec<NewEvent> {
        self.events
    }

    /// The events, in order, and what becomes of listings with them.
    pub(super) fn into_parts(self) -> (Vec<NewEvent>, Vec<Effect>) {
        (self.events, self.effects)
    }
}
