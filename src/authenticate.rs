//! Who is asking: each credential is *not presented*, *rejected* with a reason, or *verified*.
//!
//! The second step of a check, and the only one that may wait (for keys). It verifies signatures and reads claims.
//! Whether somebody has left, and whether a token is for this service and in date, is for `decide`, on every check anew.
//! Everything that a decision compares becomes a key here, once per token.
//!
//! An [`Authenticator`] belongs to one generation of the configuration. Reading order: [`bearer`] (the header and the
//! signature) → [`claims`] (strictly typed) → [`cache`] (so that both happen once) → [`seen_identifiers`] (what tokens have
//! shown so far).

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::credential::CredentialOutcome;
use crate::domain::few::Few;
use crate::domain::key::Keyer;
use crate::domain::policy::Policy;
use crate::domain::time::Now;
use crate::jose::keys::KeyRings;
use crate::request::Request;

pub mod bearer;
pub mod cache;
mod claimed;
pub mod claims;
pub mod seen_identifiers;

use cache::{CacheCounters, TokenCache};
use seen_identifiers::SeenIdentifiers;

/// Verifies credentials by the rules of one generation of the configuration.
///
/// A reload makes a new one with an empty cache: nothing that was verified under other rules is reused.
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
    /// An authenticator for `policy`; `rings` are the keys of its issuers, in the same order. The `counters` outlive it and
    /// count over all generations.
    #[must_use]
    pub fn new(policy: Arc<Policy>, keyer: Keyer, rings: KeyRings, counters: Arc<CacheCounters>) -> Self {
        let indexed = policy.issuers.iter().zip(0_u16..);
        let issuers = indexed.map(|(rules, index)| (Arc::clone(&rules.issuer), index)).collect();
        Self { policy, keyer, rings, issuers, cache: TokenCache::new(counters), seen: Arc::default() }
    }

    /// The same, recording in `seen` the identifiers of verified tokens. Like the counters, `seen` outlives it.
    #[must_use]
    pub fn noting_in(self, seen: Arc<SeenIdentifiers>) -> Self {
        Self { seen, ..self }
    }

    /// Its rules.
    #[must_use]
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The keys of its issuers.
    #[must_use]
    pub fn rings(&self) -> &KeyRings {
        &self.rings
    }

    /// Every credential of the request with its outcome; empty if there is none.
    ///
    /// Waits for at most one refresh of keys, and at most [`ASK_WAIT`](crate::jose::keys::ASK_WAIT), per credential.
    pub async fn authenticate(&self, request: &Request, now: Now) -> Few<CredentialOutcome> {
        let mut outcomes = Few::default();
        for name in self.bearer_headers() {
            if let Some(value) = request.headers.get(name)
                && let Some(found) = self.bearer(name, value, now).await
            {
                outcomes.push(found);
            }
        }
        outcomes
    }

    /// The configured header, and `authorization`: there, too, a token of a configured issuer is ours.
    fn bearer_headers(&self) -> impl Iterator<Item = &str> {
        const STANDARD: &str = "authorization";
        let configured = self.policy.bearer_header.as_str();
        std::iter::once(configured).chain((configured != STANDARD).then_some(STANDARD))
    }
}

#[cfg(test)]
mod tests;
