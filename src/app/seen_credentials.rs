//! Which verified credentials are in use, and where: what a revocation would end, before anybody makes it.
//!
//! Some thousand of them, the last used ones, in memory. A check with a known credential costs one load; its last use is
//! noted every ten seconds.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::control::views::CredentialView;
use crate::domain::credential::{CredentialOutcome, Verified};
use crate::domain::decision::Decision;
use crate::domain::time::Timestamp;

/// Credentials of one half; at least as many of the last used ones are kept, and at most twice as many.
const HALF: usize = 2_048;
/// Slots of the filter in front, for pairs of a credential and a service.
const SLOTS: usize = 16_384;
/// How exactly the last use is known, in milliseconds.
const TICK: i64 = 10_000;

/// The credentials in use.
pub struct SeenCredentials {
    slots: Box<[AtomicU64]>,
    seen: Mutex<Halves>,
}

/// When the young half is full, it becomes the old one. What is used again comes over.
#[derive(Default)]
struct Halves {
    young: HashMap<[u8; 32], CredentialView>,
    old: HashMap<[u8; 32], CredentialView>,
}

impl Default for SeenCredentials {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(), seen: Mutex::default() }
    }
}

impl SeenCredentials {
    /// Notes the credentials of a check.
    pub fn saw(&self, decision: &Decision, at: Timestamp) {
        for step in decision.steps.credentials.iter() {
            let CredentialOutcome::Verified(verified) = &step.outcome else { continue };
            let (pair, tick) = (pair(verified, &decision.service), at.as_millis() / TICK);
            let slot = usize::try_from(pair).unwrap_or_default() % SLOTS;
            let Some(slot) = self.slots.get(slot) else { continue };
            let mark = pair.rotate_left(17) ^ tick.cast_unsigned();
            // Whoever finds it taken leaves it to the next check.
            if slot.load(Ordering::Relaxed) != mark
                && let Ok(mut seen) = self.seen.try_lock()
            {
                slot.store(mark, Ordering::Relaxed);
                seen.note(verified, &decision.service, at);
            }
        }
    }

    /// The credentials for which `wanted` holds, last used first.
    #[must_use]
    pub fn those(&self, wanted: impl Fn(&Verified) -> bool) -> Vec<CredentialView> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let all = seen.young.values().chain(seen.old.values());
        let mut found: Vec<CredentialView> = all.filter(|seen| wanted(&seen.verified)).cloned().collect();
        found.sort_by_key(|seen| std::cmp::Reverse((last(seen), seen.verified.digest)));
        found
    }
}

impl Halves {
    fn note(&mut self, verified: &Arc<Verified>, service: &Arc<str>, at: Timestamp) {
        if self.young.len() == HALF && !self.young.contains_key(&verified.digest) {
            self.old = std::mem::take(&mut self.young);
        }
        let known = self.young.remove(&verified.digest).or_else(|| self.old.remove(&verified.digest));
        let mut uses = known.map(|known| known.uses).unwrap_or_default();
        match uses.iter_mut().find(|(name, _)| name == service) {
            Some((_, last)) => *last = at.max(*last),
            None => uses.push((Arc::clone(service), at)),
        }
        // The latest reading of it: a reload may have changed how it is read.
        self.young.insert(verified.digest, CredentialView { verified: Arc::clone(verified), uses });
    }
}

/// When a credential was last used.
fn last(seen: &CredentialView) -> Timestamp {
    seen.uses.iter().map(|(_, at)| *at).max().unwrap_or(Timestamp::MIN)
}

/// Stands for a credential and a service. Two pairs with the same one are noted less exactly.
fn pair(verified: &Verified, service: &Arc<str>) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = verified.digest;
    u64::from_le_bytes([a, b, c, d, e, f, g, h]) ^ (Arc::as_ptr(service).cast::<u8>() as u64).rotate_left(24)
}

#[cfg(test)]
mod tests;
