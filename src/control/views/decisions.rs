//! What is shown of decisions: one step by step, and those that services which observe would have refused.

use crate::domain::event::Epoch;
use crate::domain::person::PersonId;
use crate::domain::time::Timestamp;

/// What to explain.
#[derive(Clone, PartialEq, Eq)]
pub enum Question {
    /// A recent decision, by its id.
    Decision(String),
    /// A request, as a proxy would describe it.
    Request {
        /// HTTP method.
        method: String,
        /// Host.
        host: String,
        /// Path, with query.
        path: String,
        /// The service that the route names, if it does.
        service: Option<String>,
        /// Headers; may contain credentials.
        headers: Vec<(String, String)>,
    },
}

/// Requests that a service which observes would have refused alike. Everything that callers chose is escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedView {
    /// The service.
    pub service: String,
    /// Reason code.
    pub reason: String,
    /// The reason in words.
    pub detail: Option<String>,
    /// `iss` of the credential.
    pub issuer: Option<String>,
    /// Its audiences, the first few.
    pub audiences: Vec<String>,
    /// Its client, if it was verified.
    pub client: Option<String>,
    /// Its `kid`, if it was not verified.
    pub key_id: Option<String>,
    /// The credential was not verified: this is its own word.
    pub claimed: bool,
    /// The first segment of the path; `None`: different ones.
    pub segment: Option<String>,
    /// Different kinds that found no room of their own.
    pub several: bool,
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
    /// One of the last: method, host, path without query, and id of its decision.
    pub example: [String; 4],
    /// What to add to the configuration if they are meant to pass.
    pub advice: String,
}

/// One step of a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepView {
    /// The question.
    pub question: String,
    /// The answer.
    pub answer: String,
    /// Its cause.
    pub cause: String,
    /// Of a credential: what it was measured by.
    pub compared: Vec<ComparisonView>,
}

/// What a credential was measured by, and what it showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComparisonView {
    /// `issuer`, `key id`, `audience`, `issued`, `not before` or `expires`.
    pub what: &'static str,
    /// What the rules expect.
    pub expected: String,
    /// What the credential shows, escaped.
    pub found: String,
    /// Whether that fits.
    pub fits: bool,
    /// The credential was not verified: it is its own word.
    pub claimed: bool,
}

/// A decision, step by step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Whether the request is allowed.
    pub allowed: bool,
    /// Reason code.
    pub reason: String,
    /// The steps in order.
    pub steps: Vec<StepView>,
    /// Name of the service.
    pub service: String,
    /// The person, if known.
    pub person: Option<PersonId>,
    /// Up to where the log was enforced.
    pub epoch: Epoch,
    /// Id of the decision, if it was a recent one.
    pub decision_id: Option<String>,
    /// What time it is now, by the clock that decides.
    pub now: Timestamp,
}
