//! Law 4: whatever a request can cause gets an explicit denial; no panic leaves a check.

use std::collections::HashMap;
use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request as Attributes};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use offboard::app::check_handler::LiveCheckHandler;
use offboard::domain::policy::Enforcement;
use offboard::envoy::ext_authz::AuthorizationService;
use offboard::envoy::{Answered, CheckFailure, CheckHandler, CheckOutcome};
use offboard::request::Request;
use prost::Message as _;
use tokio::time::Instant;
use tonic::codegen::{Service as _, http};

use super::world::{Doors, Store, World};
use super::{holds, same};
use crate::corp;
use crate::support::Scratch;

/// The real gate, except for requests that ask for trouble.
struct Troubled(LiveCheckHandler);

impl CheckHandler for Troubled {
    async fn check(&self, request: &Request, arrived: Instant, due: Option<Instant>) -> CheckOutcome {
        match request.headers.get("x-trouble") {
            Some(b"hangs") => std::future::pending().await,
            Some(_) => panic!("planned"),
            None => self.0.check(request, arrived, due).await,
        }
    }

    fn failed(&self, failure: CheckFailure, request: Option<&Request>) -> CheckOutcome {
        self.0.failed(failure, request)
    }

    fn answered(&self, answered: Answered<'_>) {
        self.0.answered(answered);
    }
}

fn message(headers: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", "GET")];
    let headers = pseudo.iter().chain(headers).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    message_of(HttpRequest {
        method: "GET".into(),
        path: "/v1/orders".into(),
        host: "orders.example.com".into(),
        headers,
        ..HttpRequest::default()
    })
}

fn message_of(http: HttpRequest) -> Vec<u8> {
    let request = Some(Attributes { time: None, http: Some(http) });
    CheckRequest { attributes: Some(AttributeContext { request, ..AttributeContext::default() }) }.encode_to_vec()
}

/// A call as it comes off the wire: the raw prefix and message, and how long the caller waits.
async fn call(service: &AuthorizationService<Troubled>, framed: Vec<u8>, timeout: Option<&str>) -> CheckResponse {
    let mut call = http::Request::post("/envoy.service.auth.v3.Authorization/Check");
    if let Some(timeout) = timeout {
        call = call.header("grpc-timeout", timeout);
    }
    let call = call.body(tonic::body::Body::new(axum::body::Body::from(framed))).unwrap();
    let response = service.clone().call(call).await.unwrap();
    holds(response.headers().get("grpc-status").is_none(), "no gRPC error");
    let body = axum::body::to_bytes(axum::body::Body::new(response.into_body()), usize::MAX).await.unwrap();
    let answer = body.get(5..).and_then(|message| CheckResponse::decode(message).ok());
    holds(answer.is_some(), "an answer that can be read");
    answer.unwrap()
}

/// The status of a denial. An allow breaks the law.
#[track_caller]
fn denied(answer: CheckResponse, what: &str) -> i32 {
    holds(answer.status.is_some_and(|status| status.code != 0), format!("{what}: denied by the gRPC code"));
    match answer.http_response {
        Some(HttpResponse::DeniedResponse(denied)) => denied.status.map_or(0, |status| status.code),
        other => panic!("{}: {what}: {other:?}", super::BROKEN),
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// Broken, huge, late and panicking checks, and every one-bit change of an anonymous one.
pub async fn law_4_whatever_a_request_causes_is_a_denial<S: Store>(store: S) {
    let world = World::start(store).await;
    let scratch = Scratch::new();
    let Doors { handler, .. } = world.handler(scratch.path());
    let service = AuthorizationService::new(Arc::new(Troubled(handler)));

    for (message, timeout, status, what) in [
        (framed(&message(&[])), None, 401, "nobody"),
        (framed(&[]), None, 401, "an empty message: a connection of nobody's"),
        (framed(b"not protobuf at all"), None, 400, "no message"),
        (Vec::new(), None, 400, "no frame"),
        (vec![1, 0, 0, 0, 0], None, 400, "a compressed frame"),
        (framed(&message(&[]))[..20].to_vec(), None, 400, "a message that breaks off"),
        (framed(&vec![0; 2 << 20]), None, 400, "2 MiB"),
        (framed(&message(&[("x-trouble", "panics")])), None, 503, "a panic"),
        (framed(&message(&[("x-trouble", "hangs")])), Some("1n"), 503, "a deadline"),
        (framed(&message(&[("authorization", "Bearer \u{fffd}")])), None, 401, "an odd header"),
        (framed(&message_of(HttpRequest::default())), None, 400, "no method, path or header"),
    ] {
        same(&denied(call(&service, message, timeout).await, what), &status, what);
    }
    let headers = HashMap::from([("a".to_owned(), "b".to_owned())]);
    let anonymous = message_of(HttpRequest {
        method: "GET".into(),
        path: "/".into(),
        host: "a".into(),
        headers,
        ..Default::default()
    });
    for bit in 0..anonymous.len() * 8 {
        let mut changed = anonymous.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        denied(call(&service, framed(&changed), None).await, &format!("bit {bit}"));
    }

    let mut observed = corp::policy();
    observed.services[0].enforcement = Enforcement::Observe;
    observed.services.push(corp::service("payments"));
    let mut world = world;
    world.configure(observed, corp::at(1)).await.unwrap();
    for (message, what) in [(framed(b"not protobuf at all"), "no message"), (framed(&vec![0; 2 << 20]), "2 MiB")] {
        let answer = call(&service, message, None).await;
        same(&denied(answer, what), &400, "one service enforces: whose message that was nobody knows");
    }
}
