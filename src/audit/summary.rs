//! Repeats: the first decision of a kind is recorded at once, the others are counted and recorded once a minute.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::decision::Decision;
use crate::domain::reason::Reason;
use crate::domain::time::Timestamp;

use super::entry::{Entry, told, word};
use super::record::Kind;

/// Shards, more than the cores of a large machine, so that checks do not wait for each other's locks.
const SHARDS: usize = 64;
/// Distinct credentials, services and reasons counted per minute and shard; about 500 bytes each, so at most 32 MiB
/// under an attack with as many stolen credentials. Anything beyond is recorded individually.
const LARGEST_SHARD: usize = 1024;

/// What makes two decisions alike: credential (if its owner is known), service, reason and outcome.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AggregationKey {
    credential: Option<[u8; 32]>,
    service: Arc<str>,
    reason: Reason,
    decision: &'static str,
}

impl AggregationKey {
    /// The key of this decision.
    #[must_use]
    pub fn of(decision: &Decision) -> Self {
        Self {
            credential: decision.verified().map(|credential| credential.digest),
            service: decision.service.clone(),
            reason: decision.reason,
            decision: word(decision),
        }
    }
}

/// Whether a decision is told apart from those with the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// It has a record of its own, and is not counted.
    New,
    /// It is like the others.
    Like,
}

/// What was done with a decision.
#[derive(Debug)]
pub enum Noted {
    /// The first with its key, or one of its own: record it now.
    First(Box<Entry>),
    /// Counted: it becomes part of a sum.
    Counted,
    /// Too many different ones to count: record it individually.
    Full(Box<Entry>),
}

#[derive(Debug)]
struct Count {
    entry: Entry,
    count: u64,
    since: Timestamp,
    last: Timestamp,
}

impl Count {
    fn add(&mut self, time: Timestamp) {
        if self.count == 0 {
            self.since = time;
        }
        self.count = self.count.saturating_add(1);
        self.last = self.last.max(time);
    }

    fn sum(&mut self) -> Option<Entry> {
        let count = std::mem::take(&mut self.count);
        (count > 0).then(|| Entry {
            time: self.last,
            count: Some(count),
            since: Some(self.since),
            ..self.entry.clone()
        })
    }
}

type Shard = HashMap<AggregationKey, Count, BuildHasherDefault<DefaultHasher>>;

/// Counts of the current minute.
#[derive(Debug)]
pub struct Repeats {
    shards: Vec<Mutex<Shard>>,
    nobody: Mutex<Shard>,
}

impl Default for Repeats {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), nobody: Mutex::default() }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Repeats {
    fn shard(&self, like: &AggregationKey) -> Option<MutexGuard<'_, Shard>> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(like);
        let shards = u64::try_from(self.shards.len()).unwrap_or(1);
        let index = usize::try_from(hash.checked_rem(shards)?).ok()?;
        self.shards.get(index).map(lock)
    }

    /// Notes a decision about a known person or credential.
    pub fn note(
        &self,
        like: &AggregationKey,
        time: Timestamp,
        novelty: Novelty,
        entry: impl FnOnce() -> Entry,
    ) -> Noted {
        let Some(mut shard) = self.shard(like) else { return Noted::Full(Box::new(entry())) };
        match shard.get_mut(like) {
            Some(_) if novelty == Novelty::New => return Noted::First(Box::new(entry())),
            Some(count) => {
                count.add(time);
                return Noted::Counted;
            }
            None => {}
        }
        if shard.len() >= LARGEST_SHARD {
            return Noted::Full(Box::new(entry()));
        }
        let entry = entry();
        // A sum stands for several requests, so it has no id, method, path or address.
        let template = Entry { decision_id: None, method: None, path: None, address: None, ..entry.clone() };
        shard.insert(like.clone(), Count { entry: template, count: 0, since: time, last: time });
        Noted::First(Box::new(entry))
    }

    /// Counts a decision that was noted as first but could not be recorded immediately.
    pub fn again(&self, like: &AggregationKey, time: Timestamp) -> bool {
        self.shard(like).is_some_and(|mut shard| match shard.get_mut(like) {
            Some(count) => {
                count.add(time);
                true
            }
            None => false,
        })
    }

    /// Counts a denial of an unknown caller. Bounded, because services and reasons are closed sets.
    pub fn nobody(&self, decision: &Decision, time: Timestamp) {
        let like = AggregationKey { credential: None, ..AggregationKey::of(decision) };
        let detail = told(decision);
        let mut shard = lock(&self.nobody);
        let count = shard.entry(like).or_insert_with(|| Count {
            entry: Entry {
                service: Some(decision.service.to_string()),
                decision: Some(word(decision)),
                reason: Some(decision.reason.code().to_owned()),
                detail: detail.clone(),
                epoch: Some(decision.epoch),
                ..Entry::new(Kind::Summary, time)
            },
            count: 0,
            since: time,
            last: time,
        });
        count.entry.epoch = Some(decision.epoch);
        // A sum has a detail only as long as all that it counts share it.
        if count.count == 0 {
            count.entry.detail = detail;
        } else if count.entry.detail != detail {
            count.entry.detail = None;
        }
        count.add(time);
    }

    /// The sums since the last call. Keys without repeats since then are forgotten; their next decision is a first one
    /// again.
    pub fn sums(&self) -> Vec<Entry> {
        let mut sums = Vec::new();
        for shard in self.shards.iter().chain([&self.nobody]) {
            lock(shard).retain(|_, count| match count.sum() {
                Some(sum) => {
                    sums.push(sum);
                    true
                }
                None => false,
            });
        }
        sums.sort_by_key(|sum| (sum.time, sum.since));
        sums
    }
}
