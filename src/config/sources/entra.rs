//! `kind: entra`

use std::path::PathBuf;
use std::time::Duration;

use super::kind::{Kind, SourceKind};
use crate::config::fields::Fields;
use crate::domain::name::Directory;

/// Where the public cloud signs applications in.
const LOGIN_URL: &str = "https://login.microsoftonline.com";
/// Where the public cloud's Microsoft Graph answers.
const GRAPH_URL: &str = "https://graph.microsoft.com";

/// A tenant of Microsoft Entra ID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntraSettings {
    /// Its id, or one of its domains.
    pub tenant: String,
    /// The application that asks.
    pub client_id: String,
    /// File with its secret.
    pub client_secret_file: PathBuf,
    /// Where applications sign in.
    pub login_url: String,
    /// Where Microsoft Graph answers.
    pub graph_url: String,
}

pub(super) const ENTRA: Kind = Kind {
    name: "entra",
    directory: Directory::Entra,
    needs: &["tenant", "client_id", "client_secret_file"],
    may: &["login_url", "graph_url", "ca_file"],
    poll: Duration::from_secs(10),
    link: &[("oid", "id")],
    any_attribute: true,
    read,
};

fn read(fields: &Fields<'_>) -> Option<SourceKind> {
    let url = |key: &'static str, default: &str| {
        let url = fields.owned(key).unwrap_or_else(|| default.to_owned());
        if url.starts_with("http://") {
            fields.warn(key, "is http://: whoever is on the way reads the secret, and says who works here");
        }
        url
    };
    let (login_url, graph_url) = (url("login_url", LOGIN_URL), url("graph_url", GRAPH_URL));
    Some(SourceKind::Entra(EntraSettings {
        tenant: fields.owned("tenant")?,
        client_id: fields.owned("client_id")?,
        client_secret_file: fields.text("client_secret_file")?.into(),
        login_url,
        graph_url,
    }))
}
