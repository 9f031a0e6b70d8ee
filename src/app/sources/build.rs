//! From the settings of a source to whoever asks it: one function for each kind.

use std::path::PathBuf;

use reqwest::Url;

use crate::config::sources::{
    EntraSettings, FileSettings, KeycloakSettings, LdapSettings, LdapSync, OktaCredential, OktaSettings, SourceKind,
    SourceSettings,
};
use crate::source::context::Time;
use crate::source::directory::Directory;
use crate::source::entra::{self, Entra};
use crate::source::file::PeopleFile;
use crate::source::http::Http;
use crate::source::keycloak::{self, Keycloak};
use crate::source::ldap::{self, Ldap};
use crate::source::okta::{self, Okta};

/// Builds the directory that these settings describe. `time` tells those the time that need it.
///
/// # Errors
/// Why it cannot be built.
pub fn build(settings: &SourceSettings, time: Time) -> Result<Box<dyn Directory>, String> {
    Ok(match &settings.kind {
        SourceKind::File(own) => Box::new(file(settings, own, time)),
        SourceKind::Keycloak(own) => Box::new(keycloak(settings, own)?),
        SourceKind::Entra(own) => Box::new(entra(settings, own)?),
        SourceKind::Okta(own) => Box::new(okta(settings, own, time)?),
        SourceKind::Ldap(own) => Box::new(Ldap::new(ldap(settings, own), time)),
    })
}

fn http(settings: &SourceSettings) -> Http {
    Http::new(settings.timeout, settings.ca_file.clone())
}

fn url(key: &str, text: &str) -> Result<Url, String> {
    Url::parse(text).map_err(|error| format!("`{key}`: {error}"))
}

pub(super) fn file(settings: &SourceSettings, FileSettings { path }: &FileSettings, time: Time) -> PeopleFile {
    PeopleFile::new(settings.name.clone(), PathBuf::clone(path), settings.poll, time)
}

fn keycloak(settings: &SourceSettings, own: &KeycloakSettings) -> Result<Keycloak, String> {
    let realm = keycloak::Realm {
        url: url("url", &own.url)?,
        realm: own.realm.clone(),
        client_id: own.client_id.clone(),
        client_secret_file: own.client_secret_file.clone(),
    };
    let (name, issuer, attributes) = (settings.name.clone(), settings.issuer.clone(), settings.attributes.clone());
    let own = keycloak::Settings { name, issuer, realm, attributes, poll: settings.poll };
    Ok(Keycloak::new(own, http(settings)))
}

fn entra(settings: &SourceSettings, own: &EntraSettings) -> Result<Entra, String> {
    let tenant = entra::Tenant {
        login_url: url("login_url", &own.login_url)?,
        graph_url: url("graph_url", &own.graph_url)?,
        tenant: own.tenant.clone(),
        client_id: own.client_id.clone(),
        client_secret_file: own.client_secret_file.clone(),
    };
    let (name, attributes) = (settings.name.clone(), settings.attributes.clone());
    Ok(Entra::new(entra::Settings { name, tenant, attributes }, http(settings)))
}

fn okta(settings: &SourceSettings, own: &OktaSettings, time: Time) -> Result<Okta, String> {
    let credential = match own.credential.clone() {
        OktaCredential::Token { file } => okta::Credential::Token { file },
        OktaCredential::App { client_id, private_key_file, key_id } => {
            okta::Credential::App { client_id, private_key_file, key_id }
        }
    };
    let (name, attributes) = (settings.name.clone(), settings.attributes.clone());
    let own = okta::Settings { name, url: url("url", &own.url)?, credential, attributes, app: own.app.clone() };
    Ok(Okta::new(own, http(settings), time))
}

fn ldap(settings: &SourceSettings, own: &LdapSettings) -> ldap::Settings {
    let server = ldap::Server {
        url: own.url.clone(),
        start_tls: own.start_tls,
        ca_file: settings.ca_file.clone(),
        bind_dn: own.bind_dn.clone(),
        bind_password_file: own.bind_password_file.clone(),
        timeout: settings.timeout,
    };
    ldap::Settings {
        name: settings.name.clone(),
        server,
        base_dn: own.base_dn.clone(),
        people_dn: own.people_dn.clone(),
        people_filter: own.people_filter.clone(),
        flavor: if own.active_directory { ldap::Flavor::Ad } else { ldap::Flavor::OpenLdap },
        sync: match own.sync {
            LdapSync::Syncrepl => ldap::Sync::Syncrepl,
            LdapSync::DirSync => ldap::Sync::DirSync,
            LdapSync::Poll => ldap::Sync::Poll,
        },
        attributes: settings.attributes.clone(),
    }
}
