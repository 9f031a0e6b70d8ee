//! A configuration comes into force: watched, judged, made ready, then handed to the writer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, watch};

use super::check_handler::{Active, Authenticators};
use super::clock::Clock;
use super::store;
use crate::audit::entry::Entry;
use crate::audit::record::Kind;
use crate::audit::sink::Recorder;
use crate::authenticate::Authenticator;
use crate::authenticate::cache::CacheCounters;
use crate::authenticate::seen_identifiers::SeenIdentifiers;
use crate::config::settings::Settings;
use crate::config::watch::Watcher;
use crate::config::{self, Configuration, Inputs};
use crate::domain::command::{Command, WriterHandle};
use crate::domain::key::Keyer;
use crate::domain::policy::Policy;
use crate::jose::fetch::Fetcher;
use crate::jose::keys::{FreshKeys, KeyRings, origin};
use crate::log::KeyValues;
use crate::state::Published;
use crate::telemetry::metrics::Metrics;

/// How long after the store stood in the way a reload is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// A reload that the store stood in the way of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undone;

/// Everything that a reload touches.
pub struct Reloader {
    /// The process's environment.
    pub environment: BTreeMap<String, String>,
    /// The installation's secret.
    pub keyer: Keyer,
    /// Fetches keys.
    pub fetcher: Fetcher,
    /// Where new keys go.
    pub fresh: mpsc::Sender<FreshKeys>,
    /// Keys of the issuers in force; tells whoever refreshes them.
    pub rings: watch::Sender<KeyRings>,
    /// Counts what the token cache had.
    pub cache: Arc<CacheCounters>,
    /// What tokens have shown so far.
    pub seen: Arc<SeenIdentifiers>,
    /// Authenticators in force.
    pub authenticators: Arc<Authenticators>,
    /// The state in force.
    pub published: Arc<Published>,
    /// The writer.
    pub writer: WriterHandle,
    /// Settings in force; tells whoever reads source files.
    pub settings: watch::Sender<Settings>,
    /// What is kept beside the log.
    pub key_values: Arc<dyn KeyValues>,
    /// Audit.
    pub recorder: Recorder,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Arc<Clock>,
    /// One reload at a time.
    pub turn: Mutex<()>,
}

/// The rings for a policy: those that serve on go on, new ones begin with what the store kept.
///
/// # Errors
/// [`crate::log::LogError`].
pub async fn rings(
    policy: &Policy,
    before: &KeyRings,
    fetcher: &Fetcher,
    fresh: &mpsc::Sender<FreshKeys>,
    key_values: &dyn KeyValues,
) -> Result<KeyRings, crate::log::LogError> {
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

impl Reloader {
    /// Reloads whenever the files change, for ever.
    pub async fn follow(self: Arc<Self>, mut watcher: Watcher) {
        let mut undone: Option<Inputs> = None;
        loop {
            let again = async {
                match &undone {
                    Some(_) => tokio::time::sleep(RETRY).await,
                    None => std::future::pending().await,
                }
            };
            let inputs = tokio::select! {
                read = watcher.next() => match read {
                    Ok(inputs) => inputs,
                    Err(invalid) => {
                        self.refused(&invalid.to_string()).await;
                        continue;
                    }
                },
                () = again => undone.take().unwrap_or_default(),
            };
            undone = self.reload(&inputs).await.is_err().then_some(inputs);
        }
    }

    /// Puts these files in force, or says why not. A bad reload changes nothing.
    ///
    /// # Errors
    /// [`Undone`] where the store stood in the way, and not the files: it is worth another try.
    pub async fn reload(&self, inputs: &Inputs) -> Result<(), Undone> {
        let _turn = self.turn.lock().await;
        match config::parse(inputs, &self.environment) {
            Ok(configuration) => {
                let installed = self.install(inputs, configuration).await;
                if let Err(cause) = &installed {
                    self.refused(&format!("the store did not take all of it, it is tried again: {cause}")).await;
                }
                installed.map_err(|_| Undone)
            }
            Err(invalid) => {
                self.refused(&invalid.to_string()).await;
                Ok(())
            }
        }
    }

    async fn install(&self, inputs: &Inputs, mut configuration: Configuration) -> Result<(), String> {
        let mut settings = configuration.settings.clone();
        let kept = settings.keep_running(&self.settings.borrow().clone());
        for what in kept {
            tracing::warn!(config.key = what, "`{what}` needs a restart: the old value stays in force");
        }
        configuration.settings = settings.clone();
        let policy = store::policy(&configuration, &self.published.load().fold);
        let before = self.rings.borrow().clone();
        let rings = rings(&policy, &before, &self.fetcher, &self.fresh, self.key_values.as_ref())
            .await
            .map_err(|error| error.to_string())?;
        let counters = Arc::clone(&self.cache);
        let authenticator = Authenticator::new(Arc::clone(&policy), self.keyer.clone(), rings.clone(), counters);
        let authenticator = authenticator.noting_in(Arc::clone(&self.seen));
        let in_force = Arc::clone(&self.published.load().rules.policy);
        self.authenticators.add(Active { policy: Arc::clone(&policy), authenticator }, &in_force);
        self.rings.send_replace(rings);
        self.metrics.know(&policy);
        self.recorder.set_decisions(settings.audit.decisions);
        self.settings.send_replace(settings);
        let now = self.clock.now();
        let noted = self.writer.ask(Command::Configure(Arc::clone(&policy)), now).await;
        tracing::info!(config.hash = %policy.hash, "configuration is in force");
        self.record("allow", format!("configuration {} in force", policy.hash)).await;
        // It is in force; what is missing is the log's note of it, and the copy for a restart.
        noted.map_err(|refused| refused.to_string())?;
        store::keep_configuration(self.key_values.as_ref(), inputs).await.map_err(|error| error.to_string())?;
        self.metrics.reloaded(Some(now.wall));
        Ok(())
    }

    async fn refused(&self, errors: &str) {
        self.metrics.reloaded(None);
        for error in errors.lines() {
            tracing::error!(config.error = error, "configuration was not reloaded: {error}");
        }
        self.record("deny", "configuration was not reloaded".to_owned()).await;
    }

    async fn record(&self, decision: &'static str, what: String) {
        let entry = Entry {
            actor: Some("configuration".to_owned()),
            decision: Some(decision),
            reason: Some(what),
            ..Entry::new(Kind::Reload, self.clock.now().wall)
        };
        // A stopped writer ends the process by itself.
        let _ = self.recorder.record(entry).await;
    }
}
