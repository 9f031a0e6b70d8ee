//! What is fetched from elsewhere goes through the proxy of the environment, and a private authority is trusted where the
//! configuration says so. The forward proxy is the only way to the names used here: nobody resolves them.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::forward::Forward;
use crate::support::installation::Installation;
use crate::support::offboard::Offboard;
use crate::support::provider::{Mood, Provider, Signer, jwks};
use crate::support::proxy::Proxy;
use crate::support::tls::{Authority, Front, dns};
use crate::support::troubled::Troubled;
use crate::support::until;

const ISSUER: &str = "https://sso.vault.test";
const KEYS: &str = "https://keys.vault.test:8443/jwks";

fn peer(url: &str) -> SocketAddr {
    url.strip_prefix("http://").unwrap().parse().unwrap()
}

fn token(signer: &Signer, issuer: &str) -> String {
    let now = jiff::Timestamp::now().as_second();
    signer.sign(&json!({ "iss": issuer, "aud": "mesh", "sub": "alice", "iat": now, "exp": now + 900 }))
}

/// An issuer whose keys are behind TLS by a private authority, at a name that only the forward proxy knows.
struct Stage {
    signer: Signer,
    authority: Authority,
    files: Installation,
    forward: Forward,
    provider: Provider,
    _front: Front,
}

impl Stage {
    async fn start() -> Self {
        let (signer, authority) = (Signer::new("k1", 7), Authority::new());
        let provider = Provider::start(Mood::Says(jwks(&[&signer]), "")).await;
        let front = Front::start(peer(&provider.issuer), &authority.issue(vec![dns("keys.vault.test")])).await;
        let forward = Forward::start(front.address, "scout:hunter 2").await;
        let files = Installation::new("");
        let ca = files.path("ca.pem").display().to_string();
        std::fs::write(&ca, authority.pem()).unwrap();
        files.write(
            "20-rules.yaml",
            &format!(
                "authorization: none\npeople: {{ unknown: allow }}\nissuers: [{{ name: vault, issuer: '{ISSUER}', \
                 audiences: [mesh], jwks: {{ uri: '{KEYS}', ca_file: {ca} }} }}]\n"
            ),
        );
        Self { signer, authority, files, forward, provider, _front: front }
    }

    fn proxy(&self, user: &str) -> String {
        format!("http://{user}@{}", self.forward.address)
    }

    fn status(&self, offboard: &Offboard) -> Value {
        let (code, out, error) = offboard.run(&self.files.token_file(), &["status", "-o", "json"]);
        assert_eq!(code, 0, "{error}");
        serde_json::from_str::<Value>(&out).unwrap()["issuers"][0].clone()
    }

