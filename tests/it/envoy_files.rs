//! The files of `envoy/`, run by a real Envoy: what a user copies does what its comments say.

use envoy_types::ext_authz::v3::pb::CheckRequest;
use serde_json::Value;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::support::authz::RecordingAuthz;
use crate::support::envoy::{Envoy, asking, binary, mesh_chain, validate};
use crate::support::issuer::DevIssuer;
use crate::support::tls::certificates;
use crate::support::upstream::Upstream;
use crate::support::{Scratch, ports, root};

const CALLER: &str = "spiffe://cluster.local/ns/orders/sa/web";

fn header(check: &CheckRequest, name: &str) -> Vec<String> {
    let http = check.attributes.as_ref().unwrap().request.as_ref().unwrap().http.as_ref().unwrap();
    assert!(http.headers.is_empty(), "encode_raw_headers leaves the map empty");
    let headers = http.header_map.as_ref().unwrap().headers.iter().filter(|header| header.key == name);
    headers.map(|header| String::from_utf8_lossy(&header.raw_value).into_owned()).collect()
}

#[test]
fn every_file_is_valid() {
    let Some(envoy) = binary() else { return };
    let scratch = Scratch::new();
    let tls = certificates(scratch.path(), CALLER);
    for file in ["envoy.yaml", "envoy-mtls.yaml"] {
        let copy = scratch.path().join(file);
        let text = std::fs::read_to_string(root().join("envoy").join(file)).unwrap();
        std::fs::write(&copy, text.replace("/etc/envoy/tls", &tls)).unwrap();
        validate(&envoy, &copy).unwrap();
    }
}

#[test]
fn the_two_differ_in_tls_only() {
    let mut plain = parsed("envoy/envoy.yaml");
    let mut mtls = parsed("envoy/envoy-mtls.yaml");
    assert_ne!(plain, mtls);
    without_tls(&mut plain);
    without_tls(&mut mtls);
    assert_eq!(plain, mtls);
}

/// The difference of the page: an Envoy before and after, each with one listener and one application.
fn difference() -> [String; 2] {
    let page = std::fs::read_to_string(root().join("envoy/README.md")).unwrap();
    let diff = page.split("```diff\n").nth(1).unwrap().split("```").next().unwrap().to_owned();
    let of = |left_out: char, own: char| -> String {
        let lines = diff.lines().filter(|line| !line.starts_with(left_out));
        lines.map(|line| format!("{}\n", line.strip_prefix([' ', own]).unwrap())).collect()
    };
    [of('+', '-'), of('-', '+')]
}

#[test]
fn the_difference_leads_from_a_valid_envoy_to_the_one_of_the_file() {
    let [before, after] = difference();
    let shipped = std::fs::read_to_string(root().join("envoy/envoy.yaml")).unwrap();
    let shipped: Vec<&str> = shipped.lines().collect();
    let added: Vec<&str> = after.lines().filter(|line| !before.lines().any(|other| other == *line)).collect();
    assert!(added.len() > 40, "{added:?}");
    for line in added {
        assert!(shipped.contains(&line), "envoy.yaml has no line {line:?}");
    }
    let Some(envoy) = binary() else { return };
    let scratch = Scratch::new();
    for (name, text) in [("before.yaml", before), ("after.yaml", after)] {
        let copy = scratch.path().join(name);
        std::fs::write(&copy, text).unwrap();
        validate(&envoy, &copy).unwrap();
    }
}

fn parsed(file: &str) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(root().join(file)).unwrap()).unwrap()
}

fn without_tls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for key in ["transport_socket", "forward_client_cert_details", "set_current_client_cert_details"] {
                map.remove(key);
            }
            map.values_mut().for_each(without_tls);
        }
        Value::Array(list) => list.iter_mut().for_each(without_tls),
        _ => {}
    }
}

#[tokio::test]
async fn it_asks_with_raw_headers_and_the_routes_service() {
    let Some(binary) = binary() else { return };
    let (authz, upstream) = (RecordingAuthz::start(None).await, Upstream::start().await);
    let envoy = Envoy::start(&binary, &asking("envoy/envoy.yaml", authz.port, upstream.port)).await;
    let request = reqwest::Client::new().get(format!("{}/v1/../v1//orders/7?q=1", envoy.url));
    let request = request.header("x-api-key", "a").header("x-api-key", "b");
    let request = request.header("authorization", "Bearer a").header("authorization", "Bearer b");
    let answer = request.header("x-odd", &b"\xff\xfe"[..]).send().await.unwrap();
    assert_eq!(answer.status(), 200);

    let asked = authz.asked();
    assert_eq!(asked.len(), 1);
    let attributes = asked[0].attributes.as_ref().unwrap();
    assert_eq!(attributes.context_extensions.get("service").map(String::as_str), Some("payments"));
    assert_eq!(header(&asked[0], "x-api-key"), ["a", "b"], "duplicates stay apart");
    assert_eq!(header(&asked[0], "authorization"), ["Bearer a,Bearer b"], "but for those that Envoy's codec joins");
    let path = &attributes.request.as_ref().unwrap().http.as_ref().unwrap().path;
    assert_eq!(path, "/v1/orders/7?q=1", "normalised before it is judged");
    assert_eq!(upstream.seen()[0].uri.to_string(), *path, "what is judged is what is served");
}

