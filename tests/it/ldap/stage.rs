//! The service, with people of a real OpenLDAP.

use std::time::Duration;

use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::proxy::Proxy;
use crate::support::slapd::{BASE, READER};
use crate::support::until;

/// Whoever is in `devs` may read.
const RULES: &str = "services: [{ name: payments }]\nroles: [{ name: reader, permissions: [{ methods: [GET] }] }]\n\
                     bindings: [{ role: reader, groups: [devs] }]\n";

pub const EVENTS: &str = "offboard_source_events_total{kind=\"event\",source=\"ad\"}";
pub const HEARD: &str = "offboard_source_last_success_timestamp_seconds{source=\"ad\"}";
pub const ACTIVE: &str = "offboard_people{source=\"ad\",status=\"active\"}";

pub struct Stage {
    pub files: Installation,
    pub offboard: Offboard,
    pub issuer: DevIssuer,
    proxy: Proxy,
    rules: String,
}

/// `sources:` with this server; `more` is what stands behind.
pub fn source(files: &Installation, url: &str, more: &str) -> String {
    std::fs::write(files.path("ldap-password"), "syncsecret\n").unwrap();
    let password = files.path("ldap-password").display().to_string();
    format!(
        "sources:\n  - {{ name: ad, kind: ldap, issuer: dev, url: '{url}', base_dn: '{BASE}', people_dn: \
         'ou=people,{BASE}', bind_dn: '{READER}', bind_password_file: {password}, timeout: 5s, {more} }}\n"
    )
}

impl Stage {
    pub async fn start(port: u16, more: &str) -> Self {
        Self::with(|files| source(files, &format!("ldap://127.0.0.1:{port}"), more)).await
    }

    /// With a source called `ad`, of three people at least.
    pub async fn with(sources: impl FnOnce(&Installation) -> String) -> Self {
        let (files, issuer) = (Installation::new(""), DevIssuer::start().await);
        let sources = sources(&files);
        let rules = format!("{RULES}{}{sources}", issuer.section());
        files.write("20-rules.yaml", &rules);
        let offboard = files.start().await;
        offboard.has_keys("dev").await;
        until("everybody is known", async || (offboard.metric(ACTIVE).await >= Some(3.0)).then_some(())).await;
        let proxy = Proxy::connect(offboard.authz).await;
        Self { files, offboard, issuer, proxy, rules }
    }

    /// Binds this group instead of `devs`.
    pub fn bind(&self, group: &str) {
        self.files.write("20-rules.yaml", &self.rules.replace("groups: [devs]", &format!("groups: ['{group}']")));
    }

    pub async fn restart(&mut self) {
        self.offboard.process.stop(Duration::from_secs(20));
        self.offboard = self.files.start().await;
        self.offboard.has_keys("dev").await;
        self.proxy = Proxy::connect(self.offboard.authz).await;
    }

    pub async fn token(&self, person: &str) -> String {
        self.issuer.token(&format!("sub=s-{person}&preferred_username={person}")).await
    }

    /// One for a name with characters that mean something elsewhere.
    pub async fn odd_token(&self, name: &str) -> String {
        let name: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        self.issuer.token(&format!("sub=odd&preferred_username={name}")).await
    }

    /// One from a little later: what happened until now cuts it off no more.
    pub async fn later_token(&self, person: &str) -> String {
        let iat = jiff::Timestamp::now().as_second() + 20;
        self.issuer.token(&format!("sub=s-{person}&preferred_username={person}&iat={iat}")).await
    }

    /// `allowed`, or why not.
    pub async fn verdict(&mut self, token: &str) -> String {
        let answer = self.proxy.ask(token).await.unwrap();
        if answer.allowed { "allowed".to_owned() } else { answer.metadata["reason"].clone() }
    }

    pub async fn becomes(&mut self, token: &str, verdict: &str) {
        let mut last = String::new();
        until(&format!("the verdict is {verdict}"), async || {
            let now = self.verdict(token).await;
            if now != last {
                eprintln!("the verdict is {now}, where {verdict} is wanted");
                last = now;
            }
            (last == verdict).then_some(())
        })
        .await;
    }

    pub fn source(&self) -> String {
        let (_, out, error) = self.offboard.run(&self.files.token_file(), &["source", "show", "ad", "-o", "json"]);
        format!("{out}{error}")
    }

    pub fn person(&self, name: &str) -> String {
        let (_, out, error) = self.offboard.run(&self.files.token_file(), &["person", name, "-o", "json"]);
        format!("{out}{error}")
    }

    pub fn sync(&self) -> (i32, String) {
        self.run(&["source", "sync", "ad", "--full"])
    }

    pub fn run(&self, arguments: &[&str]) -> (i32, String) {
        let (code, out, error) = self.offboard.run(&self.files.token_file(), arguments);
        (code, format!("{out}{error}"))
    }
}
