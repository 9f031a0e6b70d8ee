//! What somebody under a revocation tried: each distinct service, method and path of a day, whatever the credential.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::decision::Decision;

use super::entry::{Facts, plain};

/// Shards, so that checks do not wait for each other's locks.
const SHARDS: usize = 64;
/// Distinct attempts of one person that are told apart within a day (contract section 8). Further ones are counted.
const A_DAY: usize = 1_000;
/// People per shard. One who tries everything takes 16 KiB: at most 64 MiB under an attack with as many leavers' tokens.
/// Attempts of further people are counted.
const LARGEST_SHARD: usize = 64;
const DAY: i64 = 86_400_000;

/// An attempt that was not made before on that day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    who: u64,
    what: u64,
}

#[derive(Debug, Default)]
struct Tried {
    /// Number of the UTC day.
    day: i64,
    what: HashSet<u64>,
}

type Shard = HashMap<u64, Tried>;

/// The attempts of the day.
#[derive(Debug)]
pub struct Attempts {
    /// Its keys are random: nobody can make two attempts look like one.
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Attempts {
    fn shard(&self, who: u64) -> Option<MutexGuard<'_, Shard>> {
        let index = usize::try_from(who).unwrap_or_default() % SHARDS;
        self.shards.get(index).map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a decision is about the first attempt of its kind that somebody under a revocation made that day.
    #[must_use]
    pub fn first(&self, decision: &Decision, facts: &Facts<'_>) -> Option<Attempt> {
        if !decision.reason.is_revocation() {
            return None;
        }
        let shown = decision.verified()?;
        let who = match (decision.person_id(), &shown.subject) {
            (Some(person), _) => self.hasher.hash_one((0, &person.source, &person.key)),
            (None, Some(subject)) => self.hasher.hash_one((1, &*shown.issuer, subject)),
            (None, None) => self.hasher.hash_one((2, shown.digest)),
        };
        let what = self.hasher.hash_one((&*decision.service, facts.method, plain(facts.path)));
        let day = facts.time.as_millis().div_euclid(DAY);
        let mut shard = self.shard(who)?;
        if shard.len() >= LARGEST_SHARD && !shard.contains_key(&who) {
            shard.retain(|_, tried| tried.day >= day);
            if shard.len() >= LARGEST_SHARD {
                return None;
            }
        }
        let tried = shard.entry(who).or_default();
        if tried.day < day {
            *tried = Tried { day, what: HashSet::new() };
        }
        (tried.what.len() < A_DAY && tried.what.insert(what)).then_some(Attempt { who, what })
    }

    /// Forgets an attempt that could not be recorded: the next one like it is the first.
    pub fn forget(&self, Attempt { who, what }: Attempt) {
        if let Some(mut shard) = self.shard(who)
            && let Some(tried) = shard.get_mut(&who)
        {
            tried.what.remove(&what);
        }
    }
}
