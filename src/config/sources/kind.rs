//! The kinds of sources: what each needs, may have beside, and defaults to.

use std::time::Duration;

use super::entra::{ENTRA, EntraSettings};
use super::file::{FILE, FileSettings};
use super::keycloak::{KEYCLOAK, KeycloakSettings};
use super::ldap::{LDAP, LdapSettings};
use super::okta::{OKTA, OktaSettings};
use crate::config::fields::Fields;
use crate::domain::name::Directory;

/// What speaks there, and what asking it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A file of people.
    File(FileSettings),
    /// A realm of a Keycloak.
    Keycloak(KeycloakSettings),
    /// A tenant of Microsoft Entra ID.
    Entra(EntraSettings),
    /// A directory that speaks LDAP.
    Ldap(LdapSettings),
    /// An Okta organization.
    Okta(OktaSettings),
}

/// What a kind needs, may have beside, and defaults to.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// By whose rules its names compare.
    pub(super) directory: Directory,
    /// Keys that must be there.
    pub(super) needs: &'static [&'static str],
    /// Keys that may be there.
    pub(super) may: &'static [&'static str],
    /// How often it is asked what changed, where nothing is said.
    pub(super) poll: Duration,
    /// How its people are linked, where nothing is said: claims with attributes.
    pub(super) link: &'static [(&'static str, &'static str)],
    /// Whether `link` may name attributes beside id, e-mail and user name.
    pub(super) any_attribute: bool,
    /// Reads what only this kind has; `None` where something is missing, which is said elsewhere.
    pub(super) read: fn(&Fields<'_>) -> Option<SourceKind>,
}

const KINDS: [&Kind; 5] = [&FILE, &KEYCLOAK, &LDAP, &OKTA, &ENTRA];

/// The kind of this name.
pub(super) fn named(name: &str) -> Option<&'static Kind> {
    KINDS.into_iter().find(|kind| kind.name == name)
}

impl Kind {
    /// What this kind needs; says what is missing, and what belongs to another kind.
    pub(super) fn settings(&self, fields: &Fields<'_>) -> Option<SourceKind> {
        let mut keys: Vec<&str> = KINDS.iter().flat_map(|kind| kind.needs.iter().chain(kind.may)).copied().collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let wrong = match (fields.has(key), self.needs.contains(&key), self.may.contains(&key)) {
                (false, true, _) => "is missing",
                (true, false, false) => "is not for this kind of source",
                _ => continue,
            };
            fields.wrong(key, format!("{wrong} (`kind: {}`)", self.name));
        }
        (self.read)(fields)
    }
}
