//! Who is asking: each scheme answers *not presented*, *rejected* with a reason, or *verified*.
//!
//! Second step of a check, and the only one that may wait (for keys). It judges the proof and reads the
//! claims; whether somebody has left, whether a token is in date and whom it is meant for is for `decide`,
//! on every check anew. Everything a decision compares is turned into keys here, once per token.
//!
//! An [`Authenticator`] belongs to one configuration generation. Reading order: [`bearer`] (what a header
//! shows, and the proof) → [`claims`] (what it says, strictly typed) → [`cache`] (so that both happen once) → [`seen_identifiers`]
//! (what tokens have shown so far).

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::credential::CredentialOutcome;
use crate::domain::key::Keyer;
use crate::domain::policy::Policy;
use crate::domain::time::Now;
use crate::jose::keys::KeyRings;
use crate::request::Request;

pub mod bearer;
pub mod cache;
pub mod claims;
pub mod seen_identifiers;

use cache::{CacheCounters, TokenCache};
use seen_identifiers::SeenIdentifiers;

/// Proves credentials by the rules of one configuration generation.
///
/// A reload makes a new one, with an empty cache: what was verified under other rules is never reused.
pub struct Authenticator {
    policy: Arc<Policy>,
    keyer: Keyer,
    rings: KeyRings,
    /// `iss` to index in the policy.
    issuers: HashMap<Arc<str>, u16>,
    cache: TokenCache,
    seen: Arc<SeenIdentifiers>,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").field("policy", &self.policy.hash).finish_non_exhaustive()
    }
}

impl Authenticator {
    /// An authenticator for `policy`, whose issuers have their keys in `rings`, in the same order. `counters`
    /// outlive it: they count over all generations.
    #[must_use]
    pub fn new(policy: Arc<Policy>, keyer: Keyer, rings: KeyRings, counters: Arc<CacheCounters>) -> Self {
        let indexed = policy.issuers.iter().zip(0_u16..);
        let issuers = indexed.map(|(rules, index)| (Arc::clone(&rules.issuer), index)).collect();
        Self { policy, keyer, rings, issuers, cache: TokenCache::new(counters), seen: Arc::default() }
    }

    /// The same, noting in `seen` what the tokens that it proves bear. It outlives them all, as the counters do.
    #[must_use]
    pub fn noting_in(self, seen: Arc<SeenIdentifiers>) -> Self {
        Self { seen, ..self }
    }

    /// The rules that it goes by.
    #[must_use]
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Its issuers' keys.
    #[must_use]
    pub fn rings(&self) -> &KeyRings {
        &self.rings
    }

    /// Everything that the request shows, each with what became of it; empty if it shows nothing.
    ///
    /// Waits at most for one refresh of one issuer's keys, and not longer than
    /// [`ASK_WAIT`](crate::jose::keys::ASK_WAIT) per credential.
    pub async fn authenticate(&self, request: &Request, now: Now) -> Vec<CredentialOutcome> {
        let mut outcomes = Vec::new();
        for name in self.bearer_headers() {
            if let Some(value) = request.headers.get(name)
                && let Some(found) = self.bearer(name, value, now).await
            {
                outcomes.push(found);
            }
        }
        outcomes
    }

    /// The configured header, and `authorization`, where a token of a configured issuer is ours anyway.
    fn bearer_headers(&self) -> impl Iterator<Item = &str> {
        const STANDARD: &str = "authorization";
        let configured = self.policy.bearer_header.as_str();
        std::iter::once(configured).chain((configured != STANDARD).then_some(STANDARD))
    }
}

#[cfg(test)]
mod tests;
