//! What is configured of sources and of the audit trail, as plain values: the configuration fills them, and who needs them
//! takes them as they are.

pub mod audit;
pub mod entra;
pub mod keycloak;
pub mod ldap;
pub mod okta;

use std::time::Duration;

/// How often a source is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// For events.
    pub poll: Duration,
    /// For a full listing.
    pub reconcile: Duration,
}
