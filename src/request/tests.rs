use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{self, HttpRequest, Peer};
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use proptest::prelude::*;
use prost::Message as _;
use serde_json::Value;

use super::*;
use crate::domain::few::Few;

mod differential;
mod reference;

fn check(http: HttpRequest) -> CheckRequest {
    let request = attribute_context::Request { time: None, http: Some(http) };
    CheckRequest { attributes: Some(AttributeContext { request: Some(request), ..AttributeContext::default() }) }
}

fn pairs(headers: &[(&str, &str)]) -> HashMap<String, String> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn get(path: &str) -> HttpRequest {
    HttpRequest {
        method: "GET".into(),
        path: path.into(),
        host: "api.example.com".into(),
        headers: pairs(&[(":method", "GET")]),
        ..HttpRequest::default()
    }
}

/// As it comes: written by Envoy's own types, read by ours.
fn of(message: &CheckRequest) -> Request {
    Request::decode(&message.encode_to_vec().into()).unwrap()
}

fn read(http: HttpRequest) -> Request {
    of(&check(http))
}

#[test]
fn a_request_is_read_whole() {
    let mut message = check(HttpRequest {
        host: "API.example.com.:8443".into(),
        path: "/v1/orders?x=1".into(),
        headers: pairs(&[(":method", "GET"), ("Authorization", "Bearer a.b.c")]),
        ..get("")
    });
    let attributes = message.attributes.as_mut().unwrap();
    attributes.context_extensions = pairs(&[("service", "payments"), ("other", "x")]);
    attributes.source = Some(Peer { principal: "spiffe://c/ns/a/sa/b".into(), ..Peer::default() });
    attributes.destination = Some(Peer { principal: "spiffe://c/ns/p/sa/p".into(), ..Peer::default() });

    let request = of(&message);

    assert_eq!(request.destination.extension.as_deref(), Some("payments"));
    assert_eq!(request.destination.principal.as_deref(), Some("spiffe://c/ns/p/sa/p"));
    assert_eq!(request.destination.host.as_deref(), Some("api.example.com"));
    assert_eq!(request.peer.as_deref(), Some("spiffe://c/ns/a/sa/b"));
    assert_eq!(request.method, "GET");
    assert_eq!(request.path, Path::Forms(Few::One("/v1/orders".into())));
    assert_eq!(request.headers.get("authorization"), Some(&b"Bearer a.b.c"[..]));
    assert_eq!(request.transport, Transport::Http);
    assert_eq!(request.malformed, None);
}

#[test]
fn raw_headers_are_read_as_bytes_with_their_doubles() {
    let header = |key: &str, value: &str, raw: &[u8]| HeaderValue {
        key: key.into(),
        value: value.into(),
        raw_value: raw.to_vec(),
    };
    let headers = vec![
        header("authorization", "", b"Bearer \xff"),
        header("Authorization", "", b"Basic x"),
        header("x-text", "text", b""),
    ];
    let request = read(HttpRequest { headers: HashMap::new(), header_map: Some(HeaderMap { headers }), ..get("/") });
    assert_eq!(request.headers.get("authorization"), Some(&b"Bearer \xff,Basic x"[..]));
    assert_eq!(request.headers.get("x-text"), Some(&b"text"[..]));
    assert_eq!(request.malformed, None);
}

#[test]
fn a_header_in_both_encodings_is_never_half_seen() {
    let headers = vec![HeaderValue { key: "authorization".into(), raw_value: b"b".to_vec(), ..HeaderValue::default() }];
    let request = read(HttpRequest {
        headers: pairs(&[("authorization", "a")]),
        header_map: Some(HeaderMap { headers }),
        ..get("/")
    });
    assert_eq!(request.headers.get("authorization"), Some(&b"a,b"[..]));
}

