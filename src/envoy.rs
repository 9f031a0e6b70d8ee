//! The proxy's side of the check flow: a message comes in, exactly one answer goes out.
//!
//! ```text
//! Envoy ─bytes─▶ ext_authz (decode, deadline, panics) ─Request─▶ CheckHandler ─CheckOutcome─▶ response ─CheckResponse─▶ Envoy
//!                                                                  ▲                └─ CheckHandler::answered (audit, metrics)
//! ```
//!
//! A gRPC error means "this process is gone", and a proxy that fails open lets the request pass then (law 4). So
//! everything that a request can cause, and a broken message, a late handler and a panic too, is a denial in a
//! `CheckResponse`.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::audit::record::DecisionId;
use crate::domain::decision::Decision;
use crate::domain::reason::Reason;
use crate::faults::{Fault, planted};
use crate::request::Request;

pub mod ext_authz;
pub mod response;
mod unary;
mod wire;
#[cfg(test)]
mod fixtures;

/// A decision on one request, and what its answer needs besides.
#[derive(Clone, Debug)]
pub struct CheckOutcome {
    /// Allow or deny, and why.
    pub decision: Arc<Decision>,
    /// Names the decision in the answer, the audit record and `explain --decision`.
    pub decision_id: DecisionId,
}

/// Why a check ended without a decision of the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckFailure {
    /// The message is no `CheckRequest`, in what way.
    Undecodable(&'static str),
    /// The caller's deadline is near and there is no decision.
    Late,
    /// Something panicked. Its message went to the panic hook.
    Panicked,
}

impl CheckFailure {
    /// The reason of the decision that it ends in.
    #[must_use]
    pub fn reason(self) -> Reason {
        if planted(Fault::FailureAllows) {
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
    /// What the answer says. Not always what [`CheckHandler::check`] would have said later.
    pub outcome: &'a CheckOutcome,
    /// What was asked; `None` where the message could not be read.
    pub request: Option<&'a Request>,
    /// What went wrong, if anything did.
    pub failure: Option<CheckFailure>,
    /// From the arrival of the call to the answer.
    pub took: Duration,
}

/// Handles checks: authenticates, decides, records. The seam between the proxy's protocols and the rest.
pub trait CheckHandler: Send + Sync + 'static {
    /// Checks one request. Odd ones too: [`Request::malformed`] is for it to deny.
    ///
    /// Should be done by `due`, when an answer without it is given. May be dropped at any await: then nothing was
    /// answered. So it counts and records nothing.
    fn check(&self, request: &Request, due: Option<Instant>) -> impl Future<Output = CheckOutcome> + Send;

    /// The decision where [`CheckHandler::check`] gave none, with the reason [`CheckFailure::reason`] and the enforcement of
    /// the service that the request is for (the default one, where there is no request). Must not wait.
    fn failed(&self, failure: CheckFailure, request: Option<&Request>) -> CheckOutcome;

    /// Called once for each answer, right before it is given: counts and records what was answered, and nothing
    /// else does. Must not wait. If it panics, the answer is a denial after all.
    fn answered(&self, answered: Answered<'_>);
}
