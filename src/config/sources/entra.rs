//! `kind: entra`

use std::time::Duration;

use super::kind::{Common, Kind, SourceKind, http_url};
use crate::config::fields::Fields;
use crate::domain::name::Directory;
use crate::domain::settings::entra::{Settings, Tenant};

/// Sign-in URL of the public cloud.
const LOGIN_URL: &str = "https://login.microsoftonline.com";
/// URL of Microsoft Graph in the public cloud.
const GRAPH_URL: &str = "https://graph.microsoft.com";

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

fn read(fields: &Fields<'_>, common: &Common) -> Option<SourceKind> {
    let login_url = http_url(fields, "login_url", Some(LOGIN_URL), "secret");
    let graph_url = http_url(fields, "graph_url", Some(GRAPH_URL), "secret");
    let tenant = Tenant {
        login_url: login_url?,
        graph_url: graph_url?,
        tenant: fields.owned("tenant")?,
        client_id: fields.owned("client_id")?,
        client_secret_file: fields.text("client_secret_file")?.into(),
    };
    let Common { name, attributes, .. } = common.clone();
    Some(SourceKind::Entra(Settings { name, tenant, attributes }))
}
