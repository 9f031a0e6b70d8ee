//! Follows the log: reads new events, whoever appended them, folds and publishes them (law 11).

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};

use super::observer::{Around, EventObserver};
use super::plan::PlannedEvents;
use crate::domain::event::{Epoch, NewEvent, Position, Recorded};
use crate::domain::key::Keyer;
use crate::domain::policy::Policy;
use crate::faults::{Fault, planted};
use crate::log::{Batches, Log, LogError, Snapshot};
use crate::state::fold::Fold;
use crate::state::rules::Rules;
use crate::state::{FoldDigest, Published, State, snapshot};

/// The number of events in one page.
const PAGE: usize = 4096;
/// The number of pages that are read ahead during a replay.
const AHEAD: usize = 3;
/// The number of events between snapshots, so that a start reads few. For a larger state it is half the state's size,
/// since a snapshot writes all of it.
const SNAPSHOT_EVERY: u64 = 100_000;
/// Entries and people beyond which digests get rarer.
const LARGE: u64 = 100_000;

/// The fold gets a digest at each multiple of this position, to compare replicas. One takes a tenth of a second with a
/// million revocations, in the background.
const DIGEST_EVERY: u64 = 100_000;

/// The replayed log.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The fold of all its events.
    pub fold: Fold,
    /// The fold at fixed positions, for digests.
    pub marks: Marks,
    /// The position of the newest snapshot; 0 without one.
    pub kept: Position,
}

/// The fixed positions at which a fold gets a digest.
#[derive(Clone, Debug)]
pub struct Marks {
    /// They are the multiples of this.
    pub every: u64,
    /// The fold at the last one passed, until its digest is computed.
    pub passed: Option<Fold>,
}

/// Folds the whole log, from the newest readable snapshot or else from its beginning.
///
/// # Errors
/// [`LogError`] if the log cannot be read.
pub async fn replay<L: Log>(log: &L, keyer: Keyer) -> Result<Replayed, LogError> {
    replay_with_marks(log, keyer, DIGEST_EVERY).await
}

/// Like [`replay`], with digests at the multiples of `every`.
///
/// # Errors
/// [`LogError`] if the log cannot be read.
pub async fn replay_with_marks<L: Log>(log: &L, keyer: Keyer, every: u64) -> Result<Replayed, LogError> {
    let head = log.head().await?;
    let mut fold = newest(log, keyer, head).await?;
    let kept = fold.epoch.position;
    fold.epoch.generation = head.generation;
    let passed = (kept > 0 && is_digested(&fold, every)).then(|| fold.clone());
    let mut marks = Marks { every, passed };
    read_on(log, &mut fold, &mut marks, None, |_| {}).await?;
    // Check also without newer events: the snapshot may belong to another log.
    let end = fold.epoch.position;
    next(&mut fold, log.batches(end, end).await?, &mut None, |_| {})?;
    Ok(Replayed { fold, marks, kept })
}

/// The fold of the newest readable snapshot, or an empty one.
async fn newest<L: Log>(log: &L, keyer: Keyer, head: Epoch) -> Result<Fold, LogError> {
    let (mut below, mut unread) = (head.position + 1, String::new());
    while let Some(kept) = log.snapshot(below).await? {
        match snapshot::read(&kept.bytes, keyer.clone()) {
            Ok(fold) if fold.epoch <= head => return Ok(fold),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(snapshot.epoch = %kept.epoch, error.message = %error, "cannot read a snapshot; reading more of the log");
                unread = format!("{unread} ({}: {error})", kept.epoch);
            }
        }
        below = kept.epoch.position;
    }
    // INVARIANT: a log is read from its beginning only if it has it. The rest alone would let everybody in.
    let first = log.bounds().await?.first;
    if first > 1 {
        let cause = format!(
            "events before {first} are no longer in the log, and no snapshot of them can be read{unread}: restore the \
             store from a backup, or start the version of offboard that wrote it"
        );
        return Err(LogError::Io { step: "begin to read the log", cause });
    }
    Ok(Fold::empty(keyer, head.generation))
}

/// Folds the events behind the fold. The next pages are read while one is folded, since reading takes most of the time.
async fn read_on<L: Log>(
    log: &L,
    fold: &mut Fold,
    marks: &mut Marks,
    planned: Option<PlannedEvents>,
    mut seen: impl FnMut(Vec<Recorded>),
) -> Result<(), LogError> {
    let head = log.head().await?.position;
    // Keep only the last one: a kept copy makes later changes more expensive.
    let mark = head - head % marks.every;
    // A fold that was planned past a mark lacks the one at it.
    let mut planned = planned.filter(|planned| mark <= fold.epoch.position || planned.fold.epoch.position < mark);
    let firsts = (fold.epoch.position..head).step_by(PAGE);
    let page = |after| log.batches(after, head.min(after + PAGE as u64));
    let mut pages = pin!(stream::iter(firsts).map(page).buffered(AHEAD));
    while let Some(page) = pages.next().await {
        let events = next(fold, page?, &mut planned, |fold| {
            if fold.epoch.position == mark && is_digested(fold, marks.every) {
                marks.passed = Some(fold.clone());
            }
        });
        seen(events?);
    }
    Ok(())
}

