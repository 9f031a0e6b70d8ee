//! Builds the directory of a source from its settings.

use std::path::Path;

use crate::config::sources::{SourceKind, SourceSettings};
use crate::source::context::Time;
use crate::source::directory::Directory;
use crate::source::entra::Entra;
use crate::source::file::PeopleFile;
use crate::source::http::Http;
use crate::source::keycloak::Keycloak;
use crate::source::ldap::Ldap;
use crate::source::okta::Okta;

/// Builds the directory of a source. `time` is its clock.
#[must_use]
pub fn build(settings: &SourceSettings, time: Time) -> Box<dyn Directory> {
    let http = || Http::new(settings.timeout, settings.ca_file.clone());
    match &settings.kind {
        SourceKind::File { path } => Box::new(file(settings, path, time)),
        SourceKind::Keycloak(own) => Box::new(Keycloak::new(own.clone(), http())),
        SourceKind::Entra(own) => Box::new(Entra::new(own.clone(), http())),
        SourceKind::Okta(own) => Box::new(Okta::new(own.clone(), http(), time)),
        SourceKind::Ldap(own) => Box::new(Ldap::new(own.clone(), time)),
    }
}

pub(super) fn file(settings: &SourceSettings, path: &Path, time: Time) -> PeopleFile {
    PeopleFile::new(settings.name.clone(), path.to_owned(), settings.schedule.poll, time)
}
