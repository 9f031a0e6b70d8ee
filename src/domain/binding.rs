//! Roles, their permissions, and who holds them.

use std::sync::Arc;

use super::path::PathPattern;
use super::time::Timestamp;

/// What may be done where. An omitted list (`None`) means all, but never the service `offboard`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permission {
    /// Indices of services in the policy.
    pub services: Option<Vec<u16>>,
    /// HTTP methods, upper case.
    pub methods: Option<Vec<String>>,
    /// Path patterns.
    pub paths: Option<Vec<PathPattern>>,
}

/// A right on the control API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// List and explain.
    Read,
    /// Revoke.
    Revoke,
    /// End revocations.
    Restore,
    /// Break glass.
    Exempt,
    /// Manage API keys.
    Keys,
    /// Manage sources and the store.
    Admin,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Read, Self::Revoke, Self::Restore, Self::Exempt, Self::Keys, Self::Admin];

    /// The word in `methods` of a permission on `offboard`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Revoke => "revoke",
            Self::Restore => "restore",
            Self::Exempt => "exempt",
            Self::Keys => "keys",
            Self::Admin => "admin",
        }
    }
}

/// A named set of permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: Arc<str>,
    /// What it permits in the mesh.
    pub permissions: Vec<Permission>,
    /// What it permits on the control API.
    pub rights: Vec<Right>,
}

/// Who holds a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Index of the role in the policy.
    pub role: u16,
    /// Index of the issuer of the groups, people and clients; `None` only with `everyone`.
    pub issuer: Option<u16>,
    /// Group names.
    pub groups: Vec<String>,
    /// Names of people in the directory.
    pub people: Vec<String>,
    /// Clients, by their own tokens.
    pub clients: Vec<String>,
    /// Every verified credential.
    pub everyone: bool,
    /// From this time on it grants nothing.
    pub expires: Option<Timestamp>,
    /// Where it is configured: `file:line`.
    pub place: String,
}
