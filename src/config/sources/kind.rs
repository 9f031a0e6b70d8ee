//! What a kind of source is: what it needs, may have beside, and defaults to.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use crate::config::fields::Fields;
use crate::domain::name::Directory;
use crate::source::{entra, keycloak, ldap, okta};

/// What speaks there, and what asking it needs: the settings of the source itself.
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

/// What every kind has.
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

/// What a kind needs, may have beside, and defaults to.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// By whose rules its names compare.
    pub(super) directory: Directory,
    /// Keys that must be there.
    pub(super) needs: &'static [&'static str],
    /// Keys that may be there.
    pub(super) may: &'static [&'static str],
    /// How often it is asked what changed, where nothing is said.
    pub(super) poll: Duration,
    /// How its people are linked, where nothing is said: claims with attributes.
    pub(super) link: &'static [(&'static str, &'static str)],
    /// Whether `link` may name attributes beside id, e-mail and user name.
    pub(super) any_attribute: bool,
    /// Reads what only this kind has; `None` where something is missing, which is said elsewhere.
    pub(super) read: fn(&Fields<'_>, &Common) -> Option<SourceKind>,
}

/// The address under `key`, where a provider is asked over HTTP. Says so where it is none, and where whoever is on the
/// way can read the `secret`.
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
            fields.warn(key, format!("is http://: whoever is on the way reads the {secret}, and says who works here"));
        }
        _ => {
            let kind = fields.text("kind").unwrap_or_default();
            fields.wrong(key, format!("must be http:// or https:// (`kind: {kind}`)"));
            return None;
        }
    }
    Some(url)
}
