//! A realm of a Keycloak as a source of people.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

/// The configuration of a realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of the source.
    pub name: String,
    /// The `iss` of its tokens.
    pub issuer: String,
    /// Its address, and our client there.
    pub realm: Realm,
    /// Attributes that `link` uses, other than id, e-mail and user name.
    pub attributes: BTreeSet<String>,
    /// How often to ask for changes.
    pub poll: Duration,
}

/// A realm, and our client there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm {
    /// Keycloak's address, with its path: `https://idp.example.com`.
    pub url: Url,
    /// The realm's name.
    pub realm: String,
    /// A client with a service account.
    pub client_id: String,
    /// The file with the client's secret; read again for each token.
    pub client_secret_file: PathBuf,
}
