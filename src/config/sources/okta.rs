//! `kind: okta`

use std::path::PathBuf;
use std::time::Duration;

use super::kind::{Kind, SourceKind};
use crate::config::fields::Fields;
use crate::config::text;
use crate::domain::name::Directory;

/// An Okta organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OktaSettings {
    /// Where it answers.
    pub url: String,
    /// By what it knows us.
    pub credential: OktaCredential,
    /// Id of the application to which people must be assigned, if to one.
    pub app: Option<String>,
}

/// By what an Okta organization knows us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OktaCredential {
    /// An API token.
    Token {
        /// The file that it stands in.
        file: PathBuf,
    },
    /// A service app, which proves itself by a key.
    App {
        /// Its client id.
        client_id: String,
        /// PEM file with the private key.
        private_key_file: PathBuf,
        /// `kid` of the key, where the app has several.
        key_id: Option<String>,
    },
}

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

fn read(fields: &Fields<'_>) -> Option<SourceKind> {
    let token = fields.text("token_file").map(|file| OktaCredential::Token { file: file.into() });
    let service = fields.owned("client_id").zip(fields.text("private_key_file"));
    let half = fields.has("client_id") != fields.has("private_key_file");
    let service = service.map(|(client_id, file)| OktaCredential::App {
        client_id,
        private_key_file: file.into(),
        key_id: fields.owned("key_id"),
    });
    if half || token.is_some() == service.is_some() {
        fields.wrong("", "needs either `token_file`, or `client_id` with `private_key_file` (`kind: okta`)");
    }
    if fields.read("poll", text::duration).is_some_and(|poll| poll < Duration::from_secs(1)) {
        fields.warn("poll", "is shorter than a second: Okta limits how often it may be asked");
    }
    let url = fields.owned("url")?;
    if url.starts_with("http://") {
        fields.warn("url", "is http://: whoever is on the way reads the token, and says who works here");
    }
    Some(SourceKind::Okta(OktaSettings { url, credential: token.or(service)?, app: fields.owned("app") }))
}
