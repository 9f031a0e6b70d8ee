//! What verifies credentials: the signing keys of the issuers, and an authenticator for each configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::authenticators::{Active, Authenticators, ControlRules};
use super::store;
use crate::authenticate::Authenticator;
use crate::authenticate::cache::CacheCounters;
use crate::authenticate::seen_identifiers::SeenIdentifiers;
use crate::domain::key::Keyer;
use crate::domain::policy::Policy;
use crate::jose::fetch::Fetcher;
use crate::jose::keys::{FreshKeys, KeyRings, origin};
use crate::log::{KeyValues, LogError};
use crate::state::Published;
use crate::state::rules::Rules;

/// Key sets that may wait to be kept for the next start.
const WAITING: usize = 64;

/// What verifies credentials, in this process.
pub struct Verifiers {
    keyer: Keyer,
    fetcher: Fetcher,
    fresh: mpsc::Sender<FreshKeys>,
    key_values: Arc<dyn KeyValues>,
    rings: watch::Sender<KeyRings>,
    /// Counts how often the token cache hit and missed.
    pub cache: Arc<CacheCounters>,
    /// What tokens have shown so far.
    pub seen: Arc<SeenIdentifiers>,
    /// One for the configuration in force, and one for the configuration before or after it.
    pub authenticators: Arc<Authenticators>,
}

impl Verifiers {
    /// Those of the first configuration, with the keys that the store kept; and every key set that is fetched from now on.
    ///
    /// # Errors
    /// [`LogError`] if the store does not give the keys.
    pub async fn start(
        keyer: Keyer,
        key_values: Arc<dyn KeyValues>,
        policy: &Arc<Policy>,
    ) -> Result<(Self, mpsc::Receiver<FreshKeys>), LogError> {
        let fetcher = Fetcher::new();
        let (fresh, fresh_keys) = mpsc::channel(WAITING);
        let rings = rings(policy, &KeyRings::default(), &fetcher, &fresh, key_values.as_ref()).await?;
        let (cache, seen) = (Arc::<CacheCounters>::default(), Arc::<SeenIdentifiers>::default());
        let first = active(policy, &keyer, &rings, (&cache, &seen));
        let authenticators = Arc::new(Authenticators::new(first));
        let (rings, _) = watch::channel(rings);
        Ok((Self { keyer, fetcher, fresh, key_values, rings, cache, seen, authenticators }, fresh_keys))
    }

    /// The keys of the issuers in force.
    #[must_use]
    pub fn rings(&self) -> watch::Receiver<KeyRings> {
        self.rings.subscribe()
    }

    /// Adds an authenticator for a configuration that is about to come into force, and has its keys refreshed.
    ///
    /// # Errors
    /// [`LogError`] if the store does not give the keys; then nothing was added.
    pub async fn add(&self, policy: &Arc<Policy>, published: &Published) -> Result<(), LogError> {
        let before = self.rings.borrow().clone();
        let rings = rings(policy, &before, &self.fetcher, &self.fresh, self.key_values.as_ref()).await?;
        let active = active(policy, &self.keyer, &rings, (&self.cache, &self.seen));
        let in_force = Arc::clone(&published.load().rules.policy);
        // INVARIANT: an authenticator is here before any state of its policy is published; checks look for it by that.
        self.authenticators.add(active, &in_force);
        self.rings.send_replace(rings);
        Ok(())
    }
}

/// What verifies credentials under a policy: those of the mesh, and those of operators.
fn active(
    policy: &Arc<Policy>,
    keyer: &Keyer,
    rings: &KeyRings,
    (cache, seen): (&Arc<CacheCounters>, &Arc<SeenIdentifiers>),
) -> Active {
    let authenticator = |policy: &Arc<Policy>, cache| {
        let authenticator = Authenticator::new(Arc::clone(policy), keyer.clone(), rings.clone(), cache);
        authenticator.noting_in(Arc::clone(seen))
    };
    let control = policy.for_control().map(Arc::new).map(|policy| {
        // Tokens of operators are no checks: they are not counted.
        let authenticator = authenticator(&policy, Arc::default());
        ControlRules { rules: Arc::new(Rules::new(policy, 0, keyer)), authenticator }
    });
    Active { policy: Arc::clone(policy), authenticator: authenticator(policy, Arc::clone(cache)), control }
}

/// The rings for a policy: those that still serve it go on, new ones begin with what the store kept.
async fn rings(
    policy: &Policy,
    before: &KeyRings,
    fetcher: &Fetcher,
    fresh: &mpsc::Sender<FreshKeys>,
    key_values: &dyn KeyValues,
) -> Result<KeyRings, LogError> {
    let mut kept = BTreeMap::new();
    for issuer in &policy.issuers {
        let origin = origin(&issuer.keys);
        if let Some(document) = store::kept_keys(key_values, &issuer.issuer, &origin).await? {
            kept.insert((issuer.issuer.to_string(), origin), document);
        }
    }
    let of = |issuer: &str, origin: &str| kept.get(&(issuer.to_owned(), origin.to_owned())).cloned();
    Ok(KeyRings::build(&policy.issuers, before, fetcher, fresh, of))
}
