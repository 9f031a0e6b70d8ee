//! Calls of operators that may be sent again: which they are, and what they were answered.

use serde::{Deserialize, Serialize};

use super::id::{ExemptionId, RevocationId};
use super::person::PersonId;
use super::time::Timestamp;

/// A changing call that bears an idempotency key: sent again, it is answered alike and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// SHA-256 of caller and key, lower-case hex: each caller's keys are their own.
    pub name: String,
    /// SHA-256 of method and request, lower-case hex: a key belongs to one request.
    pub request: String,
}

/// What a [`Call`] was answered, as recorded in the log behind the events that it made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// [`Call::name`]
    pub call: String,
    /// [`Call::request`]
    pub request: String,
    /// The ids of its revocations, in the order of its request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revocations: Vec<RevocationId>,
    /// Those of them that stood already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stood: Vec<Stood>,
    /// The id of its exemption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exemption: Option<ExemptionId>,
    /// The persons that it named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub persons: Vec<PersonId>,
}

/// A revocation that stood already when its maker asked for it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stood {
    /// Its id.
    pub id: RevocationId,
    /// When it was made.
    pub since: Timestamp,
    /// Who made it.
    pub actor: String,
}
