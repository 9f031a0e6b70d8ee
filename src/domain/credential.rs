//! What a request shows of its caller, and what is left of it once it is proven.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::detail::Detail;
use super::key::{Key, LinkKey, NameKey};
use super::reason::Reason;
use super::revocation::TargetKind;
use super::time::{Now, Timestamp};

/// The schemes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// A JWT in a header.
    Bearer,
}

impl CredentialKind {
    /// The word used in audit records and `explain`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
        }
    }
}

/// How one claim links a credential to people of one source: the first configured claim that is present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkKeys {
    /// Index of the source (of the retired one) in the policy that the credential was verified under.
    pub source: u16,
    /// Whom it belongs to.
    pub person: LinkKey,
    /// Keys of `(iss, claim, value)`, folded and as it is: cut-offs on the identifier itself.
    pub claim: [Key; 2],
    /// Which link of that source it is.
    pub link: u16,
    /// What the claim says: what a source is asked for, where nobody is known under it.
    pub value: Box<str>,
}

/// Somebody on whose behalf a credential speaks: its owner, or an actor of its `act` chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Principal {
    /// Everything under which it may be revoked, whatever the directory says.
    pub look_ups: Vec<(TargetKind, Key)>,
    /// The names under which a REF may deny it, whatever the directory says.
    pub names: Vec<NameKey>,
    /// One per source of the party's issuer, where a claim that `link` names is present.
    pub links: Vec<LinkKeys>,
    /// The same for sources that were taken out of the configuration: their blocks stand, and nothing else of them.
    pub retired: Vec<LinkKeys>,
}

/// Everything that a decision needs of one proven credential. Texts are for records and answers; decisions
/// compare keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The scheme.
    pub kind: CredentialKind,
    /// SHA-256 of the credential as shown. Records hold a salted hash of it.
    pub digest: [u8; 32],
    /// Index of the issuer in the policy.
    pub issuer_index: u16,
    /// `iss`
    pub issuer: Arc<str>,
    /// `sub`
    pub subject: Option<String>,
    /// `sid`
    pub session: Option<String>,
    /// `jti`, or what is configured in its place
    pub token_id: Option<String>,
    /// `azp`, or what stands in its place
    pub client: Option<String>,
    /// Key of `(issuer, client)`, for `bindings.clients`.
    pub client_key: Option<Key>,
    /// `aud`, or what is configured in its place
    pub audiences: Vec<String>,
    /// `aud`, where another claim is configured in its place and this is there as well: it must fit too.
    pub beside_audiences: Option<Vec<String>>,
    /// The audiences of which it must carry one; `None`: any.
    pub required_audiences: Option<Arc<[String]>>,
    /// `iat`
    pub issued: Option<Timestamp>,
    /// `nbf`
    pub not_before: Option<Timestamp>,
    /// `exp`
    pub expires: Option<Timestamp>,
    /// How far the issuer's clock may be off.
    pub leeway: Duration,
    /// It is a client's own, by the issuer's rule. A link to a person goes before it.
    pub machine: bool,
    /// Keys of the groups that the token names.
    pub groups: Vec<Key>,
    /// The strictest thing wrong with it that time and service do not change, though its proof holds.
    pub flaw: Option<Reason>,
    /// What is wrong with it, in words.
    pub detail: Option<Arc<Detail>>,
    /// Whose it is.
    pub owner: Principal,
    /// Through whom it acts (RFC 8693 section 4.1), nearest first. They can only deny.
    pub actors: Vec<Principal>,
}

impl Identity {
    /// What its dates say now, strictest first.
    ///
    /// `exp` in the past beyond leeway: expired; `nbf` or `iat` in the future beyond leeway: not yet valid.
    #[must_use]
    pub fn dates(&self, now: Now) -> Option<Reason> {
        if self.expires.is_some_and(|expires| expires.plus(self.leeway) <= now.wall) {
            return Some(Reason::Expired);
        }
        let future = now.wall.plus(self.leeway);
        let early = |time: Option<Timestamp>| time.is_some_and(|time| time > future);
        (early(self.not_before) || early(self.issued)).then_some(Reason::NotYetValid)
    }

    /// Whether it is meant for somebody who answers to one of `required`.
    #[must_use]
    pub fn is_for(&self, required: &[String]) -> bool {
        let fits = |audiences: &[String]| audiences.iter().any(|audience| required.contains(audience));
        fits(&self.audiences) && self.beside_audiences.as_deref().is_none_or(fits)
    }
}

/// A credential whose proof holds. Only `authenticate` makes one (a test reads the source for it).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified(Identity);

impl Verified {
    /// States that the proof of this identity was checked and holds.
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

/// Something in a credential's place that no configured issuer or scheme claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Foreign {
    /// A JWT of an issuer that is not configured.
    Jwt,
    /// Anything else.
    Other,
}

/// What one scheme found on a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialOutcome {
    /// Proven. It may be expired, flawed or revoked all the same.
    Verified(Arc<Verified>),
    /// Shown, but not proven: nothing that it claims may be looked up.
    Rejected {
        /// The scheme.
        kind: CredentialKind,
        /// What is wrong.
        reason: Reason,
        /// SHA-256 of the credential as shown.
        digest: [u8; 32],
        /// The same in words.
        detail: Option<Arc<Detail>>,
    },
    /// Not ours to judge.
    Foreign {
        /// What it is.
        what: Foreign,
        /// Of a JWT, whose it says that it is: to be shown, and never compared.
        issuer: Option<Box<str>>,
    },
}
