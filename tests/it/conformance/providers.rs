//! A provider of each kind, with the same people.

use std::collections::BTreeSet;
use std::path::PathBuf;

use offboard::source::http::Http;
use offboard::source::ldap::Flavor;
use serde_json::json;

use super::*;
use crate::support::ad::DomainController;
use crate::support::entra::{Entra, Fault};
use crate::support::okta::{Failure, Okta, epoch_ms};
use crate::support::slapd::{Choices, Slapd};
use crate::support::troubled::{Trouble, Troubled};
use crate::support::{Scratch, ad, directories};

fn number(person: &str) -> usize {
    PEOPLE.iter().position(|known| *known == person).unwrap()
}

pub struct Realm {
    provider: Troubled,
    scratch: Scratch,
    events: usize,
}

impl Realm {
    pub async fn start() -> Self {
        Self { provider: Troubled::start(PEOPLE.len()).await, scratch: Scratch::new(), events: 0 }
    }
}

#[async_trait(?Send)]
impl Provider for Realm {
    fn directory(&self) -> Box<dyn Directory> {
        let http = Http::new(Duration::from_secs(5), None);
        Box::new(directories::keycloak(&self.provider.url, self.scratch.path(), http))
    }

    fn name(&self, person: &str) -> String {
        format!("u{}", number(person))
    }

    async fn suspend(&mut self, person: &str) {
        self.events += 1;
        self.provider.enable(number(person), false);
        let said = json!({ "enabled": false }).to_string();
        self.provider.happens(json!({ "id": self.events.to_string(), "time": epoch_ms(), "operationType": "UPDATE",
            "resourceType": "USER", "resourcePath": format!("users/{}", self.name(person)), "representation": said }));
    }

    async fn answers(&mut self, answers: bool) {
        self.provider.set(if answers { Trouble::None } else { Trouble::Down });
    }
}

pub struct Org {
    okta: Okta,
    scratch: Scratch,
}

impl Org {
    pub fn start() -> Self {
        let okta = Okta::start();
        PEOPLE.iter().for_each(|person| okta.org().add_user(person));
        Self { okta, scratch: Scratch::new() }
    }
}

#[async_trait(?Send)]
impl Provider for Org {
    fn directory(&self) -> Box<dyn Directory> {
        Box::new(directories::okta(&self.okta.url, self.scratch.path()))
    }

    fn name(&self, person: &str) -> String {
        format!("00u{person}")
    }

    async fn suspend(&mut self, person: &str) {
        self.okta.org().lifecycle(person, "suspend");
    }

    async fn answers(&mut self, answers: bool) {
        let failure = (!answers).then(|| ("/api".to_owned(), Failure::Status(500)));
        self.okta.org().failures = failure.into_iter().collect();
    }
}

pub struct OfTenant {
    entra: Entra,
    scratch: Scratch,
    ids: [String; PEOPLE.len()],
}

impl OfTenant {
    pub async fn start() -> Self {
        let entra = Entra::start().await;
        let ids = entra.with(|tenant| PEOPLE.map(|person| tenant.add_user(person)));
        Self { entra, scratch: Scratch::new(), ids }
    }
}

#[async_trait(?Send)]
impl Provider for OfTenant {
    fn directory(&self) -> Box<dyn Directory> {
        Box::new(directories::entra(&self.entra.url, self.scratch.path()))
    }

    fn name(&self, person: &str) -> String {
        self.ids[number(person)].clone()
    }

    async fn suspend(&mut self, person: &str) {
        let id = self.name(person);
        self.entra.with(|tenant| tenant.enable(&id, false));
    }

    async fn answers(&mut self, answers: bool) {
        self.entra.with(|tenant| tenant.fault = (!answers).then_some(Fault::Broken));
    }
}

pub struct Domain {
    server: DomainController,
    scratch: Scratch,
    sync: Sync,
}

impl Domain {
    pub async fn start(sync: Sync) -> Self {
        let server = DomainController::start().await;
        for (number, person) in (11..).zip(PEOPLE) {
            server.state().add_person(number, person, &[("primaryGroupID", "513")]);
        }
        Self { server, scratch: Scratch::new(), sync }
    }
}

#[async_trait(?Send)]
impl Provider for Domain {
    fn directory(&self) -> Box<dyn Directory> {
        let (port, scratch) = (self.server.port, self.scratch.path());
        Box::new(directories::ldap(Flavor::Ad, self.sync, port, scratch, directories::time()))
    }

    fn name(&self, person: &str) -> String {
        person.to_owned()
    }

    async fn suspend(&mut self, person: &str) {
        self.server.state().set(&ad::person(person), "userAccountControl", &["514"]);
    }

    async fn answers(&mut self, answers: bool) {
        self.server.state().hangs_up = !answers;
    }
}

pub struct OpenLdap {
    server: Slapd,
    scratch: Scratch,
    sync: Sync,
    /// Changed where nobody may follow it.
    aside: Option<u16>,
}

impl OpenLdap {
    pub async fn start(sync: Sync) -> Option<Self> {
        let server = Slapd::start(Choices::default()).await?;
        server.add_people(2);
        Some(Self { server, scratch: Scratch::new(), sync, aside: None })
    }
}

#[async_trait(?Send)]
impl Provider for OpenLdap {
    fn directory(&self) -> Box<dyn Directory> {
        let (port, scratch) = (self.server.port, self.scratch.path());
        Box::new(directories::ldap(Flavor::OpenLdap, self.sync, port, scratch, directories::time()))
    }

    fn name(&self, person: &str) -> String {
        match person {
            "dan" => "p0000".to_owned(),
            "erin" => "p0001".to_owned(),
            other => other.to_owned(),
        }
    }

    async fn suspend(&mut self, person: &str) {
        let port = self.aside.unwrap_or(self.server.port);
        let dn = crate::support::slapd::dn(&self.name(person));
        let lock = "replace: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z";
        self.server.modify_on(port, &format!("dn: {dn}\nchangetype: modify\n{lock}\n"));
    }

    fn overlaps(&self) -> bool {
        self.sync == Sync::Poll
    }

    async fn answers(&mut self, answers: bool) {
        self.server.stop();
        self.aside = (!answers).then(crate::support::ports::free);
        match self.aside {
            Some(port) => self.server.resume_on(port).await,
            None => self.server.resume().await,
        }
    }
}

pub struct File {
    scratch: Scratch,
    out: BTreeSet<String>,
    away: bool,
}

impl File {
    pub fn start() -> Self {
        let file = Self { scratch: Scratch::new(), out: BTreeSet::new(), away: false };
        file.write();
        file
    }

    fn path(&self, away: bool) -> PathBuf {
        self.scratch.path().join(if away { "away.yaml" } else { "people.yaml" })
    }

    fn write(&self) {
        let row = |person: &&str| {
            let status = if self.out.contains(*person) { "suspended" } else { "active" };
            format!("- {{ id: {person}, status: {status} }}\n")
        };
        let rows: String = PEOPLE.iter().map(row).collect();
        std::fs::write(self.path(self.away), format!("people:\n{rows}")).unwrap();
    }
}

#[async_trait(?Send)]
impl Provider for File {
    fn directory(&self) -> Box<dyn Directory> {
        Box::new(directories::file(&self.path(false)))
    }

    fn name(&self, person: &str) -> String {
        person.to_owned()
    }

    async fn suspend(&mut self, person: &str) {
        self.out.insert(person.to_owned());
        self.write();
    }

    async fn answers(&mut self, answers: bool) {
        self.away = !answers;
        std::fs::rename(self.path(answers), self.path(!answers)).unwrap();
    }
}
