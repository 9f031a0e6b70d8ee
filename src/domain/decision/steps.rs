//! The steps of a decision: what `decide` found, for `explain` to put into words.

use std::time::Duration;

use super::determining::Determining;
use crate::domain::credential::CredentialOutcome;
use crate::domain::destination::NamedBy;
use crate::domain::few::Few;
use crate::domain::id::ExemptionId;
use crate::domain::person::Status;
use crate::domain::reason::Reason;
use crate::domain::source::WhenStale;
use crate::domain::time::Timestamp;

/// What each step of a decision found, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Whether the request is well formed.
    pub form: Form,
    /// How its service was chosen.
    pub named_by: NamedBy,
    /// Why the check ended before any credential was looked at, if it did.
    pub ended_early: Option<&'static str>,
    /// Every credential on the request.
    pub credentials: Few<CredentialStep>,
    /// Who owns the credential that the decision is about.
    pub owner: Owner,
    /// The sources whose freshness was checked.
    pub sources: Few<SourceStep>,
}

/// Whether a request is well formed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Yes.
    #[default]
    WellFormed,
    /// Yes, but its path can be read in all these ways.
    SeveralPaths(Vec<String>),
    /// No: its path cannot be trusted, for this reason.
    OddPath(&'static str),
    /// No, for this reason.
    Malformed(&'static str),
}

/// What was found about one credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialStep {
    /// The result of authenticating it.
    pub outcome: CredentialOutcome,
    /// The strictest problem of a verified credential itself: its claims, audience or dates.
    pub finding: Option<Reason>,
    /// The strictest revocation that applies to it.
    pub revocation: Option<RevocationStep>,
}

impl From<CredentialOutcome> for CredentialStep {
    fn from(outcome: CredentialOutcome) -> Self {
        Self { outcome, finding: None, revocation: None }
    }
}

/// A revocation that applies to a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationStep {
    /// The reason of its denial.
    pub reason: Reason,
    /// The revocation.
    pub revocation: Determining,
    /// The break-glass event that lifts it, if any.
    pub exemption: Option<ExemptionId>,
}

impl RevocationStep {
    /// Sort key: what denies before what is lifted, then the stricter reason.
    #[must_use]
    pub fn precedence(&self) -> (bool, Reason) {
        (self.exemption.is_some(), self.reason)
    }
}

/// Who owns a credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// No credential was verified.
    #[default]
    NotAsked,
    /// A person, with this status in their source.
    Person(Status),
    /// A machine, by its own token.
    Machine,
    /// Somebody unknown to every source.
    Unknown,
}

/// How fresh a source was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceStep {
    /// Its index in the policy.
    pub source: u16,
    /// Its age; `None` before the first complete listing.
    pub age: Option<SourceAge>,
    /// The age at which it becomes stale for this service.
    pub max_staleness: Duration,
    /// What this service does when it is stale.
    pub when_stale: WhenStale,
    /// The reason of its denial, if it denies.
    pub finding: Option<Reason>,
}

/// The age of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceAge {
    /// When it was last heard from.
    pub heard: Timestamp,
    /// When it last completed a listing.
    pub listed: Timestamp,
    /// Whether it is too old.
    pub stale: bool,
}
