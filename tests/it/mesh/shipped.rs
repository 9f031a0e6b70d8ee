//! What `k8s/` ships, as it is shipped: its configuration, behind the chain that each overlay's control plane generates.

use std::time::Duration;

use serde_json::{Value, json};

use super::Mesh;
use crate::support::envoy::configuration;
use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::root;

const PASSES: &str = ", no_credentials: pass, foreign_credentials: pass";

/// The files of `k8s/base/config`: only addresses and paths are other ones, and what `changes` says.
fn base(files: &Installation, issuer: &str, changes: &[(&str, &str, &str)]) -> (&'static str, u32) {
    let at = |name: &str| files.path(name).display().to_string();
    let (bootstrap, people) = (at("bootstrap.sha256"), at("people/people.yaml"));
    let (store, audit) = (format!("path: {} }}", at("store")), format!("path: {} }}", at("audit")));
    let ours = [
        ("10-server.yaml", "\"[::]:9191\"", "127.0.0.1:0"),
        ("10-server.yaml", "127.0.0.1:9192", "127.0.0.1:0"),
        ("10-server.yaml", "\"[::]:9193\"", "127.0.0.1:0"),
        ("10-server.yaml", "/etc/offboard/secrets/bootstrap.sha256", &bootstrap),
        ("10-server.yaml", "path: /var/lib/offboard }", &store),
        ("10-server.yaml", "path: /var/lib/offboard/audit }", &audit),
        ("20-identity.yaml", "https://idp.example.com/realms/corp", issuer),
        ("20-identity.yaml", "/etc/offboard/people/people.yaml", &people),
    ];
    for file in std::fs::read_dir(root().join("k8s/base/config")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let here = ours.iter().chain(changes).filter(|(file, ..)| *file == name);
        let here: Vec<(&str, &str)> = here.map(|(_, old, new)| (*old, *new)).collect();
        files.write(&name, &configuration(&format!("k8s/base/config/{name}"), &here));
    }
    files.write_people(&["id: alice, status: active", "id: bob, status: departed"]);
    ("corp", 1)
}

const ENFORCED: (&str, &str, &str) = ("10-server.yaml", "enforcement: observe", "enforcement: enforce");
/// README's step that takes back what the first weeks let pass.
const TAKEN_BACK: (&str, &str, &str) = ("30-access.yaml", PASSES, "");

fn overlay(file: &str) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(root().join("k8s/enforce").join(file)).unwrap()).unwrap()
}

/// The chain of a sidecar asks about what the shipped policy selects, as istiod writes that down.
fn as_istios_policy_says(chain: &mut Value) {
    let policy = overlay("istio/authorizationpolicy.yaml");
    leave_out(chain, &policy["spec"]["rules"][0]["to"][0]["operation"]["notPorts"]);
}

/// A gateway asks about everything, as istiod writes down a rule that names nothing; so does a waypoint.
fn as_the_gateways_policy_says(chain: &mut Value) {
    ask_about_everything(chain, "istio-gateway");
}

fn ask_about_everything(chain: &mut Value, asking: &str) {
    let policy = overlay(&format!("{asking}/authorizationpolicy.yaml"));
    assert_eq!(policy["spec"]["rules"], json!([{}]), "no path, host or port is left out");
    select(chain, json!({ "any": true }));
}

fn leave_out(chain: &mut Value, ports: &Value) {
    let port = |port: &Value| json!({ "destination_port": port.as_str().unwrap().parse::<u16>().unwrap() });
    let ports: Vec<Value> = ports.as_array().unwrap().iter().map(port).collect();
    select(chain, json!({ "not_rule": { "or_rules": { "rules": ports } } }));
}

fn select(chain: &mut Value, which: Value) {
    let listener = &mut chain["static_resources"]["listeners"][0]["filter_chains"][0];
    let rbac = &mut listener["filters"][0]["typed_config"]["http_filters"][0]["typed_config"];
    let (_, rule) = rbac["shadow_rules"]["policies"].as_object_mut().unwrap().iter_mut().next().unwrap();
    assert_eq!(rule["permissions"].as_array().unwrap().len(), 1);
    rule["permissions"] = json!([{ "and_rules": { "rules": [which] } }]);
}

