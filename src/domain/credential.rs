//! What a request shows of its caller, and what a verified credential consists of.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::claimed::Claimed;
use super::detail::Detail;
use super::key::{Key, LinkKey, NameKey};
use super::reason::Reason;
use super::revocation::TargetKind;
use super::time::{Now, Timestamp};

/// The kinds of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// A JWT in a header.
    Bearer,
}

impl CredentialKind {
    /// The word in audit records and `explain`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
        }
    }
}

/// The link of a credential to the people of one source, by the first configured claim that is present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkKeys {
    /// Index of the source (or retired source) in the policy that the credential was verified under.
    pub source: u16,
    /// The key of the people it belongs to.
    pub person: LinkKey,
    /// Keys of `(iss, claim, value)`, folded and verbatim, for cut-offs on the identifier itself.
    pub claim: [Key; 2],
    /// Index of the link in that source.
    pub link: u16,
    /// The value of the claim: what a source is asked for when nobody is known by it.
    pub value: Box<str>,
}

/// The owner of a credential, or an actor of its `act` chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Principal {
    /// Every key under which it may be revoked, whatever the directory says.
    pub look_ups: Vec<(TargetKind, Key)>,
    /// Every name by which a REF may deny it, whatever the directory says.
    pub names: Vec<NameKey>,
    /// One per source of its issuer, if a claim named in `link` is present.
    pub links: Vec<LinkKeys>,
    /// The same for sources that were removed from the configuration: only their blocks still apply.
    pub retired: Vec<LinkKeys>,
}

/// Everything that a decision needs of one verified credential. Texts are for records and answers; decisions
/// compare keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its kind.
    pub kind: CredentialKind,
    /// SHA-256 of the credential as shown. Records contain a salted hash of it.
    pub digest: [u8; 32],
    /// Index of the issuer in the policy.
    pub issuer_index: u16,
    /// `iss`
    pub issuer: Arc<str>,
    /// `sub`
    pub subject: Option<String>,
    /// `sid`
    pub session: Option<String>,
    /// `jti`, or the claim configured instead
    pub token_id: Option<String>,
    /// `kid`
    pub key_id: Option<String>,
    /// `azp`, or the claim used instead
    pub client: Option<String>,
    /// Key of `(issuer, client)`, for `bindings.clients`.
    pub client_key: Option<Key>,
    /// `aud`, or the claim configured instead
    pub audiences: Vec<String>,
    /// `aud`, if another claim is configured instead and `aud` is present too: both must match.
    pub beside_audiences: Option<Vec<String>>,
    /// It must be for one of these audiences; `None` for any.
    pub required_audiences: Option<Arc<[String]>>,
    /// `iat`
    pub issued: Option<Timestamp>,
    /// `nbf`
    pub not_before: Option<Timestamp>,
    /// `exp`
    pub expires: Option<Timestamp>,
    /// The clock difference to the issuer that is tolerated.
    pub leeway: Duration,
    /// It is a client's own token, by the issuer's rule. A link to a person takes precedence.
    pub machine: bool,
    /// Keys of the groups in the token.
    pub groups: Vec<Key>,
    /// The strictest problem that depends on neither time nor service, although the signature is valid.
    pub flaw: Option<Reason>,
    /// That problem in words.
    pub detail: Option<Arc<Detail>>,
    /// Its owner.
    pub owner: Principal,
    /// Who acts for the owner (RFC 8693 section 4.1), nearest first. Actors can only cause denials.
    pub actors: Vec<Principal>,
}

impl Identity {
    /// What is wrong with its dates now, strictest first.
    ///
    /// Expired if `exp` is in the past by more than the leeway; not yet valid if `nbf` or `iat` is in the future by more.
    #[must_use]
    pub fn dates(&self, now: Now) -> Option<Reason> {
        if self.expires.is_some_and(|expires| expires.plus(self.leeway) <= now.wall) {
            return Some(Reason::Expired);
        }
        let future = now.wall.plus(self.leeway);
        let early = |time: Option<Timestamp>| time.is_some_and(|time| time > future);
        (early(self.not_before) || early(self.issued)).then_some(Reason::NotYetValid)
    }

    /// Whether it is for one of the `required` audiences.
    #[must_use]
    pub fn is_for(&self, required: &[String]) -> bool {
        let fits = |audiences: &[String]| audiences.iter().any(|audience| required.contains(audience));
        fits(&self.audiences) && self.beside_audiences.as_deref().is_none_or(fits)
    }
}

/// A credential that was verified.
// INVARIANT: only `authenticate` makes one; a test reads the source to check that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified(Identity);

impl Verified {
    /// Attests that the credential of this identity was verified.
    #[must_use]
    pub fn attest(identity: Identity) -> Self {
        Self(identity)
    }
}

impl Deref for Verified {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.0
    }
}

/// A credential of no configured issuer or scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Foreign {
    /// A JWT of an issuer that is not configured.
    Jwt,
    /// Anything else.
    Other,
}

/// The result of authenticating one credential of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialOutcome {
    /// Verified. It may still be expired, flawed or revoked.
    Verified(Arc<Verified>),
    /// Shown, but not verified: nothing that it claims may be looked up.
    Rejected {
        /// Its kind.
        kind: CredentialKind,
        /// What is wrong with it.
        reason: Reason,
        /// SHA-256 of the credential as shown.
        digest: [u8; 32],
        /// The same in words.
        detail: Option<Arc<Detail>>,
        /// What it claims, if that can be read.
        claimed: Option<Arc<Claimed>>,
    },
    /// Not ours to verify.
    Foreign {
        /// What it is.
        what: Foreign,
        /// What a JWT claims.
        claimed: Option<Arc<Claimed>>,
    },
}
