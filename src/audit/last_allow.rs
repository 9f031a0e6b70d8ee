//! When this replica last allowed each person to use each service.
//!
//! Kept in memory, because it changes with nearly every check. Beside the records is a file of it: what changed is appended
//! each second, so that a kill loses at most two, and once a minute the file is written anew. Into the chain it is written
//! when the person is revoked.

use std::collections::HashMap;
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
    services: Vec<ServiceAllow>,
}

#[derive(Debug)]
struct ServiceAllow {
    service: Arc<str>,
    last: Timestamp,
    /// The file has it.
    kept: bool,
}

impl PersonAllows {
    fn latest(&self) -> Timestamp {
        self.services.iter().map(|of| of.last).max().unwrap_or(Timestamp::MIN)
    }

    fn rows(&self) -> impl Iterator<Item = LastAllow> {
        self.services.iter().map(|of| self.row(of))
    }

    fn row(&self, of: &ServiceAllow) -> LastAllow {
        LastAllow { person: self.person.clone(), service: of.service.clone(), time: of.last }
    }

    /// The rows that the file does not have. It does from now on.
    fn news(&mut self) -> Vec<LastAllow> {
        let news = self.services.iter().filter(|of| !of.kept).map(|of| self.row(of)).collect();
        self.keep();
        news
    }

    fn keep(&mut self) {
        self.services.iter_mut().for_each(|of| of.kept = true);
    }
}

#[derive(Debug, Default)]
struct Shard {
    people: HashMap<Key, PersonAllows>,
    /// Those with rows that the file does not have.
    changed: Vec<Key>,
}

/// The table.
#[derive(Debug)]
pub struct LastAllows {
    keyer: Keyer,
    shards: Vec<Mutex<Shard>>,
}

impl LastAllows {
    /// An empty table whose keys are made with this secret.
    #[must_use]
    pub fn new(secret: [u8; 16]) -> Self {
        Self { keyer: Keyer::new(secret), shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
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
        let Shard { people, changed } = &mut *shard;
        if let Some(seen) = people.get_mut(&key) {
            if seen.services.iter().all(|of| of.kept) {
                changed.push(key);
            }
            match seen.services.iter_mut().find(|of| Arc::ptr_eq(&of.service, service) || of.service == *service) {
                Some(of) => (of.last, of.kept) = (time.max(of.last), false),
                None => seen.services.push(ServiceAllow { service: service.clone(), last: time, kept: false }),
            }
            return Vec::new();
        }
        let pushed_out = if people.len() < LARGEST_SHARD { None } else { push_out(people) };
        let services = vec![ServiceAllow { service: service.clone(), last: time, kept: false }];
        people.insert(key, PersonAllows { person: person.clone(), services });
        changed.push(key);
        pushed_out.map(|seen| seen.rows().collect()).unwrap_or_default()
    }

    /// The services that this person was allowed to use, with the last time of each.
    #[must_use]
    pub fn of(&self, person: &PersonId) -> Vec<LastAllow> {
        let (key, Some(shard)) = self.find(person) else { return Vec::new() };
        shard.people.get(&key).map(|seen| seen.rows().collect()).unwrap_or_default()
    }

    /// What changed since the last call, as JSON lines. Each shard is locked only while it is copied.
    #[must_use]
    pub fn news(&self) -> Vec<u8> {
        self.lines(|Shard { people, changed }| {
            let mut rows = Vec::new();
            for key in changed.drain(..) {
                rows.extend(people.get_mut(&key).map(PersonAllows::news).unwrap_or_default());
            }
            rows
        })
    }

    /// The whole table as JSON lines.
    #[must_use]
    pub fn to_lines(&self) -> Vec<u8> {
        self.lines(|Shard { people, changed }| {
            changed.clear();
            people.values_mut().for_each(PersonAllows::keep);
            people.values().flat_map(PersonAllows::rows).collect()
        })
    }

    fn lines(&self, rows: impl Fn(&mut Shard) -> Vec<LastAllow>) -> Vec<u8> {
        let mut lines = Vec::new();
        for shard in &self.shards {
            let rows = rows(&mut shard.lock().unwrap_or_else(PoisonError::into_inner));
            for row in rows {
                if serde_json::to_writer(&mut lines, &row).is_ok() {
                    lines.push(b'\n');
                }
            }
        }
        lines
    }

    /// Reads back what [`LastAllows::to_lines`] and [`LastAllows::news`] wrote: of several lines about one person and service,
    /// the latest time counts. `false` if a line could not be read. A last line without its end was being written when the
    /// process was killed.
    #[must_use]
    pub fn take_lines(&self, lines: &str) -> bool {
        let mut whole = true;
        for line in lines.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            match serde_json::from_str::<LastAllow>(line) {
                Ok(row) => drop(self.touch(&row.person, &row.service, row.time)),
                Err(_) => whole = false,
            }
        }
        whole
    }
}

fn push_out(people: &mut HashMap<Key, PersonAllows>) -> Option<PersonAllows> {
    let oldest = people.iter().min_by_key(|(_, seen)| seen.latest()).map(|(key, _)| *key)?;
    people.remove(&oldest)
}
