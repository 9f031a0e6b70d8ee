//! A proxy that asks by itself: the gRPC that Envoy speaks, without Envoy.

use std::collections::HashMap;
use std::net::SocketAddr;

use envoy_types::pb::envoy::config::core::v3::{Address, SocketAddress, address};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request as Attributes};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use envoy_types::pb::google::protobuf::value::Kind;
use tonic::transport::Channel;

/// Where every request comes from.
pub const CALLER: &str = "192.0.2.7";

/// One connection; clones share it.
#[derive(Clone)]
pub struct Proxy(AuthorizationClient<Channel>);

/// What a check ended with.
#[derive(Clone, Debug)]
pub struct Answer {
    pub allowed: bool,
    /// The code of a denial, where the configuration reveals it.
    pub reason: Option<String>,
    /// The texts of the dynamic metadata.
    pub metadata: HashMap<String, String>,
}

impl Proxy {
    pub async fn connect(authz: SocketAddr) -> Self {
        Self(AuthorizationClient::connect(format!("http://{authz}")).await.unwrap())
    }

    /// `GET https://orders.example.com/v1/orders` with this token; `None` where nobody answers any more.
    pub async fn ask(&mut self, token: &str) -> Option<Answer> {
        self.ask_for(("GET", "/v1/orders"), token).await
    }

    /// The same with another method and path.
    pub async fn ask_for(&mut self, (method, path): (&str, &str), token: &str) -> Option<Answer> {
        let http = HttpRequest {
            method: method.into(),
            host: "orders.example.com".into(),
            path: path.into(),
            headers: HashMap::from([("authorization".to_owned(), format!("Bearer {token}"))]),
            ..HttpRequest::default()
        };
        let request = Some(Attributes { time: None, http: Some(http) });
        let address = SocketAddress { address: CALLER.into(), ..SocketAddress::default() };
        let address = Some(Address { address: Some(address::Address::SocketAddress(address)) });
        let source = Some(Peer { address, ..Peer::default() });
        let attributes = AttributeContext { source, request, ..AttributeContext::default() };
        let asked = CheckRequest { attributes: Some(attributes) };
        let answer = self.0.check(asked).await.ok()?.into_inner();
        let reason = match answer.http_response {
            Some(HttpResponse::DeniedResponse(denied)) => reason(&denied.body),
            _ => None,
        };
        let fields = answer.dynamic_metadata.and_then(|mut metadata| metadata.fields.remove("offboard"));
        let Some(Kind::StructValue(fields)) = fields.and_then(|value| value.kind) else { panic!("no metadata") };
        let text = |(key, value): (String, envoy_types::pb::google::protobuf::Value)| match value.kind {
            Some(Kind::StringValue(text)) => Some((key, text)),
            _ => None,
        };
        let metadata = fields.fields.into_iter().filter_map(text).collect();
        Some(Answer { allowed: answer.status.unwrap().code == 0, reason, metadata })
    }

    /// `allowed`, or the reason of the denial: how every test learns why.
    pub async fn reason(&mut self, token: &str) -> String {
        let answer = self.ask(token).await.unwrap();
        if answer.allowed { "allowed".to_owned() } else { answer.metadata["reason"].clone() }
    }
}

fn reason(body: &str) -> Option<String> {
    Some(serde_json::from_str::<serde_json::Value>(body).ok()?["reason"].as_str()?.to_owned())
}
