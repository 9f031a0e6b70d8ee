//! Allow or deny, and why.
//!
//! A decision contains ids, not texts: indices into the policy that it was made under. It keeps that policy, so the ids stay
//! meaningful after a reload.

mod determining;
pub mod steps;

use std::sync::Arc;

use super::credential::{CredentialOutcome, Verified};
use super::detail::Detail;
use super::event::Epoch;
use super::person::{Person, PersonId};
use super::policy::{Enforcement, Policy, Service};
use super::reason::Reason;
pub use determining::Determining;
use steps::Steps;

/// A role that the caller holds and the binding that grants it, as indices into the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldRole {
    /// The role.
    pub role: u16,
    /// The binding.
    pub binding: u32,
}

/// One decision. The same state, request, credentials and time give the same decision (law 9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Why the request is allowed or denied.
    pub reason: Reason,
    /// The claim, limit or key behind the reason, in words, if there is one.
    pub detail: Option<Arc<Detail>>,
    /// What determined the reason.
    pub determining: Determining,
    /// The policy that it was made under.
    // INVARIANT: every index in a decision points into this policy.
    pub policy: Arc<Policy>,
    /// Name of the service that the request is for.
    pub service: Arc<str>,
    /// Whether a denial is enforced.
    pub enforcement: Enforcement,
    /// Index in [`Steps::credentials`] of the credential that the decision is about: the one that determined it, else the
    /// first verified one.
    pub credential: Option<usize>,
    /// The record of the person who owns that credential, if known.
    pub person: Option<Arc<Person>>,
    /// The roles that the caller holds, in order of the configuration.
    pub roles: Vec<HeldRole>,
    /// The caller has departed, is exempted or is under a cut-off: an allow is always recorded.
    pub notable: bool,
    /// The epoch that was enforced.
    pub epoch: Epoch,
    /// What was found at each step.
    pub steps: Steps,
}

impl Decision {
    /// A decision for `service` with a reason and nothing else. `decide` fills in the rest; a failed check has no more.
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

    /// The person who owns the credential that the decision is about, if known.
    #[must_use]
    pub fn person_id(&self) -> Option<&PersonId> {
        self.person.as_ref().map(|person| &person.id)
    }

    /// Whether the request is let through.
    #[must_use]
    pub fn lets_through(&self) -> bool {
        self.reason.allows() || self.enforcement == Enforcement::Observe
    }

    /// The verified credential that the decision is about.
    #[must_use]
    pub fn verified(&self) -> Option<&Arc<Verified>> {
        match &self.steps.credentials.get(self.credential?)?.outcome {
            CredentialOutcome::Verified(credential) => Some(credential),
            CredentialOutcome::Rejected { .. } | CredentialOutcome::Foreign { .. } => None,
        }
    }

    /// The names of the roles held.
    pub fn role_names(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(|held| self.policy.role_name(held.role))
    }
}
