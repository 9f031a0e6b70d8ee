//! Which keys of a JWKS (RFC 7517) may verify what.
//!
//! The key decides the algorithm, never the token: `kty` and `crv` allow one family, the `alg` of a key narrows it to one
//! algorithm, and the configuration of the issuer narrows it further. An unusable key does not affect the others: it is
//! left out, with a reason in `status`, the log and `explain`.
//!
//! A token with `kid` may be signed by the keys with that `kid` and those without one; a token without `kid` by any key. Of
//! these, the ones for its algorithm are tried, at most [`MAX_TRIED`]. A key with another `kid` is never tried.

use std::sync::Arc;

use serde_json::Value;

use super::json;
use super::jws::{Compact, Header, MAX_KID};
use crate::domain::issuer::Algorithm;

mod jwk;
mod key;
mod material;
mod unusable;
mod verifier;

pub use key::{SigningKey, Thumbprint};
pub use unusable::{Unusable, UnusableKey};

/// The largest document, in bytes.
pub const MAX_DOCUMENT: usize = 1024 * 1024;
/// The most keys in a document.
pub const MAX_KEYS: usize = 100;
/// The most keys tried for one token, so that a forged one does not cost more.
pub const MAX_TRIED: usize = 8;
/// Some editors and frameworks put it before UTF-8; RFC 8259 section 8.1 lets a reader ignore it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a document is not a key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Over [`MAX_DOCUMENT`].
    #[error("key set is larger than 1 MiB")]
    TooLarge,
    /// Not a JSON object with unique members and an array `keys`.
    #[error("key set is not a JSON object with an array `keys` and unique members")]
    NotASet,
    /// Over [`MAX_KEYS`].
    #[error("key set has more than 100 keys")]
    TooMany,
}

/// Why no key of a set verifies a token. It quotes nothing of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// The issuer never had a key, for this reason.
    #[error("there are no keys yet: {0}")]
    NoKeys(String),
    /// No key has its `kid`, and none without `kid` signed it.
    #[error("no key has the `kid` of the token")]
    UnknownKid,
    /// It names a key that is left out.
    #[error("the key that the token names is left out: {0}")]
    UnusableKey(Unusable),
    /// It names no key, and no key is for its algorithm.
    #[error("there is no key for {}{}", .algorithm.name(), first(.left_out))]
    NoneFits {
        /// Its algorithm.
        algorithm: Algorithm,
        /// The first key of the set that is left out, if any.
        left_out: Option<UnusableKey>,
    },
    /// The key that it names is not for its algorithm.
    #[error("the key that the token names is not for {}", .0.name())]
    WrongAlgorithm(Algorithm),
    /// None of this many matching keys signed it.
    #[error("the signature is not valid for {}", of_those(*.0))]
    BadSignature(usize),
}

impl Unverified {
    /// Whether the key itself is unknown, so that the provider may have it.
    #[must_use]
    pub fn is_unknown_key(&self) -> bool {
        matches!(self, Self::UnknownKid | Self::UnusableKey(_) | Self::NoneFits { .. })
    }
}

/// This many keys, in words.
fn of_those(tried: usize) -> String {
    if tried == 1 { "the only matching key".to_owned() } else { format!("any of the {tried} matching keys") }
}

/// The first of the keys that are left out, as the end of a sentence.
fn first(left_out: &Option<UnusableKey>) -> String {
    left_out.as_ref().map(|one| format!("; left out is {one}")).unwrap_or_default()
}

/// The usable keys of one issuer at one time.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<Arc<SigningKey>>,
    left_out: Vec<UnusableKey>,
}

impl KeySet {
    /// Reads a JWKS. It may contain no usable key.
    ///
    /// # Errors
    /// [`JwksError`] if the document is not a key set.
    pub fn parse(document: &[u8]) -> Result<Self, JwksError> {
        if document.len() > MAX_DOCUMENT {
            return Err(JwksError::TooLarge);
        }
        let members = json::object(without_mark(document)).map_err(|_| JwksError::NotASet)?;
        let Some(Value::Array(values)) = members.get("keys") else { return Err(JwksError::NotASet) };
        if values.len() > MAX_KEYS {
            return Err(JwksError::TooMany);
        }
        let (mut read, mut left_out) = (Vec::new(), Vec::new());
        for (value, number) in values.iter().zip(1..) {
            match SigningKey::read(value) {
                Ok(key) => read.push((number, Arc::new(key))),
                Err(why) => {
                    let kid = value.get("kid").and_then(Value::as_str).filter(|kid| kid.len() <= MAX_KID);
                    left_out.push(UnusableKey { number, kid: kid.map(str::to_owned), why });
                }
            }
        }
        let named =
            |(number, key): &(usize, Arc<SigningKey>), why| UnusableKey { number: *number, kid: key.kid.clone(), why };
        let is_doubled =
            |(_, key): &(usize, Arc<SigningKey>)| read.iter().any(|(_, other)| key.is_confused_with(other));
        // Leaves out every key whose `kid` also names another key of its algorithm: it is unclear which one is meant.
        let (doubled, kept): (Vec<_>, Vec<_>) = read.iter().cloned().partition(is_doubled);
        left_out.extend(doubled.iter().map(|one| named(one, Unusable::DoubledKid)));
        let set = Self { keys: kept.iter().map(|(_, key)| Arc::clone(key)).collect(), left_out: Vec::new() };
        left_out.extend(kept.iter().filter_map(|one| Some(named(one, set.seldom_tried(&one.1)?))));
        left_out.sort_by_key(|one| one.number);
        Ok(Self { left_out, ..set })
    }

