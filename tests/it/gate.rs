//! The whole spine: a request enters a real Envoy, Offboard judges it, and somebody leaves.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::envoy::{self, Envoy};
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::upstream::Upstream;
use crate::support::{Scratch, until};
use reqwest::StatusCode;
use rustix::process::Signal;

/// SHA-256 in hex, as `bootstrap_token_sha256_file` holds it.
fn hex_sha256(text: &str) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()))
}

const TOKEN: &str = "sealed-emergency-token";

/// Envoy with the file that users copy, the configuration that `try.sh` shows, an issuer and an application.
struct Stage {
    scratch: Scratch,
    issuer: DevIssuer,
    upstream: Upstream,
    offboard: Offboard,
    envoy: Envoy,
}

impl Stage {
    /// `None`: Envoy is missing here, which was said.
    async fn start() -> Option<Self> {
        let binary = envoy::binary()?;
        let scratch = Scratch::new();
        let issuer = DevIssuer::start().await;
        let upstream = Upstream::start().await;
        write_configuration(&scratch, &issuer.url);
        let offboard = Offboard::start(scratch.path(), &scratch.path().join("config"), &[]).await;
        let config = envoy::asking("envoy/envoy.yaml", offboard.authz.port(), upstream.port);
        let envoy = Envoy::start(&binary, &config).await;
        let stage = Self { scratch, issuer, upstream, offboard, envoy };
        stage.ready().await;
        Some(stage)
    }

    async fn ready(&self) {
        until("offboard is ready, with people and keys", async || {
            let people = self.offboard.metric("offboard_people{source=\"hr\",status=\"active\"}").await;
            let keys = self.offboard.metric("offboard_jwks_keys{issuer=\"dev\"}").await;
            (people > Some(0.0) && keys > Some(0.0)).then_some(())
        })
        .await;
    }

    fn people(&self) -> PathBuf {
        self.scratch.path().join("people/people.yaml")
    }

    async fn token(&self, person: &str, groups: &str) -> String {
        self.issuer.token(&format!("sub={person}&email={person}@example.com&groups={groups}&aud=mesh")).await
    }

