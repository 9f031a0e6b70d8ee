//! What determined a decision.

use crate::domain::id::{ExemptionId, RevocationId};
use crate::domain::person::PersonId;

/// What determined a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Determining {
    /// Nothing beyond the reason.
    None,
    /// A revocation in the log.
    Revocation(RevocationId),
    /// An entry of `revocations:`, by index in the policy.
    Configured(u32),
    /// A binding, by index in the policy.
    Binding(u32),
    /// A source that is stale or was never synced, by index in the policy.
    Source(u16),
    /// An exemption in the log.
    Exemption(ExemptionId),
    /// Several people of one source who all match one request.
    People(Vec<PersonId>),
}
