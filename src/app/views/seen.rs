//! Credentials in use that a revocation would end, and those that a cut-off leaves alive.

use crate::app::seen_credentials::SeenCredentials;
use crate::control::views::{CredentialView, SeenView};
use crate::domain::credential::{Principal, Verified};
use crate::domain::key::{Key, RefKey};
use crate::domain::revocation::{Shape, Target};
use crate::domain::time::{Now, Timestamp};
use crate::state::State;
use crate::state::people::person_key;

/// Credentials that are shown one by one.
const SHOWN: usize = 20;

/// What dies with a revocation, and what it leaves alive.
pub(super) fn affected(
    seen: &SeenCredentials,
    state: &State,
    (target, shape): (&Target, Shape),
    now: Now,
) -> (SeenView, SeenView) {
    let aim = Aim::of(state, target);
    let lives = |verified: &Verified| verified.expires.is_none_or(|expires| expires.plus(verified.leeway) > now.wall);
    let found = seen.those(|verified| lives(verified) && aim.meets(state, verified));
    let dies = |seen: &CredentialView| match shape {
        Shape::Block => true,
        Shape::CutOff { at } => seen.verified.issued.unwrap_or(Timestamp::MIN) <= at,
    };
    let (dies, stays): (Vec<_>, Vec<_>) = found.into_iter().partition(dies);
    (view(dies), view(stays))
}

fn view(mut found: Vec<CredentialView>) -> SeenView {
    let mut sessions: Vec<&String> = found.iter().filter_map(|seen| seen.verified.session.as_ref()).collect();
    sessions.sort_unstable();
    sessions.dedup();
    let (count, sessions) = (found.len() as u64, sessions.len() as u64);
    found.truncate(SHOWN);
    SeenView { count, sessions, last: found }
}

/// What a check would look a target up by.
struct Aim {
    keys: Vec<Key>,
    names: Vec<RefKey>,
    persons: Vec<Key>,
}

impl Aim {
    fn of(state: &State, target: &Target) -> Self {
        let keyer = &state.fold.keyer;
        let persons = target.reference().map(|reference| state.resolve(reference)).unwrap_or_default();
        Self {
            keys: state.rules.policy.canonical(target).keys(keyer),
            names: target.reference().map(|reference| RefKey::of(keyer, reference)).unwrap_or_default(),
            persons: persons.iter().map(|person| person_key(keyer, person)).collect(),
        }
    }

    /// Whether a credential is the target's: its owner's, or an actor's.
    fn meets(&self, state: &State, verified: &Verified) -> bool {
        std::iter::once(&verified.owner).chain(&verified.actors).any(|principal| self.is(state, principal))
    }

    fn is(&self, state: &State, principal: &Principal) -> bool {
        let named = |name: &RefKey| {
            let is = |own: &&crate::domain::key::NameKey| own.key == name.key && own.is(name.rules, name.exact);
            principal.names.iter().find(is).is_some()
        };
        let linked = || {
            let mut people = principal.links.iter().flat_map(|link| state.fold.people.linked(&link.person));
            people.any(|(known, _)| self.persons.contains(&known.key))
        };
        principal.look_ups.iter().any(|(_, key)| self.keys.contains(key)) || self.names.iter().any(named) || linked()
    }
}
