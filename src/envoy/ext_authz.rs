//! `envoy.service.auth.v3.Authorization`: one check per request or connection.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::codegen::{Bytes, Service, http};
use tonic::server::NamedService;

use super::response::{answer, last_resort};
use super::wire::Wire;
use super::{Answered, CheckFailure, CheckHandler, CheckOutcome, unary};
use crate::request::Request;

pub use super::unary::Answer;

/// The path of the only method.
pub const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// The largest message that is read, in bytes. Headers take 96 KiB at most; the rest is room for a body that the proxy may
/// include (`with_request_body`), which is ignored.
const MAX_MESSAGE: usize = 1024 * 1024;

/// The latest answer comes this long before the deadline of the caller (contract section 4): it has to travel, and at
/// the deadline tonic drops the handler and sends an error of its own.
const MARGIN: Duration = Duration::from_millis(10);

/// The service, for a tonic server. It decodes messages itself, so that none can cause a gRPC error (law 4).
pub struct AuthorizationService<G> {
    handler: Arc<G>,
}

impl<G: CheckHandler> AuthorizationService<G> {
    /// A service that answers with the decisions of `handler`.
    #[must_use]
    pub fn new(handler: Arc<G>) -> Self {
        Self { handler }
    }

    /// Answers a call of [`CHECK`].
    pub fn answer<B>(&self, call: http::Request<B>) -> impl Future<Output = http::Response<Answer>> + use<G, B>
    where
        B: tonic::codegen::Body<Data = Bytes>,
    {
        let arrived = Instant::now();
        // An overflow means no deadline; eight digits of hours fit any clock.
        let due =
            unary::timeout(call.headers()).and_then(|timeout| arrived.checked_add(timeout.saturating_sub(MARGIN)));
        let (handler, body) = (Arc::clone(&self.handler), call.into_body());
        async move { unary::respond(check(&*handler, body, arrived, due).await) }
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
        if call.uri().path() != CHECK {
            return Box::pin(async { Ok(tonic::Status::unimplemented("no such method").into_http()) });
        }
        let answer = self.answer(call);
        Box::pin(async move { Ok(answer.await.map(Body::new)) })
    }
}

/// Answers one check by `due`, whatever happens.
async fn check<G, B>(handler: &G, body: B, arrived: Instant, due: Option<Instant>) -> Wire
where
    G: CheckHandler,
    B: tonic::codegen::Body<Data = Bytes>,
{
    let mut read = None;
    let outcome = {
        // INVARIANT: a handler can be used after a panic. Its shared state is behind locks that tolerate poison, or swapped
        // as a whole.
        let checking = AssertUnwindSafe(decode_and_check(handler, body, due, &mut read)).catch_unwind();
        // Pinned here, so that it is here only, and not once more in each of the two arms.
        let mut checking = pin!(checking);
        match due {
            // This polls the handler first: one that does not wait always gets its answer through.
            Some(due) => timeout_at(due, checking.as_mut()).await,
            None => Ok(checking.as_mut().await),
        }
    };
    let outcome = match outcome {
        Ok(Ok(Ok(outcome))) => Ok(outcome),
        Ok(Ok(Err(how))) => Err(CheckFailure::Undecodable(how)),
        Ok(Err(_panic)) => Err(CheckFailure::Panicked),
        Err(_elapsed) => Err(CheckFailure::Late),
    };
    catch_unwind(AssertUnwindSafe(|| close(handler, outcome, read.as_ref(), arrived))).unwrap_or_else(|_| last_resort())
}

/// Decodes the message into `read` and checks it.
async fn decode_and_check<G, B>(
    handler: &G,
    body: B,
    due: Option<Instant>,
    read: &mut Option<Request>,
) -> Result<CheckOutcome, &'static str>
where
    G: CheckHandler,
    B: tonic::codegen::Body<Data = Bytes>,
{
    let message = unary::message(body, MAX_MESSAGE).await?;
    let request = Request::decode(&message).map_err(|_| "message is not a CheckRequest")?;
    Ok(handler.check(read.insert(request), due).await)
}

/// Turns an outcome into the answer, and records exactly that.
fn close<G: CheckHandler>(
    handler: &G,
    outcome: Result<CheckOutcome, CheckFailure>,
    read: Option<&Request>,
    arrived: Instant,
) -> Wire {
    let failure = outcome.as_ref().err().copied();
    let outcome = outcome.unwrap_or_else(|failure| handler.failed(failure, read));
    let response = answer(&outcome.decision, read, &outcome.decision_id.hex());
    handler.answered(Answered { outcome: &outcome, request: read, failure, took: arrived.elapsed() });
    response
}

#[cfg(test)]
mod tests;
