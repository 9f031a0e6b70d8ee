//! The proxy's side of the check flow: a message comes in, exactly one answer goes out.
//!
//! ```text
//! Envoy ─bytes─▶ ext_authz (decode, deadline, panics) ─Request─▶ Gate ─Judged─▶ response ─CheckResponse─▶ Envoy
//!                                                                  ▲                └─ Gate::answered (audit, metrics)
//! ```
//!
//! A gRPC error means "this process is gone", and a proxy that fails open lets the request pass then (law 4). So
//! everything that a request can cause, and a broken message, a late judge and a panic too, is a denial in a
//! `CheckResponse`.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::audit::record::DecisionId;
use crate::domain::decision::Decision;
use crate::domain::policy::Policy;
use crate::domain::reason::Reason;
use crate::faults::{Fault, planted};
use crate::request::Request;

pub mod ext_authz;
pub mod response;
mod unary;
mod wire;
#[cfg(test)]
mod fixtures;

pub use ext_authz::AuthorizationService;

/// A decision on one request, and what its answer needs besides.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Allow or deny, and why.
    pub decision: Arc<Decision>,
    /// Names the decision in the answer, the audit record and `explain --decision`.
    pub decision_id: DecisionId,
    /// The rules that it was made under: `response` says what the answer carries.
    pub policy: Arc<Policy>,
}

/// Why a check could not be judged in the usual way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The message is no `CheckRequest`, in what way.
    Undecodable(&'static str),
    /// The caller's deadline is near and there is no decision.
    Late,
    /// Something panicked. Its message went to the panic hook.
    Panicked,
}

impl Trouble {
    /// The reason of the decision that it ends in.
    #[must_use]
    pub fn reason(self) -> Reason {
        if planted(Fault::TroubleAllows) {
            return Reason::Allowed;
        }
        match self {
            Self::Undecodable(_) => Reason::MalformedRequest,
            Self::Late | Self::Panicked => Reason::Internal,
        }
    }
}

/// One check that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// What the answer says. Not always what [`Gate::judge`] would have said later.
    pub judged: &'a Judged,
    /// What was asked; `None` where the message could not be read.
    pub request: Option<&'a Request>,
    /// What went wrong, if anything did.
    pub trouble: Option<Trouble>,
    /// From the arrival of the call to the answer.
    pub took: Duration,
}

/// Who judges: authenticates, decides, and keeps the books. The seam between the proxy's protocols and the rest.
pub trait Gate: Send + Sync + 'static {
    /// Judges one request. Odd ones too: [`Request::malformed`] is for it to deny.
    ///
    /// Should be done by `due`, when an answer without it is given. May be dropped at any await: then nothing was
    /// answered. So it counts and records nothing.
    fn judge(&self, request: &Request, due: Option<Instant>) -> impl Future<Output = Judged> + Send;

    /// The decision where [`Gate::judge`] gave none, with the reason [`Trouble::reason`] and the enforcement of
    /// the service that the request is for (the default one, where there is no request). Must not wait.
    fn cannot_judge(&self, trouble: Trouble, request: Option<&Request>) -> Judged;

    /// Called once for each answer, right before it is given: counts and records what was answered, and nothing
    /// else does. Must not wait. If it panics, the answer is a denial after all.
    fn answered(&self, answered: Answered<'_>);
}
