//! Which keys of a JWKS (RFC 7517) may verify what.
//!
//! The key decides the algorithm, never the token: a key is for one family, by `kty` and `crv`, for one
//! algorithm if it names one, and the issuer's configuration narrows that. One odd key never spoils the
//! others; it is left out, with a reason that `status` shows.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use super::json;
use super::jws::{Compact, Header, MAX_KID};
use crate::domain::issuer::Algorithm;

mod material;

/// Larger documents are refused, in bytes.
pub const MAX_DOCUMENT: usize = 1024 * 1024;
/// Documents with more keys are refused.
pub const MAX_KEYS: usize = 100;

/// SHA-256 of a public key's members (RFC 7638): names the key *material*, whatever its `kid`.
pub type Thumbprint = [u8; 32];

/// A whole document that is no set of keys.
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

/// Why a key is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Not an object, or a member is missing, of the wrong type or badly encoded.
    #[error("a member is missing or not well-formed")]
    Malformed,
    /// `use` is not `sig`, or `key_ops` lacks `verify`.
    #[error("it is not for signatures")]
    NotForSignatures,
    /// `kty` is `oct`: whoever can verify with it can sign with it.
    #[error("it is symmetric")]
    Symmetric,
    /// The private half is published with it: anybody can sign.
    #[error("its private part is published")]
    Private,
    /// A key type, curve or algorithm that we do not verify.
    #[error("its type, curve or algorithm is not supported")]
    Unsupported,
    /// `alg` does not fit `kty` and `crv`.
    #[error("its algorithm does not fit its type")]
    Mismatch,
    /// An RSA modulus under 2048 or over 8192 bits, or an even one.
    #[error("its modulus is weak")]
    WeakModulus,
    /// The RSA modulus has the fingerprint of CVE-2017-15361 (ROCA).
    #[error("its modulus has the ROCA weakness")]
    Roca,
    /// An RSA exponent that is 1, even or over 33 bits.
    #[error("its exponent is weak")]
    WeakExponent,
    /// The point is not on its curve.
    #[error("its point is not on the curve")]
    NotOnCurve,
    /// Another key of the set has the same `kid`; neither is used.
    #[error("another key has the same `kid`")]
    DoubledKid,
}

/// A key that may verify signatures.
#[derive(Clone)]
pub struct SigningKey {
    kid: Option<String>,
    thumbprint: Thumbprint,
    /// What `kty`, `crv` and `alg` leave, never empty.
    algorithms: Vec<Algorithm>,
    decoding: DecodingKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).field("algorithms", &self.algorithms).finish()
    }
}

impl SigningKey {
    /// Names its material.
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// Whether it signed this token with this algorithm. Only the signature is judged, no claim and no clock.
    #[must_use]
    pub fn verify(&self, token: &Compact<'_>, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
            && jsonwebtoken::crypto::verify(
                token.signature,
                token.signed.as_bytes(),
                &self.decoding,
                material::backend(algorithm),
            )
            .unwrap_or(false)
    }

    /// Reads one member of `keys`.
    fn read(value: &Value) -> Result<Self, Unusable> {
        let jwk = Jwk(value.as_object().ok_or(Unusable::Malformed)?);
        let kid = jwk.text("kid")?;
        if kid.is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(Unusable::Malformed);
        }
        jwk.is_for_signatures()?;
        let named = match jwk.text("alg")? {
            None => None,
            Some(name) => Some(Algorithm::named(name).ok_or(Unusable::Unsupported)?),
        };
        let material = material::read(&jwk)?;
        let algorithms: Vec<Algorithm> = match named {
            None => material.algorithms.to_vec(),
            Some(named) => material.algorithms.iter().copied().filter(|fits| *fits == named).collect(),
        };
        if algorithms.is_empty() {
            return Err(Unusable::Mismatch);
        }
        let thumbprint = sha256(material.canonical.as_bytes());
        Ok(Self { kid: kid.map(str::to_owned), thumbprint, algorithms, decoding: material.decoding })
    }
}

/// One JWK, as it came.
struct Jwk<'a>(&'a Map<String, Value>);

