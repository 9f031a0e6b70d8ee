//! Verified tokens, by the hash of the whole token.
//!
//! An entry says only that this key signed this token, and what the token claims. Each hit checks that the key is still
//! one of the issuer's; `decide` checks dates, audience and revocations. Errors are not cached. Expiry only frees memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache;

use crate::domain::credential::{LinkKeys, Principal, Verified};
use crate::domain::issuer::Algorithm;
use crate::domain::key::NameKey;
use crate::jose::jwks::Thumbprint;

/// The most entries.
const MAX_ENTRIES: u32 = 100_000;
/// The most bytes, as [`weight`] counts them.
const MAX_BYTES: u32 = 128 * 1024 * 1024;
/// The longest life of an entry, from when it was written, whenever it is read.
const LONGEST: Duration = Duration::from_secs(3600);
/// The shortest life: an expired token that is sent repeatedly must not cost a signature check each time.
const SHORTEST: Duration = Duration::from_secs(60);

/// Hits and misses, over all generations of the configuration (`offboard_token_cache_total`).
#[derive(Debug, Default)]
pub struct CacheCounters {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl CacheCounters {
    /// Tokens whose signature needed no check.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Tokens of a configured issuer whose signature had to be checked.
    #[must_use]
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }
}

/// A verified token, and the key that verified it.
#[derive(Clone, Debug)]
pub(super) struct CachedToken {
    pub(super) verified: Arc<Verified>,
    pub(super) key: Thumbprint,
    pub(super) algorithm: Algorithm,
    /// How long to keep the entry.
    pub(super) keep: Duration,
}

/// The cache of one generation of the configuration.
#[derive(Debug)]
pub(super) struct TokenCache {
    tokens: Cache<[u8; 32], CachedToken>,
    counters: Arc<CacheCounters>,
}

impl TokenCache {
    pub(super) fn new(counters: Arc<CacheCounters>) -> Self {
        let tokens = Cache::builder()
            .max_capacity(u64::from(MAX_BYTES))
            .weigher(|_: &[u8; 32], token: &CachedToken| weight(&token.verified))
            .expire_after(FromWrite)
            .build();
        Self { tokens, counters }
    }

    /// The entry of the token with this hash. The caller checks that its key is still in use, then calls
    /// [`hit`](Self::hit) or [`miss`](Self::miss).
    pub(super) fn get(&self, digest: &[u8; 32]) -> Option<CachedToken> {
        self.tokens.get(digest)
    }

    pub(super) fn put(&self, digest: [u8; 32], token: CachedToken) {
        self.tokens.insert(digest, token);
    }

    pub(super) fn hit(&self) {
        self.counters.hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn miss(&self) {
        self.counters.misses.fetch_add(1, Ordering::Relaxed);
    }
}

/// How long to keep the entry of a token that expires after `left`.
pub(super) fn keep(left: Duration) -> Duration {
    left.clamp(SHORTEST, LONGEST)
}

/// The approximate size of a principal, in bytes.
fn principal_size(principal: &Principal) -> usize {
    let links = principal.links.iter().chain(&principal.retired);
    let links: usize = links.map(|link| size_of::<LinkKeys>() + link.value.len()).sum();
    size_of::<Principal>() + principal.look_ups.len() * 24 + principal.names.len() * size_of::<NameKey>() + links
}

/// The approximate size of an entry, in bytes; never less than a share that also bounds the number of entries.
fn weight(verified: &Verified) -> u32 {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let size = |text: &String| text.len() + size_of::<String>();
    let principals = || std::iter::once(&verified.owner).chain(&verified.actors);
    let bytes = size_of::<Verified>()
        + size_of::<CachedToken>()
        + text(&verified.subject)
        + text(&verified.session)
        + text(&verified.token_id)
        + text(&verified.client)
        + verified.audiences.iter().chain(verified.beside_audiences.iter().flatten()).map(size).sum::<usize>()
        + verified.detail.as_ref().map_or(0, |detail| detail.full().len())
        + verified.groups.len() * 16
        + principals().map(principal_size).sum::<usize>();
    u32::try_from(bytes).unwrap_or(u32::MAX).max(MAX_BYTES / MAX_ENTRIES)
}

/// Each entry expires by its own time, counted from its writing.
struct FromWrite;

impl Expiry<[u8; 32], CachedToken> for FromWrite {
    fn expire_after_create(&self, _: &[u8; 32], token: &CachedToken, _: Instant) -> Option<Duration> {
        Some(token.keep)
    }

    fn expire_after_update(
        &self,
        _: &[u8; 32],
        token: &CachedToken,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(token.keep)
    }
}
