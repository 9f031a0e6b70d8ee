//! The secret of this installation: from a file that every replica has, else drawn once and kept in the store.

use std::path::{Path, PathBuf};

use crate::audit::AuditError;
use crate::audit::open::old_salt;
use crate::domain::secret::{Fingerprint, LENGTH, Secret};
use crate::log::{KeyValues, LogError};

/// The whole secret, where it was drawn here.
const SECRET: &str = "secret";
/// What the secret is called, where it is in a file.
const FINGERPRINT: &str = "fingerprint of the secret";
/// What versions before drew, the salt beside the audit trail.
const OLD_SECRET: &str = "look-up secret";

/// Why there is no secret to start with.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] LogError),
    /// The salt of an earlier version cannot be read.
    #[error("read the audit trail's salt")]
    Salt(#[from] AuditError),
    /// The file holds none.
    #[error("secret file `{path}` (`store.secret_file`): {what}; `openssl rand -hex 48` makes one")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The store was written under another one: nobody who is denied there would be found.
    #[error(
        "secret file `{path}` (`store.secret_file`) has the fingerprint {found}, and the store was written under {expected}: \
         name the file with that secret, or begin with an empty store"
    )]
    Another {
        /// The file.
        path: PathBuf,
        /// Its fingerprint.
        found: Fingerprint,
        /// That of the store.
        expected: Fingerprint,
    },
    /// The store was written under a secret that is in a file, and none is named.
    #[error(
        "the store was written under the secret with the fingerprint {expected}, which is not kept in it: name its file in \
         `store.secret_file`"
    )]
    Missing {
        /// Its fingerprint.
        expected: Fingerprint,
    },
    /// The system gave no random bytes.
    #[error("draw the secret: no random bytes")]
    Random,
}

/// The secret under which the store is read and written.
///
/// # Errors
/// [`SecretError`]: with another one the store would read as one in which nobody is denied.
pub async fn of_installation(
    key_values: &dyn KeyValues,
    file: Option<&Path>,
    audit: &Path,
) -> Result<Secret, SecretError> {
    let named = file.map(read).transpose()?;
    let noted = key_values.get(FINGERPRINT).await?.map(|bytes| fingerprint(&bytes)).transpose()?;
    let kept = kept(key_values, named.as_ref(), audit).await?;
    let expected = noted.or(kept.as_ref().map(Secret::fingerprint));
    match (file, named) {
        (Some(path), Some(named)) => {
            let (path, found) = (path.to_owned(), named.fingerprint());
            match expected {
                Some(expected) if expected != found => Err(SecretError::Another { path, found, expected }),
                Some(_) => Ok(named),
                None => {
                    key_values.put(FINGERPRINT, found.to_string().into_bytes()).await?;
                    Ok(named)
                }
            }
        }
        _ => match (kept, expected) {
            (Some(kept), Some(expected)) if kept.fingerprint() == expected => keep(key_values, &kept).await,
            (_, Some(expected)) => Err(SecretError::Missing { expected }),
            (_, None) => keep(key_values, &draw()?).await,
        },
    }
}

/// Keeps it in the store, unless another start was faster.
async fn keep(key_values: &dyn KeyValues, secret: &Secret) -> Result<Secret, SecretError> {
    if let Some(kept) = key_values.get(SECRET).await? {
        return whole(&kept);
    }
    whole(&key_values.get_or_put(SECRET, secret.bytes().to_vec()).await?)
}

/// What the store keeps of a secret, whatever version drew it. Where a version before left no salt, any is as good.
async fn kept(key_values: &dyn KeyValues, named: Option<&Secret>, audit: &Path) -> Result<Option<Secret>, SecretError> {
    if let Some(kept) = key_values.get(SECRET).await? {
        return whole(&kept).map(Some);
    }
    let Some(look_up) = key_values.get(OLD_SECRET).await? else { return Ok(None) };
    let look_up = look_up.as_slice().try_into().map_err(|_| damaged())?;
    let salt = match (old_salt(audit)?, named) {
        (Some(salt), _) => salt,
        (None, Some(named)) => named.salt(),
        (None, None) => draw()?.salt(),
    };
    Ok(Some(Secret::of_parts(look_up, salt)))
}

fn whole(bytes: &[u8]) -> Result<Secret, SecretError> {
    bytes.try_into().map(Secret::new).map_err(|_| damaged())
}

fn fingerprint(bytes: &[u8]) -> Result<Fingerprint, SecretError> {
    std::str::from_utf8(bytes).ok().and_then(Fingerprint::parse).ok_or_else(damaged)
}

fn damaged() -> SecretError {
    let cause = "what is kept has another length; restore the store from a backup".to_owned();
    SecretError::Store(LogError::Io { step: "read the secret", cause })
}

/// Only where it is needed: the first random bytes of a process cost 30 ms, in which aws-lc tests the jitter of the clock.
fn draw() -> Result<Secret, SecretError> {
    let mut fresh = [0; LENGTH];
    aws_lc_rs::rand::fill(&mut fresh).map_err(|_| SecretError::Random)?;
    Ok(Secret::new(fresh))
}

/// What stands in the file is repeated in no error.
fn read(path: &Path) -> Result<Secret, SecretError> {
    let wrong = |what: String| SecretError::File { path: path.to_owned(), what };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let mut bytes = [0; LENGTH];
    match hex::decode_to_slice(text.trim(), &mut bytes) {
        Ok(()) => Ok(Secret::new(bytes)),
        Err(_) => Err(wrong(format!("it does not hold {LENGTH} bytes in hex"))),
    }
}

#[cfg(test)]
mod tests;
