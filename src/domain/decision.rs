//! Allow or deny, with its cause.
//!
//! A decision holds ids, not texts: indices in the policy that it was made under, which it keeps, so that no reload takes
//! their meaning away.

mod determining;
pub mod steps;

use std::sync::Arc;

use super::credential::{CredentialOutcome, Verified};
use super::detail::Detail;
use super::event::Epoch;
use super::person::PersonId;
use super::policy::{Enforcement, Policy, Service};
use super::reason::Reason;
pub use determining::Determining;
use steps::Steps;

/// A role that the caller holds, and the binding that gives it: indices in the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldRole {
    /// Which role.
    pub role: u16,
    /// Which binding.
    pub binding: u32,
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
    /// The policy that it was made under. Every index in the decision is one of this policy.
    pub policy: Arc<Policy>,
    /// Name of the service that the request is for.
    pub service: Arc<str>,
    /// Whether it is carried out.
    pub enforcement: Enforcement,
    /// The credential that it is about, by its index in [`Steps::credentials`]: the one that determined it, else the first
    /// verified one.
    pub credential: Option<usize>,
    /// The person to whom that credential belongs, where one is known.
    pub person: Option<PersonId>,
    /// The roles that the caller holds, in order of the configuration.
    pub roles: Vec<HeldRole>,
    /// The caller is departed, exempted or under a cut-off: allowing it is always recorded.
    pub notable: bool,
    /// Up to where the log was enforced.
    pub epoch: Epoch,
    /// What was found on the way.
    pub steps: Steps,
}

impl Decision {
    /// A decision for `service` that names only its reason: what the others are made from, and what is left where no
    /// credential was looked at.
    #[must_use]
    pub fn new(reason: Reason, policy: Arc<Policy>, service: &Service, epoch: Epoch, steps: Steps) -> Self {
        Self {
            reason,
            detail: None,
            determining: Determining::None,
            policy,
            service: Arc::clone(&service.name),
            enforcement: service.enforcement,
            credential: None,
            person: None,
            roles: Vec::new(),
            notable: false,
            epoch,
            steps,
        }
    }

    /// Whether the request is let through.
    #[must_use]
    pub fn lets_through(&self) -> bool {
        self.reason.allows() || self.enforcement == Enforcement::Observe
    }

    /// The verified credential that it is about.
    #[must_use]
    pub fn verified(&self) -> Option<&Arc<Verified>> {
        match &self.steps.credentials.get(self.credential?)?.outcome {
            CredentialOutcome::Verified(credential) => Some(credential),
            CredentialOutcome::Rejected { .. } | CredentialOutcome::Foreign { .. } => None,
        }
    }

    /// Names of the held roles.
    pub fn role_names(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(|held| self.policy.role_name(held.role))
    }
}
