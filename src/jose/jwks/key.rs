//! One key of a set (RFC 7517 section 4), checked.

use std::fmt;

use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use super::unusable::quoted;
use super::{Thumbprint, Unusable, material, sha256};
use crate::domain::issuer::Algorithm;
use crate::jose::jws::{Compact, MAX_KID};

/// A key that may verify signatures.
#[derive(Clone)]
pub struct SigningKey {
    pub(super) kid: Option<String>,
    pub(super) thumbprint: Thumbprint,
    /// What `kty`, `crv` and `alg` leave, never empty.
    pub(super) algorithms: Vec<Algorithm>,
    decoding: DecodingKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).field("algorithms", &self.algorithms).finish()
    }
}

impl SigningKey {
    /// Whether it signed this token with this algorithm. Only the signature is judged, no claim and no clock.
    pub(super) fn verify(&self, token: &Compact<'_>, algorithm: Algorithm) -> bool {
        self.fits(algorithm)
            && jsonwebtoken::crypto::verify(
                token.signature,
                token.signed.as_bytes(),
                &self.decoding,
                material::backend(algorithm),
            )
            .unwrap_or(false)
    }

    /// Whether it is for this algorithm.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Whether a token that names this `kid` and some algorithm could mean either of the two.
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
        Ok(Self { kid: kid.map(str::to_owned), thumbprint, algorithms, decoding: material.decoding })
    }
}

/// One JWK, as it came.
pub(super) struct Jwk<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Jwk<'a> {
    /// A member that is a text where it is there. `null` is as absent: some libraries write every member they know.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&'a str>, Unusable> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Unusable::WrongType(name, "a text")),
        }
    }

    /// A member that must be there.
    pub(super) fn required(&self, name: &'static str) -> Result<&'a str, Unusable> {
        self.text(name)?.ok_or(Unusable::Missing(name))
    }

    /// Whether a member is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    /// An `alg` that is none of ours. That it is symmetric says more than that it is unknown.
    fn foreign(&self, algorithm: &str) -> Unusable {
        if self.text("kty") == Ok(Some("oct")) {
            return Unusable::Symmetric;
        }
        Unusable::Algorithm(quoted(algorithm))
    }

    /// RFC 7517 sections 4.2 and 4.3.
    fn is_for_signatures(&self) -> Result<(), Unusable> {
        if let Some(purpose) = self.text("use")?.filter(|purpose| *purpose != "sig") {
            return Err(Unusable::Use(quoted(purpose)));
        }
        match self.0.get("key_ops") {
            None | Some(Value::Null) => Ok(()),
            Some(Value::Array(ops)) if ops.iter().any(|op| op == "verify") => Ok(()),
            Some(Value::Array(_)) => Err(Unusable::KeyOps),
            Some(_) => Err(Unusable::WrongType("key_ops", "a list")),
        }
    }
}