#[test]
fn what_cannot_be_judged_is_malformed() {
    let with = |name: &str, value: &str| read(HttpRequest { headers: pairs(&[(name, value)]), ..get("/") }).malformed;
    assert_eq!(read(HttpRequest { headers: HashMap::new(), ..get("/") }).malformed, Some("no headers"));
    let empty = Some(HeaderMap::default());
    assert_eq!(
        read(HttpRequest { headers: HashMap::new(), header_map: empty, ..get("/") }).malformed,
        Some("no headers")
    );
    assert_eq!(with("x", &"a".repeat(96 * 1024 - 1)), None);
    assert_eq!(with("x", &"a".repeat(96 * 1024)), Some("headers are too large"));
    assert_eq!(with("x\0", "a"), Some("header name is not a token"));
    assert_eq!(with("", "a"), Some("header name is not a token"));
    assert_eq!(with("x", "a\0"), Some("header value has NUL, CR or LF"));
    assert_eq!(with("x", "a\r\nb: c"), Some("header value has NUL, CR or LF"));
    assert_eq!(read(HttpRequest { method: String::new(), ..get("/") }).malformed, Some("no method"));
    let odd = read(HttpRequest { host: "user@api.example.com".into(), ..get("/") });
    assert_eq!((odd.malformed, odd.destination.host), (Some("host contains characters that no host may have"), None));
}

#[test]
fn what_has_no_http_attributes_is_a_connection() {
    for message in [
        CheckRequest::default(),
        CheckRequest { attributes: Some(AttributeContext::default()) },
        CheckRequest {
            attributes: Some(AttributeContext {
                request: Some(attribute_context::Request::default()),
                source: Some(Peer { principal: "spiffe://c/ns/a/sa/b".into(), ..Peer::default() }),
                ..AttributeContext::default()
            }),
        },
    ] {
        let request = of(&message);
        assert_eq!(request.transport, Transport::Tcp);
        assert_eq!(request.malformed, None);
        assert_eq!(request.path, Path::none());
        assert_eq!(request.peer.is_some(), message.attributes.is_some_and(|all| all.source.is_some()));
    }
}

#[test]
fn a_request_without_path_or_host_falls_back_to_its_pseudo_headers() {
    let headers = pairs(&[(":path", "/a"), (":authority", "h.example:1")]);
    let request = read(HttpRequest { path: String::new(), host: String::new(), headers, ..get("") });
    assert_eq!(request.path, Path::Forms(Few::One("/a".into())));
    assert_eq!(request.destination.host.as_deref(), Some("h.example"));
    assert_eq!(read(get("")).path, Path::Odd("no path"));
}

#[test]
fn a_connect_has_no_path_and_is_no_less_judged() {
    let request = read(HttpRequest { method: "CONNECT".into(), host: "db.example.com:5432".into(), ..get("") });
    assert_eq!(request.path, Path::none());
    assert_eq!(request.destination.host.as_deref(), Some("db.example.com"));
    assert_eq!(request.malformed, None);
}

#[test]
fn a_preflight_is_options_with_both_headers() {
    let headers = pairs(&[("origin", "https://a"), ("access-control-request-method", "PUT")]);
    let preflight = HttpRequest { method: "OPTIONS".into(), headers: headers.clone(), ..get("/") };
    assert!(read(preflight.clone()).is_preflight());
    assert!(!read(HttpRequest { method: "GET".into(), ..preflight.clone() }).is_preflight());
    for missing in ["origin", "access-control-request-method"] {
        let mut headers = headers.clone();
        headers.remove(missing);
        assert!(!read(HttpRequest { headers, ..preflight.clone() }).is_preflight());
    }
    for other in ["x-http-method-override", "X_HTTP_Method_Override", "x-http-method", "x-method-override"] {
        let mut headers = headers.clone();
        headers.insert(other.into(), "GET".into());
        assert!(
            !read(HttpRequest { headers, ..preflight.clone() }).is_preflight(),
            "to the service it is a GET: {other}"
        );
    }
}

#[test]
fn grpc_is_told_by_its_content_type() {
    let is_grpc = |kind: &str| read(HttpRequest { headers: pairs(&[("content-type", kind)]), ..get("/") }).is_grpc();
    for kind in ["application/grpc", "application/grpc+proto", "Application/gRPC; x=y", "application/grpc-web"] {
        assert!(is_grpc(kind), "{kind}");
    }
    for kind in ["application/json", "application/grp", "", "text/application/grpc"] {
        assert!(!is_grpc(kind), "{kind}");
    }
}