    async fn get(&self, path: &str, token: Option<&str>) -> reqwest::Response {
        let mut request = reqwest::Client::new().get(format!("{}{path}", self.envoy.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.header("x-offboard-person", "the boss").send().await.unwrap()
    }

    async fn status(&self, token: &str) -> StatusCode {
        self.get("/v1/orders/7", Some(token)).await.status()
    }

    async fn until_status(&self, token: &str, wanted: StatusCode) {
        until(&format!("the answer is {wanted}"), async || (self.status(token).await == wanted).then_some(())).await;
    }

    fn command(&self, args: &[&str]) -> (i32, String, String) {
        self.offboard.run(&self.scratch.path().join("token"), args)
    }

    fn write_people(&self, rows: &str) {
        // As kubelet does: the new file is complete before it has the name.
        let staged = self.scratch.path().join("people/.staged");
        std::fs::write(&staged, format!("people:\n{rows}")).unwrap();
        std::fs::rename(&staged, self.people()).unwrap();
    }
}

const ALICE: &str = "  - { id: alice, email: alice@example.com, groups: [payments-eng] }\n";
const BOB: &str = "  - { id: bob, email: bob@example.com, groups: [payments-eng] }\n";
const CAROL: &str = "  - { id: carol, email: carol@example.com, groups: [orders-eng] }\n";

fn write_configuration(scratch: &Scratch, issuer: &str) {
    let dir = scratch.path();
    for name in ["config", "people"] {
        std::fs::create_dir(dir.join(name)).unwrap();
    }
    std::fs::write(dir.join("token"), TOKEN).unwrap();
    std::fs::write(dir.join("bootstrap.sha256"), hex_sha256(TOKEN)).unwrap();
    std::fs::write(dir.join("people/people.yaml"), format!("people:\n{ALICE}{BOB}{CAROL}")).unwrap();
    let at = |name: &str| dir.join(name).display().to_string();
    let (store, audit) = (at("store"), at("store/audit"));
    let server = envoy::configuration(
        "envoy/offboard/10-server.yaml",
        &[
            ("127.0.0.1:9191", "127.0.0.1:0"),
            ("127.0.0.1:9192", "127.0.0.1:0"),
            ("127.0.0.1:9193", "127.0.0.1:0"),
            ("/etc/offboard/bootstrap.sha256", &at("bootstrap.sha256")),
            ("path: /var/lib/offboard/audit", &format!("path: {audit}")),
            ("path: /var/lib/offboard }", &format!("path: {store} }}")),
        ],
    );
    let identity = envoy::configuration(
        "envoy/offboard/20-identity.yaml",
        &[("http://127.0.0.1:9000", issuer), ("/etc/offboard/people/people.yaml", &at("people/people.yaml"))],
    );
    std::fs::write(dir.join("config/10-server.yaml"), server).unwrap();
    std::fs::write(dir.join("config/20-identity.yaml"), identity).unwrap();
    let access = envoy::configuration("envoy/offboard/30-access.yaml", &[]);
    std::fs::write(dir.join("config/30-access.yaml"), access).unwrap();
}

#[tokio::test]
async fn envoy_lets_through_who_may_and_the_application_sees_who_it_is() {
    let Some(stage) = Stage::start().await else { return };
    let bob = stage.token("bob", "x").await;
    assert_eq!(stage.status(&bob).await, 200, "groups come from the directory, not from the token");
    let seen = stage.upstream.seen().pop().unwrap();
    assert_eq!(seen.headers.get_all("x-offboard-person").iter().collect::<Vec<_>>(), ["hr/bob"]);
    assert_eq!(seen.headers["x-offboard-roles"], "payments-reader");

    let denied = stage.get("/v1/orders/7", None).await;
    assert_eq!(denied.status(), 401);
    assert_eq!(denied.headers()["www-authenticate"], "Bearer realm=\"offboard\"");
    assert_eq!(denied.headers()["content-type"], "application/problem+json");
    let id = denied.headers()["x-offboard-decision"].to_str().unwrap().to_owned();
    let (code, out, _) = stage.command(&["explain", "--decision", &id]);
    assert_eq!(code, 1);
    for told in ["GET /v1/orders/7", "payments (enforce)", "denied with 401", "no_credentials"] {
        assert!(out.contains(told), "{told}: {out}");
    }
    let shown = out.lines().find(|line| line.starts_with("which credential is shown?"));
    assert!(shown.is_some_and(|line| line.ends_with(" none")), "{out}");

    let carol = stage.token("carol", "payments-eng").await;
    assert_eq!(stage.status(&carol).await, 403, "the token's own word on groups does not count here");
    assert_eq!(stage.get("/healthz", None).await.status(), 200);
    assert_eq!(stage.get("/v1/orders/7", Some("not.a.token")).await.status(), 401);
    let boss = stage.token("mallory", "payments-eng").await;
    assert_eq!(stage.status(&boss).await, 403, "nobody whom the directory knows");
}

#[tokio::test]
async fn who_leaves_is_out_and_who_comes_back_needs_a_new_token() {
    let Some(stage) = Stage::start().await else { return };
    let (alice, bob) = (stage.token("alice", "").await, stage.token("bob", "").await);
    assert_eq!((stage.status(&alice).await, stage.status(&bob).await), (StatusCode::OK, StatusCode::OK));

    stage.write_people(&format!("{ALICE}{CAROL}{}", BOB.replace("id: bob", "id: bob, status: suspended")));
    stage.until_status(&bob, StatusCode::FORBIDDEN).await;
    assert_eq!(stage.status(&alice).await, 200, "others go on");

    let (code, out, error) = stage.command(&["revoke", "--person", "alice@example.com", "--reason", "HR-12"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("still active"), "{out}");
    assert_eq!(stage.status(&alice).await, 403, "the command returned: it is enforced");
    let (_, out, _) = stage.command(&["revocations", "-o", "json"]);
    let line = out.lines().find(|line| line.contains("HR-12")).unwrap();
    let listed: serde_json::Value = serde_json::from_str(line).unwrap();
    let (code, _, error) = stage.command(&["restore", listed["id"].as_str().unwrap(), "--reason", "wrong person"]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(stage.status(&alice).await, 401, "what was issued before stays dead");
    until("a token of a later second works", async || {
        let fresh = stage.token("alice", "").await;
        (stage.status(&fresh).await == 200).then_some(())
    })
    .await;
    let (code, _, _) = stage.command(&["restore", "r999999", "--reason", "typo"]);
    assert_eq!(code, 1);
}

#[tokio::test]
async fn a_killed_offboard_is_a_503_and_forgets_nothing() {
    let Some(mut stage) = Stage::start().await else { return };
    let (alice, bob) = (stage.token("alice", "").await, stage.token("bob", "").await);
    let (code, _, error) = stage.command(&["revoke", "--person", "alice", "--reason", "left"]);
    assert_eq!(code, 0, "{error}");
    stage.offboard.process.signal(Signal::KILL);
    assert!(stage.offboard.process.wait(Duration::from_secs(5)).is_some());
    assert_eq!(stage.status(&bob).await, 503, "an outage is not a denial");

    // The port that Envoy knows, and the provider gone: ready from disk.
    let (authz, config) = (stage.offboard.authz, stage.scratch.path().join("config"));
    let server = config.join("10-server.yaml");
    let text = std::fs::read_to_string(&server).unwrap();
    std::fs::write(&server, text.replacen("127.0.0.1:0", &authz.to_string(), 1)).unwrap();
    let identity = config.join("20-identity.yaml");
    drop(std::mem::replace(&mut stage.issuer, DevIssuer::start().await));
    assert!(std::fs::read_to_string(&identity).unwrap().contains("discovery: true"));
    stage.offboard = Offboard::start(stage.scratch.path(), &config, &[]).await;
    until("ready from disk", async || stage.offboard.ops("/readyz").await.status().is_success().then_some(())).await;
    stage.until_status(&bob, StatusCode::OK).await;
    assert_eq!(stage.status(&alice).await, 403);
    let (code, out, _) = {
        stage.offboard.process.stop(Duration::from_secs(20));
        let audit = stage.scratch.path().join("store/audit");
        let done = Offboard::command().args(["audit", "verify", "--path"]).arg(audit).output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stdout).into_owned(), ())
    };
    assert_eq!(code, Some(0), "{out}");
}

#[tokio::test]
async fn a_bad_reload_changes_nothing_and_says_so() {
    let Some(stage) = Stage::start().await else { return };
    let bob = stage.token("bob", "").await;
    let access = stage.scratch.path().join("config/30-access.yaml");
    let good = std::fs::read_to_string(&access).unwrap();
    std::fs::write(&access, format!("{good}\nrolls: []\n")).unwrap();
    let successful = "offboard_config_last_reload_successful";
    until("the reload was refused", async || (stage.offboard.metric(successful).await == Some(0.0)).then_some(()))
        .await;
    assert_eq!(stage.status(&bob).await, 200);
    let (code, out, _) = {
        let config = stage.scratch.path().join("config");
        let done = Offboard::command().args(["validate", "--config"]).arg(config).output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stdout).into_owned(), ())
    };
    assert_eq!(code, Some(1));
    assert!(out.contains("30-access.yaml") && out.contains("rolls"), "{out}");

