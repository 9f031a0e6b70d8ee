//! `envoy.service.auth.v3.Authorization`: one check per request or connection.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::codegen::{Bytes, Service, http};
use tonic::server::NamedService;

use super::response::{answer, last_resort};
use super::unary::Receiving;
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

    /// Answers a call of [`CHECK`] that arrived then.
    pub fn answer<B>(&self, call: http::Request<B>, arrived: Instant) -> Answering<G, B>
    where
        B: tonic::codegen::Body<Data = Bytes> + Unpin,
    {
        // An overflow means no deadline; eight digits of hours fit any clock.
        let due =
            unary::timeout(call.headers()).and_then(|timeout| arrived.checked_add(timeout.saturating_sub(MARGIN)));
        let receiving = Receiving::new(call.into_body(), MAX_MESSAGE);
        Answering { handler: Arc::clone(&self.handler), state: State::Begun(Some(Call { receiving, arrived, due })) }
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
        let answer = self.answer(call, Instant::now());
        Box::pin(async move { Ok(answer.await.map(Body::new)) })
    }
}

/// A call of which the message is being received.
struct Call<B> {
    receiving: Receiving<B>,
    arrived: Instant,
    due: Option<Instant>,
}

/// The answer to a call. It is small, because each call carries it: room for a check that waits is made when one does.
pub struct Answering<G, B> {
    handler: Arc<G>,
    state: State<B>,
}

enum State<B> {
    /// Not polled yet.
    Begun(Option<Call<B>>),
    /// Something has to be waited for.
    Waiting(Pin<Box<dyn Future<Output = Wire> + Send>>),
}

impl<G, B> Future for Answering<G, B>
where
    G: CheckHandler,
    B: tonic::codegen::Body<Data = Bytes> + Unpin + Send + 'static,
{
    type Output = http::Response<Answer>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { handler, state } = self.get_mut();
        loop {
            match state {
                State::Begun(call) => {
                    // Always there: it is taken where the state is replaced.
                    let Some(mut call) = call.take() else { return Poll::Pending };
                    if let Some(answer) = at_once(&**handler, &mut call) {
                        return Poll::Ready(unary::respond(answer));
                    }
                    *state = State::Waiting(Box::pin(in_time(Arc::clone(handler), call)));
                }
                State::Waiting(waiting) => return waiting.as_mut().poll(context).map(unary::respond),
            }
        }
    }
}

/// Answers a check that has nothing to wait for, as nearly every one. `None` if it has: nothing is answered then, and the
/// check begins anew.
fn at_once<G, B>(handler: &G, call: &mut Call<B>) -> Option<Wire>
where
    G: CheckHandler,
    B: tonic::codegen::Body<Data = Bytes> + Unpin,
{
    let mut read = None;
    // INVARIANT: a handler can be used after a panic. Its shared state is behind locks that tolerate poison, or swapped
    // as a whole.
    let checked = catch_unwind(AssertUnwindSafe(|| {
        let checking = pin!(decode_and_check(handler, call, &mut read));
        match checking.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(checked) => Some(checked),
            Poll::Pending => None,
        }
    }));
    let outcome = match checked {
        Ok(checked) => checked?,
        Err(_panic) => Err(CheckFailure::Panicked),
    };
    Some(recorded(handler, outcome, read.as_ref(), call.arrived))
}

/// Answers a check by its deadline, whatever happens.
async fn in_time<G, B>(handler: Arc<G>, mut call: Call<B>) -> Wire
where
    G: CheckHandler,
    B: tonic::codegen::Body<Data = Bytes> + Unpin,
{
    let (mut read, due) = (None, call.due);
    let outcome = {
        // INVARIANT: as above.
        let checking = AssertUnwindSafe(decode_and_check(&*handler, &mut call, &mut read)).catch_unwind();
        // Pinned here, so that it is here only, and not once more in each of the two arms.
        let mut checking = pin!(checking);
        match due {
            // This polls the handler first: one that does not wait always gets its answer through.
            Some(due) => timeout_at(due, checking.as_mut()).await,
            None => Ok(checking.as_mut().await),
        }
    };
    let outcome = match outcome {
        Ok(Ok(checked)) => checked,
        Ok(Err(_panic)) => Err(CheckFailure::Panicked),
        Err(_elapsed) => Err(CheckFailure::Late),
    };
    recorded(&*handler, outcome, read.as_ref(), call.arrived)
}

/// Decodes the message into `read` and checks it.
async fn decode_and_check<G, B>(
    handler: &G,
    call: &mut Call<B>,
    read: &mut Option<Request>,
) -> Result<CheckOutcome, CheckFailure>
where
    G: CheckHandler,
    B: tonic::codegen::Body<Data = Bytes> + Unpin,
{
    let message = poll_fn(|context| call.receiving.poll(context)).await.map_err(CheckFailure::Undecodable)?;
    let request = Request::decode(&message).map_err(|_| CheckFailure::Undecodable("message is not a CheckRequest"))?;
    Ok(handler.check(read.insert(request), call.arrived, call.due).await)
}

/// The answer to a check that ended like this, or a denial if not even that can be said.
fn recorded<G: CheckHandler>(
    handler: &G,
    outcome: Result<CheckOutcome, CheckFailure>,
    read: Option<&Request>,
    arrived: Instant,
) -> Wire {
    catch_unwind(AssertUnwindSafe(|| close(handler, outcome, read, arrived))).unwrap_or_else(|_| last_resort())
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
    let response = answer(&outcome.decision, read, outcome.decision_id.hex().as_str());
    handler.answered(Answered { outcome: &outcome, request: read, failure, arrived, at: Instant::now() });
    response
}

#[cfg(test)]
mod tests;
