//! The keys of each issuer, kept fresh, and kept through an outage.
//!
//! A [`KeyRing`] is *never loaded* (tokens of its issuer get `not_ready`) until it has had one usable key, from the
//! provider or the store. From then on it always has keys: neither a failed fetch nor a document without usable keys
//! replaces them. Checks only read. Only [`KeyRing::refresh_forever`] fetches: on schedule or, at most once per
//! [`ASK_INTERVAL`], because a check met an unknown key.

use std::collections::hash_map::RandomState;
use std::convert::Infallible;
use std::hash::BuildHasher as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use moka::sync::Cache;
use tokio::sync::{Notify, mpsc, watch};

use super::digest::sha256;
use super::fetch::{FetchError, Fetcher};
use super::jwks::{JwksError, KeySet, UnusableKey};
use crate::domain::issuer::{IssuerRules, KeySource};
use crate::domain::time::{Now, Timestamp};

/// All checks together may ask a provider for keys once in this time (RFC 8725 leaves it open; protocols 8.3).
pub const ASK_INTERVAL: Duration = Duration::from_secs(30);
/// How long a check waits for keys that it asked for. By default, Envoy waits 200 ms for the whole check.
pub const ASK_WAIT: Duration = Duration::from_millis(100);
/// How long a `kid` that the provider does not know causes no further fetch.
pub const UNKNOWN_FOR: Duration = Duration::from_secs(60);
/// The bounds of how long a key set is used before a refresh, whatever `cache-control` says.
const AGE: std::ops::RangeInclusive<Duration> = Duration::from_secs(5 * 60)..=Duration::from_secs(24 * 3600);
/// How long without `cache-control`.
const DEFAULT_AGE: Duration = Duration::from_secs(15 * 60);
/// How long for a file: reading it is cheap, and a removed key should be gone soon.
const FILE_AGE: Duration = Duration::from_secs(60);
/// The most unknown key ids remembered per issuer; the oldest are dropped first.
const UNKNOWN_KIDS: u64 = 10_000;

/// Returns the time. Only `app` reads a clock.
pub type Clock = Arc<dyn Fn() -> Now + Send + Sync>;

/// A new usable key set, to be stored for the next start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreshKeys {
    /// `iss`
    pub issuer: Arc<str>,
    /// Its origin: keys from one origin are never used for another.
    pub origin: String,
    /// The JWKS as received.
    pub document: Arc<[u8]>,
}

/// Why a refresh failed.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The key set could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The document is not a key set.
    #[error(transparent)]
    Document(#[from] JwksError),
    /// No key in it is usable.
    #[error("key set contains no usable key{}", .0.as_ref().map(|first| format!(": {first}")).unwrap_or_default())]
    NoKeys(Option<UnusableKey>),
}

/// The status of a ring, for metrics and `offboard status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RingStatus {
    /// When the provider last returned usable keys, in this process.
    pub last_success: Option<Timestamp>,
    /// The number of usable keys.
    pub keys: usize,
    /// The keys of the last set that are not used, or not for every token, and why.
    pub left_out: Vec<UnusableKey>,
    /// The error of the last refresh; `None` after a successful one.
    pub last_error: Option<String>,
    /// The number of failed refreshes in this process.
    pub errors: u64,
}

/// What changes with each refresh.
#[derive(Debug, Default)]
struct Progress {
    status: RingStatus,
    failures: u32,
    max_age: Option<Duration>,
    /// Whether a refresh that a check asked for is still under way.
    asked: bool,
    /// When a check last asked.
    asked_at: Option<Timestamp>,
    /// SHA-256 of the document last offered to the store.
    kept: Option<[u8; 32]>,
}

/// The keys of one issuer.
#[derive(Debug)]
pub struct KeyRing {
    name: String,
    issuer: Arc<str>,
    source: KeySource,
    ca_file: Option<PathBuf>,
    fetcher: Fetcher,
    fresh: mpsc::Sender<FreshKeys>,
    keys: ArcSwapOption<KeySet>,
    /// When the provider turned out not to know a `kid`.
    unknown: Cache<[u8; 32], Timestamp>,
    progress: Mutex<Progress>,
    wanted: Notify,
    /// Counts finished refreshes.
    over: watch::Sender<u64>,
}

/// The origin of keys as written in the store.
#[must_use]
pub fn origin(source: &KeySource) -> String {
    match source {
        KeySource::Discovery => "discovery".to_owned(),
        KeySource::Uri(uri) => format!("uri {uri}"),
        KeySource::File(path) => format!("file {}", path.display()),
    }
}