#[tokio::test]
async fn what_a_client_says_of_itself_is_stripped() {
    let Some(binary) = binary() else { return };
    let (authz, upstream) = (RecordingAuthz::start(None).await, Upstream::start().await);
    let envoy = Envoy::start(&binary, &asking("envoy/envoy.yaml", authz.port, upstream.port)).await;
    let client = reqwest::Client::new();
    let claimed = client.get(&envoy.url).header("x-offboard-person", "boss").header("X-Offboard-Roles", "admin");
    assert_eq!(claimed.send().await.unwrap().status(), 200);
    assert!(header(&authz.asked()[0], "x-offboard-person").is_empty(), "not even we see it");
    let reached = &upstream.seen()[0].headers;
    assert!(!reached.keys().any(|name| name.as_str().starts_with("x-offboard-")), "{reached:?}");

    for (name, path) in [("x_offboard_person", "/"), ("accept", "/a%2fb"), ("accept", "/a%5Cb")] {
        let refused = client.get(format!("{}{path}", envoy.url)).header(name, "boss").send().await.unwrap();
        assert_eq!(refused.status(), 400, "{name} {path}");
    }
    assert_eq!(authz.asked().len(), 1, "refused before anybody is asked");
}

#[tokio::test]
async fn nobody_there_is_503_and_never_an_allow() {
    let Some(binary) = binary() else { return };
    let upstream = Upstream::start().await;
    let envoy = Envoy::start(&binary, &asking("envoy/envoy.yaml", ports::free(), upstream.port)).await;
    let answer = reqwest::get(&envoy.url).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(upstream.seen().is_empty());
    assert_eq!(envoy.stat("ext_authz.failure_mode_allowed").await, 0);
    assert!(envoy.stat("ext_authz.error").await >= 1);
}

#[tokio::test]
async fn with_mtls_the_caller_is_who_its_certificate_says() {
    let Some(binary) = binary() else { return };
    let scratch = Scratch::new();
    let tls = certificates(scratch.path(), CALLER);
    let read = |name: &str| std::fs::read_to_string(scratch.path().join(name)).unwrap();
    let server = ServerTlsConfig::new()
        .identity(Identity::from_pem(read("offboard.crt"), read("offboard.key")))
        .client_ca_root(Certificate::from_pem(read("offboard-ca.crt")));
    let (authz, upstream) = (RecordingAuthz::start(Some(server)).await, Upstream::start().await);
    let config = asking("envoy/envoy-mtls.yaml", authz.port, upstream.port).replace("/etc/envoy/tls", &tls);
    let envoy = Envoy::start(&binary, &config).await;

    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(read("offboard-ca.crt").as_bytes()).unwrap()])
        .identity(reqwest::Identity::from_pem((read("caller.crt") + &read("caller.key")).as_bytes()).unwrap())
        .build()
        .unwrap();
    let url = envoy.url.replace("http://127.0.0.1", "https://localhost");
    let request = client.get(url).header("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/x/sa/boss");
    assert_eq!(request.send().await.unwrap().status(), 200);

    let asked = authz.asked();
    let source = asked[0].attributes.as_ref().unwrap().source.as_ref().unwrap();
    assert_eq!(source.principal, CALLER);
    assert!(source.certificate.contains("BEGIN%20CERTIFICATE"));
    let xfcc = header(&asked[0], "x-forwarded-client-cert").join(",");
    assert!(xfcc.contains(CALLER) && !xfcc.contains("boss"), "{xfcc}");
}

#[tokio::test]
async fn chains_of_real_control_planes_ask_too() {
    let Some(binary) = binary() else { return };
    for file in ["istio-gateway", "istio-sidecar", "envoy-gateway"] {
        let (authz, upstream) = (RecordingAuthz::start(None).await, Upstream::start().await);
        let envoy = Envoy::start(&binary, &mesh_chain(file, authz.port, upstream.port)).await;
        assert_eq!(reqwest::get(format!("{}/v1", envoy.url)).await.unwrap().status(), 200, "{file}");
        assert_eq!((authz.asked().len(), upstream.seen().len()), (1, 1), "{file}");
    }
}

#[tokio::test]
async fn the_development_issuer_signs_what_it_is_asked_for() {
    let issuer = DevIssuer::start().await;
    let token = issuer.token("sub=alice&groups=a,b&ttl=-5").await;
    let jwks: jsonwebtoken::jwk::JwkSet =
        reqwest::get(format!("{}/jwks", issuer.url)).await.unwrap().json().await.unwrap();
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    rules.set_audience(&["mesh"]);
    rules.validate_exp = false;
    let key = jsonwebtoken::DecodingKey::from_jwk(&jwks.keys[0]).unwrap();
    let claims = jsonwebtoken::decode::<Value>(&token, &key, &rules).unwrap().claims;
    assert_eq!((&claims["sub"], &claims["groups"]), (&"alice".into(), &serde_json::json!(["a", "b"])));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), -5);
}
