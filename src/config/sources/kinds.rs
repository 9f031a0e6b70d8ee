//! All kinds of sources.

use super::entra::ENTRA;
use super::file::FILE;
use super::keycloak::KEYCLOAK;
use super::kind::{Common, Kind, SourceKind};
use super::ldap::LDAP;
use super::okta::OKTA;
use crate::config::fields::Fields;

const KINDS: [&Kind; 5] = [&FILE, &KEYCLOAK, &LDAP, &OKTA, &ENTRA];

/// The kind of this name.
pub(super) fn named(name: &str) -> Option<&'static Kind> {
    KINDS.into_iter().find(|kind| kind.name == name)
}

/// The settings of a source of this kind. Reports missing keys, and keys of other kinds.
pub(super) fn settings(kind: &Kind, fields: &Fields<'_>, common: &Common) -> Option<SourceKind> {
    let mut keys: Vec<&str> = KINDS.iter().flat_map(|kind| kind.needs.iter().chain(kind.may)).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let wrong = match (fields.has(key), kind.needs.contains(&key), kind.may.contains(&key)) {
            (false, true, _) => "is missing",
            (true, false, false) => "does not apply to this kind of source",
            _ => continue,
        };
        fields.wrong(key, format!("{wrong} (`kind: {}`)", kind.name));
    }
    (kind.read)(fields, common)
}
