//! A real Keycloak with realm `corp` (tests/peers/keycloak). It takes up to a minute to start: share one per test file.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::process::Process;
use super::{Scratch, peer, ports, root, until_within};

const STARTS_WITHIN: Duration = Duration::from_secs(400);

pub struct Keycloak {
    pub url: String,
    pub issuer: String,
    home: PathBuf,
    features: String,
    port: u16,
    process: Option<Process>,
    scratch: Scratch,
}

impl Keycloak {
    /// `features` as for `kc.sh --features`, such as `ssf,scim-api`; empty for none. `None` is "skipped".
    pub async fn start(features: &str) -> Option<Self> {
        let home = peer("keycloak")?;
        let (scratch, port) = (Scratch::new(), ports::free());
        let url = format!("http://127.0.0.1:{port}");
        let issuer = format!("{url}/realms/corp");
        let mut keycloak = Self { url, issuer, home, features: features.to_owned(), port, process: None, scratch };
        keycloak.start_again().await;
        Some(keycloak)
    }

    /// Kills it. Its data stays.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it where it was, with its data.
    pub async fn start_again(&mut self) {
        let mut command = Command::new(root().join("tests/peers/keycloak/start.sh"));
        command.arg(self.port.to_string()).arg(&self.features);
        command.env("KEYCLOAK_HOME", &self.home).env("KC_DIR", self.scratch.path().join("kc")).env("KC_WAIT", "400");
        let mut process = Process::start("keycloak", self.scratch.path(), &mut command);
        let issuer = &self.issuer;
        until_within(STARTS_WITHIN, "keycloak answers", async || {
            process.check();
            let page = reqwest::get(format!("{issuer}/.well-known/openid-configuration")).await.ok()?;
            page.status().is_success().then_some(())
        })
        .await;
        self.process = Some(process);
    }

    /// What the password grant gives: `access_token`, `id_token`, `refresh_token`. Passwords are the name and `pw1`.
    pub async fn sign_in(&self, person: &str) -> Value {
        self.sign_in_at("web", person).await.unwrap()
    }

    /// The same at another client, whose secret is its name and `-secret`.
    pub async fn sign_in_at(&self, client: &str, person: &str) -> Result<Value, (StatusCode, String)> {
        let form = format!("grant_type=password&scope=openid&username={person}&password={person}pw1");
        let request = reqwest::Client::new()
            .post(format!("{}/protocol/openid-connect/token", self.issuer))
            .basic_auth(client, Some(format!("{client}-secret")))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        if status.is_success() { Ok(answer.json().await.unwrap()) } else { Err((status, answer.text().await.unwrap())) }
    }

    /// A call of the Admin REST API in realm `corp`, as its administrator; it must succeed. `Null` where it answers nothing.
    pub async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let form = "grant_type=password&client_id=admin-cli&username=admin&password=admin";
        let client = reqwest::Client::new();
        let request = client.post(format!("{}/realms/master/protocol/openid-connect/token", self.url));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        let token: Value = request.send().await.unwrap().json().await.unwrap();
        let request = client.request(method.clone(), format!("{}/admin/realms/corp{path}", self.url));
        let mut request = request.bearer_auth(token["access_token"].as_str().unwrap());
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// A person who can sign in, in these groups (by path); the id.
    pub async fn create_person(&self, name: &str, groups: &[&str]) -> String {
        let credentials = json!([{ "type": "password", "value": format!("{name}pw1") }]);
        let person = json!({ "username": name, "email": format!("{name}@example.com"), "emailVerified": true,
            "firstName": name, "lastName": "X", "enabled": true, "credentials": credentials, "groups": groups });
        self.admin(Method::POST, "/users", Some(person)).await;
        self.person(name).await
    }

    /// The id of a person.
    pub async fn person(&self, name: &str) -> String {
        let found = self.admin(Method::GET, &format!("/users?exact=true&username={name}"), None).await;
        found[0]["id"].as_str().unwrap().to_owned()
    }

    /// The id of a client.
    pub async fn client(&self, name: &str) -> String {
        let found = self.admin(Method::GET, &format!("/clients?clientId={name}"), None).await;
        found[0]["id"].as_str().unwrap().to_owned()
    }

    /// Gives the service account of `offboard-sync` a role of `realm-management` (POST), or takes it away (DELETE).
    pub async fn right(&self, method: Method, role: &str) {
        let (sync, management) = (self.client("offboard-sync").await, self.client("realm-management").await);
        let account = self.admin(Method::GET, &format!("/clients/{sync}/service-account-user"), None).await;
        let role = self.admin(Method::GET, &format!("/clients/{management}/roles/{role}"), None).await;
        let account = account["id"].as_str().unwrap();
        self.admin(method, &format!("/users/{account}/role-mappings/clients/{management}"), Some(json!([role]))).await;
    }
}