    /// Why a usable key is not tried for every token that it may have signed: too many others come first.
    fn seldom_tried(&self, key: &SigningKey) -> Option<Unusable> {
        let is_tried = |algorithm: &Algorithm| {
            let tried = self.tried(*algorithm, None);
            tried.into_iter().any(|other| other.thumbprint == key.thumbprint)
        };
        if key.algorithms.iter().all(is_tried) {
            return None;
        }
        Some(if key.kid.is_some() { Unusable::OnlyByName(MAX_TRIED) } else { Unusable::NeverTried(MAX_TRIED) })
    }

    /// The keys to try for a token with this algorithm and `kid`, in order, each key material once.
    fn tried(&self, algorithm: Algorithm, kid: Option<&str>) -> Vec<&SigningKey> {
        let fitting = || self.keys.iter().filter(|key| key.fits(algorithm));
        let named = fitting().filter(|key| kid.is_some() && key.kid.as_deref() == kid);
        let nameless = fitting().filter(|key| key.kid.is_none());
        let others = fitting().filter(|key| kid.is_none() && key.kid.is_some());
        let mut tried: Vec<&SigningKey> = Vec::new();
        for key in named.chain(nameless).chain(others) {
            if tried.len() < MAX_TRIED && tried.iter().all(|before| before.thumbprint != key.thumbprint) {
                tried.push(key);
            }
        }
        tried
    }

    /// The thumbprint of the key that signed this token with the algorithm in its header. Only the signature is checked,
    /// not the claims.
    ///
    /// # Errors
    /// [`Unverified`]
    pub fn verify(&self, token: &Compact<'_>, header: &Header) -> Result<Thumbprint, Unverified> {
        let tried = self.tried(header.algorithm, header.kid.as_deref());
        // Refused with the header, if it cannot be decoded.
        let signature = token.signature_bytes();
        match tried.iter().find(|key| key.verify(token, &signature, header.algorithm)) {
            Some(key) => Ok(key.thumbprint),
            None => Err(self.refusal(header, tried.len())),
        }
    }

    fn refusal(&self, header: &Header, tried: usize) -> Unverified {
        let Some(kid) = header.kid.as_deref() else {
            return match tried {
                0 => Unverified::NoneFits { algorithm: header.algorithm, left_out: self.left_out.first().cloned() },
                tried => Unverified::BadSignature(tried),
            };
        };
        let mut named = self.keys.iter().filter(|key| key.kid.as_deref() == Some(kid)).peekable();
        if named.peek().is_none() {
            let left_out = self.left_out.iter().find(|one| one.kid.as_deref() == Some(kid));
            return left_out.map_or(Unverified::UnknownKid, |one| Unverified::UnusableKey(one.why.clone()));
        }
        if named.any(|key| key.fits(header.algorithm)) || tried > 0 {
            return Unverified::BadSignature(tried);
        }
        Unverified::WrongAlgorithm(header.algorithm)
    }

    /// Whether the set has this key for this algorithm.
    #[must_use]
    pub fn holds(&self, thumbprint: &Thumbprint, algorithm: Algorithm) -> bool {
        self.keys.iter().any(|key| key.thumbprint == *thumbprint && key.fits(algorithm))
    }

    /// Whether a usable key has this `kid`.
    #[must_use]
    pub fn knows(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// The `kid` of each usable key that has one.
    #[must_use]
    pub fn key_ids(&self) -> Vec<&str> {
        self.keys.iter().filter_map(|key| key.kid.as_deref()).collect()
    }

    /// The thumbprints of the usable keys.
    #[cfg(test)]
    pub(crate) fn thumbprints(&self) -> Vec<Thumbprint> {
        self.keys.iter().map(|key| key.thumbprint).collect()
    }

    /// The number of usable keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is usable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that are not used, or not for every token, and why, in the order of the set.
    #[must_use]
    pub fn left_out(&self) -> &[UnusableKey] {
        &self.left_out
    }
}

/// A document without a byte order mark at its start.
pub(super) fn without_mark(document: &[u8]) -> &[u8] {
    document.strip_prefix(BYTE_ORDER_MARK).unwrap_or(document)
}

#[cfg(test)]
mod tests;
