//! Whether credentials match people of their issuer's sources. If the links of a configuration never match, no departure is
//! detected, and nothing else reports it.
//!
//! Each token of a person counts once, when first seen here. A check with a known token costs one load.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::credential::{CredentialOutcome, Verified};
use crate::domain::policy::Policy;
use crate::domain::source::Link;
use crate::state::State;

/// Tokens remembered per issuer; at least one of them should have matched.
const LAST: usize = 1_000;
/// Slots of the filter in front. Tokens that share a slot are only examined more closely.
const PLACES: usize = 16_384;
/// Remembered values of a claim without match, to be compared by other rules.
const VALUES: usize = 20;

/// Counts which credentials matched somebody.
pub struct Matches {
    recent: Box<[AtomicU64]>,
    issuers: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    generation: u64,
    arrangement: Arrangement,
    /// By `iss`.
    issuers: BTreeMap<Arc<str>, OfIssuer>,
}

/// What must stay the same for counts to continue: issuers, their sources, and their links.
type Arrangement = Vec<(Arc<str>, Vec<(String, Vec<Link>)>)>;

#[derive(Default)]
struct OfIssuer {
    /// The last tokens, and whether each matched.
    tokens: VecDeque<(u64, bool)>,
    known: HashSet<u64>,
    matched: usize,
    warned: bool,
    /// By source and index of its link.
    links: BTreeMap<(String, u16), OfLink>,
}

/// What is known of one link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfLink {
    /// Tokens that it decided, since the start or the last change of links.
    pub shown: u64,
    /// Those that matched somebody.
    pub matched: u64,
    /// Recent values without match.
    pub values: VecDeque<Box<str>>,
}

impl Default for Matches {
    fn default() -> Self {
        let recent = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        Self { recent, issuers: Mutex::default() }
    }
}

impl Matches {
    /// Counts the credentials of a check on this state.
    pub fn saw(&self, state: &State, outcomes: &[CredentialOutcome]) {
        for outcome in outcomes {
            let CredentialOutcome::Verified(credential) = outcome else { continue };
            let token = name(credential);
            let place = usize::try_from(token).unwrap_or_default() % PLACES;
            let Some(place) = self.recent.get(place) else { continue };
            if place.load(Ordering::Relaxed) != token {
                place.store(token, Ordering::Relaxed);
                self.count(state, credential, token);
            }
        }
    }

    fn count(&self, state: &State, credential: &Verified, token: u64) {
        let policy = &state.rules.policy;
        let listed = |source: u16| {
            let source = policy.sources.get(usize::from(source));
            source.is_some_and(|source| source.supplies.people && state.fold.sources.contains_key(&source.name))
        };
        // Nothing is concluded from a source that was never listed (law 3).
        if credential.machine || !state.rules.sources_of(credential.issuer_index).iter().copied().any(listed) {
            return;
        }
        let mut counted = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        if !counted.follow(state.rules.generation, policy) {
            return;
        }
        let issuer = counted.issuers.entry(Arc::clone(&credential.issuer)).or_default();
        if !issuer.known.insert(token) {
            return;
        }
        let mut met = false;
        for link in credential.owner.links.iter().filter(|link| listed(link.source)) {
            let Some(source) = policy.sources.get(usize::from(link.source)) else { continue };
            let matched = state.fold.people.linked(&link.person).next().is_some();
            met |= matched;
            issuer.links.entry((source.name.clone(), link.link)).or_default().add(matched, &link.value);
        }
        issuer.add(token, met);
        if issuer.is_unmatched() && !std::mem::replace(&mut issuer.warned, true) {
            tracing::warn!(
                issuer.url = %credential.issuer,
                "no source of this issuer matches any of its last {LAST} tokens; `link` will not detect departures (run \
                 `offboard source check NAME`)"
            );
        }
    }

    /// Issuers, among those in force, whose last 1,000 tokens matched nobody in any source.
    #[must_use]
    pub fn unmatched(&self) -> Vec<Arc<str>> {
        let counted = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        counted.issuers.iter().filter(|(_, of)| of.is_unmatched()).map(|(issuer, _)| Arc::clone(issuer)).collect()
    }

    /// How many tokens of an issuer are remembered, and the counts of each link of a source.
    #[must_use]
    pub fn of_source(&self, issuer: &str, source: &str) -> (usize, BTreeMap<u16, OfLink>) {
        let counted = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(of) = counted.issuers.get(issuer) else { return (0, BTreeMap::new()) };
        let links = of.links.iter().filter(|((name, _), _)| name == source);
        (of.tokens.len(), links.map(|((_, link), of)| (*link, of.clone())).collect())
    }
}

impl Counted {
    /// Starts over if links have changed; returns whether these rules are the latest.
    fn follow(&mut self, generation: u64, policy: &Policy) -> bool {
        if generation > self.generation {
            let arrangement = arrangement(policy);
            if arrangement != self.arrangement {
                (self.arrangement, self.issuers) = (arrangement, BTreeMap::new());
            }
            self.generation = generation;
        }
        generation == self.generation
    }
}

impl OfIssuer {
    fn add(&mut self, token: u64, met: bool) {
        if self.tokens.len() == LAST
            && let Some((oldest, met)) = self.tokens.pop_front()
        {
            self.known.remove(&oldest);
            self.matched -= usize::from(met);
        }
        self.tokens.push_back((token, met));
        self.matched += usize::from(met);
        self.warned &= self.matched == 0;
    }

    fn is_unmatched(&self) -> bool {
        self.tokens.len() == LAST && self.matched == 0
    }
}

