//! Bearer tokens (RFC 6750): what a header shows, whose it is, and whether its signature holds.
//!
//! A header may hold one token. Two, joined by a comma as Envoy joins doubled headers, or a damaged one, is
//! never "the first wins" (CVE-2021-32777): if any of it could be ours it is `malformed_credentials`, else it
//! is foreign. The `iss` of an unproven token is read for one purpose: to choose the keys that judge it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::Authenticator;
use super::cache::{Proven, keep};
use super::claims;
use crate::domain::credential::{CredentialKind, CredentialOutcome, Foreign, Identity, Verified};
use crate::domain::detail::Detail;
use crate::domain::issuer::{Algorithm, IssuerRules};
use crate::domain::reason::Reason;
use crate::domain::time::Now;
use crate::faults::{Fault, planted};
use crate::jose::jwks::{Thumbprint, Unverified};
use crate::jose::jws::{self, Compact, Header, JwsError};
use crate::jose::keys::KeyRing;

/// What a header value is made of, before anything is proven.
enum Form<'a> {
    /// Nothing but space.
    Empty,
    /// One text that claims to be a JWT, bare or after one word.
    Token(&'a str),
    /// Something that nobody but us would send so, and that cannot be read, and why.
    Malformed(&'static str),
    /// Anything else: opaque tokens and other schemes.
    Other(&'a str),
}

const ODD_SIGNS: &str = "holds something else than printable ASCII";
const SEVERAL: &str = "holds several credentials, of which one is a bearer token";
const DAMAGED: &str = "holds no bearer token behind `Bearer`, or more than one";

fn form(value: &[u8]) -> Form<'_> {
    let Ok(text) = std::str::from_utf8(value) else { return Form::Malformed(ODD_SIGNS) };
    let text = text.trim_matches([' ', '\t']);
    if text.is_empty() {
        return Form::Empty;
    }
    // Folded rather than searched, so that the compiler compares many bytes at once.
    if !text.bytes().fold(true, |fits, byte| fits & matches!(byte, b' '..=b'~')) {
        return Form::Malformed(ODD_SIGNS);
    }
    // An empty value joined with another leaves nothing but commas beside it.
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

/// Whose an unproven JWT says that it is.
enum Claimed {
    /// Of the issuer at this index.
    Ours(u16, Map<String, Value>),
    /// Of this issuer, which is not configured, or of nobody.
    Foreign(Option<Box<str>>),
}

impl Authenticator {
    /// What the value of this header shows; `None`: nothing.
    pub(super) async fn bearer(&self, header: &str, value: &[u8], now: Now) -> Option<CredentialOutcome> {
        match form(value) {
            Form::Empty => None,
            Form::Malformed(why) => Some(malformed(Detail::new(format!("header `{header}` {why}")), digest(value))),
            Form::Other(text) => Some(self.other(header, text)),
            Form::Token(token) => Some(self.token(token, now).await),
        }
    }

    /// Another scheme, or an opaque token. A token of ours somewhere in it is ours all the same.
    fn other(&self, header: &str, text: &str) -> CredentialOutcome {
        let mut found = foreign(Foreign::Other, None);
        for piece in text.split([' ', ',', ';', '=', '"']).filter(|piece| jws::claims_to_be_one(piece)) {
            match self.split(piece).and_then(|compact| self.claimed(&compact)) {
                Ok(Claimed::Foreign(issuer)) => found = foreign(Foreign::Jwt, issuer),
                Ok(Claimed::Ours(..)) => {
                    let detail = format!("header `{header}` holds a token of a configured issuer among other things");
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

    /// What is wrong with the form of a token, in words.
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

    /// A JWT that stands alone: the cache, or the whole way.
    async fn token(&self, token: &str, now: Now) -> CredentialOutcome {
        let digest = digest(token.as_bytes());
        if let Some(proven) = self.cache.get(&digest)
            && let Some(ring) = self.rings.at(proven.verified.issuer_index)
            && ring.keys().is_some_and(|keys| keys.holds(&proven.key, proven.algorithm))
        {
            self.cache.hit();
            if planted(Fault::CacheHoldsAllow) {
                let mut identity = Identity::clone(&proven.verified);
                identity.owner.look_ups.clear();
                return CredentialOutcome::Verified(Arc::new(Verified::attest(identity)));
            }
            return CredentialOutcome::Verified(proven.verified);
        }
        let compact = match self.split(token) {
            Ok(compact) => compact,
            // Of no issuer of ours, whose tokens are signed.
            Err(JwsError::Parts) if jws::is_encrypted(token) => return foreign(Foreign::Jwt, None),
            Err(error) => return malformed(self.form_detail(error, token), digest),
        };
        let (index, members) = match self.claimed(&compact) {
            Ok(Claimed::Ours(index, members)) => (index, members),
            Ok(Claimed::Foreign(issuer)) => return foreign(Foreign::Jwt, issuer),
            Err(error) => return malformed(self.form_detail(error, token), digest),
        };
        self.cache.miss();
        if planted(Fault::TokenIsLogged) {
            tracing::debug!(token, "first seen");
        }
        match self.prove(&compact, index, now).await {
            Err((reason, detail)) => rejected(reason, detail, digest),
            Ok((header, key)) => {
                let reader = claims::Reader { policy: &self.policy, keyer: &self.keyer };
                let identity = reader.identity(index, &header, &members, digest);
                let left = identity.expires.map_or(Duration::ZERO, |expires| expires.since(now.wall));
                let verified = Arc::new(Verified::attest(identity));
                self.seen.note(&verified);
                let (algorithm, keep) = (header.algorithm, keep(left));
                self.cache.put(digest, Proven { verified: Arc::clone(&verified), key, algorithm, keep });
                CredentialOutcome::Verified(verified)
            }
        }
    }

    /// Reads whose token it claims to be. `Err` where that cannot be told.
    fn claimed(&self, compact: &Compact<'_>) -> Result<Claimed, JwsError> {
        let members = compact.claims()?;
        match members.get("iss") {
            None => Ok(Claimed::Foreign(None)),
            Some(Value::String(issuer)) => match self.issuers.get(issuer.as_str()) {
                None => Ok(Claimed::Foreign(Some(issuer.as_str().into()))),
                Some(index) => Ok(Claimed::Ours(*index, members)),
            },
            Some(_) => Err(JwsError::Issuer),
        }
    }

    /// Checks the signature with the issuer's keys, fresh ones if these do not do.
    async fn prove(
        &self,
        compact: &Compact<'_>,
        index: u16,
        now: Now,
    ) -> Result<(Header, Thumbprint), (Reason, Option<Detail>)> {
        let rules = self.policy.issuers.get(usize::from(index)).ok_or((Reason::Internal, None))?;
        let ring = self.rings.at(index).ok_or((Reason::Internal, None))?;
        let header = compact.header().map_err(|error| match error {
            // Nothing that we accept as a signature can be behind such a name.
            JwsError::Algorithm => (Reason::BadSignature, Some(unsupported(compact))),
            error => (Reason::MalformedCredentials, Some(Detail::new(error.to_string()))),
        })?;
        if !allows(rules, header.algorithm) {
            let words = format!("the signature algorithm is none of the `algorithms` of issuer `{}`", rules.name);
            return Err((Reason::BadSignature, Some(Detail::new(words).found(header.algorithm.name()))));
        }
        let key = match verify_signature(ring, compact, &header) {
            Err(error) => again(ring, compact, &header, error, now).await,
            proven => proven,
        };
        let key = key.map_err(|error| (reason(&error), Some(of_keys(&error, rules, &header))))?;
        Ok((header, key))
    }
}

/// `alg` is none that is supported: which one it is, and which there are.
fn unsupported(compact: &Compact<'_>) -> Detail {
    let names: Vec<&str> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
    let detail = Detail::new(format!("the signature algorithm is not supported; these are: {}", names.join(", ")));
    match compact.claimed_header("alg") {
        Some(algorithm) => detail.found(&algorithm),
        None => detail,
    }
}

/// The reason code for why no key vouches for a token.
fn reason(error: &Unverified) -> Reason {
    match error {
        Unverified::NoKeys(_) => Reason::NotReady,
        error if error.is_unknown_key() => Reason::UnknownSigningKey,
        _ => Reason::BadSignature,
    }
}

/// The same in words.
fn of_keys(error: &Unverified, rules: &IssuerRules, header: &Header) -> Detail {
    let kid = header.kid.as_ref().map_or(String::new(), |kid| format!(", kid {kid}"));
    let claimed = format!("alg {}{kid}", header.algorithm.name());
    Detail::new(format!("{error} (issuer `{}`)", rules.name)).found(&claimed)
}

fn allows(rules: &IssuerRules, algorithm: Algorithm) -> bool {
    rules.algorithms.contains(&algorithm)
}

/// One look at the keys that are there.
fn verify_signature(ring: &KeyRing, compact: &Compact<'_>, header: &Header) -> Result<Thumbprint, Unverified> {
    let keys = ring.keys().ok_or_else(|| Unverified::NoKeys(ring.trouble()))?;
    keys.verify(compact, header)
}

/// The key may be new, or the same `kid` may name new material: asks for fresh keys, and looks once more.
async fn again(
    ring: &KeyRing,
    compact: &Compact<'_>,
    header: &Header,
    error: Unverified,
    now: Now,
) -> Result<Thumbprint, Unverified> {
    // Without any keys it hurries by itself.
    if matches!(error, Unverified::NoKeys(_)) {
        return Err(error);
    }
    let unknown = header.kid.as_deref().filter(|_| error.is_unknown_key());
    if !ring.ask(unknown, now).await {
        return Err(error);
    }
    verify_signature(ring, compact, header)
}

fn foreign(what: Foreign, issuer: Option<Box<str>>) -> CredentialOutcome {
    CredentialOutcome::Foreign { what, issuer }
}

fn malformed(detail: Detail, digest: [u8; 32]) -> CredentialOutcome {
    rejected(Reason::MalformedCredentials, Some(detail), digest)
}

fn rejected(reason: Reason, detail: Option<Detail>, digest: [u8; 32]) -> CredentialOutcome {
    CredentialOutcome::Rejected { kind: CredentialKind::Bearer, reason, digest, detail: detail.map(Arc::new) }
}

/// SHA-256 of a credential as shown.
fn digest(credential: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, credential).as_ref()) {
        *to = *from;
    }
    hash
}