impl KeyRing {
    /// A ring, with the stored document of this issuer and origin, if it can be read. New key sets go to `fresh`; while that
    /// is full, they are offered again at each refresh.
    #[must_use]
    pub fn new(rules: &IssuerRules, fetcher: &Fetcher, fresh: mpsc::Sender<FreshKeys>, kept: Option<&[u8]>) -> Self {
        let ring = Self {
            name: rules.name.clone(),
            issuer: Arc::clone(&rules.issuer),
            source: rules.keys.clone(),
            ca_file: rules.ca_file.clone(),
            fetcher: fetcher.trusting(rules.ca_file.clone()),
            fresh,
            keys: ArcSwapOption::empty(),
            unknown: Cache::builder().max_capacity(UNKNOWN_KIDS).time_to_live(UNKNOWN_FOR).build(),
            progress: Mutex::default(),
            wanted: Notify::new(),
            over: watch::channel(0).0,
        };
        if let Some((document, Ok(keys))) = kept.map(|document| (document, KeySet::parse(document)))
            && !keys.is_empty()
        {
            ring.progress().kept = Some(sha256(document));
            ring.leave_out(keys.left_out());
            ring.install(keys);
        }
        ring
    }

    /// The name of the issuer in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it serves this issuer from this source.
    #[must_use]
    pub fn serves(&self, rules: &IssuerRules) -> bool {
        self.issuer == rules.issuer
            && self.source == rules.keys
            && self.ca_file == rules.ca_file
            && self.name == rules.name
    }

    /// The keys; `None` before the first ones.
    #[must_use]
    pub fn keys(&self) -> Option<Arc<KeySet>> {
        self.keys.load_full()
    }

    /// For metrics and `status`.
    #[must_use]
    pub fn status(&self) -> RingStatus {
        self.progress().status.clone()
    }

    /// Why there are no keys: the error of the last refresh, in words.
    #[must_use]
    pub fn last_error(&self) -> String {
        let error = self.progress().status.last_error.clone();
        error.unwrap_or_else(|| "the keys of the issuer have not been fetched yet".to_owned())
    }

    /// Fetches once, now. If it fails, the current keys stay.
    ///
    /// # Errors
    /// [`RefreshError`]; also in [`status`](Self::status).
    pub async fn refresh(&self, now: Now) -> Result<(), RefreshError> {
        let outcome = self.load().await;
        {
            let mut progress = self.progress();
            progress.asked = false;
            match &outcome {
                Ok(max_age) => {
                    progress.failures = 0;
                    progress.max_age = *max_age;
                    progress.status.last_success = Some(now.wall);
                    progress.status.last_error = None;
                }
                Err(error) => {
                    progress.failures = progress.failures.saturating_add(1);
                    progress.status.errors = progress.status.errors.saturating_add(1);
                    progress.status.last_error = Some(error.to_string());
                }
            }
        }
        self.over.send_modify(|count| *count = count.wrapping_add(1));
        outcome.map(|_| ())
    }

    /// Keeps the keys fresh until dropped. One such future per ring; `app` owns the task.
    pub async fn refresh_forever(&self, clock: Clock) -> Infallible {
        loop {
            let before = self.status().last_error;
            let after = self.refresh(clock()).await.err().map(|error| error.to_string());
            match (before, after) {
                // Logged already.
                (Some(before), Some(after)) if before == after => {}
                (_, Some(error)) => {
                    tracing::warn!(issuer.name = self.name, error.message = %error, "failed to refresh signing keys");
                }
                (Some(_), None) => tracing::info!(issuer.name = self.name, "refreshing signing keys works again"),
                (None, None) => {}
            }
            let pause = self.pause(RandomState::new().hash_one(()));
            // Whether the pause is over or a check asked: refresh now.
            let _ = tokio::time::timeout(pause, self.wanted.notified()).await;
        }
    }

    /// Asks for fresh keys because of a token that the current ones do not verify, and waits for at most [`ASK_WAIT`].
    /// Returns whether it is worth trying again.
    ///
    /// `kid` is the id of the unknown key; `None` if the key is known but the signature is invalid, or if the token has no
    /// `kid`. Concurrent checks share one fetch.
    pub async fn ask(&self, kid: Option<&str>, now: Now) -> bool {
        let asked_for = kid.map(|kid| (kid, sha256(kid.as_bytes())));
        if asked_for.is_some_and(|(_, hash)| self.is_known_unknown(&hash, now)) {
            return false;
        }
        let mut over = self.over.subscribe();
        if !self.may_wait(now) {
            return false;
        }
        let ended = tokio::time::timeout(ASK_WAIT, over.changed()).await.is_ok_and(|changed| changed.is_ok());
        if ended && let Some((kid, hash)) = asked_for {
            let answered = self.progress().status.last_error.is_none();
            if answered && !self.keys().is_some_and(|keys| keys.knows(kid)) {
                self.unknown.insert(hash, now.steady);
            }
        }
        ended
    }

