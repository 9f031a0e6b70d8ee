//! The service, with people of a real OpenLDAP.

use crate::support::installation::Installation;
use crate::support::scenario::{Scenario, stage};
use crate::support::slapd::{BASE, READER};
use crate::support::until;

/// Whoever is in `devs` may read.
const RULES: &str = "services: [{ name: payments }]\nroles: [{ name: reader, permissions: [{ methods: [GET] }] }]\n\
                     bindings: [{ role: reader, groups: [devs] }]\n";

pub const EVENTS: &str = "offboard_source_events_total{kind=\"event\",source=\"ad\"}";
pub const HEARD: &str = "offboard_source_last_success_timestamp_seconds{source=\"ad\"}";
pub const ACTIVE: &str = "offboard_people{source=\"ad\",status=\"active\"}";

pub struct Stage {
    scenario: Scenario,
    rules: String,
}

stage!(Stage);

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
        let scenario = Scenario::start(|files| format!("{RULES}{}", sources(files))).await;
        let offboard = &scenario.offboard;
        until("everybody is known", async || (offboard.metric(ACTIVE).await >= Some(3.0)).then_some(())).await;
        let rules = std::fs::read_to_string(scenario.files.path("config/20-rules.yaml")).unwrap();
        Self { scenario, rules }
    }

    /// Binds this group instead of `devs`.
    pub fn bind(&self, group: &str) {
        self.files.write("20-rules.yaml", &self.rules.replace("groups: [devs]", &format!("groups: ['{group}']")));
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

    pub fn source(&self) -> String {
        self.run(&["source", "show", "ad", "-o", "json"]).1
    }

    pub fn person(&self, name: &str) -> String {
        self.run(&["person", name, "-o", "json"]).1
    }

    pub fn sync(&self) -> (i32, String) {
        self.run(&["source", "sync", "ad", "--full"])
    }
}
