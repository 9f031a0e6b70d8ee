//! Takes in records: the check path never waits for a disk.
//!
//! | what | becomes |
//! |---|---|
//! | a plain allow | a time in the table of last allows |
//! | a denial of somebody or something known, a notable allow | a record; its repeats a sum each minute |
//! | a denial of somebody under a revocation, by method and path | a record, 1,000 a day and person |
//! | a denial of nobody known | a sum each minute |
//! | everything else that happens | a record |
//! | `decisions: all` or `sampled` | a record more, if there is room |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use aws_lc_rs::hmac;
use serde_json::Value;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::domain::decision::Decision;
use crate::domain::event::Recorded;
use crate::domain::person::PersonId;
use crate::domain::settings::audit::Decisions;
use crate::domain::time::{Now, Timestamp};

use super::attempts::Attempts;
use super::entry::{Entry, Facts, concerned};
use super::last_allow::{LastAllow, LastAllows};
use super::record::{CredentialRef, DecisionId, DecisionIds, Record};
use super::ring::{Recent, Ring};
use super::summary::{AggregationKey, Noted, Novelty, Repeats};

/// Messages that may wait: about a second of checks under attack, each with a different credential (5,000/s), plus room
/// for lifecycle records.
pub const WAITING: usize = 8192;
/// Records that a slow follower may lag behind before it misses some.
const FOLLOWED: usize = 1024;
/// The range that samples are drawn from.
const ALL: u64 = 1 << 32;

impl Decisions {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=2^32")]
    #[expect(clippy::cast_precision_loss, reason = "2^32 is a double")]
    fn threshold(self) -> u64 {
        match self {
            Self::Denied => 0,
            Self::All => ALL,
            Self::Sampled(share) => (share.clamp(0.0, 1.0) * ALL as f64) as u64,
        }
    }
}

/// Why something was not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit writer has stopped")]
pub struct Stopped;

/// Counters, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records written.
    pub records: u64,
    /// Messages waiting for the writer.
    pub waiting: u64,
    /// Records that should have been kept but were lost. Must stay 0.
    pub lost: u64,
    /// Failed disk operations.
    pub failures: u64,
    /// The last operation failed.
    pub failing: bool,
}

/// What a mover had and has: groups and roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Before.
    pub before: Value,
    /// Afterwards.
    pub after: Value,
}

#[derive(Debug)]
pub(super) enum Message {
    Entry(Box<Entry>),
    Tick(Now),
    Durable(oneshot::Sender<()>),
    Close(Now),
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) salt: hmac::Key,
    pub(super) ids: DecisionIds,
    pub(super) repeats: Repeats,
    attempts: Attempts,
    pub(super) last_allows: LastAllows,
    pub(super) ring: Ring,
    pub(super) feed: broadcast::Sender<Arc<Record>>,
    pub(super) records: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) failing: AtomicBool,
    threshold: AtomicU64,
}

impl Shared {
    pub(super) fn new(salt: [u8; 32], process: u64, decisions: Decisions) -> Self {
        let mut short = [0; 16];
        for (short, salt) in short.iter_mut().zip(salt) {
            *short = salt;
        }
        Self {
            salt: hmac::Key::new(hmac::HMAC_SHA256, &salt),
            ids: DecisionIds::new(process),
            repeats: Repeats::default(),
            attempts: Attempts::default(),
            last_allows: LastAllows::new(short),
            ring: Ring::default(),
            feed: broadcast::Sender::new(FOLLOWED),
            records: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            threshold: AtomicU64::new(decisions.threshold()),
        }
    }

    fn credential(&self, decision: &Decision) -> Option<CredentialRef> {
        decision.verified().map(|credential| CredentialRef {
            kind: credential.kind.word().to_owned(),
            id_hash: hex::encode(hmac::sign(&self.salt, &credential.digest)),
        })
    }

    pub(super) fn lose(&self, count: u64) {
        self.lost.fetch_add(count, Ordering::Relaxed);
    }
}

/// Counts a record as lost unless it was kept, even if the check that waits for it is dropped.
struct Unkept<'a>(Option<&'a Shared>);

impl Drop for Unkept<'_> {
    fn drop(&mut self) {
        if let Some(shared) = self.0 {
            shared.lose(1);
        }
    }
}

/// Takes in records. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    sender: mpsc::Sender<Message>,
}

impl Recorder {
    pub(super) fn new(shared: Arc<Shared>, sender: mpsc::Sender<Message>) -> Self {
        Self { shared, sender }
    }

    /// An id for the decision that is about to be made.
    #[must_use]
    pub fn draw_id(&self) -> DecisionId {
        self.shared.ids.draw()
    }

    /// Records a decision as configured. Never waits: a record that must be kept but finds no room is counted as lost.
    pub fn decision(&self, decision: &Arc<Decision>, facts: Facts<'_>) {
        let shared = &self.shared;
        shared.ring.keep(decision, &facts);
        if decision.lets_through()
            && let Some(person) = decision.person_id()
        {
            for pushed_out in shared.last_allows.touch(person, &decision.service, facts.time) {
                self.offer(pushed_out.entry(facts.time));
            }
        }
        if let Some(entry) = self.weigh(decision, &facts) {
            self.offer(*entry);
        }
    }

