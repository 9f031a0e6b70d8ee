//! The right that each method needs: one table; methods missing from it are rejected.

pub use crate::domain::binding::Right;

/// Every method of the `control` listener, by its full gRPC path.
pub const RIGHTS: [(&str, Right); 21] = [
    ("/offboard.v1.Control/Revoke", Right::Revoke),
    ("/offboard.v1.Control/RevokeMany", Right::Revoke),
    ("/offboard.v1.Control/Restore", Right::Restore),
    ("/offboard.v1.Control/Undo", Right::Admin),
    ("/offboard.v1.Control/Exempt", Right::Exempt),
    ("/offboard.v1.Control/GetOutcome", Right::Read),
    ("/offboard.v1.Control/ListRevocations", Right::Read),
    ("/offboard.v1.Control/GetPerson", Right::Read),
    ("/offboard.v1.Control/ListPeople", Right::Read),
    ("/offboard.v1.Control/GetStatus", Right::Read),
    ("/offboard.v1.Control/ListSources", Right::Read),
    ("/offboard.v1.Control/SyncSource", Right::Admin),
    ("/offboard.v1.Control/CheckSource", Right::Admin),
    ("/offboard.v1.Control/JudgeSource", Right::Admin),
    ("/offboard.v1.Control/ExpectSource", Right::Admin),
    ("/offboard.v1.Control/Explain", Right::Read),
    ("/offboard.v1.Control/ListObserved", Right::Read),
    ("/offboard.v1.Control/TailAudit", Right::Read),
    ("/offboard.v1.Control/Watch", Right::Read),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Right::Read),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Right::Read),
];

/// The right that a method needs; `None`: nobody may call it.
#[must_use]
pub fn needed(path: &str) -> Option<Right> {
    RIGHTS.iter().find(|(method, _)| *method == path).map(|(_, right)| *right)
}
