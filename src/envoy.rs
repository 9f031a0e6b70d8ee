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
pub(crate) mod fixtures;

/// A decision on one request, and its id.
#[derive(Clone, Debug)]
pub struct CheckOutcome {
    /// Allow or deny, and why.
    pub decision: Arc<Decision>,
    /// The id in the answer, the audit record and `explain --decision`.
    pub decision_id: DecisionId,
}

/// Why a check got no decision from the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckFailure {
    /// The message is not a `CheckRequest`, for this reason.
    Undecodable(&'static str),
    /// There was no decision before the deadline of the caller.
    Late,
    /// The check panicked. The panic hook has the message.
    Panicked,
}

impl CheckFailure {
    /// The reason of the resulting decision.
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

/// One answered check.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// What was answered: not always what [`CheckHandler::check`] would have returned later.
    pub outcome: &'a CheckOutcome,
    /// The request; `None` if the message could not be read.
    pub request: Option<&'a Request>,
    /// Why the handler made no decision, if it did not.
    pub failure: Option<CheckFailure>,
    /// When the call arrived.
    pub arrived: Instant,
    /// When it was answered.
    pub at: Instant,
}

/// Handles checks: authenticates, decides, records. The boundary between the proxy protocol and the rest.
pub trait CheckHandler: Send + Sync + 'static {
    /// Checks one request, malformed ones included.
    ///
    /// The call `arrived` then. It should finish by `due`; after that, a failure is answered. It may be dropped
    /// at any await, and then nothing was answered: so it must not count or record anything. The first poll has no waker:
    /// if it waits, it is dropped and begun anew.
    fn check(
        &self,
        request: &Request,
        arrived: Instant,
        due: Option<Instant>,
    ) -> impl Future<Output = CheckOutcome> + Send;

    /// The decision if [`CheckHandler::check`] gave none, with the reason [`CheckFailure::reason`] and the enforcement of
    /// the service of the request, or the strictest one if the request could not be read. Must not block.
    fn failed(&self, failure: CheckFailure, request: Option<&Request>) -> CheckOutcome;

    /// Counts and records one answer. Called once per answer, right before it is sent. Must not block. If it panics, a
    /// denial is sent instead.
    fn answered(&self, answered: Answered<'_>);
}