/// Whether a digest is made of the fold here: at each multiple of `every`, and the rarer the larger the fold is, since a
/// digest costs as much as it has entries. Every replica comes to the same positions, as the folds there are equal.
fn is_digested(fold: &Fold, every: u64) -> bool {
    let size = (fold.revocations.len() + fold.people.len()) as u64;
    let rarer = (1 + size / LARGE).next_power_of_two();
    fold.epoch.position.is_multiple_of(every.saturating_mul(rarer))
}

/// Folds the next batches, all or none, and returns their events. The fold of planned events is taken over if these are the
/// events that were read.
///
/// # Errors
/// [`LogError::Io`] if they are not the next ones or follow another history: going on would miss events unnoticed.
fn next(
    fold: &mut Fold,
    Batches { after, before, events, chain }: Batches,
    planned: &mut Option<PlannedEvents>,
    mut folded: impl FnMut(&Fold),
) -> Result<Vec<Recorded>, LogError> {
    let wrong = |cause: String| Err(LogError::Io { step: "read the log", cause });
    let position = fold.epoch.position;
    let gap = (position + 1..).zip(&events).find(|(expected, recorded)| recorded.position != *expected);
    if let Some((expected, recorded)) = gap {
        return wrong(format!("event {expected} is missing, {} follows instead", recorded.position));
    }
    // INVARIANT: a fold always ends where a batch does.
    if after != position || (events.is_empty() && before != chain) {
        return wrong(format!("event {} is missing", position + 1));
    }
    if let Some(known) = fold.chain.filter(|known| *known != before) {
        return wrong(format!(
            "its hash at {position} is {before}, and was {known} when it was read: it is another log; restore the store \
             from a backup and restart offboard"
        ));
    }
    if let Some(planned) = planned.take_if(|planned| leads_here(planned, fold, &events)) {
        *fold = planned.fold;
        fold.chain = Some(chain);
        return Ok(events);
    }
    for recorded in &events {
        if planted(Fault::FoldSkips) && recorded.position.is_multiple_of(7) {
            fold.epoch.position = recorded.position;
        } else {
            fold.apply(recorded);
        }
        folded(fold);
    }
    fold.chain = Some(chain);
    Ok(events)
}

/// Whether the planned events are those that were read, and their fold is the one behind `fold`.
///
/// INVARIANT: folding depends only on the fold and the events (law 11), so a fold of equal events on an equal fold is the
/// fold of the log.
fn leads_here(planned: &PlannedEvents, fold: &Fold, read: &[Recorded]) -> bool {
    let end = Epoch { position: fold.epoch.position + read.len() as u64, ..fold.epoch };
    let are_equal = || read.iter().map(|recorded| &recorded.new).eq(&planned.events);
    !read.is_empty()
        && planned.fold.epoch == end
        && (are_equal() || planted(Fault::PlanUnread))
        && !planted(Fault::FoldSkips)
}

/// Compares names by the rules of the configuration in force, as tokens are. Rules in the log count only for sources
/// that are no longer configured.
pub(super) fn compare_as_configured(fold: &mut Fold, policy: &Policy) {
    let sources = policy.sources.iter().map(|source| (source.name.as_str(), Some(source.directory)));
    fold.people.compare_by(&fold.keyer, sources);
}

/// The position at which the next snapshot is due, if the newest one is of `kept`.
fn snapshot_after(kept: Position, fold: &Fold) -> Position {
    let size = (fold.revocations.len() + fold.people.len()) as u64;
    kept + SNAPSHOT_EVERY.max(size / 2)
}

/// Follows the log, holds its fold and notifies observers.
pub(super) struct Follower<L> {
    log: Arc<L>,
    published: Arc<Published>,
    /// The fold of the events read so far.
    pub(super) fold: Fold,
    /// The configuration in force.
    pub(super) rules: Arc<Rules>,
    observers: Vec<Box<dyn EventObserver>>,
    /// The position of the newest snapshot.
    kept: Position,
    snapshot_at: Position,
    marks: Marks,
}

