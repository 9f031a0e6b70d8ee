//! What determined a decision.

use crate::domain::id::{ExemptionId, RevocationId};
use crate::domain::person::PersonId;

/// What determined a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Determining {
    /// The reason says it all.
    None,
    /// A revocation of the log.
    Revocation(RevocationId),
    /// An entry of `revocations:`, by its index in the policy.
    Configured(u32),
    /// A binding, by its index in the policy.
    Binding(u32),
    /// A source that is stale or was never synced, by its index in the policy.
    Source(u16),
    /// An exemption of the log.
    Exemption(ExemptionId),
    /// Several people of one source, to all of whom one request belongs.
    People(Vec<PersonId>),
}
