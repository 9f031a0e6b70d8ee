//! The one writer: commands in, events into the log, the log into the state, answers out.
//!
//! Whatever waits is planned together, appended together (one fsync), read back from the log, folded,
//! published and only then acknowledged (laws 5 and 11). Nothing else changes the state.

mod access;
mod clock;
mod configured;
mod directory;
mod identifiers;
mod operator;
mod plan;
mod listing;
mod volatile;

#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::mpsc;

use crate::domain::command::{Command, Done, Envelope, ListingId, Refused};
use crate::domain::event::{NewEvent, Position, Recorded};
use crate::domain::key::Keyer;
use crate::domain::policy::Policy;
use crate::domain::time::Now;
use crate::faults::{Fault, planted};
use crate::log::{Log, LogError, Snapshot};
use crate::state::fold::Fold;
use crate::state::rules::Rules;
use crate::state::{Published, State, snapshot};
use listing::Effect;
use listing::Listings;
use plan::{Outcome, Plan};
use volatile::Volatile;

/// Commands that are committed together at most: bounds how long the first of them waits for the last.
const BATCH: usize = 1024;
/// Events that are read at once.
const PAGE: usize = 4096;
/// Pages that are read before they are wanted, at a start.
const AHEAD: usize = 3;
/// Events after which a new snapshot is kept, so that a start reads few. Where there is more to write down than that, half
/// of it: each snapshot writes all.
const SNAPSHOT_EVERY: u64 = 100_000;

/// Is told of every event once it is enforced here: for audit records and metrics.
pub trait EventObserver: Send + Sync + 'static {
    /// An event came into force.
    fn enforced(&self, recorded: &Recorded);

    /// The store took nothing of what was to be kept, or is no longer where it was opened.
    fn store_failed(&self);
}

/// Writes. There is one in a process.
pub struct Writer<L> {
    log: Arc<L>,
    published: Arc<Published>,
    fold: Fold,
    rules: Arc<Rules>,
    witness: Box<dyn EventObserver>,
    listings: Listings,
    /// The time that the last command brought: what comes into force in steps goes by it.
    latest: Now,
    /// What is enforced from memory while the store is gone.
    volatile: Option<Volatile>,
    /// The newest snapshot stands here.
    kept: u64,
    snapshot_at: u64,
}

/// What a command came to.
#[derive(Clone, Debug, Default)]
struct Answer {
    done: Done,
    /// The answer comes later, see [`Outcome::waits`].
    waits: Option<(String, Option<ListingId>)>,
}

/// The events of a batch, what becomes of listings with them, and what each command came to.
type Planned = (Vec<NewEvent>, Vec<Effect>, Vec<Result<Answer, Refused>>);

/// What a start makes of the log.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The whole of it.
    pub fold: Fold,
    /// Up to where a snapshot holds it; 0 without one.
    pub kept: Position,
}

/// Folds the whole log: from its snapshot, where there is a readable one, else from its beginning.
///
/// # Errors
/// [`LogError`] if the log cannot be read.
pub async fn replay<L: Log>(log: &L, keyer: Keyer) -> Result<Replayed, LogError> {
    let head = log.head().await?;
    let snapshot = log.snapshot().await?.and_then(|kept| match snapshot::read(&kept.bytes, keyer.clone()) {
        Ok(fold) if fold.epoch <= head => Some(fold),
        Ok(_) => None,
        Err(error) => {
            tracing::warn!(error = %error, "the snapshot is not used: the log is read from its beginning");
            None
        }
    });
    let mut fold = snapshot.unwrap_or_else(|| Fold::empty(keyer, head.generation));
    let kept = fold.epoch.position;
    fold.epoch.generation = head.generation;
    read_ahead(log, &mut fold, head.position).await?;
    read_on(log, &mut fold, |_| {}).await?;
    Ok(Replayed { fold, kept })
}

/// Folds what the log holds up to `head`. The next pages are read while one is folded: most of the time is theirs.
async fn read_ahead<L: Log>(log: &L, fold: &mut Fold, head: Position) -> Result<(), LogError> {
    let firsts = (fold.epoch.position..head).step_by(PAGE);
    let mut pages = pin!(stream::iter(firsts).map(|after| log.read(after, PAGE)).buffered(AHEAD));
    while let Some(page) = pages.next().await {
        page?.iter().for_each(|recorded| fold.apply(recorded));
    }
    Ok(())
}

/// Folds what the log holds behind the fold.
async fn read_on<L: Log>(log: &L, fold: &mut Fold, mut seen: impl FnMut(&Recorded)) -> Result<(), LogError> {
    loop {
        let page = log.read(fold.epoch.position, PAGE).await?;
        for recorded in &page {
            fold.apply(recorded);
            seen(recorded);
        }
        if page.len() < PAGE {
            return Ok(());
        }
    }
}

