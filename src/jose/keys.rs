//! The keys of each issuer, kept fresh, and kept through an outage.
//!
//! A [`KeyRing`] is *never loaded* (its issuer's tokens answer `not_ready`) until it has had one usable key,
//! from its provider or from the store; from then on it always has some: a fetch that fails, and a document
//! without usable keys, replace nothing. Checks only read; [`KeyRing::refresh_forever`] alone fetches, asked
//! by its own timetable or, at most once in [`ASK_INTERVAL`], by a check that met an unknown key.

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

/// Checks together may ask a provider for keys once in this time (RFC 8725 leaves it open; protocols 8.3).
pub const ASK_INTERVAL: Duration = Duration::from_secs(30);
/// A check waits this long for keys that it asked for. Envoy's own default for the whole check is 200 ms.
pub const ASK_WAIT: Duration = Duration::from_millis(100);
/// A `kid` that the provider did not know asks again after this time.
pub const UNKNOWN_FOR: Duration = Duration::from_secs(60);
/// Bounds on how long a key set is believed, whatever `cache-control` says.
const AGE: std::ops::RangeInclusive<Duration> = Duration::from_secs(5 * 60)..=Duration::from_secs(24 * 3600);
/// How long where `cache-control` says nothing.
const DEFAULT_AGE: Duration = Duration::from_secs(15 * 60);
/// How long a file is believed: reading it costs nothing, and whoever takes a key out wants it gone.
const FILE_AGE: Duration = Duration::from_secs(60);
/// Unknown key ids remembered per issuer; the oldest go first.
const UNKNOWN_KIDS: u64 = 10_000;

/// What time it is. Only `app` reads a clock.
pub type Clock = Arc<dyn Fn() -> Now + Send + Sync>;

/// A new good key set, to be kept for the next start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreshKeys {
    /// `iss`
    pub issuer: Arc<str>,
    /// Where it came from: keys of one place are never used for another.
    pub origin: String,
    /// The JWKS, as it came.
    pub document: Arc<[u8]>,
}

/// Why a refresh changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// It could not be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It is none.
    #[error(transparent)]
    Document(#[from] JwksError),
    /// Nothing in it can verify a signature.
    #[error("key set holds no usable key{}", .0.as_ref().map(|first| format!(": {first}")).unwrap_or_default())]
    NoKeys(Option<UnusableKey>),
}

/// What there is to be known about a ring, for metrics and `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RingStatus {
    /// When the provider last gave good keys, in this process.
    pub last_success: Option<Timestamp>,
    /// Usable keys now.
    pub keys: usize,
    /// Keys of the last set that are not used, or not for every token, and why.
    pub left_out: Vec<UnusableKey>,
    /// What the last refresh failed with; `None` after a good one.
    pub last_error: Option<String>,
    /// Refreshes that failed, in this process.
    pub errors: u64,
}

/// What changes with each refresh.
#[derive(Debug, Default)]
struct Progress {
    status: RingStatus,
    failures: u32,
    max_age: Option<Duration>,
    /// Asked for by a check, and not over yet.
    asked: bool,
    /// When a check last asked.
    asked_at: Option<Timestamp>,
    /// SHA-256 of the document last handed to the store.
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
    /// When the provider was found not to know this `kid`.
    unknown: Cache<[u8; 32], Timestamp>,
    progress: Mutex<Progress>,
    wanted: Notify,
    /// Counts refreshes that are over.
    over: watch::Sender<u64>,
}

/// How the origin of keys is written in the store.
#[must_use]
pub fn origin(source: &KeySource) -> String {
    match source {
        KeySource::Discovery => "discovery".to_owned(),
        KeySource::Uri(uri) => format!("uri {uri}"),
        KeySource::File(path) => format!("file {}", path.display()),
    }
}

impl KeyRing {
    /// A ring, with what the store kept of this issuer and origin. A kept document that cannot be read is as
    /// none. New key sets go to `fresh`; while it is full they are offered again at each refresh.
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

    /// Name of the issuer in the configuration.
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

    /// The keys; `None` while there never were any.
    #[must_use]
    pub fn keys(&self) -> Option<Arc<KeySet>> {
        self.keys.load_full()
    }

    /// For metrics and `status`.
    #[must_use]
    pub fn status(&self) -> RingStatus {
        self.progress().status.clone()
    }

    /// Why there are no keys, in words: what the last refresh failed with.
    #[must_use]
    pub fn trouble(&self) -> String {
        let error = self.progress().status.last_error.clone();
        error.unwrap_or_else(|| "the keys of the issuer have not been fetched yet".to_owned())
    }

    /// Fetches once, now. Whatever comes of it, good keys stay until better ones are there.
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
                // Said already.
                (Some(before), Some(after)) if before == after => {}
                (_, Some(error)) => {
                    tracing::warn!(issuer.name = self.name, error = %error, "signing keys were not refreshed");
                }
                (Some(_), None) => tracing::info!(issuer.name = self.name, "signing keys are refreshed again"),
                (None, None) => {}
            }
            let pause = self.pause(RandomState::new().hash_one(()));
            // Elapsed or asked: either way it is time.
            let _ = tokio::time::timeout(pause, self.wanted.notified()).await;
        }
    }

    /// Asks for fresh keys because of a token that these cannot verify, and waits for them, but not for long.
    /// True if it is worth looking again.
    ///
    /// `kid` is the unknown key's id; `None` where the key is known and the signature does not hold, or where
    /// the token has no `kid`. Checks that come together share one fetch.
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

    /// Whether a fetch that was asked for is under way, or may begin now.
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

    /// Notes which keys are not used, and says so in the log of those that were not left out so before.
    fn leave_out(&self, left_out: &[UnusableKey]) {
        let before = std::mem::replace(&mut self.progress().status.left_out, left_out.to_vec());
        let said = |one: &&UnusableKey| before.iter().any(|known| known.kid == one.kid && known.why == one.why);
        for one in left_out.iter().filter(|one| !said(one)) {
            if one.why.is_ordinary() {
                tracing::info!(issuer.name = self.name, key.name = %one.name(), error.cause = %one.why, "a key of the issuer is left out");
            } else {
                tracing::warn!(issuer.name = self.name, key.name = %one.name(), error.cause = %one.why, "a key of the issuer is left out");
            }
        }
    }

    /// Offers the document to the store, unless it has it.
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

    /// Until the next refresh, with up to a tenth taken off at random, so that replicas spread out.
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

/// The rings of one configuration generation, in the order of its issuers.
#[derive(Clone, Debug, Default)]
pub struct KeyRings(Vec<Arc<KeyRing>>);

impl KeyRings {
    /// Rings for `issuers`: one of `before` that serves the same issuer from the same source goes on, with
    /// its keys; others are new, with what `kept` has for `(issuer, origin)`.
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
                // Errors are counted by the issuer's name, whatever ring it has.
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

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<KeyRing>> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests;
