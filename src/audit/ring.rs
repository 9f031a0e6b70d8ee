//! The most recent decisions, in memory, for `explain --decision ID`.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::decision::Decision;
use crate::domain::method;
use crate::domain::time::Timestamp;

use super::entry::Facts;
use super::record::DecisionId;

/// Decisions kept: two seconds at 5,000 checks per second, about 7 MiB when full. Each keeps the policy that
/// it was made under: a reload lets go of it once as many decisions have been made.
const SLOTS: usize = 10_000;

/// Room for a path, in bytes, that a slot keeps for the next one.
const KEPT_PATH: usize = 256;

/// A decision and its request.
#[derive(Clone, Debug)]
pub struct Recent {
    /// Its id.
    pub id: DecisionId,
    /// When it was made.
    pub time: Timestamp,
    /// Method of the request.
    pub method: Cow<'static, str>,
    /// Its path, without query.
    pub path: String,
    /// What was decided, and why.
    pub decision: Arc<Decision>,
}

/// A ring of them.
#[derive(Debug)]
pub struct Ring {
    /// Boxed, so that empty slots take little memory.
    slots: Vec<Mutex<Option<Box<Recent>>>>,
}

impl Default for Ring {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| Mutex::new(None)).collect() }
    }
}

impl Ring {
    fn slot(&self, id: DecisionId) -> Option<&Mutex<Option<Box<Recent>>>> {
        let slots = u64::try_from(self.slots.len()).ok()?;
        self.slots.get(usize::try_from(id.number().checked_rem(slots)?).ok()?)
    }

    /// Stores a decision in the slot of one that is long past, whose memory it takes over.
    pub fn keep(&self, decision: &Arc<Decision>, facts: &Facts<'_>) {
        let Some(slot) = self.slot(facts.id) else { return };
        let (method, path) = (method::shared(facts.method), facts.path.split('?').next().unwrap_or_default());
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let past = match &mut *slot {
            Some(recent) => {
                (recent.id, recent.time, recent.method) = (facts.id, facts.time, method);
                recent.path.clear();
                // A long one must not stay for the sake of short ones.
                recent.path.shrink_to(KEPT_PATH);
                recent.path.push_str(path);
                Some(std::mem::replace(&mut recent.decision, Arc::clone(decision)))
            }
            none => {
                let (path, decision) = (path.to_owned(), Arc::clone(decision));
                *none = Some(Box::new(Recent { id: facts.id, time: facts.time, method, path, decision }));
                None
            }
        };
        drop(slot);
        drop(past);
    }

    /// The decision with this id, if it is recent.
    #[must_use]
    pub fn find(&self, id: DecisionId) -> Option<Recent> {
        let slot = self.slot(id)?.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().filter(|recent| recent.id == id).map(|recent| Recent::clone(recent))
    }
}
