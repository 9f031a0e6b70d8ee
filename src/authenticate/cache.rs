//! Verified tokens, under the hash of the whole token.
//!
//! An entry says only that this text was signed by this key material and what it claims. Whether the key is
//! still the issuer's is asked on each hit, and dates, audience and revocations are judged by `decide` behind
//! it. Errors are never kept. Expiry only frees memory (design section 2).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache;

use crate::domain::credential::{LinkKeys, Principal, Verified};
use crate::domain::issuer::Algorithm;
use crate::domain::key::NameKey;
use crate::jose::jwks::Thumbprint;

/// Entries kept at most.
const MAX_ENTRIES: u32 = 100_000;
/// Bytes kept at most, as [`weight`] counts them.
const MAX_BYTES: u32 = 128 * 1024 * 1024;
/// Entries live this long at most, counted from when they were written, never from when they were read.
const LONGEST: Duration = Duration::from_secs(3600);
/// And this long at least: an expired token that is sent again and again must not cost a signature each time.
const SHORTEST: Duration = Duration::from_secs(60);

/// Hits and misses, over all configuration generations (`offboard_token_cache_total`).
#[derive(Debug, Default)]
pub struct CacheCounters {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl CacheCounters {
    /// Tokens whose signature did not have to be checked.
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

/// A token that was verified, and with what.
#[derive(Clone, Debug)]
pub(super) struct Proven {
    pub(super) verified: Arc<Verified>,
    pub(super) key: Thumbprint,
    pub(super) algorithm: Algorithm,
    /// How long to keep it.
    pub(super) keep: Duration,
}

/// The cache of one configuration generation.
#[derive(Debug)]
pub(super) struct TokenCache {
    tokens: Cache<[u8; 32], Proven>,
    counters: Arc<CacheCounters>,
}

impl TokenCache {
    pub(super) fn new(counters: Arc<CacheCounters>) -> Self {
        let tokens = Cache::builder()
            .max_capacity(u64::from(MAX_BYTES))
            .weigher(|_: &[u8; 32], proven: &Proven| weight(&proven.verified))
            .expire_after(FromWrite)
            .build();
        Self { tokens, counters }
    }

    /// What was proven of the token with this hash. The caller still asks whether its key holds, and then
    /// says [`hit`](Self::hit) or [`miss`](Self::miss).
    pub(super) fn get(&self, digest: &[u8; 32]) -> Option<Proven> {
        self.tokens.get(digest)
    }

    pub(super) fn put(&self, digest: [u8; 32], proven: Proven) {
        self.tokens.insert(digest, proven);
    }

    pub(super) fn hit(&self) {
        self.counters.hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn miss(&self) {
        self.counters.misses.fetch_add(1, Ordering::Relaxed);
    }
}

/// How long to keep a token that has this much time left.
pub(super) fn keep(left: Duration) -> Duration {
    left.clamp(SHORTEST, LONGEST)
}

/// Bytes that an entry takes, roughly; at least a share of all that bounds the number of entries too.
fn of_party(party: &Principal) -> usize {
    let links = party.links.iter().chain(&party.retired);
    let links: usize = links.map(|link| size_of::<LinkKeys>() + link.value.len()).sum();
    size_of::<Principal>() + party.look_ups.len() * 24 + party.names.len() * size_of::<NameKey>() + links
}

fn weight(verified: &Verified) -> u32 {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let size = |text: &String| text.len() + size_of::<String>();
    let parties = || std::iter::once(&verified.owner).chain(&verified.actors);
    let bytes = size_of::<Verified>()
        + size_of::<Proven>()
        + text(&verified.subject)
        + text(&verified.session)
        + text(&verified.token_id)
        + text(&verified.client)
        + verified.audiences.iter().chain(verified.beside_audiences.iter().flatten()).map(size).sum::<usize>()
        + verified.detail.as_ref().map_or(0, |detail| detail.told().len())
        + verified.groups.len() * 16
        + parties().map(of_party).sum::<usize>();
    u32::try_from(bytes).unwrap_or(u32::MAX).max(MAX_BYTES / MAX_ENTRIES)
}

/// Each entry has its own time, from write.
struct FromWrite;

impl Expiry<[u8; 32], Proven> for FromWrite {
    fn expire_after_create(&self, _: &[u8; 32], proven: &Proven, _: Instant) -> Option<Duration> {
        Some(proven.keep)
    }

    fn expire_after_update(&self, _: &[u8; 32], proven: &Proven, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(proven.keep)
    }
}
