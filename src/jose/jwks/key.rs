//! One key of a set (RFC 7517 section 4), checked.

use std::fmt;

use jsonwebtoken::signature::Verifier as _;
use serde_json::Value;

use super::jwk::Jwk;
use super::material;
use super::unusable::Unusable;
use super::verifier::KeyVerifier;
use crate::domain::issuer::Algorithm;
use crate::jose::digest::sha256;
use crate::jose::jws::{Compact, MAX_KID};

/// SHA-256 of the members of a public key (RFC 7638): it identifies the key *material*, whatever the `kid`.
pub type Thumbprint = [u8; 32];

/// A key that may verify signatures.
#[derive(Clone)]
pub struct SigningKey {
    pub(super) kid: Option<String>,
    pub(super) thumbprint: Thumbprint,
    /// The algorithms that `kty`, `crv` and `alg` allow.
    // INVARIANT: never empty.
    pub(super) algorithms: Vec<Algorithm>,
    /// One for each of them.
    verifiers: Vec<KeyVerifier>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).field("algorithms", &self.algorithms).finish()
    }
}

impl SigningKey {
    /// Whether it signed this token with this algorithm. Only the signature is checked.
    pub(super) fn verify(&self, token: &Compact<'_>, signature: &Vec<u8>, algorithm: Algorithm) -> bool {
        let verifier = self.verifiers.iter().find(|verifier| verifier.algorithm() == algorithm);
        verifier.is_some_and(|verifier| verifier.verify(token.signed.as_bytes(), signature).is_ok())
    }

    /// Whether it is for this algorithm.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Whether a token with some `kid` and algorithm could be by either of the two keys.
    pub(super) fn is_confused_with(&self, other: &Self) -> bool {
        self.kid.is_some()
            && self.kid == other.kid
            && self.thumbprint != other.thumbprint
            && self.algorithms.iter().any(|algorithm| other.fits(*algorithm))
    }

    /// Reads one member of `keys`.
    pub(super) fn read(value: &Value) -> Result<Self, Unusable> {
        let jwk = Jwk(value.as_object().ok_or(Unusable::NotAnObject)?);
        let kid = jwk.text("kid")?;
        if kid.is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(Unusable::LongKid);
        }
        jwk.is_for_signatures()?;
        let named = match jwk.text("alg")? {
            None => None,
            Some(name) => Some(Algorithm::named(name).ok_or_else(|| jwk.foreign(name))?),
        };
        let material = material::read(&jwk)?;
        let algorithms: Vec<Algorithm> = match named {
            None => material.algorithms.to_vec(),
            Some(named) => material.algorithms.iter().copied().filter(|fits| *fits == named).collect(),
        };
        if let (Some(named), true) = (named, algorithms.is_empty()) {
            return Err(Unusable::Mismatch(named.name()));
        }
        let thumbprint = sha256(material.canonical.as_bytes());
        let verifier = |algorithm: &Algorithm| KeyVerifier::new(&material.numbers, *algorithm);
        let verifiers = algorithms.iter().map(verifier).collect::<Result<_, _>>()?;
        Ok(Self { kid: kid.map(str::to_owned), thumbprint, algorithms, verifiers })
    }
}
