//! Revocations: what is denied, how and by whom.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::epoch::Position;
use super::id::RevocationId;
use super::key::{Key, KeyKind, Keyer};
use super::person::PersonId;
use super::time::Timestamp;

/// The target of a revocation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Everybody a REF means: the identifier itself, and the persons it resolves to, now and later.
    Person {
        /// E-mail, user name, provider id, or `ISS|SUB`.
        reference: String,
    },
    /// One person of one source, blocked by that source.
    DirectoryPerson {
        /// Who.
        person: PersonId,
    },
    /// One account at an issuer.
    Subject {
        /// `iss`
        issuer: String,
        /// `sub`
        subject: String,
    },
    /// One login session at an issuer.
    Session {
        /// `iss`
        issuer: String,
        /// `sid`
        session: String,
    },
    /// One token.
    Token {
        /// `iss`
        issuer: String,
        /// `jti`
        token: String,
    },
    /// One token as it was found: by what it signs, and by its id if it has one.
    SignedToken {
        /// `iss`
        issuer: String,
        /// Its id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
        /// SHA-256 of its header and payload as they are signed, lower-case hex.
        sha256: String,
    },
    /// One client (application) at an issuer.
    Client {
        /// `iss`
        issuer: String,
        /// `azp` or `client_id`
        client: String,
    },
    /// Everything that an issuer signs.
    Issuer {
        /// `iss`
        issuer: String,
    },
    /// One API key.
    Key {
        /// Its public id.
        id: String,
    },
    /// One client certificate.
    Certificate {
        /// SHA-256 of its DER form, lower-case hex.
        sha256: String,
    },
    /// An identifier that `link` uses, whoever holds it: credentials issued under it before are denied.
    LinkClaim {
        /// `iss`
        issuer: String,
        /// The claim.
        claim: String,
        /// Its value.
        value: String,
    },
}

/// The kinds of target in metrics and listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum TargetKind {
    /// A person, by REF or by source.
    Person,
    /// A subject, or an identifier that links to one.
    Subject,
    /// A client.
    Client,
    /// An issuer.
    Issuer,
    /// An API key.
    Key,
    /// A certificate.
    Certificate,
    /// A session.
    Session,
    /// A token.
    Token,
}

impl TargetKind {
    /// All of them, in the order of the reasons that they deny with.
    pub const ALL: [Self; 8] = [
        Self::Person,
        Self::Subject,
        Self::Client,
        Self::Issuer,
        Self::Key,
        Self::Certificate,
        Self::Session,
        Self::Token,
    ];

    /// The word used in labels and listings.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Subject => "subject",
            Self::Client => "client",
            Self::Issuer => "issuer",
            Self::Key => "key",
            Self::Certificate => "certificate",
            Self::Session => "session",
            Self::Token => "token",
        }
    }

    /// Whether a block on such a target leaves a residual cut-off when it ends (law 7).
    ///
    /// A session, token, key or certificate is the credential itself or ends with it: its block is lifted completely.
    /// The other targets outlive their credentials, which must stay denied.
    #[must_use]
    pub fn leaves_cut_off(self) -> bool {
        matches!(self, Self::Person | Self::Subject | Self::Client | Self::Issuer)
    }
}

impl Revocation {
    /// Its id, if its event is at `position`.
    #[must_use]
    pub fn id_at(&self, position: Position) -> RevocationId {
        self.id.unwrap_or(RevocationId::of_position(position))
    }
}

impl Target {
    /// Which kind of target it is.
    #[must_use]
    pub fn kind(&self) -> TargetKind {
        match self {
            Self::Person { .. } | Self::DirectoryPerson { .. } => TargetKind::Person,
            Self::Subject { .. } | Self::LinkClaim { .. } => TargetKind::Subject,
            Self::Client { .. } => TargetKind::Client,
            Self::Issuer { .. } => TargetKind::Issuer,
            Self::Key { .. } => TargetKind::Key,
            Self::Certificate { .. } => TargetKind::Certificate,
            Self::Session { .. } => TargetKind::Session,
            Self::Token { .. } | Self::SignedToken { .. } => TargetKind::Token,
        }
    }

    /// The REF, where it is one.
    #[must_use]
    pub fn reference(&self) -> Option<&str> {
        match self {
            Self::Person { reference } => Some(reference),
            _ => None,
        }
    }

