//! Looks up joiners at their source: people who are missing from the last listing, before they are denied as unknown.
//!
//! A look-up goes through the source's task and the writer like any other report of the source, so its result is in the
//! state before the check is evaluated again. A check waits no longer than its caller does. A look-up that fails, is late
//! or exceeds the rate leaves the person unknown, and is not remembered.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, Shared, join_all};
use moka::sync::Cache;
use tokio::time::{Instant, timeout_at};

use super::sources::Sources;
use crate::domain::credential::Verified;
use crate::domain::decision::Decision;
use crate::domain::key::Key;
use crate::domain::policy::Policy;
use crate::domain::rate::Bucket;
use crate::domain::reason::Reason;
use crate::domain::time::{Now, Timestamp};

/// How long a check without deadline waits.
const PATIENCE: Duration = Duration::from_secs(1);
/// After this time, nobody waits for a look-up any more.
const FORGOTTEN: Duration = Duration::from_secs(10);
/// A look-up is given up this long before the caller's deadline: the check must still be evaluated.
const MARGIN: Duration = Duration::from_millis(15);
/// How long a negative answer is remembered. The source's events bring whoever joins meanwhile.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Limit on remembered negative answers: under attack, the oldest are asked for again, within the rate.
const MOST_REMEMBERED: u64 = 100_000;
/// Look-ups per source at once, before the rate applies.
const BURST: u32 = 20;
/// Look-ups per source and second: far below any provider's limit.
const RATE: u32 = 5;

/// A look-up: whether the source knows such a person; `None` if it could not tell.
type LookUp = Shared<BoxFuture<'static, Option<bool>>>;

/// Asks sources about unknown people.
pub struct OnDemandLookup {
    sources: Sources,
    /// When a source denied knowing the holder of this link key.
    nobodies: Cache<Key, Timestamp>,
    asking: Mutex<Asking>,
}

#[derive(Default)]
struct Asking {
    on_their_way: HashMap<Key, (Instant, LookUp)>,
    budgets: HashMap<String, Bucket>,
}

impl OnDemandLookup {
    /// Asks these sources.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        let nobodies = Cache::builder().max_capacity(MOST_REMEMBERED).time_to_live(REMEMBERED * 2).build();
        Self { sources, nobodies, asking: Mutex::default() }
    }

    /// Whether a decision is one about which [`look_up`](Self::look_up) asks.
    #[must_use]
    pub fn asks(decision: &Decision) -> bool {
        decision.reason == Reason::UnknownPerson
    }

    /// Looks up the unknown person of a decision at every source without a match. Returns whether somebody is known now, so
    /// that the check must be evaluated again.
    pub async fn look_up(&self, decision: &Decision, policy: &Policy, now: Now, due: Option<Instant>) -> bool {
        let Some(credential) = decision.verified().filter(|_| Self::asks(decision)) else {
            return false;
        };
        let asked = self.questions(credential, policy, now);
        if asked.is_empty() {
            return false;
        }
        let until = due.map_or_else(|| Instant::now() + PATIENCE, |due| due.checked_sub(MARGIN).unwrap_or(due));
        let answers = asked.into_iter().map(|(key, look_up)| async move {
            let answer = timeout_at(until, look_up).await.ok().flatten();
            // Nobody is asked about again: neither somebody who is known now, nor somebody whom the answer did not reveal.
            if answer.is_some() {
                self.nobodies.insert(key, now.steady);
            }
            answer == Some(true)
        });
        join_all(answers).await.contains(&true)
    }

    /// The look-ups to wait for: one per source that may know the owner, within its rate, shared by all concurrent checks
    /// that ask the same.
    fn questions(&self, credential: &Verified, policy: &Policy, now: Now) -> Vec<(Key, LookUp)> {
        // A look-up never turns a service account into a person.
        if credential.machine {
            return Vec::new();
        }
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let Asking { on_their_way, budgets } = &mut *asking;
        // The checks that asked may be gone: drop look-ups that are answered, and those that nobody can be waiting for.
        let instant = Instant::now();
        on_their_way
            .retain(|_, (since, look_up)| look_up.peek().is_none() && instant.duration_since(*since) < FORGOTTEN);
        let mut questions = Vec::new();
        for link in &credential.owner.links {
            let Some(source) = policy.sources.get(usize::from(link.source)).filter(|source| source.supplies.people)
            else {
                continue;
            };
            let Some(by) = source.link.get(usize::from(link.link)) else { continue };
            let remembered = self.nobodies.get(&link.person.folded);
            if remembered.is_some_and(|at| now.steady.since(at) < REMEMBERED) {
                continue;
            }
            if let Some((_, look_up)) = on_their_way.get(&link.person.folded) {
                questions.push((link.person.folded, look_up.clone()));
                continue;
            }
            if !budgets
                .entry(source.name.clone())
                .or_insert_with(|| Bucket::full(BURST, RATE, now.steady))
                .take(now.steady)
            {
                continue;
            }
            let (sources, name) = (self.sources.clone(), source.name.clone());
            let (attribute, value) = (by.attribute.clone(), link.value.to_string());
            let look_up = async move { sources.look_up(&name, &attribute, &value).await }.boxed().shared();
            on_their_way.insert(link.person.folded, (instant, look_up.clone()));
            questions.push((link.person.folded, look_up));
        }
        questions
    }
}
