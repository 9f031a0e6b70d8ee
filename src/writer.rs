//! The one writer: commands in, events into the log, the log into the state, answers out.
//!
//! Waiting commands are planned together and appended together (one fsync). Their events are read back from the log,
//! folded and published; only then are the commands acknowledged (laws 5 and 11). Nothing else changes the state.
//!
//! ```text
//! run ─▶ process (a batch) ─▶ execute ─▶ make_ready: resolve what is unsettled, rejoin the log, catch up
//!                                     └▶ commit: plan ─▶ append ─▶ catch_up_to ─▶ answers (again after a conflict)
//!     └▶ drain (a step of an accepted listing), between batches          └▶ unknown outcome: see `unsettled`
//! ```

mod access;
mod again;
mod calls;
mod catch_up;
mod clock;
mod configured;
mod exempt;
mod follower;
mod identifiers;
mod identity;
mod ids;
mod listing;
mod listings;
mod observation;
mod observer;
mod operator;
mod person;
mod plan;
mod unsettled;
mod volatile;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use crate::domain::command::{Command, Done, Envelope, ListingId, Refused};
use crate::domain::event::Epoch;
use crate::domain::policy::Policy;
use crate::domain::time::Now;
use crate::faults::{Fault, planted};
use crate::log::{Log, LogError};
use crate::state::{Published, State};
use follower::Follower;
use listings::{Effect, Listings};
use plan::{Outcome, Plan, PlannedEvents};
use unsettled::{Unsettled, unknown};
use volatile::Volatile;

pub use follower::{Marks, Replayed, replay, replay_with_marks};
pub use identity::WriterIdentity;
pub use ids::Ids;
pub use observer::{Around, EventObserver};

/// The most commands that are committed together: it bounds how long the first waits for the last.
const BATCH: usize = 4096;

/// The writer. A process has one.
pub struct Writer<L> {
    log: Arc<L>,
    follower: Follower<L>,
    published: Arc<Published>,
    listings: Listings,
    /// The time of the last command; the steps of accepted listings use it.
    latest: Now,
    /// What is enforced from memory while the store is unavailable.
    volatile: Option<Volatile>,
    identity: WriterIdentity,
    /// Notes of the entries of `revocations:` in other processes' configurations.
    noted_elsewhere: BTreeSet<String>,
    /// The last append, if its outcome is unknown.
    unsettled: Option<Unsettled>,
    /// The log does not have all that the configuration in force brings about.
    unnoted: bool,
    /// Up to where it was appended here: that is read back before anything else.
    appended: Epoch,
}

/// The result of a command.
#[derive(Clone, Debug, Default)]
struct Answer {
    done: Done,
    /// Set if the answer comes later, see [`Outcome::waits`].
    waits: Option<(String, Option<ListingId>)>,
}

/// The events of a batch, their effects on listings, and the result of each command.
struct Planned {
    planned: PlannedEvents,
    effects: Vec<Effect>,
    /// One per command, with the name of its first event, if it has one.
    answers: Vec<(Result<Answer, Refused>, Option<String>)>,
}

impl<L: Log> Writer<L> {
    /// A writer that continues from a replayed log, and the state that it publishes.
    #[must_use]
    pub fn new(
        log: Arc<L>,
        replayed: Replayed,
        policy: Arc<Policy>,
        observers: Vec<Box<dyn EventObserver>>,
        identity: WriterIdentity,
    ) -> (Self, Arc<Published>) {
        let latest = Now::at(replayed.fold.witnessed);
        let (follower, published) = Follower::new(Arc::clone(&log), replayed, policy, observers);
        let writer = Self {
            log,
            follower,
            published: Arc::clone(&published),
            listings: Listings::default(),
            latest,
            volatile: None,
            identity,
            noted_elsewhere: BTreeSet::new(),
            unsettled: None,
            unnoted: false,
            appended: Epoch::default(),
        };
        (writer, published)
    }