#[test]
fn a_synthetic_request_is_read_like_a_sent_one() {
    let headers = [("Authorization", &b"Bearer x"[..])];
    let request = Request::synthetic("GET", "API.example.com:80", "/a/../b?c", headers);
    assert_eq!(request.destination.host.as_deref(), Some("api.example.com"));
    assert_eq!(request.headers.get("authorization"), Some(&b"Bearer x"[..]));
    assert!(matches!(&request.path, Path::Forms(forms) if forms.contains(&"/b".to_owned())));
    assert_eq!(request.malformed, None);
    assert_eq!(Request::synthetic("GET", "h", "/", []).malformed, None);
}

/// The fields of a protojson CheckRequest that requests are read from.
fn from_json(json: &Value) -> CheckRequest {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let map = |value: &Value| {
        let entries = value.as_object().into_iter().flatten();
        entries.map(|(name, value)| (name.clone(), text(value))).collect::<HashMap<_, _>>()
    };
    let peer =
        |value: &Value| value.is_object().then(|| Peer { principal: text(&value["principal"]), ..Peer::default() });
    let attributes = &json["attributes"];
    let http = &attributes["request"]["http"];
    let http = http.is_object().then(|| HttpRequest {
        id: text(&http["id"]),
        method: text(&http["method"]),
        headers: map(&http["headers"]),
        path: text(&http["path"]),
        host: text(&http["host"]),
        protocol: text(&http["protocol"]),
        body: text(&http["body"]),
        ..HttpRequest::default()
    });
    let context = AttributeContext {
        source: peer(&attributes["source"]),
        destination: peer(&attributes["destination"]),
        request: attributes["request"].is_object().then_some(attribute_context::Request { time: None, http }),
        context_extensions: map(&attributes["contextExtensions"]),
        ..AttributeContext::default()
    };
    CheckRequest { attributes: attributes.is_object().then_some(context) }
}

fn vector(file: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/ext_authz").join(file);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn every_public_check_request_is_read() {
    let all = vector("opa_check_requests.json");
    let cases = all["requests"].as_array().unwrap();
    assert_eq!(cases.len(), 36);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let http = &case["check_request"]["attributes"]["request"]["http"];
        let request = of(&from_json(&case["check_request"]));
        assert_eq!(request.transport, Transport::Http, "{name}");
        let malformed = match (http["headers"].is_object(), http["method"].is_string()) {
            (false, _) => Some("no headers"),
            (true, false) => Some("no method"),
            (true, true) => None,
        };
        assert_eq!(request.malformed, malformed, "{name}");
        let path = match http["path"].as_str().and_then(|path| path.split('?').next()) {
            Some(path) => Path::Forms(Few::One(path.to_owned())),
            None if http["headers"][":path"].is_string() => continue,
            None => Path::Odd("no path"),
        };
        assert_eq!(request.path, path, "{name}");
        assert_eq!(request.is_grpc(), http["headers"]["content-type"] == "application/grpc", "{name}");
    }
}

#[test]
fn what_a_real_envoy_sent_is_read() {
    let request = of(&from_json(&vector("authorino_request.json")["check_request"]));
    assert_eq!(request.destination.host.as_deref(), Some("localhost"));
    assert_eq!(request.path, Path::Forms(Few::One("/pets".into())));
    assert_eq!(request.headers.get("authorization"), Some(&b"Bearer <JWT>"[..]));
    assert_eq!((request.peer, request.malformed), (None, None));
    let sample = of(&from_json(&vector("check_example.json")));
    assert_eq!(sample.path, Path::Forms(Few::One("/v1/items".into())));
    assert_eq!(sample.malformed, None);
}

proptest! {
    #[test]
    fn any_message_that_decodes_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = <CheckRequest as prost::Message>::decode(bytes.as_slice()) {
            let _ = of(&message);
        }
    }

    #[test]
    fn any_http_attributes_are_read(
        method in ".*", host in ".*", path in ".*",
        headers in proptest::collection::vec((".*", proptest::collection::vec(any::<u8>(), 0..20)), 0..5),
    ) {
        let headers = headers.into_iter().map(|(key, raw_value)| HeaderValue { key, raw_value, value: String::new() });
        let header_map = Some(HeaderMap { headers: headers.collect() });
        let request = read(HttpRequest { method, host, path, header_map, headers: HashMap::new(), ..HttpRequest::default() });
        let lower = |name: &str| name.bytes().all(|byte| !byte.is_ascii_uppercase());
        prop_assert!(request.headers.names().all(lower));
        prop_assert!(request.destination.host.is_none_or(|host| lower(&host)));
    }
}