/// Names compare by the rules of the configuration in force, as tokens do, whatever another one wrote into the log: that
/// counts for sources which are configured no more.
fn compare_as_configured(fold: &mut Fold, policy: &Policy) {
    let sources = policy.sources.iter().map(|source| (source.name.as_str(), Some(source.directory)));
    fold.people.compare_by(&fold.keyer, sources);
}

impl<L: Log> Writer<L> {
    /// A writer that goes on from what was replayed, and the state that it publishes.
    #[must_use]
    pub fn new(
        log: Arc<L>,
        Replayed { fold, kept }: Replayed,
        policy: Arc<Policy>,
        witness: Box<dyn EventObserver>,
    ) -> (Self, Arc<Published>) {
        let mut fold = fold;
        compare_as_configured(&mut fold, &policy);
        let rules = Arc::new(Rules::new(policy, 1, &fold.keyer));
        let published = Published::new(State { fold: fold.clone(), rules: Arc::clone(&rules) });
        // Counted from the snapshot, not from here: whoever is killed again and again keeps one all the same.
        let snapshot_at = kept + SNAPSHOT_EVERY;
        let (listings, volatile, latest) = (Listings::default(), None, Now::at(fold.witnessed));
        let writer = Self {
            log,
            published: Arc::clone(&published),
            fold,
            rules,
            witness,
            listings,
            latest,
            volatile,
            kept,
            snapshot_at,
        };
        (writer, published)
    }

    /// Works until every handle is gone, or until `stop`, when it answers what waits and takes no more; then keeps
    /// a snapshot.
    pub async fn run(mut self, mut envelopes: mpsc::Receiver<Envelope>, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let (mut batch, mut stopping) = (Vec::new(), false);
        // Nobody waits for a snapshot: it is written beside what comes next.
        let mut keeping: Option<BoxFuture<'static, ()>> = None;
        loop {
            tokio::select! {
                biased;
                () = async { if let Some(keeping) = &mut keeping { keeping.await } }, if keeping.is_some() => keeping = None,
                received = envelopes.recv_many(&mut batch, BATCH) => if received == 0 { break },
                () = &mut stop, if !stopping => {
                    stopping = true;
                    envelopes.close();
                }
                // Others get their turn first.
                () = tokio::task::yield_now(), if self.is_draining() => {}
            }
            if !batch.is_empty() {
                self.settle(std::mem::take(&mut batch)).await;
            }
            self.drain().await;
            if self.fold.epoch.position >= self.snapshot_at && keeping.is_none() {
                keeping = Some(self.keep_snapshot());
            }
        }
        if let Some(keeping) = keeping {
            keeping.await;
        }
        if self.fold.epoch.position > self.kept {
            self.keep_snapshot().await;
        }
    }

    /// Makes a batch of commands true, or says why not.
    async fn settle(&mut self, batch: Vec<Envelope>) {
        for letter in &batch {
            if let Command::Configure(policy) = &letter.command {
                self.install(policy);
            }
        }
        self.latest = batch.last().map_or(self.latest, |letter| letter.now);
        let outcome = self.make_true(&batch).await;
        for (index, letter) in batch.into_iter().enumerate() {
            let answer = match &outcome {
                Ok(outcomes) => outcomes.get(index).cloned().unwrap_or(Err(Refused::Stopped)),
                Err(error) => Err(Refused::Log(error.to_string())),
            };
            match answer {
                Ok(Answer { waits: Some(waits), .. }) => self.listings.wait(&waits, letter.reply),
                // Whoever asked may have gone: what they asked for is true all the same.
                answer => {
                    let answer = answer.map(|answer| Done { epoch: self.fold.epoch, ..answer.done });
                    let _ = letter.reply.send(answer);
                }
            }
        }
    }

    /// By the log; where the store is gone, what can be without it.
    async fn make_true(&mut self, batch: &[Envelope]) -> Result<Vec<Result<Answer, Refused>>, LogError> {
        let outcome = match self.rejoin().await {
            Ok(()) => self.commit(batch).await,
            Err(error) => Err(error),
        };
        outcome.or_else(|error| {
            self.witness.store_failed();
            match error {
                LogError::Moved { .. } => Ok(self.answer_without_log(batch, &error)),
                error => {
                    tracing::error!(error = %error, "the log took nothing: nothing was changed");
                    Err(error)
                }
            }
        })
    }

