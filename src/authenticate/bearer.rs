//! Bearer tokens (RFC 6750): what a header contains, who issued it, and whether its signature is valid.
//!
//! A header may contain one token. Of two, joined by a comma as Envoy joins repeated headers, the first never wins
//! (CVE-2021-32777), nor is a damaged one repaired: what could be ours is `malformed_credentials`, the rest is foreign.
//! The `iss` of an unverified token is read for one purpose: to choose the keys that verify it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::Authenticator;
use super::cache::{CachedToken, keep};
use super::{claimed, claims};
use crate::domain::claimed::Claimed;
use crate::domain::credential::{CredentialKind, CredentialOutcome, Foreign, Identity, Verified};
use crate::domain::detail::Detail;
use crate::domain::issuer::{Algorithm, IssuerRules};
use crate::domain::key::KeyKind;
use crate::domain::reason::Reason;
use crate::domain::revocation::TargetKind;
use crate::domain::time::Now;
use crate::faults::{Fault, planted};
use crate::jose::jwks::{Thumbprint, Unverified};
use crate::jose::jws::{self, Compact, Header, JwsError};
use crate::jose::keys::KeyRing;

/// The form of a header value, before anything is verified.
enum Form<'a> {
    /// Only white space.
    Empty,
    /// One token that looks like a JWT, alone or after one word.
    Token(&'a str),
    /// Something meant for us that cannot be read, and why.
    Malformed(&'static str),
    /// Anything else: opaque tokens and other schemes.
    Other(&'a str),
}

const NOT_PRINTABLE: &str = "contains characters other than printable ASCII";
const SEVERAL: &str = "contains several credentials, one of them a bearer token";
const DAMAGED: &str = "contains no bearer token after `Bearer`, or more than one";

fn form(value: &[u8]) -> Form<'_> {
    let Ok(text) = std::str::from_utf8(value) else { return Form::Malformed(NOT_PRINTABLE) };
    let text = text.trim_matches([' ', '\t']);
    if text.is_empty() {
        return Form::Empty;
    }
    // Folds without early exit, so that the compiler compares many bytes at once.
    if !text.bytes().fold(true, |fits, byte| fits & matches!(byte, b' '..=b'~')) {
        return Form::Malformed(NOT_PRINTABLE);
    }
    // One token after one word, as nearly always: no need to look for more of them.
    let parted = text.bytes().fold(0_usize, |many, byte| many.wrapping_add(usize::from(matches!(byte, b' ' | b','))));
    if parted == 1
        && let Some((_, token)) = text.split_once(' ')
        && jws::claims_to_be_one(token)
    {
        return Form::Token(token);
    }
    // A comma joins repeated headers, empty ones included.
    let mut pieces = text.split(',').map(str::trim);
    let is_bearer = |piece: &str| piece.split(' ').next().is_some_and(|word| word.eq_ignore_ascii_case("bearer"));
    if text.contains(',') {
        return if pieces.any(is_bearer) { Form::Malformed(SEVERAL) } else { Form::Other(text) };
    }
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    match (words.next(), words.next(), words.next()) {
        (Some(token), None, _) if jws::claims_to_be_one(token) => Form::Token(token),
        (Some(_), Some(token), None) if jws::claims_to_be_one(token) => Form::Token(token),
        (Some(_), Some(token), None) if is_bearer(text) && is_token68(token) => Form::Other(text),
        _ if is_bearer(text) => Form::Malformed(DAMAGED),
        _ => Form::Other(text),
    }
}

/// RFC 9110 section 11.2.
fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty() && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

/// Whose an unverified JWT claims to be, and all that it claims.
enum Whose {
    /// The configured issuer's with this index.
    Ours(u16, Map<String, Value>),
    /// Another issuer's, or nobody's.
    Foreign(Map<String, Value>),
}

impl Authenticator {
    /// The credential in the value of this header, if there is one.
    pub(super) async fn bearer(&self, header: &str, value: &[u8], now: Now) -> Option<CredentialOutcome> {
        match form(value) {
            Form::Empty => None,
            Form::Malformed(why) => Some(malformed(Detail::new(format!("header `{header}` {why}")), digest(value))),
            Form::Other(text) => Some(self.other(header, text)),
            Form::Token(token) => {
                let digest = digest(token.as_bytes());
                Some(match self.cached(&digest) {
                    Some(known) => known,
                    // On the heap, because every check would have to carry room for it.
                    None => Box::pin(self.first_seen(token, digest, now)).await,
                })
            }
        }
    }

    /// Another scheme, or an opaque token. A token of a configured issuer anywhere in it is still ours.
    fn other(&self, header: &str, text: &str) -> CredentialOutcome {
        let mut found = foreign(Foreign::Other, None);
        for piece in text.split([' ', ',', ';', '=', '"']).filter(|piece| jws::claims_to_be_one(piece)) {
            match self.split(piece).and_then(|compact| Ok((self.claimed(&compact)?, compact))) {
                Ok((Whose::Foreign(members), compact)) => {
                    found = foreign(Foreign::Jwt, Some(claimed::read(&compact, &members)));
                }
                Ok((Whose::Ours(..), _)) => {
                    let detail =
                        format!("header `{header}` contains a token of a configured issuer next to something else");
                    return malformed(Detail::new(detail), digest(text.as_bytes()));
                }
                Err(error) => return malformed(self.form_detail(error, piece), digest(text.as_bytes())),
            }
        }
        found
    }

    fn split<'a>(&self, token: &'a str) -> Result<Compact<'a>, JwsError> {
        Compact::split_within(token, self.policy.bearer_largest)
    }

    /// What is wrong with the form of a token.
    fn form_detail(&self, error: JwsError, token: &str) -> Detail {
        match error {
            JwsError::TooLong => {
                let largest = self.policy.bearer_largest;
                let words = format!("the token is longer than {largest} bytes (`credentials.bearer.largest`)");
                Detail::new(words).found(&format!("{} bytes", token.len()))
            }
            error => Detail::new(error.to_string()),
        }
    }

    /// A JWT that was verified before, with a key that is still one of its issuer's.
    fn cached(&self, digest: &[u8; 32]) -> Option<CredentialOutcome> {
        let cached = self.cache.get(digest)?;
        let keys = self.rings.at(cached.verified.issuer_index)?.keys()?;
        if !keys.holds(&cached.key, cached.algorithm) {
            return None;
        }
        self.cache.hit();
        if planted(Fault::CacheHoldsAllow) {
            let mut identity = Identity::clone(&cached.verified);
            identity.owner.look_ups.clear();
            return Some(CredentialOutcome::Verified(Arc::new(Verified::attest(identity))));
        }
        Some(CredentialOutcome::Verified(cached.verified))
    }

    /// A JWT alone, to be verified now.
    async fn first_seen(&self, token: &str, digest: [u8; 32], now: Now) -> CredentialOutcome {
        let compact = match self.split(token) {
            Ok(compact) => compact,
            // An encrypted token is of no configured issuer: their tokens are signed.
            Err(JwsError::Parts) if jws::is_encrypted(token) => return foreign(Foreign::Jwt, None),
            Err(error) => return malformed(self.form_detail(error, token), digest),
        };
        let (index, members) = match self.claimed(&compact) {
            Ok(Whose::Ours(index, members)) => (index, members),
            Ok(Whose::Foreign(members)) => {
                return foreign(Foreign::Jwt, Some(claimed::read(&compact, &members)));
            }
            Err(error) => return malformed(self.form_detail(error, token), digest),
        };
        self.cache.miss();
        if planted(Fault::TokenIsLogged) {
            tracing::debug!(token, "first seen");
        }
        match self.verify(&compact, index, now).await {
            Err((reason, detail)) => rejected(reason, detail, digest, Some(claimed::read(&compact, &members))),
            Ok((header, key)) => {
                let reader = claims::Reader { policy: &self.policy, keyer: &self.keyer };
                let mut identity = reader.identity(index, &header, &members, digest);
                let signed = self.keyer.key(KeyKind::SignedToken, &[&hex::encode(compact.signed_sha256())]);
                identity.owner.look_ups.push((TargetKind::Token, signed));
                let left = identity.expires.map_or(Duration::ZERO, |expires| expires.since(now.wall));
                let verified = Arc::new(Verified::attest(identity));
                self.seen.note(&verified);
                let (algorithm, keep) = (header.algorithm, keep(left));
                self.cache.put(digest, CachedToken { verified: Arc::clone(&verified), key, algorithm, keep });
                CredentialOutcome::Verified(verified)
            }
        }
    }

    /// Whose the token claims to be.
    ///
    /// # Errors
    /// If it cannot be read.
    fn claimed(&self, compact: &Compact<'_>) -> Result<Whose, JwsError> {
        let members = compact.claims()?;
        match members.get("iss") {
            None => Ok(Whose::Foreign(members)),
            Some(Value::String(issuer)) => match self.issuers.get(issuer.as_str()) {
                None => Ok(Whose::Foreign(members)),
                Some(index) => Ok(Whose::Ours(*index, members)),
            },
            Some(_) => Err(JwsError::Issuer),
        }
    }

    /// Verifies the signature with the issuer's keys, and again with fresh keys if that fails.
    async fn verify(
        &self,
        compact: &Compact<'_>,
        index: u16,
        now: Now,
    ) -> Result<(Header, Thumbprint), (Reason, Option<Detail>)> {
        let rules = self.policy.issuers.get(usize::from(index)).ok_or((Reason::Internal, None))?;
        let ring = self.rings.at(index).ok_or((Reason::Internal, None))?;
        let header = compact.header().map_err(|error| match error {
            // With an unsupported algorithm no signature can be valid.
            JwsError::Algorithm => (Reason::BadSignature, Some(unsupported(compact))),
            error => (Reason::MalformedCredentials, Some(Detail::new(error.to_string()))),
        })?;
        if !allows(rules, header.algorithm) {
            let words = format!("the signature algorithm is not among the `algorithms` of issuer `{}`", rules.name);
            return Err((Reason::BadSignature, Some(Detail::new(words).found(header.algorithm.name()))));
        }
        let key = match verify_signature(ring, compact, &header) {
            Err(error) => verify_with_fresh_keys(ring, compact, &header, error, now).await,
            verified => verified,
        };
        let key = key.map_err(|error| (reason(&error), Some(key_detail(&error, rules, &header))))?;
        Ok((header, key))
    }
}

