//! Why a key of a set is left out, in words, for `status`, the log and `explain`.

use std::fmt;

/// The longest quoted text of a key, in characters.
const SHOWN: usize = 60;

/// Why a key is left out. Texts of the key in a variant are escaped and truncated by [`quoted`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// A member of `keys` is not a JSON object (RFC 7517 section 4).
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
    #[error("its `{0}` is padded with `=`, unlike base64url (RFC 7515 section 2)")]
    Padded(&'static str),
    /// The other alphabet of RFC 4648.
    #[error("its `{0}` is standard base64, not base64url (RFC 7515 section 2)")]
    StandardBase64(&'static str),
    /// Not base64url in any variant.
    #[error("its `{0}` is not base64url")]
    Encoding(&'static str),
    /// A coordinate does not have the length of its curve (RFC 7518 section 6.2.1.2, RFC 8037 section 2).
    #[error("its `{member}` has {bytes} bytes, and {crv} has {size}")]
    Length {
        /// The coordinate.
        member: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// Its curve.
        crv: &'static str,
        /// The length for that curve, in bytes.
        size: usize,
    },
    /// `use` is not `sig` (RFC 7517 section 4.2).
    #[error("it is not for signatures: its `use` is `{0}`")]
    Use(String),
    /// `key_ops` lacks `verify` (RFC 7517 section 4.3).
    #[error("it is not for signatures: its `key_ops` lacks `verify`")]
    KeyOps,
    /// `kty` is `oct`: whoever can verify with it can also sign.
    #[error("it is symmetric: whoever can verify with it can also sign")]
    Symmetric,
    /// Its private part is published: anybody can sign.
    #[error("its private part is published: anybody can sign with it")]
    Private,
    /// An unsupported `kty`.
    #[error("its type `{0}` is not supported")]
    Type(String),
    /// An unsupported `crv`.
    #[error("its curve `{0}` is not supported")]
    Curve(String),
    /// An unsupported `alg`.
    #[error("its algorithm `{0}` is not supported")]
    Algorithm(String),
    /// `alg` does not fit `kty` and `crv`.
    #[error("its algorithm `{0}` does not fit its type")]
    Mismatch(&'static str),
    /// An RSA modulus under 2048 bits (RFC 7518 section 3.3), or over 8192.
    #[error("its modulus has {0} bits, and only 2048 to 8192 are supported")]
    ModulusBits(usize),
    /// An even RSA modulus is not a product of two odd primes.
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
    /// The crypto library refuses its numbers.
    #[error("its numbers are refused by the crypto library")]
    Refused,
    /// Another key of the set has the same `kid` and an algorithm in common; neither is used.
    #[error("another key has the same `kid` and algorithm: it is unclear which one a token means")]
    DoubledKid,
    /// It is tried only for tokens that name it: for others, this many keys come first.
    #[error("it is tried only for tokens that name it: for others, {0} keys come first")]
    OnlyByName(usize),
    /// It has no `kid`, and this many others without one come first.
    #[error("it is never tried: {0} other keys without `kid` come first")]
    NeverTried(usize),
}

impl Unusable {
    /// Whether this is what the provider intends: a key for another purpose, or one of many.
    #[must_use]
    pub fn is_ordinary(&self) -> bool {
        matches!(self, Self::Use(_) | Self::KeyOps | Self::OnlyByName(_))
    }
}

/// A text of a key, escaped and truncated for messages.
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
    /// Its number in the set, counted from 1.
    pub number: usize,
    /// Its `kid`, if it has one.
    pub kid: Option<String>,
    /// Why.
    pub why: Unusable,
}

impl UnusableKey {
    /// The name of the key in messages.
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
