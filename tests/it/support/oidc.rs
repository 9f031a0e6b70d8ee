//! A real, certified OpenID provider (npm oidc-provider, tests/peers/oidc-provider). New keys at each start.

use std::process::Command;

use serde_json::Value;

use super::process::Process;
use super::{Scratch, peer, ports, root, until};

pub struct OidcProvider {
    pub issuer: String,
    _process: Process,
    _scratch: Scratch,
}

impl OidcProvider {
    /// `None` is "skipped".
    pub async fn start() -> Option<Self> {
        let modules = peer("node/node_modules")?;
        let (scratch, port) = (Scratch::new(), ports::free());
        std::os::unix::fs::symlink(modules, scratch.path().join("node_modules")).unwrap();
        std::fs::copy(root().join("tests/peers/oidc-provider/server.mjs"), scratch.path().join("server.mjs")).unwrap();
        let issuer = format!("http://127.0.0.1:{port}");
        let mut command = Command::new("node");
        command.arg("server.mjs").current_dir(scratch.path());
        command.env("PORT", port.to_string()).env("ISSUER", &issuer);
        let mut process = Process::start("oidc-provider", scratch.path(), &mut command);
        until("oidc-provider answers", async || {
            process.check();
            let page = reqwest::get(format!("{issuer}/.well-known/openid-configuration")).await.ok()?;
            page.status().is_success().then_some(())
        })
        .await;
        Some(Self { issuer, _process: process, _scratch: scratch })
    }

    /// A machine's own token: a JWT for `https://api.example.org`, or an opaque one for the resource given.
    pub async fn machine_token(&self, resource: Option<&str>) -> String {
        let resource = resource.map(|resource| format!("&resource={resource}")).unwrap_or_default();
        let request = reqwest::Client::new()
            .post(format!("{}/token", self.issuer))
            .basic_auth("svc", Some("svc-secret"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("grant_type=client_credentials&scope=api:read{resource}"));
        let answer = request.send().await.unwrap().error_for_status().unwrap().json::<Value>().await.unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }
}
