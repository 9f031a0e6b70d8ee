//! Why a key of a set is not used, in words: for `status`, the log and `explain`.

use std::fmt;

/// Longer texts of a key are cut short where they are quoted, in characters.
const SHOWN: usize = 60;

/// Why a key is left out. What a variant quotes of the key is escaped and cut short by [`quoted`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// A member of `keys` is no JSON object (RFC 7517 section 4).
    #[error("it is not a JSON object")]
    NotAnObject,
    /// A member that its type needs is missing.
    #[error("its `{0}` is missing")]
    Missing(&'static str),
    /// A member has another type than RFC 7517 and 7518 give it.
    #[error("its `{0}` is not {1}")]
    WrongType(&'static str, &'static str),
    /// `kid` is over [`MAX_KID`](crate::jose::jws::MAX_KID).
    #[error("its `kid` is longer than 256 bytes")]
    LongKid,
    /// base64url in a JWK has no padding (RFC 7515 section 2).
    #[error("its `{0}` is padded with `=`, which base64url is not (RFC 7515 section 2)")]
    Padded(&'static str),
    /// The other alphabet of RFC 4648.
    #[error("its `{0}` is standard base64, not base64url (RFC 7515 section 2)")]
    StandardBase64(&'static str),
    /// Nothing that base64url could be.
    #[error("its `{0}` is not base64url")]
    Encoding(&'static str),
    /// A coordinate has another length than its curve's (RFC 7518 section 6.2.1.2, RFC 8037 section 2).
    #[error("its `{member}` has {bytes} bytes, and {crv} has {size}")]
    Length {
        /// The coordinate.
        member: &'static str,
        /// How many bytes it has.
        bytes: usize,
        /// Its curve.
        crv: &'static str,
        /// How many bytes a coordinate of that curve has.
        size: usize,
    },
    /// `use` is not `sig` (RFC 7517 section 4.2).
    #[error("it is not for signatures: its `use` is `{0}`")]
    Use(String),
    /// `key_ops` lacks `verify` (RFC 7517 section 4.3).
    #[error("it is not for signatures: its `key_ops` lacks `verify`")]
    KeyOps,
    /// `kty` is `oct`: whoever can verify with it can sign with it.
    #[error("it is symmetric: whoever can verify with it can sign with it")]
    Symmetric,
    /// The private half is published with it: anybody can sign.
    #[error("its private part is published: anybody can sign with it")]
    Private,
    /// A `kty` that we do not verify with.
    #[error("its type `{0}` is not supported")]
    Type(String),
    /// A `crv` that we do not verify with.
    #[error("its curve `{0}` is not supported")]
    Curve(String),
    /// An `alg` that we do not verify.
    #[error("its algorithm `{0}` is not supported")]
    Algorithm(String),
    /// `alg` does not fit `kty` and `crv`.
    #[error("its algorithm `{0}` does not fit its type")]
    Mismatch(&'static str),
    /// An RSA modulus under 2048 bits (RFC 7518 section 3.3), or over 8192.
    #[error("its modulus has {0} bits, and only 2048 to 8192 are used")]
    ModulusBits(usize),
    /// An even RSA modulus is no product of two odd primes.
    #[error("its modulus is even")]
    EvenModulus,
    /// The RSA modulus has the fingerprint of CVE-2017-15361 (ROCA).
    #[error("its modulus has the ROCA weakness (CVE-2017-15361)")]
    Roca,
    /// An RSA exponent that is 1, even or over 33 bits.
    #[error("its exponent is weak: 1, even or over 33 bits")]
    WeakExponent,
    /// The point is not on its curve.
    #[error("its point is not on the curve")]
    NotOnCurve,
    /// Another key of the set has the same `kid` and an algorithm in common; neither is used.
    #[error("another key has the same `kid` and algorithm: which one is meant cannot be known")]
    DoubledKid,
    /// Only tokens that name it may use it: others try so many keys at most.
    #[error("only tokens that name it use it: {0} other keys are tried before it where a token names none")]
    OnlyByName(usize),
    /// It has no `kid`, and so many others without one come before it.
    #[error("it is never tried: {0} other keys without `kid` come before it")]
    NeverTried(usize),
}

impl Unusable {
    /// Whether that is as its provider means it: a key for another purpose, or one of many.
    #[must_use]
    pub fn is_ordinary(&self) -> bool {
        matches!(self, Self::Use(_) | Self::KeyOps | Self::OnlyByName(_))
    }
}

/// A text of a key as a reason may show it.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// A key that is not used, or not for every token, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableKey {
    /// Which key of the set it is, counted from 1.
    pub number: usize,
    /// Its `kid`, where it has one.
    pub kid: Option<String>,
    /// Why.
    pub why: Unusable,
}

impl UnusableKey {
    /// What to call the key.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.kid {
            Some(kid) => format!("key `{}`", quoted(kid)),
            None => format!("key {} of the set, without `kid`", self.number),
        }
    }
}

impl fmt::Display for UnusableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), self.why)
    }
}
