//! The directory of each kind, in this process, asking a provider of a test.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use offboard::app::clock::Clock;
use offboard::source::context::Time;
use offboard::source::entra::{self, Entra};
use offboard::source::file::PeopleFile;
use offboard::source::http::Http;
use offboard::source::keycloak::{self, Keycloak};
use offboard::source::ldap::{self, Flavor, Ldap, Server, Sync};
use offboard::source::okta::{self, Okta};

use super::{ad, entra as tenant, okta as org, slapd};
use crate::corp;

/// What it is called.
pub const NAME: &str = "hr";
/// Longer than any test: what is asked for every so often is not asked for by itself.
const DAY: Duration = Duration::from_secs(86_400);

/// The clock of this machine.
pub fn time() -> Time {
    let clock = Clock::start(None);
    Arc::new(move || clock.now())
}

fn secret(scratch: &Path, text: &str) -> std::path::PathBuf {
    let path = scratch.join("secret");
    std::fs::write(&path, text).unwrap();
    path
}

/// The realm `corp` at this address.
pub fn keycloak(url: &str, scratch: &Path, http: Http) -> Keycloak {
    let realm = keycloak::Realm {
        url: url.parse().unwrap(),
        realm: "corp".into(),
        client_id: "offboard-sync".into(),
        client_secret_file: secret(scratch, "s"),
    };
    let (name, issuer) = (NAME.into(), corp::ISSUER.into());
    let settings = keycloak::Settings { name, issuer, realm, attributes: BTreeSet::new(), poll: DAY };
    Keycloak::new(settings, http)
}

/// The organization at this address.
pub fn okta(url: &str, scratch: &Path) -> Okta {
    let settings = okta::Settings {
        name: NAME.into(),
        url: url.parse().unwrap(),
        credential: okta::Credential::Token { file: secret(scratch, org::TOKEN) },
        attributes: BTreeSet::new(),
        app: None,
    };
    Okta::new(settings, Http::new(Duration::from_secs(5), None), time())
}

/// The tenant at this address.
pub fn entra(url: &str, scratch: &Path) -> Entra {
    let tenant = entra::Tenant {
        login_url: url.parse().unwrap(),
        graph_url: url.parse().unwrap(),
        tenant: tenant::TENANT.into(),
        client_id: tenant::CLIENT.into(),
        client_secret_file: secret(scratch, tenant::SECRET),
    };
    let settings = entra::Settings { name: NAME.into(), tenant, attributes: BTreeSet::new() };
    Entra::new(settings, Http::new(Duration::from_secs(5), None))
}

/// The domain controller, or the OpenLDAP, at this port.
pub fn ldap(flavor: Flavor, sync: Sync, port: u16, scratch: &Path, time: Time) -> Ldap {
    let (reader, password, base, people) = match flavor {
        Flavor::Ad => (ad::READER, ad::PASSWORD, ad::DOMAIN, "OU=Staff"),
        Flavor::OpenLdap => (slapd::READER, "syncsecret", slapd::BASE, "ou=people"),
    };
    let server = Server {
        url: format!("ldap://127.0.0.1:{port}"),
        start_tls: false,
        ca_file: None,
        bind_dn: reader.to_owned(),
        bind_password_file: secret(scratch, password),
        timeout: Duration::from_secs(10),
    };
    let settings = ldap::Settings {
        name: NAME.to_owned(),
        server,
        base_dn: base.to_owned(),
        people_dn: format!("{people},{base}"),
        people_filter: None,
        flavor,
        sync,
        attributes: BTreeSet::from(["uid".to_owned()]),
    };
    Ldap::new(settings, time)
}

/// The file of this name.
pub fn file(path: &Path) -> PeopleFile {
    PeopleFile::new(NAME.into(), path.to_owned(), Duration::from_millis(100), time())
}