    /// Waits for the error of the last fetch, in `status`.
    async fn trouble(&self, offboard: &Offboard, said: &str) -> String {
        until(said, async || {
            let trouble = self.status(offboard)["trouble"].as_str()?.to_owned();
            trouble.contains(said).then_some(trouble)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_behind_a_proxy_and_a_private_authority() {
    let stage = Stage::start().await;
    let proxy = stage.proxy("scout:hunter%202");
    // That for plain HTTP is another one, and not there.
    let offboard = stage.files.start_with(&[("HTTPS_PROXY", &proxy), ("HTTP_PROXY", "http://127.0.0.1:1")]).await;
    offboard.has_keys("vault").await;
    assert_eq!(stage.forward.heard(), ["CONNECT keys.vault.test:8443 HTTP/1.1 passed"]);
    let mut envoy = Proxy::connect(offboard.authz).await;
    assert!(envoy.ask(&token(&stage.signer, ISSUER)).await.unwrap().allowed);
    let shown = stage.status(&offboard);
    assert_eq!((&shown["keys"], &shown["trouble"], &shown["left_out"]), (&json!(1), &Value::Null, &json!([])));
    assert_eq!(offboard.metric("offboard_jwks_errors_total{issuer=\"vault\"}").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_names_the_proxy_and_never_its_password() {
    let stage = Stage::start().await;
    let offboard = stage.files.start_with(&[("https_proxy", &stage.proxy("scout:wrong-word"))]).await;
    let named = format!("asked through the proxy http://{} (`https_proxy`)", stage.forward.address);
    let trouble = stage.trouble(&offboard, &named).await;
    let said = format!("{trouble}{}{:?}", offboard.process.output(), stage.status(&offboard));
    assert!(!said.contains("scout") && !said.contains("wrong-word"), "{said}");
    assert!(offboard.process.output().contains(&named), "the log names it");
    assert!(stage.forward.heard()[0].ends_with("refused"), "{:?}", stage.forward.heard());
    assert!(offboard.metric("offboard_jwks_errors_total{issuer=\"vault\"}").await > Some(0.0));
    // A token of that issuer tells why it waits.
    let mut envoy = Proxy::connect(offboard.authz).await;
    let answer = envoy.ask(&token(&stage.signer, ISSUER)).await.unwrap();
    assert_eq!(answer.metadata["reason"], "not_ready");
    let bearer = format!("authorization: Bearer {}", token(&stage.signer, ISSUER));
    let asked = ["explain", "--method", "GET", "--host", "h", "--path", "/", "-H", &bearer];
    let (_, told, _) = offboard.run(&stage.files.token_file(), &asked);
    assert!(told.contains(&named) && !told.contains("wrong-word"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_proxy_is_obeyed_and_a_variable_that_is_no_proxy_said() {
    let stage = Stage::start().await;
    let proxy = stage.proxy("scout:hunter%202");
    let offboard = stage.files.start_with(&[("HTTPS_PROXY", &proxy), ("NO_PROXY", "10.0.0.0/8,.vault.test")]).await;
    stage.trouble(&offboard, "asked directly, as `NO_PROXY` says").await;
    assert_eq!(stage.forward.heard(), Vec::<String>::new());
    drop(offboard);
    let offboard = stage.files.start_with(&[("HTTPS_PROXY", "socks5://scout:hunter2@127.0.0.1:1080")]).await;
    let trouble = stage.trouble(&offboard, "`HTTPS_PROXY` is not the http:// or https:// address").await;
    assert!(!trouble.contains("hunter2"), "{trouble}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_of_authorities_is_read_again_when_it_changes() {
    let stage = Stage::start().await;
    let ca = stage.files.path("ca.pem");
    std::fs::write(&ca, Authority::new().pem()).unwrap();
    let offboard = stage.files.start_with(&[("HTTPS_PROXY", &stage.proxy("scout:hunter%202"))]).await;
    let trouble = stage.trouble(&offboard, "ertificate").await;
    assert!(trouble.contains("get the key set"), "{trouble}");
    std::fs::write(&ca, "").unwrap();
    stage.trouble(&offboard, "ca.pem`: it contains no PEM certificate").await;
    std::fs::write(&ca, stage.authority.pem()).unwrap();
    offboard.has_keys("vault").await;
    assert!(stage.provider.asked() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loopback_is_never_asked_through_a_proxy() {
    let signer = Signer::new("k1", 7);
    let provider = Provider::start(Mood::Says(jwks(&[&signer]), "")).await;
    let forward = Forward::start(peer(&provider.issuer), "a:b").await;
    let files = Installation::new(&format!(
        "authorization: none\npeople: {{ unknown: allow }}\nissuers: [{{ name: near, issuer: '{}', audiences: [mesh], \
         jwks: {{ discovery: true }} }}]\n",
        provider.issuer
    ));
    let proxy = format!("http://a:b@{}", forward.address);
    let offboard = files.start_with(&[("HTTP_PROXY", &proxy), ("HTTPS_PROXY", &proxy), ("no_proxy", "")]).await;
    offboard.has_keys("near").await;
    assert_eq!(forward.heard(), Vec::<String>::new());
}

/// `source check` on a directory at a name that only the forward proxy knows.
fn checked(files: &Installation, forward: &Forward, user: &str) -> (bool, String) {
    let mut command = Offboard::command();
    command.args(["source", "check", "kc", "-o", "json", "--config"]).arg(files.path("config"));
    let done = command.env("HTTP_PROXY", format!("http://{user}@{}", forward.address)).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.success(), text(&done.stdout) + &text(&done.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_behind_a_proxy_is_checked_and_the_proxy_named() {
    let directory = Troubled::start(3).await;
    let forward = Forward::start(peer(&directory.url), "scout:hunter2").await;
    let files = Installation::new("");
    std::fs::write(files.path("secret"), "x").unwrap();
    let secret = files.path("secret").display().to_string();
    files.write(
        "20-rules.yaml",
        &format!(
            "authorization: none\nissuers: [{{ name: corp, issuer: 'http://dir.vault.test/realms/corp', audiences: \
             [mesh], jwks: {{ discovery: true }} }}]\nsources: [{{ name: kc, kind: keycloak, issuer: corp, url: \
             'http://dir.vault.test', realm: corp, client_id: c, client_secret_file: {secret} }}]\n"
        ),
    );
    let named = format!("http://{} (`HTTP_PROXY`)", forward.address);
    let (_, said) = checked(&files, &forward, "scout:hunter2");
    assert!(said.contains(&format!("dir.vault.test is asked through {named}")), "{said}");
    assert!(said.contains("3 users can be listed") && !said.contains("hunter2"), "{said}");
    assert!(forward.heard().iter().all(|line| line.contains(" http://dir.vault.test/") && line.ends_with("passed")));
    let (good, said) = checked(&files, &forward, "scout:wrong-word");
    assert!(!good && said.contains("answered 407") && said.contains(&named), "{said}");
    assert!(!said.contains("wrong-word") && !said.contains("scout"), "{said}");
}
