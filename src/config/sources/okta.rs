//! `kind: okta`

use std::time::Duration;

use super::kind::{Common, Kind, SourceKind, http_url};
use crate::config::fields::Fields;
use crate::config::text;
use crate::domain::name::Directory;
use crate::domain::settings::okta::{Credential, Settings};

pub(super) const OKTA: Kind = Kind {
    name: "okta",
    directory: Directory::Okta,
    needs: &["url"],
    may: &["token_file", "client_id", "private_key_file", "key_id", "app", "ca_file"],
    poll: Duration::from_secs(10),
    link: &[("uid", "id"), ("sub", "login")],
    any_attribute: true,
    read,
};

fn read(fields: &Fields<'_>, common: &Common) -> Option<SourceKind> {
    let token = fields.text("token_file").map(|file| Credential::Token { file: file.into() });
    let service = fields.owned("client_id").zip(fields.text("private_key_file"));
    let half = fields.has("client_id") != fields.has("private_key_file");
    let service = service.map(|(client_id, file)| Credential::App {
        client_id,
        private_key_file: file.into(),
        key_id: fields.owned("key_id"),
    });
    if half || token.is_some() == service.is_some() {
        fields.wrong("", "needs either `token_file`, or `client_id` with `private_key_file` (`kind: okta`)");
    }
    if fields.read("poll", text::duration).is_some_and(|poll| poll < Duration::from_secs(1)) {
        fields.warn("poll", "is shorter than a second; Okta limits request rates");
    }
    let url = http_url(fields, "url", None, "token")?;
    let (credential, app) = (token.or(service)?, fields.owned("app"));
    let Common { name, attributes, .. } = common.clone();
    Some(SourceKind::Okta(Settings { name, url, credential, attributes, app }))
}
