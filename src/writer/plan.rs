//! Events on trial: what a batch is going to append, and the state that it will lead to.

use std::collections::HashSet;

use super::listing::{Effect, STEP};
use crate::domain::command::ListingId;
use crate::domain::event::{Event, NewEvent, Recorded};
use crate::domain::key::Key;
use crate::domain::person::PersonId;
use crate::domain::time::{Now, Timestamp};
use crate::state::State;

/// What a command came to, apart from its events.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// Whom a REF turned out to mean.
    pub(super) persons: Vec<PersonId>,
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
    pub(super) fn new(state: State) -> Self {
        let (events, ids, effects, touched) = (Vec::new(), HashSet::new(), Vec::new(), HashSet::new());
        Self { state, events, ids, people_changed: false, step: STEP, effects, touched }
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

    /// Whether an event with this id is planned.
    pub(super) fn has_id(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Plans an event of our own.
    pub(super) fn add(&mut self, event: Event, now: Now) {
        self.add_of(event, None, None, now);
    }

    /// Plans an event that a provider told of.
    pub(super) fn add_of(&mut self, event: Event, happened: Option<Timestamp>, id: Option<String>, now: Now) {
        self.people_changed |= matches!(event, Event::Person(_));
        self.ids.extend(id.clone());
        let new = NewEvent { time: now.wall, happened, id, event };
        self.state.fold.apply(&Recorded { position: self.state.fold.epoch.position + 1, new: new.clone() });
        self.events.push(new);
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
