//! `envoy.service.auth.v3.Authorization`: one check per request or connection.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;

use super::response::{answer, last_resort};
use super::wire::Wire;
use super::{Answered, Gate, Judged, Trouble, unary};
use crate::request::Request;

/// The one method.
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// Largest message that is read. Headers take 96 KiB at most; the rest is room for a body that a proxy sends
/// along (`with_request_body`), which nobody here looks at.
const LARGEST_MESSAGE: usize = 1024 * 1024;

/// How long before the caller's deadline an answer is given at the latest (contract section 4): it has to travel,
/// and tonic drops a handler at the deadline and answers with an error of its own.
const MARGIN: Duration = Duration::from_millis(10);

/// The service, for a tonic server. Decodes by itself, so that no message can cause a gRPC error.
pub struct AuthorizationService<G> {
    gate: Arc<G>,
}

impl<G: Gate> AuthorizationService<G> {
    /// A service that lets `gate` judge.
    #[must_use]
    pub fn new(gate: Arc<G>) -> Self {
        Self { gate }
    }
}

impl<G> Clone for AuthorizationService<G> {
    fn clone(&self) -> Self {
        Self { gate: Arc::clone(&self.gate) }
    }
}

impl<G> NamedService for AuthorizationService<G> {
    const NAME: &'static str = "envoy.service.auth.v3.Authorization";
}

impl<G: Gate> Service<http::Request<Body>> for AuthorizationService<G> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: http::Request<Body>) -> Self::Future {
        let arrived = Instant::now();
        if call.uri().path() != CHECK {
            return Box::pin(async { Ok(tonic::Status::unimplemented("no such method").into_http()) });
        }
        let gate = Arc::clone(&self.gate);
        Box::pin(async move {
            // Saturates to "none": a timeout of eight digits of hours fits any clock.
            let due =
                unary::timeout(call.headers()).and_then(|timeout| arrived.checked_add(timeout.saturating_sub(MARGIN)));
            Ok(unary::respond(check(&*gate, call.into_body(), arrived, due).await))
        })
    }
}

/// The answer to one check, whatever happens, by `due`.
async fn check<G: Gate>(gate: &G, body: Body, arrived: Instant, due: Option<Instant>) -> Wire {
    let mut read = None;
    // A gate that panicked is used again: what it shares is behind locks that know of poison, or swapped whole.
    let judging = AssertUnwindSafe(judge(gate, body, due, &mut read)).catch_unwind();
    let outcome = match due {
        // Polls the judge first: one that needs not wait is heard, however short the time.
        Some(due) => timeout_at(due, judging).await,
        None => Ok(judging.await),
    };
    let outcome = match outcome {
        Ok(Ok(Ok(judged))) => Ok(judged),
        Ok(Ok(Err(how))) => Err(Trouble::Undecodable(how)),
        Ok(Err(_panic)) => Err(Trouble::Panicked),
        Err(_elapsed) => Err(Trouble::Late),
    };
    catch_unwind(AssertUnwindSafe(|| close(gate, outcome, read.as_ref(), arrived))).unwrap_or_else(|_| last_resort())
}

/// Reads the message into `read`, and has it judged.
async fn judge<G: Gate>(
    gate: &G,
    body: Body,
    due: Option<Instant>,
    read: &mut Option<Request>,
) -> Result<Judged, &'static str> {
    let message = unary::message(body, LARGEST_MESSAGE).await?;
    let request = Request::decode(&message).map_err(|_| "message is no CheckRequest")?;
    Ok(gate.judge(read.insert(request), due).await)
}

/// Turns an outcome into the answer, and has exactly that recorded.
fn close<G: Gate>(gate: &G, outcome: Result<Judged, Trouble>, read: Option<&Request>, arrived: Instant) -> Wire {
    let trouble = outcome.as_ref().err().copied();
    let judged = outcome.unwrap_or_else(|trouble| gate.cannot_judge(trouble, read));
    let response = answer(&judged.decision, &judged.policy.response, read, &judged.decision_id.to_string());
    gate.answered(Answered { judged: &judged, request: read, trouble, took: arrived.elapsed() });
    response
}

#[cfg(test)]
mod tests;
