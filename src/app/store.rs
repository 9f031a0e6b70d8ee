//! What this process keeps beside the log, from one start to the next.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::{self, Configuration, Inputs, Invalid};
use crate::domain::policy::Policy;
use crate::domain::time::Timestamp;
use crate::jose::keys::FreshKeys;
use crate::log::{KeyValues, LogError};
use crate::state::fold::Fold;

const LAST_GOOD: &str = "last good configuration";
const CLOCK: &str = "clock";

/// The highest time of the last run.
///
/// # Errors
/// [`LogError`].
pub async fn clock(key_values: &dyn KeyValues) -> Result<Option<Timestamp>, LogError> {
    let kept = key_values.get(CLOCK).await?;
    let millis = kept.and_then(|bytes| bytes.as_slice().try_into().ok()).map(i64::from_le_bytes);
    Ok(millis.map(Timestamp::from_millis))
}

/// Keeps the highest time.
///
/// # Errors
/// [`LogError`].
pub async fn keep_clock(key_values: &dyn KeyValues, steady: Timestamp) -> Result<(), LogError> {
    key_values.put(CLOCK, steady.as_millis().to_le_bytes().to_vec()).await
}

/// Keeps a configuration that came into force, for a start at which the files are bad.
///
/// # Errors
/// [`LogError`].
pub async fn keep_configuration(key_values: &dyn KeyValues, inputs: &Inputs) -> Result<(), LogError> {
    key_values.put(LAST_GOOD, inputs.to_bytes()).await
}

/// The last good configuration, if there is one that still is good.
///
/// # Errors
/// [`LogError`].
pub async fn last_good(
    key_values: &dyn KeyValues,
    environment: &BTreeMap<String, String>,
) -> Result<Option<(Inputs, Configuration)>, LogError> {
    let Some(bytes) = key_values.get(LAST_GOOD).await? else { return Ok(None) };
    let Ok(inputs) = Inputs::from_bytes(&bytes) else { return Ok(None) };
    Ok(config::parse(&inputs, environment).ok().map(|configuration| (inputs, configuration)))
}

fn keys_entry(issuer: &str, origin: &str) -> String {
    format!("keys of {issuer} from {origin}")
}

/// Keeps an issuer's keys.
///
/// # Errors
/// [`LogError`].
pub async fn keep_keys(key_values: &dyn KeyValues, fresh: &FreshKeys) -> Result<(), LogError> {
    key_values.put(&keys_entry(&fresh.issuer, &fresh.origin), fresh.document.to_vec()).await
}

/// What was kept of an issuer's keys.
///
/// # Errors
/// [`LogError`].
pub async fn kept_keys(key_values: &dyn KeyValues, issuer: &str, origin: &str) -> Result<Option<Vec<u8>>, LogError> {
    key_values.get(&keys_entry(issuer, origin)).await
}

/// A configuration, and where it is from.
#[derive(Debug)]
pub struct Chosen {
    /// The files.
    pub inputs: Inputs,
    /// What they say.
    pub configuration: Configuration,
    /// Why these are not the files that were named, if they are not.
    pub instead_of: Option<Invalid>,
}

/// Reads the files that were named.
///
/// # Errors
/// Everything that is wrong with them.
pub fn read(paths: &[PathBuf], environment: &BTreeMap<String, String>) -> Result<Chosen, Invalid> {
    let (inputs, configuration) = config::load(paths, environment)?;
    Ok(Chosen { inputs, configuration, instead_of: None })
}

/// The policy of a configuration, to be shared; with the sources that the log knows and the configuration does not.
#[must_use]
pub fn policy(configuration: &Configuration, fold: &Fold) -> Arc<Policy> {
    let policy = configuration.policy.clone();
    Arc::new(Policy { retired: fold.retired(&policy.sources), ..policy })
}