impl OfLink {
    fn add(&mut self, matched: bool, value: &str) {
        self.shown += 1;
        self.matched += u64::from(matched);
        if matched || self.values.iter().any(|known| **known == *value) {
            return;
        }
        if self.values.len() == VALUES {
            self.values.pop_front();
        }
        self.values.push_back(value.into());
    }
}

fn arrangement(policy: &Policy) -> Arrangement {
    let of = |index: usize| {
        let sources = policy.sources.iter().filter(|source| usize::from(source.issuer) == index);
        sources.map(|source| (source.name.clone(), source.link.clone())).collect()
    };
    policy.issuers.iter().enumerate().map(|(index, rules)| (Arc::clone(&rules.issuer), of(index))).collect()
}

/// Identifies a token. Two tokens with the same one would count once.
fn name(credential: &Verified) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = credential.digest;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::fixtures::identity;
    use crate::corp::{self, ISSUER};
    use crate::domain::credential::{Identity, LinkKeys, Principal};
    use crate::domain::event::{Event, NewEvent, Recorded};
    use crate::domain::guard::Removals;
    use crate::domain::key::{KeyKind, Keyer, LinkKey};
    use crate::domain::name::Compare;
    use crate::domain::person::Status;
    use crate::state::fold::Fold;
    use crate::state::rules::Rules;

    fn state(policy: Policy, generation: u64) -> State {
        let keyer = Keyer::new([1; 16]);
        let rules = Arc::new(Rules::new(Arc::new(policy), generation, &keyer));
        State { fold: Fold::empty(keyer, 1), rules }
    }

    fn tell(state: &mut State, event: Event) {
        let new = NewEvent { time: corp::at(0).wall, happened: None, id: None, event };
        state.fold.apply(&Recorded { position: state.fold.epoch.position + 1, new });
    }

    fn synced(mut state: State) -> State {
        tell(&mut state, Event::Person(Arc::new(corp::person("gwen", Status::Active))));
        let event = Event::Synced { source: "hr".into(), at: corp::at(1).wall, left_out: Removals::default() };
        tell(&mut state, event);
        state
    }

    fn token(state: &State, number: u64, subject: &str, machine: bool) -> CredentialOutcome {
        let keyer = &state.fold.keyer;
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&(number + 1).to_le_bytes());
        let link = LinkKeys {
            source: 0,
            person: LinkKey::of(keyer, "hr", "id", (Compare::Exact, subject)),
            claim: [keyer.key(KeyKind::LinkClaim, &[ISSUER, "sub", subject]); 2],
            link: 0,
            value: subject.into(),
        };
        CredentialOutcome::Verified(Arc::new(Verified::attest(Identity {
            digest,
            subject: Some(subject.into()),
            machine,
            owner: Principal { links: vec![link], ..Principal::default() },
            ..identity()
        })))
    }

    #[test]
    fn a_thousand_tokens_of_nobody_are_too_many() {
        let (matches, state) = (Matches::default(), synced(state(corp::policy(), 1)));
        for number in 0..999 {
            matches.saw(&state, &[token(&state, number, "GWEN", false), token(&state, 70_000 + number, "bot", true)]);
            // Shown again and again, it is one.
            matches.saw(&state, &[token(&state, number, "GWEN", false)]);
            matches.saw(&state, &[token(&state, 0, "GWEN", false)]);
        }
        assert_eq!(matches.unmatched(), [], "one is missing, and machines do not count");
        matches.saw(&state, &[token(&state, 999, "gwenn", false)]);
        assert_eq!(matches.unmatched(), [ISSUER.into()]);
        let (tokens, links) = matches.of_source(ISSUER, "hr");
        assert_eq!((tokens, links[&0].shown, links[&0].matched), (1_000, 1_000, 0));
        assert_eq!(links[&0].values, ["GWEN".into(), "gwenn".into()]);
        matches.saw(&state, &[token(&state, 5_000, "gwen", false)]);
        assert_eq!(matches.unmatched(), [], "somebody was met");
        for number in 6_000..6_999 {
            matches.saw(&state, &[token(&state, number, "gwenn", false)]);
        }
        assert_eq!(matches.unmatched(), [], "and is among the last thousand still");
        matches.saw(&state, &[token(&state, 7_000, "gwenn", false)]);
        assert_eq!(matches.unmatched(), [ISSUER.into()]);
    }

    #[test]
    fn nothing_is_concluded_from_a_source_that_never_listed_its_people() {
        let (matches, state) = (Matches::default(), state(corp::policy(), 1));
        (0..2_000).for_each(|number| matches.saw(&state, &[token(&state, number, "nobody", false)]));
        assert_eq!((matches.unmatched(), matches.of_source(ISSUER, "hr").0), (vec![], 0));
    }

    #[test]
    fn a_reload_that_links_as_before_forgets_nothing() {
        let (matches, before) = (Matches::default(), synced(state(corp::policy(), 1)));
        (0..1_000).for_each(|number| matches.saw(&before, &[token(&before, number, "nobody", false)]));
        let mut other = corp::policy();
        other.hash = "another".into();
        let after = synced(state(other, 2));
        matches.saw(&after, &[token(&after, 1_000, "nobody", false)]);
        assert_eq!(matches.unmatched(), [ISSUER.into()]);
        let mut linked = corp::policy();
        linked.sources[0].link = vec![Link { claim: "email".into(), attribute: "email".into() }];
        let anew = synced(state(linked, 3));
        matches.saw(&anew, &[token(&anew, 1_001, "nobody", false)]);
        assert_eq!((matches.unmatched(), matches.of_source(ISSUER, "hr").0), (vec![], 1));
        // A check that began before the reload.
        matches.saw(&after, &[token(&after, 1_002, "nobody", false)]);
        assert_eq!(matches.of_source(ISSUER, "hr").0, 1);
    }
}
