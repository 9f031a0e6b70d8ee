//! A real, certified OpenID provider (npm oidc-provider, tests/peers/oidc-provider). New keys at each start.

use std::collections::BTreeMap;
use std::process::Command;

use reqwest::redirect::Policy;
use reqwest::{Client, Url};
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

    /// What the code flow gives `alice` or `bob`: `access_token`, `id_token`, `refresh_token`.
    pub async fn sign_in(&self, person: &str) -> Value {
        let login = format!("prompt=login&login={person}&password=x");
        let scope = "openid%20offline_access%20api:read";
        let asked = format!(
            "{}/auth?client_id=web&response_type=code&redirect_uri={CALLBACK}&scope={scope}&nonce=n&state=s&prompt=consent",
            self.issuer
        );
        let mut browser = Browser::default();
        let mut next = browser.go(Url::parse(&asked).unwrap(), None).await;
        for form in [Some(login.as_str()), None, Some("prompt=consent"), None] {
            next = browser.go(next, form).await;
        }
        assert!(next.as_str().starts_with(CALLBACK), "{next}");
        let code = next.query_pairs().find(|(name, _)| name == "code").unwrap_or_else(|| panic!("no code: {next}")).1;
        let request = Client::new()
            .post(format!("{}/token", self.issuer))
            .basic_auth("web", Some("web-secret"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("grant_type=authorization_code&code={code}&redirect_uri={CALLBACK}"));
        request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }
}

/// Where the client takes its code; nobody listens there.
const CALLBACK: &str = "http://127.0.0.1:9001/cb";

/// Follows redirects one by one, and keeps cookies.
#[derive(Default)]
struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// Gets a page, or posts a form to it: where it leads.
    async fn go(&mut self, page: Url, form: Option<&str>) -> Url {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = match form {
            None => client.get(page.clone()),
            Some(form) => {
                let post = client.post(page.clone()).body(form.to_owned());
                post.header("content-type", "application/x-www-form-urlencoded")
            }
        };
        let answer = request.header("cookie", cookies.join("; ")).send().await.unwrap();
        for cookie in answer.headers().get_all("set-cookie") {
            let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let status = answer.status();
        let location = answer.headers().get("location").unwrap_or_else(|| panic!("{page} leads nowhere: {status}"));
        page.join(location.to_str().unwrap()).unwrap()
    }
}