    /// Runs until every handle is dropped or `stop` completes. On `stop` it answers the waiting commands and accepts no
    /// more. At the end it saves a snapshot.
    pub async fn run(mut self, mut envelopes: mpsc::Receiver<Envelope>, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let (mut batch, mut stopping) = (Vec::new(), false);
        // Nobody waits for a snapshot: it is written concurrently with the next batches.
        let mut keeping: Option<BoxFuture<'static, ()>> = None;
        let mut heads = self.log.heads();
        // Events appended since the replay count too.
        heads.mark_changed();
        loop {
            tokio::select! {
                biased;
                () = async { if let Some(keeping) = &mut keeping { keeping.await } }, if keeping.is_some() => keeping = None,
                () = &mut stop, if !stopping => {
                    stopping = true;
                    envelopes.close();
                }
                received = envelopes.recv_many(&mut batch, BATCH) => if received == 0 { break },
                Ok(()) = heads.changed() => {
                    let head = *heads.borrow_and_update();
                    self.follow(head).await;
                    continue;
                }
                // Commands take precedence over the next step of a listing.
                () = tokio::task::yield_now(), if self.is_draining() && self.unsettled.is_none() => {}
            }
            if !batch.is_empty() {
                self.process(std::mem::take(&mut batch)).await;
            }
            self.drain().await;
            if self.follower.is_snapshot_due() && keeping.is_none() {
                keeping = Some(self.follower.keep_snapshot());
            }
        }
        if let Some(keeping) = keeping {
            keeping.await;
        }
        if self.follower.is_snapshot_old() {
            self.follower.keep_snapshot().await;
        }
    }

    /// Executes a batch of commands and answers each.
    async fn process(&mut self, batch: Vec<Envelope>) {
        for envelope in &batch {
            match &envelope.command {
                Command::Configure(policy) => {
                    self.install(policy);
                    self.unnoted = true;
                }
                Command::NotedElsewhere(notes) => self.noted_elsewhere.clone_from(notes),
                _ => {}
            }
        }
        self.latest = batch.last().map_or(self.latest, |envelope| envelope.now);
        let outcome = self.execute(&batch).await;
        for (index, envelope) in batch.into_iter().enumerate() {
            let answer = match &outcome {
                Ok(outcomes) => outcomes.get(index).cloned().unwrap_or(Err(Refused::Stopped)),
                Err(error) => Err(Refused::Log(error.to_string())),
            };
            match answer {
                Ok(Answer { waits: Some(waits), .. }) => self.listings.wait(&waits, envelope.reply),
                // The caller may be gone; the command took effect all the same.
                answer => {
                    let answer = answer.map(|answer| Done { epoch: self.follower.fold.epoch, ..answer.done });
                    let _ = envelope.reply.send(answer);
                }
            }
        }
    }

    /// Executes a batch through the log; if the store is unavailable, as far as possible without it.
    async fn execute(&mut self, batch: &[Envelope]) -> Result<Vec<Result<Answer, Refused>>, LogError> {
        let outcome = match self.make_ready().await {
            Ok(()) => self.commit(batch).await,
            Err(error) => Err(error),
        };
        if let Ok(answers) = &outcome
            && batch
                .iter()
                .zip(answers)
                .any(|(envelope, answer)| configured::notes(&envelope.command) && answer.is_ok())
        {
            self.unnoted = false;
        }
        outcome.or_else(|error| {
            self.follower.store_failed(&error);
            match error {
                LogError::Moved { .. } => Ok(self.answer_without_log(batch, &error)),
                error => {
                    tracing::error!(error.message = %error, "log append failed; nothing applied");
                    Err(error)
                }
            }
        })
    }

