use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use tokio::io::duplex;
use tokio::time::Instant;
use tonic::Code;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::*;
use crate::domain::reason::Reason;
use crate::envoy::fixtures::of_alice;
use crate::envoy::{self, CheckFailure, CheckOutcome};
use crate::request::Request;

/// Allows everybody.
struct Allows;

impl CheckHandler for Allows {
    async fn check(&self, _: &Request, _: Instant, _: Option<Instant>) -> CheckOutcome {
        let decision_id = "0123456789abcdef0123456789abcdef".parse().unwrap();
        CheckOutcome { decision: of_alice(Reason::Allowed).into(), decision_id }
    }

    fn failed(&self, failure: CheckFailure, _: Option<&Request>) -> CheckOutcome {
        panic!("{failure:?}")
    }

    fn answered(&self, _: envoy::Answered<'_>) {}
}

/// One connection to a server that ends with `stop`, and the server.
async fn connected(stop: &CancellationToken) -> (Channel, tokio::task::JoinHandle<()>) {
    let (client, server) = duplex(1 << 20);
    let incoming = futures_util::stream::iter([Ok(server)]).chain(futures_util::stream::pending());
    let (_, health) = tonic_health::server::health_reporter();
    let service = ChecksFirst::new(AuthorizationService::new(Arc::new(Allows)), Routes::new(health));
    #[expect(clippy::disallowed_methods, reason = "a test owns its tasks")]
    let serving = tokio::spawn(serve(service, incoming, stop.clone()));
    let mut client = Some(client);
    let connector = tower::service_fn(move |_| {
        let client = client.take().map(TokioIo::new);
        async { client.ok_or_else(|| std::io::Error::other("one connection is enough")) }
    });
    (Endpoint::from_static("http://mesh").connect_with_connector(connector).await.unwrap(), serving)
}

#[tokio::test]
async fn checks_and_health_are_answered_and_nothing_else() {
    let stop = CancellationToken::new();
    let (channel, serving) = connected(&stop).await;
    let answer = AuthorizationClient::new(channel.clone()).check(CheckRequest::default()).await.unwrap();
    assert_eq!(answer.into_inner().status.unwrap().code, 0);
    let health = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(health.into_inner().status, 1);
    for path in ["/envoy.service.auth.v3.Authorization/Chec", "/envoy.service.auth.v2.Authorization/Check", "/"] {
        let mut other = tonic::client::Grpc::new(channel.clone());
        other.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<CheckRequest, CheckRequest>::default();
        let asked = tonic::Request::new(CheckRequest::default());
        let answer = other.unary(asked, PathAndQuery::from_static(path), codec).await;
        assert_eq!(answer.unwrap_err().code(), Code::Unimplemented, "{path}");
    }
    stop.cancel();
    serving.await.unwrap();
}
