//! Alarms about events that are valid but need attention: a source that disables many people at once, and credentials that
//! belong to several people. The source's report applies immediately all the same (design section 3), and such a credential
//! lets nobody in (contract section 3, "Names are compared as their source compares them").

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

use crate::domain::decision::{Decision, Determining};
use crate::domain::event::{Event, Recorded};
use crate::domain::person::PersonId;
use crate::domain::revocation::{Owner, Revocation, Shape, Target};
use crate::domain::time::Timestamp;
use crate::state::State;

/// People disabled within this time are counted together.
const WINDOW: Duration = Duration::from_secs(3_600);
/// Times kept per source: more than any share of a company that is worth an alarm.
const KEPT: usize = 1 << 20;

/// The source that reports somebody as suspended or gone by this event.
#[must_use]
pub fn left(event: &Event) -> Option<&str> {
    match event {
        Event::Revoked(Revocation {
            owner: Owner::Source(source),
            shape: Shape::Block,
            target: Target::DirectoryPerson { .. },
            ..
        }) => Some(source),
        _ => None,
    }
}

/// Counts disabled people per source.
#[derive(Debug, Default)]
pub struct Alarms(Mutex<BTreeMap<String, Tally>>);

#[derive(Debug, Default)]
struct Tally {
    times: VecDeque<Timestamp>,
    alarmed: bool,
}

/// More people were disabled within an hour than `max_change` lets a listing remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MassDisable {
    /// Name of the source.
    pub source: String,
    /// How many.
    pub disabled: usize,
    /// How many people it knows, including them.
    pub known: usize,
}

impl Alarms {
    /// An event came into force.
    pub fn enforced(&self, recorded: &Recorded) {
        let Some(source) = left(&recorded.new.event) else { return };
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let times = &mut tallies.entry(source.to_owned()).or_default().times;
        if times.len() == KEPT {
            times.pop_front();
        }
        times.push_back(recorded.new.time);
    }

    /// Sources over the limit now that were below it at the last call.
    #[must_use]
    pub fn raised(&self, state: &State, now: Timestamp) -> Vec<MassDisable> {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut raised = Vec::new();
        for rules in &state.rules.policy.sources {
            let Some(tally) = tallies.get_mut(&rules.name) else { continue };
            while tally.times.front().is_some_and(|time| time.plus(WINDOW) < now) {
                tally.times.pop_front();
            }
            let [active, suspended, departed] =
                state.fold.people.counts().get(&rules.name).copied().unwrap_or_default();
            let (disabled, before) = (tally.times.len(), active.saturating_add(tally.times.len()));
            let over = rules.max_change.is_passed(disabled, before);
            if over && !tally.alarmed {
                let known = active + suspended + departed;
                raised.push(MassDisable { source: rules.name.clone(), disabled, known });
            }
            tally.alarmed = over;
        }
        raised
    }
}

/// How long it is remembered that people were reported together.
const SAID: Duration = Duration::from_secs(3_600);
/// Limit on remembered groups of people.
const MOST_SAID: u64 = 10_000;

/// Reports, once an hour, people to all of whom one request belongs.
#[derive(Debug)]
pub struct Mixed(Cache<Vec<PersonId>, ()>);

impl Default for Mixed {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MOST_SAID).time_to_live(SAID).build())
    }
}

impl Mixed {
    /// The people of a decision that denied them for being several, if not reported recently.
    #[must_use]
    pub fn raised<'a>(&self, decision: &'a Decision) -> Option<&'a [PersonId]> {
        let Determining::People(people) = &decision.determining else { return None };
        let new = self.0.entry_by_ref(people).or_insert(()).is_fresh();
        new.then_some(people.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::corp;
    use crate::domain::event::NewEvent;
    use crate::domain::key::Keyer;
    use crate::domain::person::Status;
    use crate::state::fold::Fold;
    use crate::state::rules::Rules;

    #[test]
    fn it_is_raised_once_and_again_after_an_hour() {
        let keyer = Keyer::new([1; 16]);
        let policy = Arc::new(corp::policy());
        let mut state = State { fold: Fold::empty(keyer.clone(), 1), rules: Arc::new(Rules::new(policy, 1, &keyer)) };
        let alarms = Alarms::default();
        let tell = |state: &mut State, event: Event, second: i64| {
            let position = state.fold.epoch.position + 1;
            let new = NewEvent { time: corp::at(second).wall, happened: None, id: None, event };
            let recorded = Recorded { position, new };
            state.fold.apply(&recorded);
            alarms.enforced(&recorded);
        };
        let revoked = |number: i64| {
            let person = corp::person(&format!("p{number}"), Status::Suspended);
            let block = Revocation {
                id: None,
                target: Target::DirectoryPerson { person: person.id.clone() },
                shape: Shape::Block,
                reason: "suspended in hr".into(),
                owner: Owner::Source("hr".into()),
                actor: "hr".into(),
                effective: corp::at(0).wall,
                expires: None,
                persons: vec![],
                by_rule: false,
            };
            [Event::Person(Arc::new(person)), Event::Revoked(block)]
        };
        for number in 0..40 {
            tell(&mut state, Event::Person(Arc::new(corp::person(&format!("p{number}"), Status::Active))), 0);
        }
        let raised = |state: &State, second: i64| alarms.raised(state, corp::at(second).wall);
        for number in 0..9 {
            revoked(number).into_iter().for_each(|event| tell(&mut state, event, 10));
        }
        assert_eq!(raised(&state, 11), [], "fewer than ten");
        revoked(9).into_iter().for_each(|event| tell(&mut state, event, 12));
        let expected = MassDisable { source: "hr".into(), disabled: 10, known: 40 };
        assert_eq!(raised(&state, 13), [expected], "a quarter");
        revoked(10).into_iter().for_each(|event| tell(&mut state, event, 14));
        assert_eq!(raised(&state, 15), [], "said already");
        assert_eq!(raised(&state, 4_000), [], "over");
    }
}
