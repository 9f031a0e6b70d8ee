//! From nothing to bound: the store and the configuration, then the parts in the order in which they need each other.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::parts::{AuditPath, Base, ControlPlane, LeavePath, Parts, ReadyWhen, Reloads, Sockets, Verification};
use super::reload::tell;
use super::serve::Bound;
use super::start_error::StartError;
use super::store::{self, Chosen};
use crate::config::settings::{Settings, StoreSettings};
use crate::config::{self, Invalid};
use crate::log::LogError;
use crate::log::embedded::Embedded;
use crate::telemetry::health::Readiness;

/// What the process was started with.
#[derive(Clone, Debug)]
pub struct Start {
    /// Files and directories of the configuration.
    pub paths: Vec<PathBuf>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
}

fn store_path(settings: &Settings) -> &PathBuf {
    let StoreSettings::Embedded { path, .. } = &settings.store;
    path
}

/// The configuration to start with, and the open store. Invalid files are no reason to stay down where the
/// store kept a good configuration.
async fn choose(start: &Start) -> Result<(Chosen, Embedded), StartError> {
    match store::read(&start.paths, &start.environment) {
        Ok(chosen) => {
            let log = open_log(store_path(&chosen.configuration.settings).clone()).await?;
            Ok((chosen, log))
        }
        Err(invalid) => {
            let path = config::store_hint(&start.paths, &start.environment);
            if !path.is_dir() {
                return Err(StartError::Configuration(invalid));
            }
            let log = open_log(path).await?;
            match store::last_good(log.key_values().as_ref(), &start.environment).await? {
                Some((inputs, configuration)) => Ok((Chosen { inputs, configuration, instead_of: Some(invalid) }, log)),
                None => Err(StartError::Configuration(invalid)),
            }
        }
    }
}

async fn open_log(path: PathBuf) -> Result<Embedded, LogError> {
    let opened = tokio::task::spawn_blocking(move || Embedded::open(path)).await;
    opened.map_err(|error| LogError::Io { step: "open the store", cause: error.to_string() })?
}

/// Says that the service starts from something else than its files.
fn say_instead(invalid: &Invalid) {
    for error in invalid.to_string().lines() {
        tracing::error!(config.error = error, "configuration is invalid: {error}");
    }
    tracing::error!("starting with the last good configuration instead");
}

/// Binds everything. When it returns, every address is known and nothing serves yet.
///
/// # Errors
/// [`StartError`] says what stands in the way.
pub async fn bind(start: Start) -> Result<Bound, StartError> {
    let readiness = Readiness::new();
    let replaying = readiness.block("log replay");
    let (Chosen { inputs, configuration, instead_of }, log) = choose(&start).await?;
    if let Some(invalid) = &instead_of {
        say_instead(invalid);
    }
    let (base, trail, history) = Base::build(&configuration, log).await?;
    if let Some(invalid) = &instead_of {
        base.troubles.reload.failed(base.clock.now().wall, &invalid.to_string());
    }
    tell(&base.policy, &history.fold);
    let verification = Verification::build(&base).await?;
    let leave = LeavePath::build(&base, history)?;
    let audit = AuditPath::build(&base, &leave, trail);
    let ready = ReadyWhen::build(&base, &leave, readiness, replaying);
    let handler = leave.check_handler(&base, &verification);
    let control = ControlPlane::build(&base, &verification, &leave, &handler, &ready.readiness)?;
    let in_force = instead_of.is_none().then_some(inputs);
    let reloads = Reloads::build(&base, &verification, &leave, (start.paths, start.environment), in_force);
    let sockets = Sockets::bind(&base.settings.server)?;
    Ok(Bound::new(Parts { base, verification, leave, audit, ready, handler, control, reloads, sockets }))
}
