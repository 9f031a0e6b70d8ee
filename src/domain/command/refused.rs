//! Why commands are refused.

use crate::domain::id::RevocationId;
use crate::domain::person::PersonId;

/// Why the writer refused a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such revocation is in effect.
    #[error("no revocation `{0}` is in effect")]
    NotFound(RevocationId),
    /// The revocation belongs to another owner.
    #[error("revocation `{id}` belongs to {owner}: {advice}")]
    NotYours {
        /// Which.
        id: RevocationId,
        /// Whose it is.
        owner: String,
        /// What to do instead.
        advice: String,
    },
    /// A name matches several people.
    #[error("`{reference}` matches several people: {}", candidates.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Ambiguous {
        /// The REF.
        reference: String,
        /// Everybody who may be meant.
        candidates: Vec<PersonId>,
    },
    /// Nothing of a revocation is left to undo.
    #[error("nothing of revocation `{0}` is in force: it left nothing, or was undone")]
    NothingLeft(RevocationId),
    /// The cut-off that a revocation left cannot be told from others.
    #[error(
        "revocation `{0}` ended under an earlier version, which kept one cut-off for all of a target: it cannot be undone"
    )]
    Merged(RevocationId),
    /// An exemption would not lift what denies the person.
    #[error("`{reference}` is denied by {}, which no exemption lifts; end that first", by.join(" and "))]
    Denied {
        /// The REF.
        reference: String,
        /// What denies, each with how it is ended.
        by: Vec<String>,
    },
    /// The person is not exempted.
    #[error("`{0}` is not exempted")]
    NotExempted(String),
    /// A name matches nobody.
    #[error("`{0}` matches nobody in any source")]
    Nobody(String),
    /// A call bears the idempotency key of another request.
    #[error("this idempotency key was used for another request: draw a new one for each change")]
    KeyReused,
    /// The request is invalid.
    #[error("{0}")]
    Invalid(String),
    /// A listing is held back by the guard.
    #[error(
        "listing of source `{source_name}` is held back: {missing} of {known} known people and {memberships} \
             memberships are missing from it{beside}; `offboard source show {source_name}` says who"
    )]
    Guarded {
        /// Which source.
        source_name: String,
        /// How many people are missing.
        missing: usize,
        /// How many are known.
        known: usize,
        /// How many memberships in groups are missing.
        memberships: usize,
        /// Further reasons, if the numbers are not the only one.
        beside: String,
    },
    /// The listing is invalid.
    #[error("listing of source `{source_name}` is void: {what}")]
    Void {
        /// Which source.
        source_name: String,
        /// Why.
        what: String,
    },
    /// No listing is held back.
    #[error("no listing of source `{0}` is held back")]
    NothingHeld(String),
    /// The outcome of the append is unknown. It is retried until it is known.
    #[error("outcome unknown: the change may still take effect; query it with key `{key}`")]
    Unknown {
        /// The name of its first event.
        key: String,
    },
    /// The append failed: nothing was changed.
    #[error("log append failed: {0}")]
    Log(String),
    /// The store is unavailable: nothing was changed.
    #[error("nothing was changed: {0}")]
    Gone(String),
    /// The writer has stopped.
    #[error("the writer has stopped")]
    Stopped,
}