/// The chain of a gateway names the service that the shipped policy names.
fn as_the_security_policy_says(chain: &mut Value) {
    let policy = overlay("envoy-gateway/securitypolicy.yaml");
    let named = policy["spec"]["extAuth"]["contextExtensions"].as_array().unwrap();
    let named = named.iter().map(|one| (one["name"].as_str().unwrap().to_owned(), one["value"].clone()));
    let listener = &mut chain["static_resources"]["listeners"][0]["default_filter_chain"];
    let hosts = &mut listener["filters"][0]["typed_config"]["route_config"]["virtual_hosts"];
    let (_, per_route) =
        hosts[0]["routes"][0]["typed_per_filter_config"].as_object_mut().unwrap().iter_mut().next().unwrap();
    assert!(per_route["check_settings"]["context_extensions"].is_object());
    per_route["check_settings"]["context_extensions"] = Value::Object(named.collect());
}

async fn behind(overlay: &str, changes: &[(&str, &str, &str)]) -> Option<Mesh> {
    let configure = |files: &Installation, issuer: &str| base(files, issuer, changes);
    match overlay {
        "istio" => Mesh::with("istio-sidecar", true, configure, |chain, _| as_istios_policy_says(chain)).await,
        // Browsers know a gateway by the name of a site, in TLS as in HTTP.
        "istio-gateway" => {
            Mesh::with("istio-gateway", true, configure, |chain, _| as_the_gateways_policy_says(chain)).await
        }
        // The tunnel ends before the filters of a waypoint: they see no TLS, so that no check has a principal.
        "istio-waypoint" => {
            Mesh::with("istio-sidecar", false, configure, |chain, _| ask_about_everything(chain, "istio-waypoint"))
                .await
        }
        "envoy-gateway" => {
            Mesh::with("envoy-gateway", false, configure, |chain, _| as_the_security_policy_says(chain)).await
        }
        other => panic!("k8s/enforce/{other}: say here which chain its control plane makes"),
    }
}

/// The answers to nobody, garbage, a foreign token, a leaver, and somebody who works here.
async fn answers(mesh: &Mesh) -> Vec<u16> {
    let stranger = DevIssuer::start().await;
    let foreign = stranger.token("sub=alice").await;
    let (leaver, alice) = (mesh.issuer.token("sub=bob").await, mesh.issuer.token("sub=alice").await);
    let mut answers = Vec::new();
    for token in [None, Some("garbage"), Some(&foreign), Some(&leaver), Some(&alice)] {
        answers.push(mesh.status("/v1/orders", "payments.example.com", token).await);
    }
    answers
}

#[tokio::test]
async fn every_overlay_as_shipped_and_enforced_refuses_whom_it_should() {
    for entry in std::fs::read_dir(root().join("k8s/enforce")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(mesh) = behind(&name, &[]).await else { return };
        assert_eq!(answers(&mesh).await, [200; 5], "{name}: the first day, observed");
        let Some(mesh) = behind(&name, &[ENFORCED]).await else { return };
        // Behind a sidecar, calls that only mTLS protects go on until that is taken back. At an edge never, nor at a waypoint,
        // which does not say that it stands before `payments`.
        let expected = if name == "istio" { [200, 200, 200, 403, 200] } else { [401, 401, 401, 403, 200] };
        assert_eq!(answers(&mesh).await, expected, "{name}: enforced");
        let reached = mesh.upstream.seen().len();
        assert_eq!(reached, expected.iter().filter(|status| **status == 200).count(), "{name}");
        assert_eq!(named(&mesh), (json!([both_of_payments()]), true), "{name}: and it is named");
        let Some(mesh) = behind(&name, &[ENFORCED, TAKEN_BACK]).await else { return };
        assert_eq!(answers(&mesh).await, [401, 401, 401, 403, 200], "{name}: and with no `pass` left");
        assert_eq!(named(&mesh), (json!([]), false), "{name}: nothing is left");
    }
}

fn both_of_payments() -> Value {
    json!({ "service": "payments", "settings": ["no_credentials", "foreign_credentials"] })
}

/// What `status` says still passes, and whether `validate` names `payments` for it; it never names another.
fn named(mesh: &Mesh) -> (Value, bool) {
    let (code, out, error) = mesh.offboard.run(&mesh.files.token_file(), &["status", "-o", "json"]);
    assert_eq!(code, 0, "{error}");
    let status: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    let config = mesh.files.path("config");
    let done = Offboard::command().args(["validate", "--config"]).arg(config).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    let warnings: Vec<&str> = said.lines().filter(|line| line.contains("even when enforced")).collect();
    assert!(warnings.iter().all(|line| line.contains("reach `payments`,")), "{said}");
    (status["passes"].clone(), warnings.len() == 2)
}