impl<L: Log> Follower<L> {
    /// Continues from a replayed log.
    pub(super) fn new(
        log: Arc<L>,
        Replayed { mut fold, marks, kept }: Replayed,
        policy: Arc<Policy>,
        observers: Vec<Box<dyn EventObserver>>,
    ) -> (Self, Arc<Published>) {
        compare_as_configured(&mut fold, &policy);
        let rules = Arc::new(Rules::new(policy, 1, &fold.keyer));
        let published = Published::new(State { fold: fold.clone(), rules: Arc::clone(&rules) });
        // Counted from the last snapshot, not from here, so that a process that is killed again and again still saves
        // one.
        let snapshot_at = snapshot_after(kept, &fold);
        let mut follower =
            Self { log, published: Arc::clone(&published), fold, rules, observers, kept, snapshot_at, marks };
        follower.digest();
        (follower, published)
    }

    /// Folds the new events. Returns them, also if reading failed in the middle.
    ///
    /// `planned` are events that were planned on the current fold, which are expected to be read.
    pub(super) async fn read(&mut self, planned: Option<PlannedEvents>) -> (Vec<Recorded>, Result<(), LogError>) {
        let mut seen = Vec::new();
        let read =
            read_on(self.log.as_ref(), &mut self.fold, &mut self.marks, planned, |events| seen.extend(events)).await;
        compare_as_configured(&mut self.fold, &self.rules.policy);
        self.digest();
        (seen, read)
    }

    /// Starts computing the digest at the last fixed position passed, unless it is done, in the background.
    fn digest(&mut self) {
        let Some(fold) = self.marks.passed.take() else { return };
        let published = Arc::clone(&self.published);
        tokio::task::spawn_blocking(move || {
            let (position, digest) = (fold.epoch.position, fold.digest());
            tracing::debug!(log.position = position, fold.digest = digest, "digest of the fold");
            published.digested(FoldDigest { position, digest });
        });
    }

    /// Publishes the fold, or in its place the one enforced from memory.
    pub(super) fn publish(&self, volatile: Option<&Fold>) {
        let fold = volatile.unwrap_or(&self.fold).clone();
        self.published.publish(State { fold, rules: Arc::clone(&self.rules) });
    }

    /// Notifies the observers of events that are enforced; `before` is the fold that they were applied to.
    pub(super) fn notify(&self, events: &[Recorded], before: Fold) {
        if events.is_empty() {
            return;
        }
        let state = |fold: Fold| State { fold, rules: Arc::clone(&self.rules) };
        let (before, after) = (state(before), state(self.fold.clone()));
        let around = Around { before: &before, after: &after };
        for recorded in events {
            let touched = self.fold.touched(&recorded.new.event);
            self.observers.iter().for_each(|observer| observer.enforced(recorded, &touched, around));
        }
    }

    /// Notifies the observers that the store failed.
    pub(super) fn store_failed(&self, error: &LogError) {
        let error = error.to_string();
        self.observers.iter().for_each(|observer| observer.store_failed(&error));
    }

    /// Installs a configuration; it takes effect at the next publication.
    pub(super) fn install(&mut self, policy: &Arc<Policy>) {
        compare_as_configured(&mut self.fold, policy);
        self.rules = Arc::new(Rules::new(Arc::clone(policy), self.rules.generation + 1, &self.fold.keyer));
    }

    /// Folds events that were not read from the log. It must never do that; only faults call it.
    pub(super) fn fold_unread(&mut self, events: Vec<NewEvent>) {
        for new in events {
            self.fold.apply(&Recorded { position: self.fold.epoch.position + 1, new });
        }
    }

    /// Whether the log has grown much since the newest snapshot.
    pub(super) fn is_snapshot_due(&self) -> bool {
        self.fold.epoch.position >= self.snapshot_at
    }

    /// Whether the log has grown since the newest snapshot.
    pub(super) fn is_snapshot_old(&self) -> bool {
        self.fold.epoch.position > self.kept
    }

    /// Starts saving a snapshot of the current fold.
    pub(super) fn keep_snapshot(&mut self) -> BoxFuture<'static, ()> {
        let (fold, log) = (self.fold.clone(), Arc::clone(&self.log));
        (self.kept, self.snapshot_at) = (fold.epoch.position, snapshot_after(fold.epoch.position, &fold));
        Box::pin(async move {
            let failed = |cause: String| LogError::Io { step: "write a snapshot", cause };
            let epoch = fold.epoch;
            let written = tokio::task::spawn_blocking(move || snapshot::write(&fold)).await;
            let kept = match written.map_err(|error| failed(error.to_string())) {
                Ok(Ok(bytes)) => log.keep_snapshot(Snapshot { epoch, bytes }).await,
                Ok(Err(error)) => Err(failed(error.to_string())),
                Err(error) => Err(error),
            };
            if let Err(error) = kept {
                tracing::warn!(error.message = %error, "failed to save a snapshot; the next start reads more of the log");
            }
        })
    }
}
