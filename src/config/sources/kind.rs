//! What defines a kind of source: required keys, optional keys, defaults.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::config::fields::Fields;
use crate::domain::name::Directory;
use crate::domain::settings::{entra, keycloak, ldap, okta};

/// The kind of a source, with the settings that the source itself defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A file of people.
    File {
        /// The file.
        path: PathBuf,
    },
    /// A realm of a Keycloak.
    Keycloak(keycloak::Settings),
    /// A tenant of Microsoft Entra ID.
    Entra(entra::Settings),
    /// A directory that speaks LDAP.
    Ldap(ldap::Settings),
    /// An Okta organization.
    Okta(okta::Settings),
}

/// What all kinds have in common.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) name: String,
    /// `iss` of its people's tokens.
    pub(super) issuer: String,
    /// Attributes that `link` names beside id, e-mail and user name.
    pub(super) attributes: BTreeSet<String>,
    pub(super) poll: Duration,
    pub(super) timeout: Duration,
    pub(super) ca_file: Option<PathBuf>,
}

/// Required keys, optional keys and defaults of a kind.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// How its names are compared.
    pub(super) directory: Directory,
    /// Required keys.
    pub(super) needs: &'static [&'static str],
    /// Optional keys.
    pub(super) may: &'static [&'static str],
    /// Default interval between polls.
    pub(super) poll: Duration,
    /// Default links: claims with attributes.
    pub(super) link: &'static [(&'static str, &'static str)],
    /// Whether `link` may name attributes beside id, e-mail and user name.
    pub(super) any_attribute: bool,
    /// Reads the settings of this kind; `None` if something is missing, which is reported elsewhere.
    pub(super) read: fn(&Fields<'_>, &Common) -> Option<SourceKind>,
}

/// The http(s) URL under `key`. Reports anything else, and warns where the `secret` would cross the network in plain
/// text.
pub(super) fn http_url(
    fields: &Fields<'_>,
    key: &'static str,
    default: Option<&str>,
    secret: &'static str,
) -> Option<Url> {
    let url = match Url::parse(fields.text(key).or(default)?) {
        Ok(url) => url,
        Err(error) => {
            fields.wrong(key, format!("is not a URL: {error}"));
            return None;
        }
    };
    match url.scheme() {
        "https" => {}
        "http" => {
            fields.warn(
                key,
                format!("is http://; anyone on the network path can read the {secret} and decide who works here"),
            );
        }
        _ => {
            let kind = fields.text("kind").unwrap_or_default();
            fields.wrong(key, format!("must be http:// or https:// (`kind: {kind}`)"));
            return None;
        }
    }
    Some(url)
}