/// Names the unsupported `alg` and the supported ones.
fn unsupported(compact: &Compact<'_>) -> Detail {
    let names: Vec<&str> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
    let detail = Detail::new(format!("the signature algorithm is not supported; supported are: {}", names.join(", ")));
    match compact.claimed_header("alg") {
        Some(algorithm) => detail.found(&algorithm),
        None => detail,
    }
}

/// The reason for which no key verifies a token.
fn reason(error: &Unverified) -> Reason {
    match error {
        Unverified::NoKeys(_) => Reason::NotReady,
        error if error.is_unknown_key() => Reason::UnknownSigningKey,
        _ => Reason::BadSignature,
    }
}

/// The same in words.
fn key_detail(error: &Unverified, rules: &IssuerRules, header: &Header) -> Detail {
    let kid = header.kid.as_ref().map_or(String::new(), |kid| format!(", kid {kid}"));
    let claimed = format!("alg {}{kid}", header.algorithm.name());
    Detail::new(format!("{error} (issuer `{}`)", rules.name)).found(&claimed)
}

fn allows(rules: &IssuerRules, algorithm: Algorithm) -> bool {
    rules.algorithms.contains(&algorithm)
}

/// Verifies a signature with the current keys.
fn verify_signature(ring: &KeyRing, compact: &Compact<'_>, header: &Header) -> Result<Thumbprint, Unverified> {
    let keys = ring.keys().ok_or_else(|| Unverified::NoKeys(ring.last_error()))?;
    keys.verify(compact, header)
}

