//! What the guard asks of whoever verifies operators' tokens, and how often a caller may do what.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::rights::Right;
use crate::domain::person::PersonId;
use crate::domain::rate::Bucket;
use crate::domain::revocation::Target;
use crate::domain::time::Timestamp;

/// Changes of one caller at once, and a second. A call that changes many people is one.
const CHANGES: u32 = 20;
/// Rejected calls that are recorded at once, and a second.
const REJECTED: u32 = 20;
/// Callers whose rates are remembered; those who did nothing lately are forgotten first.
const CALLERS: usize = 1_024;

/// Somebody who may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identified {
    /// How records name them: a person of a source, else a subject or client of an issuer.
    pub actor: String,
    /// The people to whom the token belongs; empty for a client and for somebody in no directory.
    pub persons: Vec<PersonId>,
    /// What else a revocation may name to mean them: subject, session and token, and a machine's client.
    pub targets: Vec<Target>,
}

/// Somebody who may not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// Who it is, if the token proves that.
    pub actor: Option<String>,
    /// Whether they lack nothing but the right. Otherwise they are told nothing.
    pub lacks_right: bool,
    /// Why, for the audit trail.
    pub why: String,
}

/// Verifies the tokens of operators.
#[async_trait]
pub trait Operators: Send + Sync + 'static {
    /// Who proves themself by this bearer token, if they have the right now.
    ///
    /// # Errors
    /// [`Rejected`].
    async fn admit(&self, token: &str, right: Right) -> Result<Identified, Rejected>;

    /// Completes once [`admit`](Self::admit) no longer admits them.
    async fn rejected(&self, token: &str, right: Right) -> Rejected;
}

/// The token that a caller was admitted with, to see whether they still would be.
#[derive(Clone)]
pub struct Admission {
    pub(super) operators: Arc<dyn Operators>,
    pub(super) token: Arc<str>,
    pub(super) right: Right,
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("right", &self.right).finish_non_exhaustive()
    }
}

impl Admission {
    /// Completes once the caller is no longer admitted.
    pub async fn ended(self) {
        self.operators.rejected(&self.token, self.right).await;
    }
}

/// What is left of the rates of callers.
#[derive(Debug)]
pub(super) struct Rates {
    changes: HashMap<Arc<str>, Bucket>,
    rejected: Bucket,
}

impl Rates {
    pub(super) fn new(now: Timestamp) -> Mutex<Self> {
        Mutex::new(Self { changes: HashMap::new(), rejected: Bucket::full(REJECTED, REJECTED, now) })
    }

    /// Whether this caller may change something now.
    pub(super) fn may_change(rates: &Mutex<Self>, actor: &Arc<str>, now: Timestamp) -> bool {
        let mut rates = rates.lock().unwrap_or_else(PoisonError::into_inner);
        if rates.changes.len() >= CALLERS {
            rates.changes.retain(|_, bucket| !bucket.is_full(now));
        }
        let bucket = rates.changes.entry(Arc::clone(actor)).or_insert_with(|| Bucket::full(CHANGES, CHANGES, now));
        bucket.take(now)
    }

    /// Whether another rejected call is recorded now.
    pub(super) fn may_reject(rates: &Mutex<Self>, now: Timestamp) -> bool {
        rates.lock().unwrap_or_else(PoisonError::into_inner).rejected.take(now)
    }
}