impl<'a> Jwk<'a> {
    fn text(&self, name: &str) -> Result<Option<&'a str>, Unusable> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Unusable::Malformed),
        }
    }

    /// RFC 7517 sections 4.2 and 4.3.
    fn is_for_signatures(&self) -> Result<(), Unusable> {
        if self.text("use")?.is_some_and(|purpose| purpose != "sig") {
            return Err(Unusable::NotForSignatures);
        }
        match self.0.get("key_ops") {
            None => Ok(()),
            Some(Value::Array(ops)) if ops.iter().any(|op| op == "verify") => Ok(()),
            Some(Value::Array(_)) => Err(Unusable::NotForSignatures),
            Some(_) => Err(Unusable::Malformed),
        }
    }
}

/// What a set answers to "which key is this?".
#[derive(Clone, Debug)]
pub enum Selection {
    /// This one.
    Key(Arc<SigningKey>),
    /// None, or several that cannot be told apart.
    Unknown,
    /// The key is there, but it is not for this algorithm.
    WrongAlgorithm,
}

/// The usable keys of one issuer at one time.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<Arc<SigningKey>>,
    left_out: Vec<(Option<String>, Unusable)>,
}

impl KeySet {
    /// Reads a JWKS. It may turn out to hold no usable key.
    ///
    /// # Errors
    /// [`JwksError`] if the document as a whole is none.
    pub fn parse(document: &[u8]) -> Result<Self, JwksError> {
        if document.len() > MAX_DOCUMENT {
            return Err(JwksError::TooLarge);
        }
        let members = json::object(document).map_err(|_| JwksError::NotASet)?;
        let Some(Value::Array(values)) = members.get("keys") else { return Err(JwksError::NotASet) };
        if values.len() > MAX_KEYS {
            return Err(JwksError::TooMany);
        }
        let mut set = Self::default();
        for value in values {
            match SigningKey::read(value) {
                Ok(key) => set.keys.push(Arc::new(key)),
                Err(why) => {
                    let kid = value.get("kid").and_then(Value::as_str).filter(|kid| kid.len() <= MAX_KID);
                    set.left_out.push((kid.map(str::to_owned), why));
                }
            }
        }
        set.drop_doubled();
        Ok(set)
    }

    /// Refuses every `kid` that stands for two materials: which one is meant cannot be known.
    fn drop_doubled(&mut self) {
        let all = self.keys.clone();
        let doubled = |key: &SigningKey| {
            key.kid.is_some() && all.iter().any(|other| other.kid == key.kid && other.thumbprint != key.thumbprint)
        };
        let (refused, kept) = self.keys.drain(..).partition(|key| doubled(key));
        self.keys = kept;
        let refused: Vec<Arc<SigningKey>> = refused;
        self.left_out.extend(refused.iter().map(|key| (key.kid.clone(), Unusable::DoubledKid)));
    }

    /// The one key that a token with this header means.
    ///
    /// A token without `kid` means a key only if exactly one is for its algorithm.
    #[must_use]
    pub fn select(&self, header: &Header) -> Selection {
        let fits = |key: &&Arc<SigningKey>| key.algorithms.contains(&header.algorithm);
        let Some(kid) = header.kid.as_deref() else {
            let mut fitting = self.keys.iter().filter(fits);
            let first = fitting.next();
            let several = fitting.any(|key| first.is_some_and(|first| first.thumbprint != key.thumbprint));
            return match first {
                Some(key) if !several => Selection::Key(Arc::clone(key)),
                _ => Selection::Unknown,
            };
        };
        let named = || self.keys.iter().filter(|key| key.kid.as_deref() == Some(kid));
        match named().find(fits) {
            Some(key) => Selection::Key(Arc::clone(key)),
            None if named().next().is_some() => Selection::WrongAlgorithm,
            None => Selection::Unknown,
        }
    }

    /// Whether this material may still verify this algorithm.
    #[must_use]
    pub fn holds(&self, thumbprint: &Thumbprint, algorithm: Algorithm) -> bool {
        self.keys.iter().any(|key| key.thumbprint == *thumbprint && key.algorithms.contains(&algorithm))
    }

    /// Whether a usable key has this id.
    #[must_use]
    pub fn knows(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// Number of usable keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is usable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that are not used, by `kid`, and why.
    #[must_use]
    pub fn left_out(&self) -> &[(Option<String>, Unusable)] {
        &self.left_out
    }
}

/// SHA-256, as the array that it is.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *to = *from;
    }
    hash
}
