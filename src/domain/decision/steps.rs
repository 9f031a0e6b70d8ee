//! The steps of a decision: what `decide` found on its way, which `explain` puts into words.

use std::time::Duration;

use super::determining::Determining;
use crate::domain::credential::CredentialOutcome;
use crate::domain::destination::NamedBy;
use crate::domain::id::ExemptionId;
use crate::domain::person::Status;
use crate::domain::reason::Reason;
use crate::domain::source::WhenStale;
use crate::domain::time::Timestamp;

/// What was found, in the order in which it was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Whether the request is well formed.
    pub form: Form,
    /// What told which service it is for.
    pub named_by: NamedBy,
    /// Why the check ended before it asked anything else, if it did.
    pub ended_early: Option<&'static str>,
    /// Every credential that was shown.
    pub credentials: Vec<CredentialStep>,
    /// Whose the credential is that the decision is about.
    pub owner: Owner,
    /// The sources that were asked how fresh they are.
    pub sources: Vec<SourceStep>,
}

/// Whether a request is well formed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// It is.
    #[default]
    WellFormed,
    /// It is, and its path can be read in all these ways.
    SeveralPaths(Vec<String>),
    /// Its path cannot be trusted; why.
    OddPath(&'static str),
    /// It is not; why.
    Malformed(&'static str),
}

/// What was found about one credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialStep {
    /// What `authenticate` said of it.
    pub outcome: CredentialOutcome,
    /// The strictest thing wrong with a verified credential itself: its claims, its audience or its dates.
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
    /// The reason that it denies with.
    pub reason: Reason,
    /// Which revocation it is.
    pub revocation: Determining,
    /// The break-glass event that lifts it, if one does.
    pub exemption: Option<ExemptionId>,
}

impl RevocationStep {
    /// Puts what denies before what is lifted, then the stricter reason.
    #[must_use]
    pub fn precedence(&self) -> (bool, Reason) {
        (self.exemption.is_some(), self.reason)
    }
}

/// Whose a credential is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// No credential was verified.
    #[default]
    NotAsked,
    /// A person's, who has this status at their source.
    Person(Status),
    /// A machine's own.
    Machine,
    /// No source knows them.
    Unknown,
}

/// How fresh a source was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceStep {
    /// Its index in the policy.
    pub source: u16,
    /// What is known of its age; `None` before its first complete listing.
    pub age: Option<SourceAge>,
    /// The age beyond which it is stale, for this service.
    pub max_staleness: Duration,
    /// What happens then, for this service.
    pub when_stale: WhenStale,
    /// The reason for which it speaks against the request, if it does.
    pub finding: Option<Reason>,
}

/// The age of what a source said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceAge {
    /// When it was last heard.
    pub heard: Timestamp,
    /// When it was last listed completely.
    pub listed: Timestamp,
    /// It is older than allowed.
    pub stale: bool,
}
