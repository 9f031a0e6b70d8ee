//! The compact form of a JWS (RFC 7515 section 7.1), read strictly.
//!
//! In two steps, because whose a token is decides whether its header concerns us: [`Compact::split`] reads
//! the payload, [`Compact::header`] then judges the header. Nothing here is proven before
//! [`verify`](super::jwks::SigningKey::verify) has said so.

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::json;
use crate::domain::issuer::Algorithm;

/// Longer tokens are refused unread where nothing else is said, in bytes (Envoy takes 60 KiB of headers by default).
pub const MAX_TOKEN: usize = 16 * 1024;
/// Longer key ids are refused, in bytes.
pub const MAX_KID: usize = 256;

/// For guessing what something was meant to be, never for reading it.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// What is wrong with the form of a token. Never holds any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Longer than it may be.
    #[error("token is longer than allowed")]
    TooLong,
    /// Not three parts with two dots between them.
    #[error("token is not three parts")]
    Parts,
    /// A part is not base64url without padding, or has stray bits at its end (RFC 4648 section 3.5).
    #[error("{0} of the token is not base64url")]
    Encoding(&'static str),
    /// A part is not one JSON object with unique members.
    #[error("{0} of the token is not a JSON object with unique members")]
    Json(&'static str),
    /// `iss` is no text.
    #[error("claim `iss` of the token is no text")]
    Issuer,
    /// A member of the header has the wrong type or size.
    #[error("header member `{0}` of the token is not well-formed")]
    Member(&'static str),
    /// A header member that would change what the token means, and that we do not implement
    /// (RFC 7515 section 4.1.11: then it must be refused).
    #[error("header member `{0}` of the token is not supported")]
    Unsupported(&'static str),
    /// `alg` is none of ours: `none`, symmetric, or unknown.
    #[error("signature algorithm of the token is not supported")]
    Algorithm,
}

/// The header members that count. `jku`, `x5u`, `jwk` and `x5c` are ignored: a token does not bring its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// `alg`
    pub algorithm: Algorithm,
    /// `kid`
    pub kid: Option<String>,
    /// `typ`
    pub typ: Option<String>,
}

/// A token in its three parts. Its payload is decoded, and unproven.
#[derive(Clone, PartialEq, Eq)]
pub struct Compact<'a> {
    /// Header, dot and payload as sent: what the signature covers.
    pub(super) signed: &'a str,
    /// The signature as sent.
    pub(super) signature: &'a str,
    header: &'a str,
    payload: Vec<u8>,
}

impl std::fmt::Debug for Compact<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compact")
    }
}

/// Whether a token is a JWE: five parts, and a header that says how the content is encrypted (RFC 7516 sections 4.1.2
/// and 7.1).
#[must_use]
pub fn is_encrypted(token: &str) -> bool {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, _, _, _, _] = parts.as_slice() else { return false };
    let header = URL_SAFE_NO_PAD.decode(header).ok().and_then(|header| json::object(&header).ok());
    header.is_some_and(|header| header.contains_key("enc"))
}

/// Whether a text claims to be a JWS or JWE: it has dots, and one of its first two parts decodes to
/// something that begins like a JSON object. Lenient on purpose, so that a damaged token of ours is not
/// taken for somebody else's opaque one.
#[must_use]
pub fn claims_to_be_one(text: &str) -> bool {
    let mut parts = text.split('.');
    let first_two = [parts.next(), parts.next()];
    first_two[1].is_some() && first_two.into_iter().flatten().any(begins_like_an_object)
}

/// Whether the first bytes of a base64 part decode to white space and `{`.
fn begins_like_an_object(part: &str) -> bool {
    // What `{"` is in base64: nearly every token.
    if part.starts_with("eyJ") {
        return true;
    }
    // 64 characters are 48 bytes; whoever puts more white space in front is no token of a provider.
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
    // A single character at the end holds no byte.
    let whole = start.get(..start.len() - usize::from(start.len() % 4 == 1)).unwrap_or_default();
    let decoded = LENIENT.decode(whole).unwrap_or_default();
    decoded.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

impl<'a> Compact<'a> {
    /// Takes a token of at most [`MAX_TOKEN`] apart and decodes its payload.
    ///
    /// # Errors
    /// [`JwsError`], naming the part.
    pub fn split(token: &'a str) -> Result<Self, JwsError> {
        Self::split_within(token, MAX_TOKEN)
    }

    /// Takes a token of at most so many bytes apart and decodes its payload.
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

    /// The payload, which nobody has vouched for yet.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The payload as a JWT claims set (RFC 7519 section 4), which nobody has vouched for yet.
    ///
    /// # Errors
    /// [`JwsError::Json`] if it is not one JSON object with unique members.
    pub fn claims(&self) -> Result<Map<String, Value>, JwsError> {
        json::object(&self.payload).map_err(|_| JwsError::Json("payload"))
    }

    /// What a member of the header says where it is a text: to say why the header was refused, never to go by it.
    #[must_use]
    pub fn claimed_header(&self, name: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(self.header).ok()?;
        let members = json::object(&bytes).ok()?;
        members.get(name).and_then(Value::as_str).map(str::to_owned)
    }

    /// Reads the header, and refuses all that we would not honour.
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

/// A member that must be a string if it is there.
fn text<'m>(members: &'m Map<String, Value>, name: &'static str) -> Result<Option<&'m str>, JwsError> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwsError::Member(name)),
    }
}
