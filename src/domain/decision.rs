//! Allow or deny, with its cause.

use std::sync::Arc;

use super::credential::Verified;
use super::detail::Detail;
use super::event::Epoch;
use super::id::{ExemptionId, RevocationId};
use super::person::PersonId;
use super::policy::Enforcement;
use super::reason::Reason;

/// What made a decision what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Determining {
    /// The reason says it all.
    None,
    /// A revocation of the log.
    Revocation(RevocationId),
    /// An entry of `revocations:` that stands at `file:line`.
    Configured(String),
    /// A binding, at `file:line`.
    Binding(String),
    /// A source that is stale or was never synced, by name.
    Source(String),
    /// An exemption of the log.
    Exemption(ExemptionId),
    /// Several people of one source, to all of whom one request belongs.
    People(Vec<PersonId>),
}

/// One decision. The same state, request, credentials and time give the same decision (law 9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Why.
    pub reason: Reason,
    /// The claim, limit or key behind that, in words, where there is one.
    pub detail: Option<Arc<Detail>>,
    /// What made it so.
    pub determining: Determining,
    /// Name of the service that the request is for.
    pub service: Arc<str>,
    /// Whether it is carried out.
    pub enforcement: Enforcement,
    /// The credential that it is about: the one that determined it, else the first proven one.
    pub credential: Option<Arc<Verified>>,
    /// The person to whom that credential belongs, where one is known.
    pub person: Option<PersonId>,
    /// The roles that the caller holds, in order of the configuration.
    pub roles: Vec<Arc<str>>,
    /// The caller is departed, exempted or under a cut-off: allowing it is always recorded.
    pub notable: bool,
    /// Up to where the log was enforced.
    pub epoch: Epoch,
    /// Hash of the configuration in force.
    pub configuration: Arc<str>,
}

impl Decision {
    /// Whether the request goes on.
    #[must_use]
    pub fn lets_through(&self) -> bool {
        self.reason.allows() || self.enforcement == Enforcement::Observe
    }
}