    std::fs::write(&access, format!("{good}\nrevocations:\n  - {{ person: bob@example.com, reason: HR-13 }}\n"))
        .unwrap();
    stage.until_status(&bob, StatusCode::FORBIDDEN).await;
    // The rules are in force a moment before the books say so.
    until("the metric says so", async || (stage.offboard.metric(successful).await == Some(1.0)).then_some(())).await;
    std::fs::write(&access, &good).unwrap();
    until("the next reload is in force", async || {
        stage.offboard.process.output().matches("configuration is in force").nth(1).map(|_| ())
    })
    .await;
    assert_eq!(stage.status(&bob).await, 403, "a file without the key ends nothing");
}

#[tokio::test]
async fn observe_refuses_nothing_and_counts_what_it_would_have() {
    let Some(stage) = Stage::start().await else { return };
    let bob = stage.token("bob", "").await;
    let (code, _, error) = stage.command(&["revoke", "--person", "bob", "--reason", "left"]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(stage.status(&bob).await, 403);
    let first = stage.scratch.path().join("config/00-observe.yaml");
    std::fs::write(&first, "enforcement: observe\n").unwrap();
    stage.until_status(&bob, StatusCode::OK).await;
    assert_eq!(stage.get("/v1/orders/7", None).await.status(), 200, "no credential at all");
    assert_eq!(stage.get("/v1/orders/7", Some("not.a.token")).await.status(), 200);
    let seen = stage.upstream.seen().pop().unwrap();
    assert!(seen.headers.get("x-offboard-person").is_none(), "nothing is set, and what was claimed is removed");
    let would = "offboard_checks_total{decision=\"observed_deny\",reason=\"revoked_person\"}";
    assert!(stage.offboard.metric(would).await >= Some(1.0));
    std::fs::remove_file(&first).unwrap();
    stage.until_status(&bob, StatusCode::FORBIDDEN).await;
}
