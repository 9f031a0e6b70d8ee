//! The secret of an installation: every replica has the same, and data made under it is usable only with it.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// Bytes of the secret: the look-up secret and the salt.
pub const LENGTH: usize = 48;
/// Bytes of the look-up secret.
const LOOK_UP: usize = 16;

/// The fingerprint of a secret, for errors and snapshots. It does not reveal the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of a secret.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        // A domain of its own, so that it equals no other hash of the secret.
        context.update(b"offboard: fingerprint of the secret\0");
        context.update(secret);
        let hash = context.finish();
        let first = hash.as_ref().first_chunk().copied().unwrap_or_default();
        Self(u64::from_be_bytes(first))
    }

    /// The fingerprint that [`fmt::Display`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The secret of an installation. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; LENGTH]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.fingerprint())
    }
}

impl Secret {
    /// The secret with these bytes.
    #[must_use]
    pub fn new(bytes: [u8; LENGTH]) -> Self {
        Self(bytes)
    }

    /// The secret of these parts.
    #[must_use]
    pub fn of_parts(look_up: [u8; LOOK_UP], salt: [u8; LENGTH - LOOK_UP]) -> Self {
        let mut bytes = [0; LENGTH];
        for (into, from) in bytes.iter_mut().zip(look_up.iter().chain(&salt)) {
            *into = *from;
        }
        Self(bytes)
    }

    /// Its bytes, for storage.
    #[must_use]
    pub fn bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }

    /// Its fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.0)
    }

    /// The part under which look-up keys are made.
    #[must_use]
    pub fn look_up(&self) -> [u8; LOOK_UP] {
        self.0.first_chunk().copied().unwrap_or_default()
    }

    /// Salt of the hashes of credentials in the audit trail.
    #[must_use]
    pub fn salt(&self) -> [u8; LENGTH - LOOK_UP] {
        self.0.last_chunk().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_parts_are_those_that_it_was_made_of() {
        let secret = Secret::of_parts([1; 16], [2; 32]);
        assert_eq!(secret.salt(), [2; 32]);
        assert_eq!(secret.look_up(), [1; 16]);
        assert_ne!(secret.fingerprint(), Secret::of_parts([1; 16], [3; 32]).fingerprint(), "of the whole");
    }

    #[test]
    fn nothing_that_is_written_tells_it() {
        let secret = Secret::new([0xab; LENGTH]);
        assert_eq!(format!("{secret:?}"), format!("Secret({})", secret.fingerprint()));
        assert_eq!(Fingerprint::parse(&secret.fingerprint().to_string()), Some(secret.fingerprint()));
    }
}