/// The key may be new, or the same `kid` may name new key material: asks for fresh keys, then tries once more.
async fn verify_with_fresh_keys(
    ring: &KeyRing,
    compact: &Compact<'_>,
    header: &Header,
    error: Unverified,
    now: Now,
) -> Result<Thumbprint, Unverified> {
    // A ring without keys keeps fetching by itself.
    if matches!(error, Unverified::NoKeys(_)) {
        return Err(error);
    }
    let unknown = header.kid.as_deref().filter(|_| error.is_unknown_key());
    if !ring.ask(unknown, now).await {
        return Err(error);
    }
    verify_signature(ring, compact, header)
}

fn foreign(what: Foreign, claimed: Option<Claimed>) -> CredentialOutcome {
    CredentialOutcome::Foreign { what, claimed: claimed.map(Arc::new) }
}

fn malformed(detail: Detail, digest: [u8; 32]) -> CredentialOutcome {
    rejected(Reason::MalformedCredentials, Some(detail), digest, None)
}

fn rejected(reason: Reason, detail: Option<Detail>, digest: [u8; 32], claimed: Option<Claimed>) -> CredentialOutcome {
    let (detail, claimed) = (detail.map(Arc::new), claimed.map(Arc::new));
    CredentialOutcome::Rejected { kind: CredentialKind::Bearer, reason, digest, detail, claimed }
}

/// SHA-256 of a credential as shown.
fn digest(credential: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, credential).as_ref()) {
        *to = *from;
    }
    hash
}
