//! A tenant of Microsoft Entra ID as a source of people.

use std::collections::BTreeSet;
use std::path::PathBuf;

use url::Url;

/// The configuration of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of the source.
    pub name: String,
    /// Its address, and our application there.
    pub tenant: Tenant,
    /// User properties that `link` uses, other than id, e-mail and user name; by their names in Graph.
    pub attributes: BTreeSet<String>,
}

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