    /// Plans, appends, reads back. If the log has moved on, compares and plans again.
    async fn commit(&mut self, batch: &[Envelope]) -> Result<Vec<Result<Answer, Refused>>, LogError> {
        loop {
            let (events, effects, outcomes) = self.plan(batch).await?;
            if events.is_empty() {
                // It is true already; whether it stays so depends on the store all the same (law 5).
                self.log.standing().await?;
                self.listings.carry_out(effects);
                return Ok(outcomes);
            }
            if planted(Fault::AcknowledgedUnwritten) {
                self.fold_unread(events);
                return Ok(outcomes);
            }
            let own =
                if planted(Fault::FoldsItsOwn) || planted(Fault::StoreUnseen) { events.clone() } else { Vec::new() };
            match self.log.append(self.fold.epoch, events).await {
                Err(LogError::Conflict { head }) if planted(Fault::FoldsItsOwn) => {
                    self.log.append(head, own.clone()).await?;
                    self.fold_unread(own);
                    return Ok(outcomes);
                }
                Ok(_) => {
                    self.listings.carry_out(effects);
                    self.catch_up().await?;
                    return Ok(outcomes);
                }
                // Planned again, with what somebody else appended.
                Err(LogError::Conflict { .. }) => self.catch_up().await?,
                Err(LogError::Moved { .. }) if planted(Fault::StoreUnseen) => {
                    self.fold_unread(own);
                    return Ok(outcomes);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// What the batch amounts to: each command is compared with what those before it will have made true.
    async fn plan(&self, batch: &[Envelope]) -> Result<Planned, LogError> {
        let mut plan = self.new_plan();
        let mut outcomes = Vec::with_capacity(batch.len());
        for letter in batch {
            let before = plan.len();
            let outcome = self.plan_one(&mut plan, letter).await?;
            let position = if plan.len() > before { self.fold.epoch.position + 1 + before as u64 } else { 0 };
            let answer = |Outcome { persons, more, waits }| Answer {
                done: Done { position, persons, more, ..Done::default() },
                waits,
            };
            outcomes.push(outcome.map(answer));
        }
        let configured = batch.iter().any(|letter| matches!(letter.command, Command::Configure(_)));
        if let Some(last) = batch.last().filter(|_| configured || plan.people_changed) {
            configured::pin(&mut plan, last.now);
        }
        let (events, effects) = plan.into_parts();
        Ok((events, effects, outcomes))
    }

    fn new_plan(&self) -> Plan {
        Plan::new(State { fold: self.fold.clone(), rules: Arc::clone(&self.rules) })
    }

    async fn plan_one(&self, plan: &mut Plan, letter: &Envelope) -> Result<Result<Outcome, Refused>, LogError> {
        let now = letter.now;
        Ok(match &letter.command {
            Command::Observe(observation) => {
                let id = directory::event_id(observation);
                let known = match &id {
                    Some(id) => plan.has_id(id) || self.log.find(id).await?.is_some(),
                    None => false,
                };
                if known {
                    Ok(Outcome::default())
                } else {
                    directory::observe(plan, &self.listings, observation, id, now)
                }
            }
            Command::Revoke(request) => operator::revoke(plan, request, now),
            Command::Restore { id, reason, actor } => {
                let event = match id.0.checked_sub(1) {
                    Some(before) => self.log.read(before, 1).await?.pop(),
                    None => None,
                };
                operator::restore(plan, *id, event, reason, actor, now)
            }
            Command::Exempt { reference, expires, reason, actor } => {
                operator::exempt(plan, reference, *expires, (reason, actor), now)
            }
            Command::Judge { source, listing, verdict, actor } => {
                listing::judge(plan, &self.listings, (source, *listing), (*verdict, actor), now)
            }
            Command::Expect { source, share, until, actor } => {
                listing::expect(plan, (source, *share, *until), actor, now)
            }
            Command::Configure(_) => configured::note(plan, self.log.as_ref(), now).await?,
            Command::Tick => Ok(clock::tick(plan, now)),
        })
    }

    /// Folds what the log holds by now, and puts it in force.
    async fn catch_up(&mut self) -> Result<(), LogError> {
        let mut seen = Vec::new();
        let read = read_on(self.log.as_ref(), &mut self.fold, |recorded| seen.push(recorded.clone())).await;
        compare_as_configured(&mut self.fold, &self.rules.policy);
        self.publish();
        for recorded in &seen {
            self.witness.enforced(recorded);
        }
        read
    }

    /// What a writer must never do: takes events in that nobody has read from the log. Only faults call it.
    fn fold_unread(&mut self, events: Vec<NewEvent>) {
        for new in events {
            self.fold.apply(&Recorded { position: self.fold.epoch.position + 1, new });
        }
        self.publish();
    }

    fn install(&mut self, policy: &Arc<Policy>) {
        compare_as_configured(&mut self.fold, policy);
        if let Some(volatile) = &mut self.volatile {
            compare_as_configured(&mut volatile.fold, policy);
        }
        self.rules = Arc::new(Rules::new(Arc::clone(policy), self.rules.generation + 1, &self.fold.keyer));
        self.publish();
    }

    fn publish(&self) {
        if planted(Fault::AcknowledgedUnenforced) {
            return;
        }
        let fold = self.volatile.as_ref().map_or(&self.fold, |volatile| &volatile.fold);
        self.published.publish(State { fold: fold.clone(), rules: Arc::clone(&self.rules) });
    }

    /// Begins to keep a snapshot of what is enforced now.
    fn keep_snapshot(&mut self) -> BoxFuture<'static, ()> {
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
