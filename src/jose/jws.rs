//! The compact form of a JWS (RFC 7515 section 7.1), read strictly.
//!
//! In two steps, because the header matters only if the token is of a configured issuer: [`Compact::split`] reads the
//! payload, [`Compact::header`] the header. Nothing here is verified before [`KeySet::verify`](super::jwks::KeySet::verify).

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::digest::sha256;
use super::json;
use crate::domain::issuer::Algorithm;

/// The longest token by default, in bytes; longer ones are refused unread. Envoy accepts 60 KiB of headers by default.
pub const MAX_TOKEN: usize = 16 * 1024;
/// The longest key id, in bytes.
pub const MAX_KID: usize = 256;

/// For recognizing what something is meant to be, never for reading it.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// What is wrong with the form of a token, without any part of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// It is too long.
    #[error("token is longer than allowed")]
    TooLong,
    /// It does not have three parts separated by dots.
    #[error("token does not have three parts")]
    Parts,
    /// A part is not base64url without padding, or has stray bits at its end (RFC 4648 section 3.5).
    #[error("{0} of the token is not base64url")]
    Encoding(&'static str),
    /// A part is not one JSON object with unique members.
    #[error("{0} of the token is not a JSON object with unique members")]
    Json(&'static str),
    /// `iss` is not a string.
    #[error("claim `iss` of the token is not a string")]
    Issuer,
    /// A member of the header has the wrong type or size.
    #[error("header member `{0}` of the token is malformed")]
    Member(&'static str),
    /// A header member that changes the meaning of the token and is not implemented, so the token must be refused
    /// (RFC 7515 section 4.1.11).
    #[error("header member `{0}` of the token is not supported")]
    Unsupported(&'static str),
    /// `alg` is unsupported: `none`, symmetric, or unknown.
    #[error("signature algorithm of the token is not supported")]
    Algorithm,
}

/// The header members that are used. `jku`, `x5u`, `jwk` and `x5c` are ignored: a token cannot supply its own key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// `alg`
    pub algorithm: Algorithm,
    /// `kid`
    pub kid: Option<String>,
    /// `typ`
    pub typ: Option<String>,
}

/// A token split into its three parts. The payload is decoded, but not verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Compact<'a> {
    /// Header, dot and payload as sent: what the signature covers.
    pub(super) signed: &'a str,
    /// The signature as sent.
    signature: &'a str,
    header: &'a str,
    payload: Vec<u8>,
}

impl std::fmt::Debug for Compact<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compact")
    }
}

/// Whether a token is a JWE: it has five parts and a header that names the content encryption (RFC 7516 sections 4.1.2
/// and 7.1).
#[must_use]
pub fn is_encrypted(token: &str) -> bool {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, _, _, _, _] = parts.as_slice() else { return false };
    let header = URL_SAFE_NO_PAD.decode(header).ok().and_then(|header| json::object(&header).ok());
    header.is_some_and(|header| header.contains_key("enc"))
}

/// Whether a text looks like a JWS or JWE: it has dots, and one of its first two parts decodes to something that begins
/// like a JSON object. Lenient on purpose, so that a damaged token of ours does not pass for an opaque one.
#[must_use]
pub fn claims_to_be_one(text: &str) -> bool {
    let mut parts = text.split('.');
    let first_two = [parts.next(), parts.next()];
    first_two[1].is_some() && first_two.into_iter().flatten().any(begins_like_an_object)
}

/// Whether a base64 part decodes to optional white space and `{`.
fn begins_like_an_object(part: &str) -> bool {
    // `{"` in base64, as in nearly every token.
    if part.starts_with("eyJ") {
        return true;
    }
    // 64 characters are 48 bytes; no token of a provider begins with more white space.
    let start: Vec<u8> = part
        .bytes()
        .filter(|byte| byte.is_ascii_alphanumeric() || b"-_+/".contains(byte))
        .map(|byte| match byte {
            b'+' => b'-',
            b'/' => b'_',
            other => other,
        })
        .take(64)
        .collect();
    // A single character at the end encodes no byte.
    let whole = start.get(..start.len() - usize::from(start.len() % 4 == 1)).unwrap_or_default();
    let decoded = LENIENT.decode(whole).unwrap_or_default();
    decoded.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

impl<'a> Compact<'a> {
    /// Splits a token of at most [`MAX_TOKEN`] bytes and decodes its payload.
    ///
    /// # Errors
    /// [`JwsError`], naming the part.
    pub fn split(token: &'a str) -> Result<Self, JwsError> {
        Self::split_within(token, MAX_TOKEN)
    }

    /// Splits a token of at most `max` bytes and decodes its payload.
    ///
    /// # Errors
    /// [`JwsError`], naming the part.
    pub fn split_within(token: &'a str, largest: usize) -> Result<Self, JwsError> {
        if token.len() > largest {
            return Err(JwsError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(JwsError::Parts)?;
        let (header, payload) = signed.split_once('.').ok_or(JwsError::Parts)?;
        if payload.contains('.') {
            return Err(JwsError::Parts);
        }
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| JwsError::Encoding("payload"))?;
        Ok(Self { signed, signature, header, payload })
    }

    /// SHA-256 of what the signature covers: no other spelling of the signature changes it.
    #[must_use]
    pub fn signed_sha256(&self) -> [u8; 32] {
        sha256(self.signed.as_bytes())
    }

    /// The payload, not yet verified.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The signature; empty if it is not base64url.
    pub(super) fn signature_bytes(&self) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(self.signature).unwrap_or_default()
    }

    /// The payload as a JWT claims set (RFC 7519 section 4), not yet verified.
    ///
    /// # Errors
    /// [`JwsError::Json`] if it is not one JSON object with unique members.
    pub fn claims(&self) -> Result<Map<String, Value>, JwsError> {
        json::object(&self.payload).map_err(|_| JwsError::Json("payload"))
    }

    /// The value of a header member, if it is a string: for messages about a refused header, never to act on.
    #[must_use]
    pub fn claimed_header(&self, name: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(self.header).ok()?;
        let members = json::object(&bytes).ok()?;
        members.get(name).and_then(Value::as_str).map(str::to_owned)
    }

    /// Reads the header, and refuses every member that would not be honored.
    ///
    /// # Errors
    /// [`JwsError`], naming the member.
    pub fn header(&self) -> Result<Header, JwsError> {
        let bytes = URL_SAFE_NO_PAD.decode(self.header).map_err(|_| JwsError::Encoding("header"))?;
        URL_SAFE_NO_PAD.decode(self.signature).map_err(|_| JwsError::Encoding("signature"))?;
        let members = json::object(&bytes).map_err(|_| JwsError::Json("header"))?;
        for refused in ["crit", "b64", "zip", "enc"] {
            if members.contains_key(refused) {
                return Err(JwsError::Unsupported(refused));
            }
        }
        let algorithm = text(&members, "alg")?.ok_or(JwsError::Member("alg"))?;
        let kid = text(&members, "kid")?;
        if kid.is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(JwsError::Member("kid"));
        }
        Ok(Header {
            algorithm: Algorithm::named(algorithm).ok_or(JwsError::Algorithm)?,
            kid: kid.map(str::to_owned),
            typ: text(&members, "typ")?.map(str::to_owned),
        })
    }
}

/// A member that must be a string if present.
fn text<'m>(members: &'m Map<String, Value>, name: &'static str) -> Result<Option<&'m str>, JwsError> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwsError::Member(name)),
    }
}
