//! The listener of checks: connections of proxies, each with any number of checks at once, and health beside them.
//!
//! Served by `hyper` itself. The server of tonic clones its stack of services, looks for a route and boxes both bodies for
//! every call, which costs as much as the decision. Windows, keep-alive and the end are the same as there.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::rt::Timer as _;
use hyper::server::conn::http2::Builder;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::codegen::{Bytes, Service as _, http};
use tonic::service::Routes;

use super::one_write::OneWrite;
use crate::envoy::CheckHandler;
use crate::envoy::ext_authz::{self as envoy, Answering, AuthorizationService, CHECK};
use calls::{Calls, PollClock};

mod calls;

/// How often a silent connection is probed.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long a probe may take.
pub(super) const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// What a call may send before it is read, in bytes.
pub(super) const STREAM_WINDOW: u32 = 256 * 1024;
/// What all calls of a connection together may, in bytes.
pub(super) const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// Serves connections until `stop`, then lets their calls end.
pub(super) async fn serve<G, S>(
    service: ChecksFirst<G>,
    incoming: impl Stream<Item = std::io::Result<S>>,
    stop: CancellationToken,
) where
    G: CheckHandler,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut connections = JoinSet::new();
    {
        let mut incoming = pin!(incoming);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = connections.join_next(), if !connections.is_empty() => {}
                accepted = incoming.next() => match accepted {
                    Some(Ok(stream)) => drop(connections.spawn(answer(stream, service.for_connection(), stop.clone()))),
                    // A connection that failed at once.
                    Some(Err(_)) => {}
                    None => break,
                },
            }
        }
    }
    while connections.join_next().await.is_some() {}
}

/// Answers the calls of one connection. It may break at any time: that is for the proxy to notice.
async fn answer<G, S>(stream: S, service: ChecksFirst<G>, stop: CancellationToken)
where
    G: CheckHandler,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut calls, clock) = (Calls::default(), service.clock.clone());
    let mut builder = Builder::new(calls.accepted());
    builder
        .timer(clock.clone())
        // gRPC needs no `date`.
        .auto_date_header(false)
        .max_concurrent_streams(None)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    let stream = OneWrite::new(stream);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream.clone()), service));
    let mut stopping = pin!(stop.cancelled());
    let mut stopped = false;
    let ended = poll_fn(|context| {
        if !stopped && stopping.as_mut().poll(context).is_ready() {
            stopped = true;
            connection.as_mut().graceful_shutdown();
        }
        clock.read();
        let ended = connection.as_mut().poll(context);
        // What they answer wakes the connection up again.
        calls.poll(context);
        match stream.poll_send(context) {
            Poll::Ready(Err(_)) => Poll::Ready(()),
            _ => ended.map(drop),
        }
    });
    ended.await;
}

/// The check itself, and what the router of tonic has beside it.
pub struct ChecksFirst<G> {
    checks: AuthorizationService<G>,
    others: Routes,
    /// Of the connection.
    clock: PollClock,
}

impl<G: CheckHandler> ChecksFirst<G> {
    /// Serves `checks`, and `others` at every other path.
    #[must_use]
    pub fn new(checks: AuthorizationService<G>, others: Routes) -> Self {
        let others = others.add_service(checks.clone()).prepare();
        Self { checks, others, clock: PollClock::new() }
    }

    /// The same for another connection.
    fn for_connection(&self) -> Self {
        Self { checks: self.checks.clone(), others: self.others.clone(), clock: PollClock::new() }
    }
}

impl<G: CheckHandler> hyper::service::Service<http::Request<Incoming>> for ChecksFirst<G> {
    type Response = http::Response<AnswerBody>;
    type Error = Infallible;
    type Future = Answer<G>;

    fn call(&self, call: http::Request<Incoming>) -> Answer<G> {
        if call.uri().path() == CHECK {
            return Answer::Check(self.checks.answer(call, Instant::from_std(self.clock.now())));
        }
        // Always ready.
        let other = self.others.clone().call(call);
        Answer::Other(Box::pin(async move { Ok(other.await?.map(AnswerBody::Other)) }))
    }
}

/// An answer, when it is there.
pub enum Answer<G> {
    /// To a check.
    Check(Answering<G, Incoming>),
    /// To another call.
    Other(Pin<Box<dyn Future<Output = Result<http::Response<AnswerBody>, Infallible>> + Send>>),
}

impl<G: CheckHandler> Future for Answer<G> {
    type Output = Result<http::Response<AnswerBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Check(answer) => Pin::new(answer).poll(context).map(|answer| Ok(answer.map(AnswerBody::Check))),
            Self::Other(answer) => answer.as_mut().poll(context),
        }
    }
}

/// The body of an answer.
pub enum AnswerBody {
    /// To a check.
    Check(envoy::Answer),
    /// To another call.
    Other(tonic::body::Body),
}

impl hyper::body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.get_mut() {
            Self::Check(answer) => Pin::new(answer).poll_frame(cx).map_err(|never| match never {}),
            Self::Other(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Check(answer) => answer.is_end_stream(),
            Self::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Check(answer) => answer.size_hint(),
            Self::Other(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests;
