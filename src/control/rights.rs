//! Which right each method needs: one table, and what is not in it is refused.

/// A right on the control API, as `methods` of a permission on the service `offboard` grants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Right {
    /// See revocations, people, status, decisions and records.
    Read,
    /// Deny somebody or something.
    Revoke,
    /// End a revocation of an operator.
    Restore,
    /// Break glass.
    Exempt,
    /// Create, rotate and revoke API keys.
    Keys,
    /// Everything that concerns the service itself.
    Admin,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Read, Self::Revoke, Self::Restore, Self::Exempt, Self::Keys, Self::Admin];

    /// The word used in the configuration and in records.
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

/// Every method that can be called on the `control` listener, by its full gRPC path.
pub const RIGHTS: [(&str, Right); 11] = [
    ("/offboard.v1.Control/Revoke", Right::Revoke),
    ("/offboard.v1.Control/Restore", Right::Restore),
    ("/offboard.v1.Control/Exempt", Right::Exempt),
    ("/offboard.v1.Control/ListRevocations", Right::Read),
    ("/offboard.v1.Control/GetPerson", Right::Read),
    ("/offboard.v1.Control/ListPeople", Right::Read),
    ("/offboard.v1.Control/GetStatus", Right::Read),
    ("/offboard.v1.Control/Explain", Right::Read),
    ("/offboard.v1.Control/TailAudit", Right::Read),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Right::Read),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Right::Read),
];

/// The right that a method needs; `None`: nobody may call it.
#[must_use]
pub fn needed(path: &str) -> Option<Right> {
    RIGHTS.iter().find(|(method, _)| *method == path).map(|(_, right)| *right)
}