/// A port that speaks no HTTP: istiod puts the network's own filter there, and the check has no headers to judge.
#[tokio::test]
async fn on_a_tcp_port_no_credentials_is_all_there_is_to_judge() {
    let closed = None;
    for (tls, changes, expected) in [
        (true, &[][..], Some(200)),
        (true, &[ENFORCED][..], Some(200)),
        (true, &[ENFORCED, TAKEN_BACK][..], closed),
        // Without mTLS nobody says which workload it is: the strict `default`.
        (false, &[ENFORCED][..], closed),
        (false, &[][..], Some(200)),
    ] {
        let configure = |files: &Installation, issuer: &str| base(files, issuer, changes);
        let Some(mut mesh) = Mesh::with("istio-sidecar", tls, configure, |chain, _| speak_tcp(chain)).await else {
            return;
        };
        let alice = mesh.issuer.token("sub=alice").await;
        let answer = mesh.client.get(&mesh.envoy.url).bearer_auth(alice).send().await;
        assert_eq!(answer.ok().map(|answer| answer.status().as_u16()), expected, "{tls} {changes:?}");
        let reached = mesh.upstream.seen().len();
        assert_eq!(reached, usize::from(expected.is_some()), "{tls} {changes:?}");
        mesh.offboard.process.stop(Duration::from_secs(20));
        // Another connection: one that was let through goes on.
        let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().unwrap();
        assert!(client.get(&mesh.envoy.url).send().await.is_err(), "{tls} {changes:?}: nobody there to ask");
        assert_eq!(mesh.upstream.seen().len(), reached, "{tls} {changes:?}");
    }
}

fn speak_tcp(chain: &mut Value) {
    let filters = &mut chain["static_resources"]["listeners"][0]["filter_chains"][0]["filters"];
    let http = &filters[0]["typed_config"];
    let (asks, route) =
        (&http["http_filters"][1]["typed_config"], &http["route_config"]["virtual_hosts"][0]["routes"][0]);
    assert_eq!(http["http_filters"][1]["name"], "envoy.filters.http.ext_authz");
    let kind = |name: &str| format!("type.googleapis.com/envoy.extensions.filters.network.{name}");
    *filters = json!([
        { "name": "envoy.filters.network.ext_authz", "typed_config": {
            "@type": kind("ext_authz.v3.ExtAuthz"), "stat_prefix": "tcp.", "transport_api_version": "V3",
            "grpc_service": asks["grpc_service"],
        } },
        { "name": "envoy.filters.network.tcp_proxy", "typed_config": {
            "@type": kind("tcp_proxy.v3.TcpProxy"), "stat_prefix": "tcp", "cluster": route["route"]["cluster"],
        } },
    ]);
}

/// What the policy that was shipped first let by: it left out `/healthz/*`, and Envoy compares before it decodes.
#[tokio::test]
async fn no_path_goes_around_a_sidecar() {
    let Some(mesh) = behind("istio", &[ENFORCED, TAKEN_BACK]).await else { return };
    for path in
        ["/healthz", "//healthz", "/healthz/", "/healthz/..%2fv1/orders", "/healthz%2f..%2fv1", "/healthz/..%5cv1"]
    {
        assert_eq!(mesh.status(path, "payments.example.com", None).await, 401, "{path}");
    }
    assert!(mesh.upstream.seen().is_empty());
}

/// README's own example: what is open is said to Offboard, which looks at every form of a path.
#[tokio::test]
async fn a_public_path_opens_no_other() {
    let readme = std::fs::read_to_string(root().join("k8s/README.md")).unwrap();
    let (_, example) = readme.split_once("\n    public:\n").unwrap();
    let entry = format!("public:\n{}\n", example.lines().next().unwrap());
    let configure = |files: &Installation, issuer: &str| {
        files.write("40-public.yaml", &entry);
        base(files, issuer, &[ENFORCED, TAKEN_BACK])
    };
    let Some(mesh) = Mesh::with("istio-sidecar", true, configure, |chain, _| as_istios_policy_says(chain)).await else {
        return;
    };
    for (path, expected) in
        [("/healthz", 200), ("/healthz/..%2fv1/orders", 401), ("/healthz%2f..%2fv1", 401), ("/v1", 401)]
    {
        assert_eq!(mesh.status(path, "payments.example.com", None).await, expected, "{path}");
    }
}

/// Whoever adds an HTTP port to `notPorts` switches Offboard off there: so say the policy's comment and README.
#[tokio::test]
async fn a_port_that_is_left_out_is_not_asked_about() {
    let configure = |files: &Installation, issuer: &str| base(files, issuer, &[ENFORCED, TAKEN_BACK]);
    let edit = |chain: &mut Value, _| {
        let listener = &chain["static_resources"]["listeners"][0]["filter_chains"][0];
        let port = listener["filter_chain_match"]["destination_port"].to_string();
        leave_out(chain, &json!([port]));
    };
    let Some(mesh) = Mesh::with("istio-sidecar", false, configure, edit).await else { return };
    let leaver = mesh.issuer.token("sub=bob").await;
    assert_eq!(mesh.status("/v1", "payments.example.com", Some(&leaver)).await, 200);
}

