//! The listener of checks: connections of proxies, each with any number of checks at once, and health beside them.
//!
//! Served by `hyper` itself. The server of tonic clones its stack of services, looks for a route and boxes both bodies for
//! every call, which costs as much as the decision. Windows, keep-alive and the end are the same as there.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::codegen::{Bytes, Service as _, http};
use tonic::service::Routes;

use crate::envoy::CheckHandler;
use crate::envoy::ext_authz::{Answer, AuthorizationService, CHECK};

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
                    Some(Ok(stream)) => drop(connections.spawn(answer(stream, service.clone(), stop.clone()))),
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
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(None)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// The check itself, and what the router of tonic has beside it.
pub struct ChecksFirst<G> {
    checks: AuthorizationService<G>,
    others: Routes,
}

impl<G: CheckHandler> ChecksFirst<G> {
    /// Serves `checks`, and `others` at every other path.
    #[must_use]
    pub fn new(checks: AuthorizationService<G>, others: Routes) -> Self {
        let others = others.add_service(checks.clone()).prepare();
        Self { checks, others }
    }
}

impl<G> Clone for ChecksFirst<G> {
    fn clone(&self) -> Self {
        Self { checks: self.checks.clone(), others: self.others.clone() }
    }
}

impl<G: CheckHandler> hyper::service::Service<http::Request<Incoming>> for ChecksFirst<G> {
    type Response = http::Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, call: http::Request<Incoming>) -> Self::Future {
        if call.uri().path() == CHECK {
            let answer = self.checks.answer(call);
            return Box::pin(async move { Ok(answer.await.map(AnswerBody::Check)) });
        }
        // Always ready.
        let other = self.others.clone().call(call);
        Box::pin(async move { Ok(other.await?.map(AnswerBody::Other)) })
    }
}

/// The body of an answer.
pub enum AnswerBody {
    /// To a check.
    Check(Answer),
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
