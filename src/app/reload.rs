//! Puts a changed configuration in force: watched, checked, prepared, then handed to the writer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::signal::unix::Signal;
use tokio::sync::{Mutex, watch};

use super::clock::Clock;
use super::troubles::Troubles;
use super::verifiers::Verifiers;
use super::{changed, store};
use crate::audit::entry::Entry;
use crate::audit::record::Kind;
use crate::audit::sink::Recorder;
use crate::config::settings::Settings;
use crate::config::watch::Watcher;
use crate::config::{self, Configuration, Inputs};
use crate::domain::command::{Command, WriterHandle};
use crate::domain::policy::Policy;
use crate::log::KeyValues;
use crate::state::Published;
use crate::state::fold::Fold;
use crate::telemetry::metrics::Metrics;

/// Delay before a reload that the store prevented is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// The store prevented a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undone;

/// Everything that a reload touches.
pub struct Reloader {
    /// The process's environment.
    pub environment: BTreeMap<String, String>,
    /// What verifies credentials.
    pub verifiers: Arc<Verifiers>,
    /// The state in force.
    pub published: Arc<Published>,
    /// The writer.
    pub writer: WriterHandle,
    /// Settings in force, for the tasks that follow them.
    pub settings: watch::Sender<Settings>,
    /// The key-value store beside the log.
    pub key_values: Arc<dyn KeyValues>,
    /// Audit.
    pub recorder: Recorder,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Failures that last.
    pub troubles: Arc<Troubles>,
    /// Time.
    pub clock: Arc<Clock>,
    /// One reload at a time.
    pub turn: Mutex<()>,
}

impl Reloader {
    /// Reloads whenever the files change, and when somebody asks for it (SIGHUP), changed or not.
    pub async fn follow(self: Arc<Self>, mut watcher: Watcher, mut hangups: Signal) {
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
                Some(()) = hangups.recv() => {
                    tracing::info!("SIGHUP: reading the configuration again");
                    watcher.read_again();
                    continue;
                }
            };
            undone = self.reload(&inputs).await.is_err().then_some(inputs);
        }
    }

    /// Puts these files in force, or reports why not. A failed reload changes nothing.
    ///
    /// # Errors
    /// [`Undone`] if the store failed rather than the files: try again.
    pub async fn reload(&self, inputs: &Inputs) -> Result<(), Undone> {
        let _turn = self.turn.lock().await;
        match config::parse(inputs, &self.environment) {
            Ok(configuration) => {
                let installed = self.install(inputs, configuration).await;
                if let Err(cause) = &installed {
                    self.refused(&format!("the store failed; trying again: {cause}")).await;
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
            tracing::warn!(config.key = what, "`{what}` changed; restart to apply it");
        }
        configuration.settings = settings.clone();
        let policy = store::policy(&configuration, &self.published.load().fold);
        self.verifiers.add(&policy, &self.published).await.map_err(|error| error.to_string())?;
        self.metrics.know(&policy);
        self.recorder.set_decisions(settings.audit.decisions);
        self.settings.send_replace(settings);
        let before = Arc::clone(&self.published.load().rules.policy);
        let now = self.clock.now();
        let noted = self.writer.ask(Command::Configure(Arc::clone(&policy)), now).await;
        tell(&policy, &self.published.load().fold);
        let what = format!("configuration {} in force", policy.hash);
        self.record("allow", what, changed::between(&before, &policy)).await;
        // It is in force; what is missing is its note in the log and the copy for a restart.
        noted.map_err(|refused| refused.to_string())?;
        store::keep_configuration(self.key_values.as_ref(), inputs).await.map_err(|error| error.to_string())?;
        self.metrics.reloaded(Some(now.wall));
        self.troubles.reload.is_over();
        Ok(())
    }

    async fn refused(&self, errors: &str) {
        self.metrics.reloaded(None);
        self.troubles.reload.failed(self.clock.now().wall, errors);
        for error in errors.lines() {
            tracing::error!(config.error = error, "configuration was not reloaded: {error}");
        }
        self.record("deny", "configuration was not reloaded".to_owned(), None).await;
    }

    async fn record(&self, decision: &'static str, what: String, changed: Option<(Value, Value)>) {
        let (before, after) = changed.unzip();
        let entry = Entry {
            actor: Some("configuration".to_owned()),
            decision: Some(decision),
            reason: Some(what),
            before,
            after,
            ..Entry::new(Kind::Reload, self.clock.now().wall)
        };
        // A stopped audit writer ends the process anyway.
        let _ = self.recorder.record(entry).await;
    }
}

/// Says what is in force: which services enforce, and which revocations only an earlier configuration lists.
pub(super) fn tell(policy: &Policy, fold: &Fold) {
    tracing::info!(config.hash = %policy.hash, config.enforcement = policy.enforcement(), "configuration is in force");
    let kept = kept_revocations(policy, fold);
    if kept > 0 {
        tracing::warn!(
            revocations = kept,
            "`revocations` is not configured: {kept} that an earlier configuration listed stay in force; `revocations: []` \
             ends them"
        );
    }
}

/// How many revocations stand that an earlier configuration listed, because this one does not have the key.
pub(super) fn kept_revocations(policy: &Policy, fold: &Fold) -> usize {
    if policy.revocations.is_some() { 0 } else { fold.noted.len() }
}