    /// A key under which a check looks it up: of a REF the one that it has in every version.
    #[must_use]
    pub fn key(&self, keyer: &Keyer) -> Key {
        match self {
            Self::Person { reference } => keyer.name(reference),
            Self::DirectoryPerson { person } => keyer.key(KeyKind::Person, &[&person.source, &person.key]),
            Self::Subject { issuer, subject } => keyer.key(KeyKind::Subject, &[issuer, subject]),
            Self::Session { issuer, session } => keyer.key(KeyKind::Session, &[issuer, session]),
            Self::Token { issuer, token } => keyer.key(KeyKind::Token, &[issuer, token]),
            Self::SignedToken { sha256, .. } => keyer.key(KeyKind::SignedToken, &[sha256]),
            Self::Client { issuer, client } => keyer.key(KeyKind::Client, &[issuer, client]),
            Self::Issuer { issuer } => keyer.key(KeyKind::Issuer, &[issuer]),
            Self::Key { id } => keyer.key(KeyKind::ApiKey, &[id]),
            Self::Certificate { sha256 } => keyer.key(KeyKind::Certificate, &[&sha256.to_ascii_lowercase()]),
            Self::LinkClaim { issuer, claim, value } => keyer.key(KeyKind::LinkClaim, &[issuer, claim, value]),
        }
    }
}

impl Target {
    /// Every key under which a check looks it up; of a REF only the one that it has in every version.
    #[must_use]
    pub fn keys(&self, keyer: &Keyer) -> Vec<Key> {
        let id = match self {
            Self::SignedToken { issuer, token: Some(token), .. } => Some(keyer.key(KeyKind::Token, &[issuer, token])),
            _ => None,
        };
        std::iter::once(self.key(keyer)).chain(id).collect()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person { reference } => write!(f, "person {reference}"),
            Self::DirectoryPerson { person } => write!(f, "person {person}"),
            Self::Subject { issuer, subject } => write!(f, "subject {issuer}|{subject}"),
            Self::Session { issuer, session } => write!(f, "session {issuer}|{session}"),
            Self::Token { issuer, token } => write!(f, "token {issuer}|{token}"),
            Self::SignedToken { issuer, token: Some(token), .. } => write!(f, "token {issuer}|{token} (as found)"),
            Self::SignedToken { issuer, token: None, sha256 } => {
                write!(f, "token {issuer} (as found, without id; {})", sha256.get(..12).unwrap_or(sha256))
            }
            Self::Client { issuer, client } => write!(f, "client {issuer}|{client}"),
            Self::Issuer { issuer } => write!(f, "issuer {issuer}"),
            Self::Key { id } => write!(f, "key {id}"),
            Self::Certificate { sha256 } => write!(f, "certificate {sha256}"),
            Self::LinkClaim { issuer, claim, value } => write!(f, "claim {claim}={value} of {issuer}"),
        }
    }
}

/// The shape of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Denied while it stands.
    Block,
    /// Denied if issued at or before `at`.
    CutOff {
        /// The last time of issue that is denied.
        at: Timestamp,
    },
}

/// The owner of a revocation; each ends only its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// An operator with rights on the control API.
    Operator,
    /// `revocations:` in the configuration.
    Configuration,
    /// A source, by name.
    Source(String),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => f.write_str("operator"),
            Self::Configuration => f.write_str("configuration"),
            Self::Source(name) => write!(f, "source {name}"),
        }
    }
}

/// A revocation, as recorded in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Its id; `None` in the first event format, where it is the position of its event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RevocationId>,
    /// What it is about.
    pub target: Target,
    /// Block or cut-off.
    pub shape: Shape,
    /// The given reason.
    pub reason: String,
    /// The owner, who alone may end it.
    pub owner: Owner,
    /// Who asked for it: an operator's identity, `configuration`, or the source's name.
    pub actor: String,
    /// When it takes effect.
    pub effective: Timestamp,
    /// When it expires, by an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// The persons that a REF resolved to when it was made: they stay denied, whatever their later names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub persons: Vec<PersonId>,
    /// Whether names are compared with the REF by their own rules. REFs of the first versions compare as they did.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_rule: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revocation_reads_back_from_its_json() {
        let revocation = Revocation {
            id: Some(RevocationId::random(7)),
            target: Target::Subject { issuer: "https://idp".into(), subject: "a".into() },
            shape: Shape::CutOff { at: Timestamp::from_secs(5) },
            reason: "left".into(),
            owner: Owner::Source("hr".into()),
            actor: "hr".into(),
            effective: Timestamp::from_secs(1),
            expires: None,
            persons: vec![],
            by_rule: false,
        };
        let json = serde_json::to_string(&revocation).unwrap();
        assert_eq!(serde_json::from_str::<Revocation>(&json).unwrap(), revocation);
    }
}
