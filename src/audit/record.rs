//! One record: its members, its kinds, its ids.

mod as_text;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::event::Epoch;
use crate::domain::person::PersonId;
use crate::domain::time::Timestamp;

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The writer started.
    Start,
    /// The writer stopped cleanly; a trail that ends without it ended in a crash.
    Stop,
    /// Damage that the writer found when it started: a torn last line, records missing from the end.
    Recovered,
    /// Files deleted because they were older than `audit.retention`.
    Retention,
    /// Records that could not be kept; `count` tells how many.
    Lost,
    /// One decision, or `count` repeats of one.
    Decision,
    /// Denials of unknown callers within a minute; `count` tells how many.
    Summary,
    /// The last time a person was allowed to use a service, written when the person is revoked.
    LastAllow,
    /// A revocation was made.
    Revocation,
    /// A revocation came to apply to one more person.
    RevocationExtended,
    /// A revocation ended.
    RevocationEnded,
    /// Break glass began.
    Exemption,
    /// Break glass ended.
    ExemptionEnded,
    /// A source changed what it says about somebody, or completed a sync.
    Source,
    /// A listing was held back, confirmed or discarded.
    HeldBack,
    /// A name in a binding was resolved or released.
    Binding,
    /// An API key was created, rotated or revoked.
    Key,
    /// The configuration was loaded or rejected.
    Reload,
    /// A call of the control API, rejected ones included.
    Control,
    /// A periodic review was done.
    Review,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Start,
        Self::Stop,
        Self::Recovered,
        Self::Retention,
        Self::Lost,
        Self::Decision,
        Self::Summary,
        Self::LastAllow,
        Self::Revocation,
        Self::RevocationExtended,
        Self::RevocationEnded,
        Self::Exemption,
        Self::ExemptionEnded,
        Self::Source,
        Self::HeldBack,
        Self::Binding,
        Self::Key,
        Self::Reload,
        Self::Control,
        Self::Review,
    ];

    /// Whether such a record, if it has an `epoch`, is of an event of the log, and has that of the event.
    #[must_use]
    pub fn is_event(self) -> bool {
        matches!(
            self,
            Self::Revocation
                | Self::RevocationExtended
                | Self::RevocationEnded
                | Self::Exemption
                | Self::ExemptionEnded
                | Self::Source
                | Self::HeldBack
                | Self::Binding
                | Self::Reload
        )
    }

    /// The word used in records and filters.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Recovered => "recovered",
            Self::Retention => "retention",
            Self::Lost => "lost",
            Self::Decision => "decision",
            Self::Summary => "summary",
            Self::LastAllow => "last_allow",
            Self::Revocation => "revocation",
            Self::RevocationExtended => "revocation_extended",
            Self::RevocationEnded => "revocation_ended",
            Self::Exemption => "exemption",
            Self::ExemptionEnded => "exemption_ended",
            Self::Source => "source",
            Self::HeldBack => "held_back",
            Self::Binding => "binding",
            Self::Key => "key",
            Self::Reload => "reload",
            Self::Control => "control",
            Self::Review => "review",
        }
    }

    /// The kind of this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Whether it may wait a second for the disk; everything else is made durable immediately.
    #[must_use]
    pub fn may_wait(self) -> bool {
        matches!(self, Self::Decision | Self::Summary | Self::LastAllow)
    }
}

/// What a record may tell about its credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialRef {
    /// The scheme.
    pub kind: String,
    /// Salted hash of the credential, lower-case hex; the same for the same credential within a trail.
    pub id_hash: String,
}

/// A record. The order of the members is the canonical one; absent members are left out.
///
/// Three members go beyond the contract's list: `persons`, if a record is about several; `count` and `since`, if it
/// stands for several similar ones, and `time` is that of the last of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the members are the contract's, section 8")]
pub struct Record {
    /// Starts at 1, without gaps.
    pub seq: u64,
    #[serde(with = "as_text")]
    pub time: Timestamp,
    pub kind: Kind,
    /// Who did it: an operator, a source, `configuration`; for a decision `ISS|SUB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The person it is about, if there is exactly one: `source/key`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "as_text::optional")]
    pub person: Option<PersonId>,
    /// The persons it is about, if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "as_text::list")]
    pub persons: Vec<PersonId>,
    /// What it was done to; for a decision, what determined it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Without query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Where a request came from, as the proxy saw it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "as_text::optional")]
    pub address: Option<IpAddr>,
    /// `allow`, `deny` or `observed_deny`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// Reason code of a decision; otherwise the reason in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For a denial, the claim, limit or key behind the reason; quotes the configuration, never the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "as_text::optional")]
    pub decision_id: Option<DecisionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What was in force before: groups and roles of a mover, what a reload changed in what is enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The same afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// `generation.position`
    #[serde(default, skip_serializing_if = "Option::is_none", with = "as_text::optional")]
    pub epoch: Option<Epoch>,
    /// How many similar records it stands for; absent means one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The time of the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "as_text::optional_time")]
    pub since: Option<Timestamp>,
    pub replica: String,
    /// `hash` of the record before; 64 zeros in the first.
    pub prev: String,
    /// SHA-256 of `prev` and the canonical record; empty while it is not sealed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
}

impl Record {
    /// Whether it is about this person, alone or with others.
    #[must_use]
    pub fn concerns(&self, person: &PersonId) -> bool {
        self.person.as_ref() == Some(person) || self.persons.contains(person)
    }
}

/// Id of a decision: 128 bits, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DecisionId(u128);

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hex().as_str())
    }
}

/// A text that is not a decision id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a decision id: 32 hex digits")]
pub struct NotADecisionId(String);

impl FromStr for DecisionId {
    type Err = NotADecisionId;

    fn from_str(text: &str) -> Result<Self, NotADecisionId> {
        let plain = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain
            .then(|| u128::from_str_radix(text, 16).ok())
            .flatten()
            .map(Self)
            .ok_or_else(|| NotADecisionId(text.to_owned()))
    }
}

impl DecisionId {
    /// Its 32 hex digits.
    #[must_use]
    pub fn hex(self) -> HexId {
        let mut digits = [b'0'; 32];
        // Fails only where the digits have no room.
        let _ = hex::encode_to_slice(self.0.to_be_bytes(), &mut digits);
        HexId(digits)
    }

    /// The running number of the decision within its process.
    #[must_use]
    pub(super) fn number(self) -> u64 {
        u64::try_from(self.0 & u128::from(u64::MAX)).unwrap_or_default()
    }
}

/// A decision id as text.
#[derive(Clone, Copy, Debug)]
pub struct HexId([u8; 32]);

impl HexId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Hex digits are always text.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Makes decision ids: a random half that is unique to the process, and a running number.
#[derive(Debug)]
pub struct DecisionIds {
    process: u64,
    next: AtomicU64,
}

impl DecisionIds {
    /// Ids of the process that drew this random number.
    #[must_use]
    pub fn new(process: u64) -> Self {
        Self { process, next: AtomicU64::new(0) }
    }

    /// The next id. One atomic addition.
    #[must_use]
    pub fn draw(&self) -> DecisionId {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        DecisionId((u128::from(self.process) << 64) | u128::from(number))
    }
}
