//! The filter chains that a real istiod and a real Envoy Gateway generated, run by a real Envoy, asking the real Offboard.

mod shipped;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::envoy::{Envoy, binary, mesh_chain};
use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::tls::{Authority, dns, uri};
use crate::support::until;
use crate::support::upstream::Upstream;

const ALICE: &str = "id: alice, email: alice@example.com";
const BOB: &str = "id: bob, email: bob@example.com";

/// What stands before the application, and what a client of it needs.
struct Mesh {
    files: Installation,
    issuer: DevIssuer,
    offboard: Offboard,
    upstream: Upstream,
    envoy: Envoy,
    client: reqwest::Client,
}

/// `payments` is strict and known by its principal; `soft` is known by a host, and lets everybody in.
fn rules(issuer: &str, people: &str) -> String {
    format!(
        "authorization: none\n\
         issuers: [{{ name: dev, issuer: '{issuer}', audiences: [mesh], jwks: {{ discovery: true }} }}]\n\
         sources: [{{ name: hr, kind: file, issuer: dev, path: {people} }}]\n\
         services:\n\
         - {{ name: payments, principals: ['spiffe://cluster.local/ns/payments/sa/*'] }}\n\
         - {{ name: soft, hosts: [soft.example.com], no_credentials: pass }}\n\
         response: {{ headers: {{ x-offboard-person: person, x-offboard-service: service }} }}\n"
    )
}

impl Mesh {
    async fn start(chain: &str, tls: bool) -> Option<Self> {
        let configure = |files: &Installation, issuer: &str| {
            files.write("20-rules.yaml", &rules(issuer, &files.path("people/people.yaml").display().to_string()));
            files.write_people(&[ALICE, BOB]);
            ("dev", 2)
        };
        Self::with(chain, tls, configure, |_, _| {}).await
    }

    /// `configure` writes the files, and names the issuer and how many people are active; `edit` changes the chain,
    /// told where Offboard listens.
    async fn with(
        chain: &str,
        tls: bool,
        configure: impl FnOnce(&Installation, &str) -> (&'static str, u32),
        edit: impl FnOnce(&mut Value, u16),
    ) -> Option<Self> {
        let binary = binary()?;
        let issuer = DevIssuer::start().await;
        let files = Installation::new("");
        let (name, people) = configure(&files, &issuer.url);
        let offboard = files.start().await;
        offboard.knows("hr", people).await;
        offboard.has_keys(name).await;
        let upstream = Upstream::start().await;
        let config = mesh_chain(chain, offboard.authz.port(), upstream.port);
        let mut config = serde_json::from_str(&config).unwrap();
        edit(&mut config, offboard.authz.port());
        let mut config = config.to_string();
        let mut client = reqwest::Client::builder();
        if tls {
            let mesh = Authority::new();
            // A sidecar shows who the workload is; a gateway, towards the outside, which site it is.
            let workload = (chain == "istio-sidecar").then(|| uri("spiffe://cluster.local/ns/payments/sa/app"));
            let names = [dns("localhost")].into_iter().chain(workload).collect();
            mesh.issue_to(&files.path(""), "sidecar", names);
            config = terminate_tls(&config, &files);
            client = client.tls_certs_only([reqwest::Certificate::from_pem(mesh.pem().as_bytes()).unwrap()]);
        }
        let mut envoy = Envoy::start(&binary, &config).await;
        if tls {
            envoy.url = envoy.url.replace("http://127.0.0.1", "https://localhost");
        }
        Some(Self { files, issuer, offboard, upstream, envoy, client: client.build().unwrap() })
    }

    async fn status(&self, path: &str, host: &str, token: Option<&str>) -> u16 {
        let mut request = self.client.get(format!("{}{path}", self.envoy.url)).header("host", host);
        request = request.header("x-offboard-person", "hr/boss");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.unwrap().status().as_u16()
    }
}

/// The proxy as it is under STRICT mTLS, or towards browsers: it shows a certificate of its own.
fn terminate_tls(config: &str, files: &Installation) -> String {
    let mut config: Value = serde_json::from_str(config).unwrap();
    let chain = &mut config["static_resources"]["listeners"][0]["filter_chains"][0];
    if let Some(only) = chain["filter_chain_match"].as_object_mut() {
        only.remove("transport_protocol");
    }
    chain["transport_socket"] = json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": { "tls_certificates": [{
                "certificate_chain": { "filename": files.path("sidecar.crt") },
                "private_key": { "filename": files.path("sidecar.key") },
            }] },
        },
    });
    config.to_string()
}

