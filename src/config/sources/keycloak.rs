//! `kind: keycloak`

use std::time::Duration;

use super::kind::{Common, Kind, SourceKind, http_url};
use crate::config::fields::Fields;
use crate::domain::name::Directory;
use crate::domain::settings::keycloak::{Realm, Settings};

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

fn read(fields: &Fields<'_>, common: &Common) -> Option<SourceKind> {
    let realm = Realm {
        url: http_url(fields, "url", None, "secret")?,
        realm: fields.owned("realm")?,
        client_id: fields.owned("client_id")?,
        client_secret_file: fields.text("client_secret_file")?.into(),
    };
    let Common { name, issuer, attributes, poll, .. } = common.clone();
    Some(SourceKind::Keycloak(Settings { name, issuer, realm, attributes, poll }))
}
