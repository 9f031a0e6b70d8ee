//! Events on trial: what a batch is going to append, and the state that it will lead to.

use std::collections::HashSet;

use crate::domain::event::{Event, NewEvent, Recorded};
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
}

impl Plan {
    /// Nothing planned yet.
    pub(super) fn new(state: State) -> Self {
        Self { state, events: Vec::new(), ids: HashSet::new(), people_changed: false }
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
}