    /// Plans, appends and reads back. If the log has moved on, it catches up and plans again.
    async fn commit(&mut self, batch: &[Envelope]) -> Result<Vec<Result<Answer, Refused>>, LogError> {
        loop {
            let Planned { planned, effects, answers } = self.plan(batch).await?;
            let outcomes = || answers.iter().map(|(answer, _)| answer.clone()).collect();
            if planned.events.is_empty() {
                // Nothing needs to change; whether that survives a restart still depends on the store (law 5).
                self.log.standing().await?;
                self.listings.carry_out(effects);
                return Ok(outcomes());
            }
            if planted(Fault::AcknowledgedUnwritten) {
                self.fold_unread(planned.events);
                return Ok(outcomes());
            }
            match self.log.append(self.follower.fold.epoch, planned.events.clone()).await {
                Err(LogError::Conflict { head }) if planted(Fault::FoldsItsOwn) => {
                    self.log.append(head, planned.events.clone()).await?;
                    self.fold_unread(planned.events);
                    return Ok(outcomes());
                }
                Ok(head) => {
                    self.listings.carry_out(effects);
                    return Ok(match self.read_back(planned, head).await {
                        Ok(()) => outcomes(),
                        // It stands, and comes into force with what is read next.
                        Err(error) => {
                            self.follower.store_failed(&error);
                            tracing::error!(error.message = %error, "what was appended could not be read back; it is read again with what comes next");
                            unknown(answers)
                        }
                    });
                }
                // Plan again, on top of what another process appended.
                Err(LogError::Conflict { .. }) => self.catch_up().await?,
                Err(LogError::Unknown { events, cause }) => {
                    let after = self.follower.fold.epoch;
                    self.unsettled = Some(Unsettled { after, events, effects, cause });
                    match self.resolve_unsettled().await {
                        Ok(true) => return Ok(outcomes()),
                        Ok(false) => {}
                        Err(error) => {
                            tracing::error!(error.message = %error, "append outcome unknown; retrying the same events");
                            return Ok(unknown(answers));
                        }
                    }
                }
                Err(LogError::Moved { .. }) if planted(Fault::StoreUnseen) => {
                    self.fold_unread(planned.events);
                    return Ok(outcomes());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Plans a batch. Each command is compared with the state that the commands before it will lead to.
    async fn plan(&self, batch: &[Envelope]) -> Result<Planned, LogError> {
        let mut plan = self.new_plan();
        let mut answers = Vec::with_capacity(batch.len());
        for envelope in batch {
            let before = plan.len();
            let outcome = self.plan_one(&mut plan, envelope).await?;
            let answer = |Outcome { persons, revocation, revocations, stood, exemption, more, waits }| Answer {
                done: Done { persons, revocation, revocations, stood, exemption, more, ..Done::default() },
                waits,
            };
            answers.push((outcome.map(answer), plan.id_of(before).map(str::to_owned)));
        }
        let configures = self.unnoted && batch.iter().any(|envelope| configured::notes(&envelope.command));
        if let Some(last) = batch.last().filter(|_| configures || plan.people_changed) {
            configured::pin(&mut plan, last.now);
        }
        let (planned, effects) = plan.into_parts();
        Ok(Planned { planned, effects, answers })
    }

    fn new_plan(&self) -> Plan {
        let state = State { fold: self.follower.fold.clone(), rules: Arc::clone(&self.follower.rules) };
        Plan::new(state, self.identity.clone())
    }

    async fn plan_one(&self, plan: &mut Plan, envelope: &Envelope) -> Result<Result<Outcome, Refused>, LogError> {
        if let Some(answered) = calls::answered(plan, &self.listings, envelope) {
            return Ok(answered);
        }
        let outcome = self.plan_command(plan, envelope).await?;
        if let Ok(outcome) = &outcome {
            calls::keep(plan, envelope, outcome);
        }
        Ok(outcome)
    }

    async fn plan_command(&self, plan: &mut Plan, envelope: &Envelope) -> Result<Result<Outcome, Refused>, LogError> {
        let now = envelope.now;
        Ok(match &envelope.command {
            Command::Observe(observation) => {
                let id = observation::event_id(observation);
                let known = match &id {
                    Some(id) => plan.has_id(id) || self.log.is_known(id, observation::happened(observation)).await?,
                    None => false,
                };
                if known {
                    Ok(Outcome::default())
                } else {
                    observation::observe(plan, &self.listings, observation, id, now)
                }
            }
            Command::Revoke(request) => operator::revoke(plan, self.log.as_ref(), request, now).await?,
            Command::RevokeAll(requests) => operator::revoke_all(plan, self.log.as_ref(), requests, now).await?,
            Command::CheckRevoke(request) => operator::check_revoke(plan, self.log.as_ref(), request, now).await?,
            Command::Restore { id, reason, actor } => {
                let found = self.log.revocation(*id).await?;
                operator::restore(plan, *id, found, reason, actor, now)
            }
            Command::Undo { id, reason, actor } => {
                let found = self.log.revocation(*id).await?;
                operator::undo(plan, *id, found.as_ref(), (reason, actor), now)
            }
            Command::EndExemption { reference, reason, actor } => exempt::end(plan, reference, (reason, actor), now),
            Command::Exempt { reference, expires, reason, actor } => {
                exempt::exempt(plan, reference, *expires, (reason, actor), now)
            }
            Command::Judge { source, listing, verdict, actor } => {
                listing::answer_held(plan, &self.listings, (source, *listing), (*verdict, actor), now)
            }
            Command::Expect { source, share, until, actor } => {
                listing::expect(plan, (source, *share, *until), actor, now)
            }
            Command::Configure(_) | Command::NotedElsewhere(_) => {
                configured::note(plan, self.log.as_ref(), &self.noted_elsewhere, now).await?
            }
            Command::TakeConfigurationRole => Ok(configured::take_role(plan, now)),
            Command::Tick if self.unnoted => {
                let ended = clock::tick(plan, now);
                configured::note(plan, self.log.as_ref(), &self.noted_elsewhere, now).await?.map(|_| ended)
            }
            Command::Tick => Ok(clock::tick(plan, now)),
        })
    }
}
