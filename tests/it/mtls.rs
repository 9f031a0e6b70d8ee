//! `envoy-mtls.yaml` before the real Offboard: only a proxy with the right certificate is answered, and a proxy that is
//! not answered lets nobody in.

use std::path::Path;

use serde_json::Value;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::envoy::{Envoy, asking, binary, configuration};
use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::tls::{Authority, certificates, dns};
use crate::support::until;
use crate::support::upstream::Upstream;

const CALLER: &str = "spiffe://cluster.local/ns/orders/sa/web";

/// Something done to the cluster that leads to Offboard.
type Change<'a> = &'a dyn Fn(&mut Value);

fn read(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join(name)).unwrap()
}

/// Offboard with the file that users add for mTLS, and the certificates of both sides in its directory.
struct Stage {
    files: Installation,
    issuer: DevIssuer,
    upstream: Upstream,
    offboard: Offboard,
}

impl Stage {
    async fn start() -> Self {
        let issuer = DevIssuer::start().await;
        let files = Installation::new(&format!(
            "authorization: none\npeople: {{ unknown: allow }}\nservices: [{{ name: payments }}]\n\
             {}",
            issuer.section()
        ));
        certificates(&files.path(""), CALLER);
        let at = |name: &str| files.path(name).display().to_string();
        let places = [
            ("/etc/offboard/tls/tls.crt", at("offboard.crt")),
            ("/etc/offboard/tls/tls.key", at("offboard.key")),
            ("/etc/offboard/tls/ca.crt", at("offboard-ca.crt")),
        ];
        let places = places.each_ref().map(|(old, new)| (*old, new.as_str()));
        files.write("15-tls.yaml", &configuration("envoy/offboard-mtls/server.yaml", &places));
        let (offboard, upstream) = (files.start().await, Upstream::start().await);
        offboard.has_keys("dev").await;
        Self { files, issuer, upstream, offboard }
    }

    /// The file that users copy, with this change.
    async fn envoy(&self, change: Change<'_>) -> Option<Envoy> {
        let dir = self.files.path("");
        let config = asking("envoy/envoy-mtls.yaml", self.offboard.authz.port(), self.upstream.port);
        let config = config.replace("/etc/envoy/tls", dir.to_str().unwrap().trim_end_matches('/'));
        let mut config: Value = serde_saphyr::from_str(&config).unwrap();
        let cluster = &mut config["static_resources"]["clusters"][0];
        assert_eq!(cluster["name"], "offboard");
        change(cluster);
        let mut envoy = Envoy::start(&binary()?, &config.to_string()).await;
        envoy.url = envoy.url.replace("http://127.0.0.1", "https://localhost");
        Some(envoy)
    }

    async fn status(&self, envoy: &Envoy) -> u16 {
        let dir = self.files.path("");
        let authority = reqwest::Certificate::from_pem(read(&dir, "offboard-ca.crt").as_bytes()).unwrap();
        let identity = read(&dir, "caller.crt") + &read(&dir, "caller.key");
        let client = reqwest::Client::builder()
            .tls_certs_only([authority])
            .identity(reqwest::Identity::from_pem(identity.as_bytes()).unwrap())
            .build()
            .unwrap();
        let token = self.issuer.token("sub=alice").await;
        client.get(&envoy.url).bearer_auth(token).send().await.unwrap().status().as_u16()
    }

    /// Asks for its health as a proxy with this certificate and this trust would; `None`: refused.
    async fn health(&self, identity: Option<Identity>, trusted: &str) -> Option<i32> {
        let tls = ClientTlsConfig::new().domain_name("offboard").ca_certificate(Certificate::from_pem(trusted));
        let tls = identity.into_iter().fold(tls, ClientTlsConfig::identity);
        let endpoint = Endpoint::from_shared(format!("https://{}", self.offboard.authz)).unwrap();
        let channel: Channel = endpoint.tls_config(tls).unwrap().connect().await.ok()?;
        let asked = HealthCheckRequest { service: "envoy.service.auth.v3.Authorization".into() };
        Some(HealthClient::new(channel).check(asked).await.ok()?.into_inner().status)
    }
}