/// The cluster that istiod makes of the Service which MeshConfig names (`tests/vectors/mesh`), in a sidecar's chain.
fn reaching_by(chain: &mut Value, kind: &str, port: u16) {
    let text = std::fs::read_to_string(root().join(format!("tests/vectors/mesh/istiod-cluster-{kind}.json"))).unwrap();
    let mut vector: Value = serde_json::from_str(&text).unwrap();
    let mut cluster = vector["cluster"].take();
    cluster.as_object_mut().unwrap().remove("@type");
    if cluster["type"] == "EDS" {
        // Nobody serves endpoints here: they stand in the cluster itself, with our address for the pod's.
        let mut endpoints = vector["endpoints"].take();
        endpoints.as_object_mut().unwrap().remove("@type");
        endpoints["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"] =
            json!({ "address": "127.0.0.1", "port_value": port });
        cluster["type"] = "STATIC".into();
        cluster.as_object_mut().unwrap().remove("eds_cluster_config");
        cluster["load_assignment"] = endpoints;
    }
    let clusters = chain["static_resources"]["clusters"].as_array_mut().unwrap();
    let ours = clusters.iter_mut().find(|found| found["name"] == cluster["name"]).unwrap();
    *ours = cluster;
}

#[tokio::test]
async fn of_a_headless_service_istiod_makes_a_cluster_that_reaches_nobody() {
    for (kind, expected, asked) in [("clusterip", 200, Some(1.0)), ("headless", 503, None)] {
        let configure = |files: &Installation, issuer: &str| base(files, issuer, &[]);
        let edit = |chain: &mut Value, port| reaching_by(chain, kind, port);
        let Some(mesh) = Mesh::with("istio-sidecar", false, configure, edit).await else { return };
        let alice = mesh.issuer.token("sub=alice").await;
        assert_eq!(mesh.status("/v1", "payments.example.com", Some(&alice)).await, expected, "{kind}");
        let allowed = "offboard_checks_total{decision=\"allow\",reason=\"allowed\"}";
        assert_eq!(mesh.offboard.metric(allowed).await.filter(|many| *many > 0.0), asked, "{kind}");
    }
}

/// Istio's provider cannot name a service, and a gateway is no workload that is called: only the host tells.
#[tokio::test]
async fn at_istios_gateway_the_host_tells_the_service_and_none_leads_to_softer_rules() {
    let configure = |files: &Installation, issuer: &str| {
        files.write("40-response.yaml", "response: { headers: { x-offboard-service: service } }\n");
        base(files, issuer, &[ENFORCED])
    };
    let edit = |chain: &mut Value, _| as_the_gateways_policy_says(chain);
    let Some(mesh) = Mesh::with("istio-gateway", true, configure, edit).await else { return };
    let (alice, foreign) = (mesh.issuer.token("sub=alice").await, DevIssuer::start().await.token("sub=alice").await);
    for (host, service) in [
        ("payments.example.com", "edge"),
        ("PAYMENTS.Example.com:8443", "edge"),
        ("payments.payments.svc.cluster.local", "default"),
        ("10.0.0.1", "default"),
    ] {
        for shown in [None, Some("garbage"), Some(&foreign)] {
            assert_eq!(mesh.status("/v1/orders", host, shown).await, 401, "{host} {shown:?}");
        }
        assert_eq!(mesh.status("/v1/orders", host, Some(&alice)).await, 200, "{host}");
        assert_eq!(mesh.upstream.seen().pop().unwrap().headers["x-offboard-service"], service, "{host}");
    }
}

/// What README warns of: `validate` says it too.
#[tokio::test]
async fn a_host_given_to_a_service_that_lets_pass_opens_the_gateway_and_validate_warns() {
    let hosts = ("30-access.yaml", "name: payments,", "name: payments, hosts: [payments.example.com],");
    let Some(mesh) = behind("istio-gateway", &[ENFORCED, hosts]).await else { return };
    assert_eq!(mesh.status("/v1/orders", "payments.example.com", None).await, 200);
    let done = Offboard::command().args(["validate", "--config"]).arg(mesh.files.path("config")).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(said.contains("the host alone selects this service"), "{said}");
}
