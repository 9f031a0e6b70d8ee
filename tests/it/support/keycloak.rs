//! A real Keycloak with realm `corp` (tests/peers/keycloak). It takes up to a minute to start: share one per test file.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::process::Process;
use super::{Scratch, peer, ports, root, until_within};

const STARTS_WITHIN: Duration = Duration::from_secs(400);

pub struct Keycloak {
    pub issuer: String,
    _process: Process,
    _scratch: Scratch,
}

impl Keycloak {
    /// `features` as for `kc.sh --features`, such as `ssf,scim-api`; empty for none. `None` is "skipped".
    pub async fn start(features: &str) -> Option<Self> {
        let home = peer("keycloak")?;
        let (scratch, port) = (Scratch::new(), ports::free());
        let mut command = Command::new(root().join("tests/peers/keycloak/start.sh"));
        command.arg(port.to_string()).arg(features);
        command.env("KEYCLOAK_HOME", home).env("KC_DIR", scratch.path().join("kc")).env("KC_WAIT", "400");
        let mut process = Process::start("keycloak", scratch.path(), &mut command);
        let url = format!("http://127.0.0.1:{port}");
        let issuer = format!("{url}/realms/corp");
        until_within(STARTS_WITHIN, "keycloak answers", async || {
            process.check();
            let page = reqwest::get(format!("{issuer}/.well-known/openid-configuration")).await.ok()?;
            page.status().is_success().then_some(())
        })
        .await;
        Some(Self { issuer, _process: process, _scratch: scratch })
    }

    /// What the password grant gives: `access_token`, `id_token`, `refresh_token`. Passwords are the name and `pw1`.
    pub async fn sign_in(&self, person: &str) -> Value {
        let form = format!("grant_type=password&scope=openid&username={person}&password={person}pw1");
        let request = reqwest::Client::new()
            .post(format!("{}/protocol/openid-connect/token", self.issuer))
            .basic_auth("web", Some("web-secret"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }
}