    /// Does what can be done immediately, and returns a record that must be kept but found no room.
    fn weigh(&self, decision: &Decision, facts: &Facts<'_>) -> Option<Box<Entry>> {
        let shared = &self.shared;
        let entry = || Entry::of_decision(decision, facts, shared.credential(decision));
        let threshold = shared.threshold.load(Ordering::Relaxed);
        let sampled = threshold > 0 && (threshold >= ALL || sample(facts.id) < threshold);
        let plain = decision.reason.allows() && !decision.notable;
        let known = decision.verified().is_some();
        if plain || (!known && decision.reason.allows()) {
            if sampled {
                self.offer(entry());
            }
            return None;
        }
        // With `all` each decision has its own record, so nothing is counted, unless there is no room.
        if threshold >= ALL && self.sender.try_send(Message::Entry(Box::new(entry()))).is_ok() {
            return None;
        }
        if !known {
            shared.repeats.nobody(decision, facts.time);
        } else {
            let like = AggregationKey::of(decision);
            let attempt = shared.attempts.first(decision, facts);
            let novelty = attempt.map_or(Novelty::Like, |_| Novelty::New);
            match shared.repeats.note(&like, facts.time, novelty, entry) {
                Noted::First(entry) => {
                    let Err(error) = self.sender.try_send(Message::Entry(entry)) else { return None };
                    if let Some(attempt) = attempt {
                        shared.attempts.forget(attempt);
                    }
                    // Counted in the next sum, which a stopped writer will never write.
                    let counted = !self.sender.is_closed() && shared.repeats.again(&like, facts.time);
                    return (!counted).then(|| returned(error)).flatten();
                }
                Noted::Full(entry) => return Some(entry),
                Noted::Counted => {}
            }
        }
        if sampled {
            self.offer(entry());
        }
        None
    }

    /// Records if there is room; otherwise counts it as lost.
    fn offer(&self, entry: Entry) {
        if self.sender.try_send(Message::Entry(Box::new(entry))).is_err() {
            self.shared.lose(1);
        }
    }

    /// Counts records that should have been kept but were lost.
    pub fn lose(&self, count: u64) {
        self.shared.lose(count);
    }

    /// Records something other than a decision; waits for room.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn record(&self, entry: Entry) -> Result<(), Stopped> {
        let mut unkept = Unkept(Some(&self.shared));
        self.sender.send(Message::Entry(Box::new(entry))).await.map_err(|_| Stopped)?;
        unkept.0 = None;
        Ok(())
    }

    /// Records an event of the log that this process enforces since `time`, with what it changed for a mover, and when each
    /// person it revokes was last allowed.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn enforced(
        &self,
        recorded: &Recorded,
        generation: u64,
        time: Timestamp,
        moved: Option<Moved>,
    ) -> Result<(), Stopped> {
        let (before, after) = moved.map_or((None, None), |moved| (Some(moved.before), Some(moved.after)));
        if let Some(entry) = Entry::of_event(recorded, generation, time) {
            self.record(Entry { before, after, ..entry }).await?;
        }
        for person in concerned(&recorded.new.event) {
            for last in self.shared.last_allows.of(&person) {
                self.record(last.entry(time)).await?;
            }
        }
        Ok(())
    }

    /// Waits until everything taken in before is on disk.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn durable(&self) -> Result<(), Stopped> {
        let (done, wait) = oneshot::channel();
        self.sender.send(Message::Durable(done)).await.map_err(|_| Stopped)?;
        wait.await.map_err(|_| Stopped)
    }

    /// Tells the writer the time. To be called every second; it drives sums, retention and delayed syncs. If there is no
    /// room, the writer is busy and the next call will do.
    pub fn tick(&self, now: Now) {
        let _busy = self.sender.try_send(Message::Tick(now));
    }

    /// Tells the writer to write what it has and a `stop` record, then to end.
    pub async fn close(&self, now: Now) {
        let _stopped = self.sender.send(Message::Close(now)).await;
    }

    /// Applies a reloaded `audit.decisions`.
    pub fn set_decisions(&self, decisions: Decisions) {
        self.shared.threshold.store(decisions.threshold(), Ordering::Relaxed);
    }

    /// A recent decision, in memory.
    #[must_use]
    pub fn recent(&self, id: DecisionId) -> Option<Recent> {
        self.shared.ring.find(id)
    }

    /// When this replica last allowed a person, per service.
    #[must_use]
    pub fn last_allows(&self, person: &PersonId) -> Vec<LastAllow> {
        self.shared.last_allows.of(person)
    }

    /// Records from now on, as they are written.
    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<Arc<Record>> {
        self.shared.feed.subscribe()
    }

    /// Counters, for metrics.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let waiting = self.sender.max_capacity().saturating_sub(self.sender.capacity());
        Counts {
            records: self.shared.records.load(Ordering::Relaxed),
            waiting: u64::try_from(waiting).unwrap_or(u64::MAX),
            lost: self.shared.lost.load(Ordering::Relaxed),
            failures: self.shared.failures.load(Ordering::Relaxed),
            failing: self.shared.failing.load(Ordering::Relaxed),
        }
    }
}

/// Position of a decision in the range that samples are drawn from: evenly spread (Fibonacci hashing), and always the
/// same for an id.
fn sample(id: DecisionId) -> u64 {
    id.number().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}

fn returned(error: mpsc::error::TrySendError<Message>) -> Option<Box<Entry>> {
    match error.into_inner() {
        Message::Entry(entry) => Some(entry),
        _ => None,
    }
}
