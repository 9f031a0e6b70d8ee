//! An Okta organization as a source of people.

use std::collections::BTreeSet;
use std::path::PathBuf;

use url::Url;

/// The configuration of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of the source.
    pub name: String,
    /// Its address.
    pub url: Url,
    /// Our credential.
    pub credential: Credential,
    /// Profile attributes that `link` uses, other than id, e-mail and user name.
    pub attributes: BTreeSet<String>,
    /// The id of the application to which people must be assigned, if one is configured.
    pub app: Option<String>,
}

/// Our credential at Okta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// An API token (SSWS).
    Token {
        /// The file with the token; read again for each request.
        file: PathBuf,
    },
    /// A service app.
    App {
        /// Its client id.
        client_id: String,
        /// The PEM file with its private key; read again for each access token.
        private_key_file: PathBuf,
        /// The key's `kid`, if the app has several keys.
        key_id: Option<String>,
    },
}