    fn is_known_unknown(&self, kid: &[u8; 32], now: Now) -> bool {
        self.unknown.get(kid).is_some_and(|since| now.steady < since.plus(UNKNOWN_FOR))
    }

    /// Whether a fetch that a check asked for is under way or may start now.
    fn may_wait(&self, now: Now) -> bool {
        let mut progress = self.progress();
        if progress.asked_at.is_none_or(|last| now.steady >= last.plus(ASK_INTERVAL)) {
            progress.asked = true;
            progress.asked_at = Some(now.steady);
            self.wanted.notify_one();
        }
        progress.asked
    }

    async fn load(&self) -> Result<Option<Duration>, RefreshError> {
        let fetched = self.fetcher.fetch(&self.issuer, &self.source).await?;
        let keys = KeySet::parse(&fetched.document)?;
        self.leave_out(keys.left_out());
        if keys.is_empty() {
            return Err(RefreshError::NoKeys(keys.left_out().first().cloned()));
        }
        self.install(keys);
        self.keep(fetched.document);
        Ok(fetched.max_age)
    }

    fn install(&self, keys: KeySet) {
        self.progress().status.keys = keys.len();
        self.keys.store(Some(Arc::new(keys)));
    }

    /// Remembers which keys are left out, and logs those that were not left out for the same reason before.
    fn leave_out(&self, left_out: &[UnusableKey]) {
        let before = std::mem::replace(&mut self.progress().status.left_out, left_out.to_vec());
        let said = |one: &&UnusableKey| before.iter().any(|known| known.kid == one.kid && known.why == one.why);
        for one in left_out.iter().filter(|one| !said(one)) {
            if one.why.is_ordinary() {
                tracing::info!(issuer.name = self.name, key.name = %one.name(), error.message = %one.why, "a key of the issuer is left out");
            } else {
                tracing::warn!(issuer.name = self.name, key.name = %one.name(), error.message = %one.why, "a key of the issuer is left out");
            }
        }
    }

    /// Offers the document to the store, unless the store has it.
    fn keep(&self, document: Vec<u8>) {
        let hash = sha256(&document);
        if self.progress().kept == Some(hash) {
            return;
        }
        let fresh =
            FreshKeys { issuer: Arc::clone(&self.issuer), origin: origin(&self.source), document: Arc::from(document) };
        if self.fresh.try_send(fresh).is_ok() {
            self.progress().kept = Some(hash);
        }
    }

    /// The time until the next refresh, shortened by up to a tenth at random, so that replicas spread out.
    fn pause(&self, random: u64) -> Duration {
        let progress = self.progress();
        let age = match self.source {
            KeySource::File(_) => FILE_AGE,
            _ => progress.max_age.unwrap_or(DEFAULT_AGE).clamp(*AGE.start(), *AGE.end()),
        };
        let pause = match progress.failures {
            0 => age,
            failures => {
                let doubled = |first: u64| Duration::from_secs(first << failures.saturating_sub(1).min(10));
                if self.keys.load().is_none() { doubled(1).min(ASK_INTERVAL) } else { doubled(15).min(*AGE.start()) }
            }
        };
        pause.mul_f64(1.0 - f64::from(u8::try_from(random % 100).unwrap_or(0)) / 1000.0)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rings of one generation of the configuration, in the order of its issuers.
#[derive(Clone, Debug, Default)]
pub struct KeyRings(Vec<Arc<KeyRing>>);

impl KeyRings {
    /// Rings for `issuers`. One of `before` for the same issuer and source is kept with its keys; others are new, with what
    /// `kept` returns for `(issuer, origin)`.
    #[must_use]
    pub fn build(
        issuers: &[Arc<IssuerRules>],
        before: &Self,
        fetcher: &Fetcher,
        fresh: &mpsc::Sender<FreshKeys>,
        kept: impl Fn(&str, &str) -> Option<Vec<u8>>,
    ) -> Self {
        let ring = |rules: &Arc<IssuerRules>| {
            before.iter().find(|ring| ring.serves(rules)).cloned().unwrap_or_else(|| {
                let kept = kept(&rules.issuer, &origin(&rules.keys));
                let ring = KeyRing::new(rules, fetcher, fresh.clone(), kept.as_deref());
                // Errors are counted by the name of the issuer, whatever its ring.
                let counted = before.iter().find(|ring| ring.name == rules.name).map_or(0, |ring| ring.status().errors);
                ring.progress().status.errors = counted;
                Arc::new(ring)
            })
        };
        Self(issuers.iter().map(ring).collect())
    }

    /// The ring of the issuer at this index of the policy.
    #[must_use]
    pub fn at(&self, issuer: u16) -> Option<&Arc<KeyRing>> {
        self.0.get(usize::from(issuer))
    }

    /// All rings.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<KeyRing>> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests;
