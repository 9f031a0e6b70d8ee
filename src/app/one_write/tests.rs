use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use envoy_types::pb::envoy::service::auth::v3::attribute_context::{self, HttpRequest};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use futures_util::StreamExt as _;
use hyper_util::rt::TokioIo;
use prost::Message as _;
use tokio::io::{DuplexStream, duplex};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Endpoint;

use super::*;
use crate::app::serve_checks::{ChecksFirst, serve};
use crate::domain::reason::Reason;
use crate::envoy::ext_authz::AuthorizationService;
use crate::envoy::fixtures::of_alice;
use crate::envoy::{Answered, CheckFailure, CheckHandler, CheckOutcome};
use crate::request::Request;

/// Allows everybody, and tells who alice is.
struct Allows;

impl CheckHandler for Allows {
    async fn check(&self, _: &Request, _: Instant, _: Option<Instant>) -> CheckOutcome {
        let decision_id = "0123456789abcdef0123456789abcdef".parse().unwrap();
        CheckOutcome { decision: of_alice(Reason::Allowed).into(), decision_id }
    }

    fn failed(&self, failure: CheckFailure, _: Option<&Request>) -> CheckOutcome {
        panic!("{failure:?}")
    }

    fn answered(&self, _: Answered<'_>) {}
}

/// Counts writes.
struct Counting(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn an_answer_is_one_write() {
    let (client, server) = duplex(1 << 20);
    let writes = Arc::new(AtomicUsize::new(0));
    let connection = Counting(server, Arc::clone(&writes));
    let incoming = futures_util::stream::iter([Ok::<_, io::Error>(connection)]);
    let incoming = incoming.chain(futures_util::stream::pending());
    let service = ChecksFirst::new(AuthorizationService::new(Arc::new(Allows)), Routes::default());
    #[expect(clippy::disallowed_methods, reason = "a test owns its tasks")]
    tokio::spawn(serve(service, incoming, CancellationToken::new()));
    let mut client = Some(client);
    let connector = tower::service_fn(move |_| {
        let client = client.take().map(TokioIo::new);
        async { client.ok_or_else(|| io::Error::other("one connection is enough")) }
    });
    let channel = Endpoint::from_static("http://mesh").connect_with_connector(connector).await.unwrap();
    let mut proxy = AuthorizationClient::new(channel);
    let http = HttpRequest { method: "GET".into(), path: "/orders".into(), ..HttpRequest::default() };
    let request = attribute_context::Request { http: Some(http), ..attribute_context::Request::default() };
    let attributes = AttributeContext { request: Some(request), ..AttributeContext::default() };
    let question = CheckRequest { attributes: Some(attributes) };

    let answer = proxy.check(question.clone()).await.unwrap().into_inner();
    assert!(answer.encoded_len() > 256, "long enough to be worth a write of its own to h2");
    let before = writes.load(Ordering::Relaxed);
    for _ in 0..100 {
        proxy.check(question.clone()).await.unwrap();
    }
    let wrote = writes.load(Ordering::Relaxed) - before;
    // Now and then a window is opened anew.
    assert!((100..=105).contains(&wrote), "{wrote} writes for 100 answers");

    let before = writes.load(Ordering::Relaxed);
    let at_once = (0..20).map(|_| {
        let (mut proxy, question) = (proxy.clone(), question.clone());
        async move { proxy.check(question).await.unwrap() }
    });
    futures_util::future::join_all(at_once).await;
    let wrote = writes.load(Ordering::Relaxed) - before;
    assert!(wrote <= 5, "{wrote} writes for 20 answers at once");
}