fn common(cluster: &mut Value) -> &mut Value {
    &mut cluster["transport_socket"]["typed_config"]["common_tls_context"]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_with_the_right_certificate_is_answered() {
    if binary().is_none() {
        return;
    }
    let stage = Stage::start().await;
    let envoy = stage.envoy(&|_| ()).await.unwrap();
    assert_eq!(stage.status(&envoy).await, 200);
    assert_eq!(stage.upstream.seen().len(), 1);
    assert_eq!(envoy.stat("ext_authz.error").await, 0);
    until("its health check passes too", async || {
        (envoy.stat("offboard.health_check.success").await > 0).then_some(())
    })
    .await;
}

/// Each proxy is wrong in one way; each time nothing is let in, and it looks like the outage that it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_with_a_wrong_certificate_or_none_gets_no_answer() {
    if binary().is_none() {
        return;
    }
    let stage = Stage::start().await;
    let dir = stage.files.path("");
    let stranger = Authority::new();
    stranger.issue_to(&dir, "stranger", vec![dns("envoy")]);
    std::fs::write(dir.join("stranger-ca.crt"), stranger.pem()).unwrap();
    let at = |name: &str| Value::from(dir.join(name).display().to_string());
    let wrong: [(&str, Change); 5] = [
        ("of another authority", &|cluster| {
            let own = &mut common(cluster)["tls_certificates"][0];
            own["certificate_chain"]["filename"] = at("stranger.crt");
            own["private_key"]["filename"] = at("stranger.key");
        }),
        ("none", &|cluster| drop(common(cluster).as_object_mut().unwrap().remove("tls_certificates"))),
        ("plain text", &|cluster| drop(cluster.as_object_mut().unwrap().remove("transport_socket"))),
        ("it trusts another authority", &|cluster| {
            common(cluster)["validation_context"]["trusted_ca"]["filename"] = at("stranger-ca.crt");
        }),
        ("it looks for another name", &|cluster| {
            let names = &mut common(cluster)["validation_context"]["match_typed_subject_alt_names"];
            names[0]["matcher"]["exact"] = "somebody".into();
        }),
    ];
    for (what, change) in wrong {
        let envoy = stage.envoy(change).await.unwrap();
        assert_eq!(stage.status(&envoy).await, 503, "{what}");
        assert!(stage.upstream.seen().is_empty(), "{what}: nothing gets through");
        assert_eq!(envoy.stat("ext_authz.failure_mode_allowed").await, 0, "{what}");
        assert!(envoy.stat("ext_authz.error").await >= 1, "{what}: an outage, not a denial");
    }
    let allowed = "offboard_checks_total{decision=\"allow\",reason=\"allowed\"}";
    assert_eq!(stage.offboard.metric(allowed).await.unwrap_or_default(), 0.0);
}

/// It is Offboard that refuses, whatever the proxy; and new certificates count without a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offboard_itself_refuses_and_follows_new_certificates() {
    const SERVING: Option<i32> = Some(1);
    let stage = Stage::start().await;
    let dir = stage.files.path("");
    let identity =
        |name: &str| Some(Identity::from_pem(read(&dir, &format!("{name}.crt")), read(&dir, &format!("{name}.key"))));
    let trusted = read(&dir, "offboard-ca.crt");
    assert_eq!(stage.health(identity("client"), &trusted).await, SERVING);
    assert_eq!(stage.health(None, &trusted).await, None, "no certificate");
    assert_eq!(stage.health(identity("caller"), &trusted).await, None, "of another authority");

    // Half of a rotation is no rotation: the key does not fit, the old pair serves on.
    let next = Authority::new();
    let old = identity("client");
    let (certificate, key) = next.issue(vec![dns("offboard")]);
    std::fs::write(dir.join("offboard.crt"), certificate).unwrap();
    until("the misfit is named", async || {
        stage.offboard.process.output().contains("cannot reload certificates; keeping the old ones").then_some(())
    })
    .await;
    assert_eq!(stage.health(old.clone(), &trusted).await, SERVING);

    std::fs::write(dir.join("offboard.key"), key).unwrap();
    std::fs::write(dir.join("offboard-ca.crt"), next.pem()).unwrap();
    next.issue_to(&dir, "client", vec![dns("envoy")]);
    let (new, trusted) = (identity("client"), next.pem());
    until("the new certificates count", async || (stage.health(new.clone(), &trusted).await == SERVING).then_some(()))
        .await;
    assert_eq!(stage.health(old, &trusted).await, None, "the old authority no longer does");
}
