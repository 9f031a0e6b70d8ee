//! The configuration of a tenant.

use std::path::PathBuf;

use reqwest::Url;

/// A tenant, and our application in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Where applications sign in: `https://login.microsoftonline.com`.
    pub login_url: Url,
    /// Where Microsoft Graph answers: `https://graph.microsoft.com`.
    pub graph_url: Url,
    /// The tenant's id, or one of its domains.
    pub tenant: String,
    /// The id of our application.
    pub client_id: String,
    /// The file with its secret; read again for each token.
    pub client_secret_file: PathBuf,
}