#[tokio::test]
async fn behind_every_control_planes_chain_a_leaver_is_out() {
    for chain in ["istio-gateway", "istio-sidecar", "envoy-gateway"] {
        let Some(mut mesh) = Mesh::start(chain, false).await else { return };
        let (alice, bob) = (mesh.issuer.token("sub=alice").await, mesh.issuer.token("sub=bob").await);
        let host = "payments.example.com";
        assert_eq!(mesh.status("/v1", host, None).await, 401, "{chain}: nobody");
        assert!(mesh.upstream.seen().is_empty(), "{chain}: what is refused reaches nobody");
        assert_eq!(mesh.status("/v1", host, Some(&alice)).await, 200, "{chain}: alice");
        let seen = mesh.upstream.seen().pop().unwrap();
        let said: Vec<_> = seen.headers.get_all("x-offboard-person").iter().collect();
        assert_eq!(said, ["hr/alice"], "{chain}: the upstream sees our word, not the caller's");

        mesh.files.write_people(&[&format!("{ALICE}, status: suspended"), BOB]);
        until("alice is refused", async || (mesh.status("/v1", host, Some(&alice)).await == 403).then_some(())).await;
        assert_eq!(mesh.status("/v1", host, Some(&bob)).await, 200, "{chain}: others go on");

        let reached = mesh.upstream.seen().len();
        mesh.offboard.process.stop(Duration::from_secs(20));
        // The policy behind this chain sets no `statusOnError` (ours does): an outage looks like a refusal.
        let outage = if chain == "envoy-gateway" { 403 } else { 503 };
        assert_eq!(mesh.status("/v1", host, Some(&bob)).await, outage, "{chain}: without Offboard");
        assert_eq!(mesh.upstream.seen().len(), reached, "{chain}: and never an allow");
    }
}

#[tokio::test]
async fn istios_gateway_leaves_out_what_its_policy_leaves_out() {
    let Some(mesh) = Mesh::start("istio-gateway", false).await else { return };
    assert_eq!(mesh.status("/healthz", "payments.example.com", None).await, 200);
    assert_eq!(mesh.status("/healthz/..%2fv1", "payments.example.com", None).await, 401);
}

/// In a sidecar the caller writes the `Host`. The certificate of the workload is what it cannot write.
#[tokio::test]
async fn a_crafted_host_does_not_choose_a_softer_service() {
    let Some(mesh) = Mesh::start("istio-sidecar", true).await else { return };
    let alice = mesh.issuer.token("sub=alice").await;
    for host in ["soft.example.com", "SOFT.example.com:80", "soft.example.com.", "payments.example.com", "localhost"] {
        assert_eq!(mesh.status("/v1", host, None).await, 401, "{host}");
        assert_eq!(mesh.status("/v1", host, Some(&alice)).await, 200, "{host}");
        let seen = mesh.upstream.seen().pop().unwrap();
        assert_eq!(seen.headers["x-offboard-service"], "payments", "{host}: judged by whom it is for");
    }
    // Sent to a workload that no service names: it is `default`, not what the host says.
    let rules = rules(&mesh.issuer.url, &mesh.files.path("people/people.yaml").display().to_string());
    mesh.files.write("20-rules.yaml", &rules.replace("ns/payments/sa/*", "ns/orders/sa/*"));
    until("the reload is in force", async || {
        mesh.status("/v1", "soft.example.com", Some(&alice)).await;
        (mesh.upstream.seen().pop().unwrap().headers["x-offboard-service"] == "default").then_some(())
    })
    .await;
    assert_eq!(mesh.status("/v1", "soft.example.com", None).await, 401);
}

/// Without mTLS the host is the caller's word: so says the contract, and `validate` warns of it.
#[tokio::test]
async fn without_a_principal_the_host_is_the_callers_word_and_validate_warns() {
    let Some(mesh) = Mesh::start("istio-sidecar", false).await else { return };
    assert_eq!(mesh.status("/v1", "soft.example.com", None).await, 200);
    let config = mesh.files.path("config");
    let done = Offboard::command().args(["validate", "--config"]).arg(config).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(said.contains("the host alone selects this service"), "{said}");
}
