//! `kind: keycloak`

use std::path::PathBuf;
use std::time::Duration;

use super::kind::{Kind, SourceKind};
use crate::config::fields::Fields;
use crate::domain::name::Directory;

/// A realm of a Keycloak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeycloakSettings {
    /// Where it answers.
    pub url: String,
    /// Name of the realm.
    pub realm: String,
    /// Client with a service account.
    pub client_id: String,
    /// File with its secret.
    pub client_secret_file: PathBuf,
}

pub(super) const KEYCLOAK: Kind = Kind {
    name: "keycloak",
    directory: Directory::Keycloak,
    needs: &["url", "realm", "client_id", "client_secret_file"],
    may: &["ca_file"],
    poll: Duration::from_secs(1),
    link: &[("sub", "id")],
    any_attribute: true,
    read,
};

fn read(fields: &Fields<'_>) -> Option<SourceKind> {
    let url = fields.owned("url")?;
    if !url.starts_with("http") {
        fields.wrong("url", "must be http:// or https:// (`kind: keycloak`)");
    }
    if url.starts_with("http://") {
        fields.warn("url", "is http://: whoever is on the way reads the secret, and says who works here");
    }
    Some(SourceKind::Keycloak(KeycloakSettings {
        url,
        realm: fields.owned("realm")?,
        client_id: fields.owned("client_id")?,
        client_secret_file: fields.text("client_secret_file")?.into(),
    }))
}
