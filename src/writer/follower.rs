//! Reads the log and folds what it brings, whoever appended it, and puts it in force (law 11).

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};

use super::EventObserver;
use crate::domain::event::{Epoch, NewEvent, Position, Recorded};
use crate::domain::key::Keyer;
use crate::domain::policy::Policy;
use crate::faults::{Fault, planted};
use crate::log::{Batches, Log, LogError, Snapshot};
use crate::state::fold::Fold;
use crate::state::rules::Rules;
use crate::state::{FoldDigest, Published, State, snapshot};

/// Events that are read at once.
const PAGE: usize = 4096;
/// Pages that are read before they are wanted, at a start.
const AHEAD: usize = 3;
/// Events after which a new snapshot is kept, so that a start reads few. Where there is more to write down than that, half
/// of it: each snapshot writes all.
const SNAPSHOT_EVERY: u64 = 100_000;

/// The fold has a digest at each multiple of this position, by which copies of it are compared. Each costs a tenth of a
/// second with a million revocations, beside everything else.
const DIGEST_EVERY: u64 = 100_000;

/// What a start makes of the log.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The whole of it.
    pub fold: Fold,
    /// What it was before, where that has a digest.
    pub marks: Marks,
    /// Up to where a snapshot holds it; 0 without one.
    pub kept: Position,
}

/// The fixed positions at which a fold has a digest.
#[derive(Clone, Debug)]
pub struct Marks {
    /// Each multiple of it.
    pub every: u64,
    /// The fold at the last of them that was passed, until its digest is made.
    pub passed: Option<Fold>,
}

/// Folds the whole log: from the newest snapshot that can be read, else from its beginning.
///
/// # Errors
/// [`LogError`] if the log cannot be read.
pub async fn replay<L: Log>(log: &L, keyer: Keyer) -> Result<Replayed, LogError> {
    replay_with_marks(log, keyer, DIGEST_EVERY).await
}

/// The same, with digests at other positions: each multiple of `every`.
///
/// # Errors
/// [`LogError`] if the log cannot be read.
pub async fn replay_with_marks<L: Log>(log: &L, keyer: Keyer, every: u64) -> Result<Replayed, LogError> {
    let head = log.head().await?;
    let mut fold = newest(log, keyer, head).await?;
    let kept = fold.epoch.position;
    fold.epoch.generation = head.generation;
    let passed = (kept > 0 && kept.is_multiple_of(every)).then(|| fold.clone());
    let mut marks = Marks { every, passed };
    read_on(log, &mut fold, &mut marks, |_| {}).await?;
    // Also where nothing stands behind the snapshot: it may be one of another log.
    let end = fold.epoch.position;
    next(&mut fold, log.batches(end, end).await?, |_| {})?;
    Ok(Replayed { fold, marks, kept })
}

