//! What is configured of a tenant.

use std::path::PathBuf;

use reqwest::Url;

/// Which tenant, and as which application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Where applications sign in: `https://login.microsoftonline.com`.
    pub login_url: Url,
    /// Where Microsoft Graph answers: `https://graph.microsoft.com`.
    pub graph_url: Url,
    /// Its id, or one of its domains.
    pub tenant: String,
    /// The application that asks.
    pub client_id: String,
    /// File with its secret; read again for each token.
    pub client_secret_file: PathBuf,
}
