//! When this replica last allowed each person to use each service.
//!
//! Kept in memory, because it changes with nearly every check. It is written beside the records once a minute and when
//! the writer stops, and into the chain when the person is revoked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::domain::key::{Key, KeyKind, Keyer};
use crate::domain::person::PersonId;
use crate::domain::time::Timestamp;

use super::entry::Entry;
use super::record::Kind;

/// Shards, so that checks do not wait for each other's locks.
const SHARDS: usize = 64;
/// People per shard: 64 × 4096 = 262,144 people. Beyond that, the person seen longest ago is evicted, and their times
/// are written into the chain.
const LARGEST_SHARD: usize = 4096;

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastAllow {
    /// Who.
    pub person: PersonId,
    /// To which service.
    pub service: Arc<str>,
    /// When.
    pub time: Timestamp,
}

impl LastAllow {
    /// Its record, written at `time`; `since` says when the allow was.
    #[must_use]
    pub fn entry(&self, time: Timestamp) -> Entry {
        Entry {
            persons: vec![self.person.clone()],
            service: Some(self.service.to_string()),
            decision: Some("allow"),
            source: Some(self.person.source.clone()),
            since: Some(self.time),
            ..Entry::new(Kind::LastAllow, time)
        }
    }
}

#[derive(Debug)]
struct PersonAllows {
    person: PersonId,
    services: Vec<(Arc<str>, Timestamp)>,
}

impl PersonAllows {
    fn latest(&self) -> Timestamp {
        self.services.iter().map(|(_, time)| *time).max().unwrap_or(Timestamp::MIN)
    }

    fn rows(&self) -> impl Iterator<Item = LastAllow> {
        self.services.iter().map(|(service, time)| LastAllow {
            person: self.person.clone(),
            service: service.clone(),
            time: *time,
        })
    }
}

type Shard = HashMap<Key, PersonAllows>;

/// The table.
#[derive(Debug)]
pub struct LastAllows {
    keyer: Keyer,
    shards: Vec<Mutex<Shard>>,
    changed: AtomicBool,
}

impl LastAllows {
    /// An empty table whose keys are made with this secret.
    #[must_use]
    pub fn new(secret: [u8; 16]) -> Self {
        Self {
            keyer: Keyer::new(secret),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            changed: AtomicBool::new(false),
        }
    }

    fn find(&self, person: &PersonId) -> (Key, Option<MutexGuard<'_, Shard>>) {
        let key = self.keyer.key(KeyKind::Person, &[&person.source, &person.key]);
        let shards = u64::try_from(self.shards.len()).unwrap_or(1);
        let index = key.high.checked_rem(shards).and_then(|index| usize::try_from(index).ok()).unwrap_or_default();
        (key, self.shards.get(index).map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Notes that this person was allowed. Returns the rows that this evicted.
    #[must_use]
    pub fn touch(&self, person: &PersonId, service: &Arc<str>, time: Timestamp) -> Vec<LastAllow> {
        let (key, Some(mut shard)) = self.find(person) else { return Vec::new() };
        self.changed.store(true, Ordering::Relaxed);
        if let Some(seen) = shard.get_mut(&key) {
            match seen.services.iter_mut().find(|(name, _)| Arc::ptr_eq(name, service) || name == service) {
                Some((_, last)) => *last = time.max(*last),
                None => seen.services.push((service.clone(), time)),
            }
            return Vec::new();
        }
        let pushed_out = if shard.len() < LARGEST_SHARD { None } else { push_out(&mut shard) };
        shard.insert(key, PersonAllows { person: person.clone(), services: vec![(service.clone(), time)] });
        pushed_out.map(|seen| seen.rows().collect()).unwrap_or_default()
    }

    /// The services that this person was allowed to use, with the last time of each.
    #[must_use]
    pub fn of(&self, person: &PersonId) -> Vec<LastAllow> {
        let (key, Some(shard)) = self.find(person) else { return Vec::new() };
        shard.get(&key).map(|seen| seen.rows().collect()).unwrap_or_default()
    }

    /// Whether anything was noted since the last call.
    #[must_use]
    pub fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::Relaxed)
    }

    /// The table as JSON lines. Each shard is locked only while it is copied.
    #[must_use]
    pub fn to_lines(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        for shard in &self.shards {
            let rows: Vec<LastAllow> = {
                let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
                shard.values().flat_map(PersonAllows::rows).collect()
            };
            for row in rows {
                if serde_json::to_writer(&mut lines, &row).is_ok() {
                    lines.push(b'\n');
                }
            }
        }
        lines
    }

    /// Reads back what [`LastAllows::to_lines`] wrote; `false` if a line could not be read.
    #[must_use]
    pub fn take_lines(&self, lines: &str) -> bool {
        let mut whole = true;
        for line in lines.lines() {
            match serde_json::from_str::<LastAllow>(line) {
                Ok(row) => drop(self.touch(&row.person, &row.service, row.time)),
                Err(_) => whole = false,
            }
        }
        self.changed.store(false, Ordering::Relaxed);
        whole
    }
}

fn push_out(shard: &mut Shard) -> Option<PersonAllows> {
    let oldest = shard.iter().min_by_key(|(_, seen)| seen.latest()).map(|(key, _)| *key)?;
    shard.remove(&oldest)
}