/// The newest snapshot that can be read; the fold of nothing without one.
async fn newest<L: Log>(log: &L, keyer: Keyer, head: Epoch) -> Result<Fold, LogError> {
    let (mut below, mut unread) = (head.position + 1, String::new());
    while let Some(kept) = log.snapshot(below).await? {
        match snapshot::read(&kept.bytes, keyer.clone()) {
            Ok(fold) if fold.epoch <= head => return Ok(fold),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(snapshot.epoch = %kept.epoch, error = %error, "a snapshot is not used; reading more of the log");
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

/// Folds what the log holds behind the fold. The next pages are read while one is folded: most of the time is theirs.
async fn read_on<L: Log>(
    log: &L,
    fold: &mut Fold,
    marks: &mut Marks,
    mut seen: impl FnMut(Vec<Recorded>),
) -> Result<(), LogError> {
    let head = log.head().await?.position;
    // Only of the last one: a fold that is kept makes the next changes dearer.
    let mark = head - head % marks.every;
    let firsts = (fold.epoch.position..head).step_by(PAGE);
    let page = |after| log.batches(after, head.min(after + PAGE as u64));
    let mut pages = pin!(stream::iter(firsts).map(page).buffered(AHEAD));
    while let Some(page) = pages.next().await {
        let events = next(fold, page?, |fold| {
            if fold.epoch.position == mark {
                marks.passed = Some(fold.clone());
            }
        });
        seen(events?);
    }
    Ok(())
}

/// Folds the next batches, all or none of them; returns their events.
///
/// # Errors
/// [`LogError::Io`] if they are not the next ones, or follow upon another history: whoever went on would not know what
/// they do not know.
fn next(
    fold: &mut Fold,
    Batches { after, before, events, chain }: Batches,
    mut folded: impl FnMut(&Fold),
) -> Result<Vec<Recorded>, LogError> {
    let wrong = |cause: String| Err(LogError::Io { step: "read the log", cause });
    let position = fold.epoch.position;
    let gap = (position + 1..).zip(&events).find(|(expected, recorded)| recorded.position != *expected);
    if let Some((expected, recorded)) = gap {
        return wrong(format!("event {expected} is missing, {} came in its place", recorded.position));
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

/// Names compare by the rules of the configuration in force, as tokens do, whatever another one wrote into the log: that
/// counts for sources which are configured no more.
pub(super) fn compare_as_configured(fold: &mut Fold, policy: &Policy) {
    let sources = policy.sources.iter().map(|source| (source.name.as_str(), Some(source.directory)));
    fold.people.compare_by(&fold.keyer, sources);
}

/// Follows the log: holds the fold of it, and tells who wants to know.
pub(super) struct Follower<L> {
    log: Arc<L>,
    published: Arc<Published>,
    /// What the log says, as far as it was read.
    pub(super) fold: Fold,
    /// The configuration in force.
    pub(super) rules: Arc<Rules>,
    observers: Vec<Box<dyn EventObserver>>,
    /// The newest snapshot stands here.
    kept: Position,
    snapshot_at: Position,
    marks: Marks,
}

impl<L: Log> Follower<L> {
    /// Goes on from what was replayed.
    pub(super) fn new(
        log: Arc<L>,
        Replayed { mut fold, marks, kept }: Replayed,
        policy: Arc<Policy>,
        observers: Vec<Box<dyn EventObserver>>,
    ) -> (Self, Arc<Published>) {
        compare_as_configured(&mut fold, &policy);
        let rules = Arc::new(Rules::new(policy, 1, &fold.keyer));
        let published = Published::new(State { fold: fold.clone(), rules: Arc::clone(&rules) });
        // Counted from the snapshot, not from here: whoever is killed again and again keeps one all the same.
        let snapshot_at = kept + SNAPSHOT_EVERY;
        let mut follower =
            Self { log, published: Arc::clone(&published), fold, rules, observers, kept, snapshot_at, marks };
        follower.digest();
        (follower, published)
    }

    /// Folds what the log holds by now; what that was, also where reading broke off.
    pub(super) async fn read(&mut self) -> (Vec<Recorded>, Result<(), LogError>) {
        let mut seen = Vec::new();
        let read = read_on(self.log.as_ref(), &mut self.fold, &mut self.marks, |events| seen.extend(events)).await;
        compare_as_configured(&mut self.fold, &self.rules.policy);
        self.digest();
        (seen, read)
    }

    /// Begins to make the digest of the fold at the fixed position that was passed last, if it has none yet. Nobody waits
    /// for it.
    fn digest(&mut self) {
        let Some(fold) = self.marks.passed.take() else { return };
        let published = Arc::clone(&self.published);
        tokio::task::spawn_blocking(move || {
            let (position, digest) = (fold.epoch.position, fold.digest());
            tracing::debug!(log.position = position, fold.digest = digest, "digest of the fold");
            published.digested(FoldDigest { position, digest });
        });
    }

    /// Puts what was folded in force, or what is enforced from memory in its place.
    pub(super) fn publish(&self, volatile: Option<&Fold>) {
        let fold = volatile.unwrap_or(&self.fold).clone();
        self.published.publish(State { fold, rules: Arc::clone(&self.rules) });
    }

    /// Tells everybody of events that are in force.
    pub(super) fn tell(&self, events: &[Recorded]) {
        for recorded in events {
            let touched = self.fold.touched(&recorded.new.event);
            self.observers.iter().for_each(|observer| observer.enforced(recorded, &touched));
        }
    }

    /// The log took nothing.
    pub(super) fn store_failed(&self) {
        self.observers.iter().for_each(|observer| observer.store_failed());
    }

    /// Another configuration is in force once this is published.
    pub(super) fn install(&mut self, policy: &Arc<Policy>) {
        compare_as_configured(&mut self.fold, policy);
        self.rules = Arc::new(Rules::new(Arc::clone(policy), self.rules.generation + 1, &self.fold.keyer));
    }

    /// What it must never do: takes in what nobody has read from the log. Only faults call it.
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

    /// Begins to keep a snapshot of what is enforced now.
    pub(super) fn keep_snapshot(&mut self) -> BoxFuture<'static, ()> {
        let (fold, log) = (self.fold.clone(), Arc::clone(&self.log));
        let size = (fold.revocations.len() + fold.people.len()) as u64;
        (self.kept, self.snapshot_at) = (fold.epoch.position, fold.epoch.position + SNAPSHOT_EVERY.max(size / 2));
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
                tracing::warn!(error = %error, "no snapshot was kept: the next start reads more of the log");
            }
        })
    }
}
