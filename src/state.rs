//! The state that decisions are made on: the fold of the log, and the rules in force.
//!
//! It is one immutable value, swapped as a whole: a check sees one epoch and one configuration.

pub mod answers;
pub mod feed;
pub mod fold;
pub mod people;
pub mod revocations;
pub mod rules;
pub mod snapshot;
pub mod table;
mod touched;

use std::sync::Arc;

use arc_swap::ArcSwap;
use imbl::OrdMap;
use tokio::sync::watch;

use crate::domain::event::{Epoch, Position};
use crate::domain::id::RevocationId;
use crate::domain::name::Match;
use crate::domain::person::{PersonId, Status};
use crate::domain::revocation::Revocation;
use fold::Fold;
use rules::Rules;

/// Everything that a decision depends on, except the request, its credentials and the time.
#[derive(Clone, Debug)]
pub struct State {
    /// The fold of the log.
    pub fold: Fold,
    /// What the configuration says.
    pub rules: Arc<Rules>,
}

impl State {
    /// The persons that a REF means: those with that name, or to whom `ISS|SUB` links.
    #[must_use]
    pub fn resolve(&self, reference: &str) -> Vec<PersonId> {
        self.meant(reference).into_iter().map(|(id, _)| id).collect()
    }

    /// The persons that a REF means, one in each source. A present person takes precedence over departed ones (a rehire),
    /// whom the source blocks already.
    ///
    /// # Errors
    /// Everybody who may be meant, if it means several people of one source.
    pub fn one_per_source(&self, reference: &str) -> Result<Vec<PersonId>, Vec<PersonId>> {
        let all = self.resolve(reference);
        let here = |id: &&PersonId| {
            let known = self.fold.people.find(&self.fold.keyer, id);
            known.is_some_and(|known| known.person.status != Status::Departed)
        };
        let mut chosen: Vec<PersonId> = Vec::new();
        for of_source in all.chunk_by(|one, other| one.source == other.source) {
            let present: Vec<&PersonId> = of_source.iter().filter(here).collect();
            match (present.as_slice(), of_source) {
                ([one], _) => chosen.push((*one).clone()),
                ([], [one]) => chosen.push(one.clone()),
                _ => return Err(all),
            }
        }
        Ok(chosen)
    }

    /// The persons that a REF means, each with what the match is good for; sorted by id.
    #[must_use]
    pub fn meant(&self, reference: &str) -> Vec<(PersonId, Match)> {
        let mut found = self.fold.people.named(&self.fold.keyer, reference);
        if let Some((issuer, subject)) = reference.trim().split_once('|') {
            found.extend(self.linked(issuer, subject));
        }
        // For a person found twice, the stronger match counts.
        found.sort_unstable_by(|(one, by), (other, by_other)| one.cmp(other).then(by_other.cmp(by)));
        found.dedup_by(|(later, _), (earlier, _)| later == earlier);
        found
    }

    /// The persons whom a source links with a subject of its issuer by `sub` or `uid`.
    fn linked(&self, issuer: &str, subject: &str) -> Vec<(PersonId, Match)> {
        let policy = &self.rules.policy;
        let sources = policy.sources.iter().filter(|source| {
            policy.issuers.get(usize::from(source.issuer)).is_some_and(|rules| &*rules.issuer == issuer)
        });
        sources
            .flat_map(|source| source.link.iter().map(move |link| (source, link)))
            .filter(|(_, link)| link.claim == "sub")
            .flat_map(|(source, link)| {
                let people = &self.fold.people;
                people.linked(&people.link_key(&self.fold.keyer, &source.name, &link.attribute, subject))
            })
            .map(|(known, by)| (known.person.id.clone(), by))
            .collect()
    }
}

/// The state of the store, and what is enforced without it.
#[derive(Clone, Debug, Default)]
pub struct StoreState {
    /// Why the store is unavailable, if it is.
    pub gone: Option<String>,
    /// Denials of sources that the log does not hold, by id.
    pub volatile: OrdMap<RevocationId, Arc<Revocation>>,
    /// How often it became available again.
    pub returns: u64,
}

/// The digest of the fold at a fixed position of the log: equal in all processes that follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldDigest {
    /// Where.
    pub position: Position,
    /// See [`Fold::digest`].
    pub digest: String,
}

/// The published state. One writer publishes it; checks load it.
#[derive(Debug)]
pub struct Published {
    state: ArcSwap<State>,
    epoch: watch::Sender<Epoch>,
    store: watch::Sender<StoreState>,
    digest: watch::Sender<Option<FoldDigest>>,
}

impl Published {
    /// Publishes the first state.
    #[must_use]
    pub fn new(state: State) -> Arc<Self> {
        let (epoch, _) = watch::channel(state.fold.epoch);
        Arc::new(Self {
            state: ArcSwap::from_pointee(state),
            epoch,
            store: watch::Sender::default(),
            digest: watch::Sender::default(),
        })
    }

    /// The state in force. Load it after the last await of a check (law 1).
    #[must_use]
    pub fn load(&self) -> arc_swap::Guard<Arc<State>> {
        self.state.load()
    }

    /// The state in force, for longer than one check.
    #[must_use]
    pub fn snapshot(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// Reports every epoch that takes effect.
    #[must_use]
    pub fn epochs(&self) -> watch::Receiver<Epoch> {
        self.epoch.subscribe()
    }

    /// Reports the state of the store and every change of it.
    #[must_use]
    pub fn store_state(&self) -> watch::Receiver<StoreState> {
        self.store.subscribe()
    }

    /// Updates the state of the store; `change` returns whether it changed anything. Only the writer calls it.
    pub(crate) fn store(&self, change: impl FnOnce(&mut StoreState) -> bool) {
        self.store.send_if_modified(change);
    }

    /// The last digest at a fixed position; `None` until one was passed.
    #[must_use]
    pub fn digests(&self) -> watch::Receiver<Option<FoldDigest>> {
        self.digest.subscribe()
    }

    /// Publishes a digest of the fold. Only the follower calls it.
    pub(crate) fn digested(&self, digest: FoldDigest) {
        self.digest.send_if_modified(|last| {
            let newer = last.as_ref().is_none_or(|last| last.position < digest.position);
            if newer {
                *last = Some(digest);
            }
            newer
        });
    }

    /// Publishes a state. Only the writer calls it.
    pub(crate) fn publish(&self, state: State) {
        let epoch = state.fold.epoch;
        self.state.store(Arc::new(state));
        self.epoch.send_replace(epoch);
    }
}
