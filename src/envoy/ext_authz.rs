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
use super::{Answered, CheckFailure, CheckHandler, CheckOutcome, unary};
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
    handler: Arc<G>,
}

impl<G: CheckHandler> AuthorizationService<G> {
    /// A service that answers what `handler` decides.
    #[must_use]
    pub fn new(handler: Arc<G>) -> Self {
        Self { handler }
    }
}

impl<G> Clone for AuthorizationService<G> {
    fn clone(&self) -> Self {
        Self { handler: Arc::clone(&self.handler) }
    }
}

impl<G> NamedService for AuthorizationService<G> {
    const NAME: &'static str = "envoy.service.auth.v3.Authorization";
}

impl<G: CheckHandler> Service<http::Request<Body>> for AuthorizationService<G> {
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
        let handler = Arc::clone(&self.handler);
        Box::pin(async move {
            // Saturates to "none": a timeout of eight digits of hours fits any clock.
            let due =
                unary::timeout(call.headers()).and_then(|timeout| arrived.checked_add(timeout.saturating_sub(MARGIN)));
            Ok(unary::respond(check(&*handler, call.into_body(), arrived, due).await))
        })
    }
}

/// The answer to one check, whatever happens, by `due`.
async fn check<G: CheckHandler>(handler: &G, body: Body, arrived: Instant, due: Option<Instant>) -> Wire {
    let mut read = None;
    // A handler that panicked is used again: what it shares is behind locks that know of poison, or swapped whole.
    let checking = AssertUnwindSafe(decode_and_check(handler, body, due, &mut read)).catch_unwind();
    let outcome = match due {
        // Polls the handler first: one that needs not wait is heard, however short the time.
        Some(due) => timeout_at(due, checking).await,
        None => Ok(checking.await),
    };
    let outcome = match outcome {
        Ok(Ok(Ok(outcome))) => Ok(outcome),
        Ok(Ok(Err(how))) => Err(CheckFailure::Undecodable(how)),
        Ok(Err(_panic)) => Err(CheckFailure::Panicked),
        Err(_elapsed) => Err(CheckFailure::Late),
    };
    catch_unwind(AssertUnwindSafe(|| close(handler, outcome, read.as_ref(), arrived))).unwrap_or_else(|_| last_resort())
}

/// Reads the message into `read`, and has it checked.
async fn decode_and_check<G: CheckHandler>(
    handler: &G,
    body: Body,
    due: Option<Instant>,
    read: &mut Option<Request>,
) -> Result<CheckOutcome, &'static str> {
    let message = unary::message(body, LARGEST_MESSAGE).await?;
    let request = Request::decode(&message).map_err(|_| "message is no CheckRequest")?;
    Ok(handler.check(read.insert(request), due).await)
}

/// Turns an outcome into the answer, and has exactly that recorded.
fn close<G: CheckHandler>(
    handler: &G,
    outcome: Result<CheckOutcome, CheckFailure>,
    read: Option<&Request>,
    arrived: Instant,
) -> Wire {
    let failure = outcome.as_ref().err().copied();
    let outcome = outcome.unwrap_or_else(|failure| handler.failed(failure, read));
    let response = answer(&outcome.decision, read, &outcome.decision_id.to_string());
    handler.answered(Answered { outcome: &outcome, request: read, failure, took: arrived.elapsed() });
    response
}

#[cfg(test)]
mod tests;
