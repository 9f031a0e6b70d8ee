//! One human in a directory.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Who somebody is: a source, and the key that this source never gives to anybody else.
///
/// The same human in two sources is two persons; they are never merged by e-mail.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PersonId {
    /// Name of the source, as configured.
    pub source: String,
    /// The immutable key there: Okta user id, Keycloak user id, `entryUUID`, `id` of a people file.
    pub key: String,
}

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.key)
    }
}

/// What the source says of somebody. What it *means* is a block that the source owns: `decide` reads none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Works here.
    Active,
    /// Disabled for now.
    Suspended,
    /// Gone: deleted, or absent from an accepted full listing.
    Departed,
}

impl Status {
    /// The word used in files, metrics and answers.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Departed => "departed",
        }
    }
}

/// What a source knows of one person: a complete record, replacing the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Who it is.
    pub id: PersonId,
    /// The source's word on them.
    pub status: Status,
    /// E-mail address; may pass to somebody else one day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Login name; may pass to somebody else one day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Further attributes by name, for `link` and for looking people up.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// When the provider says that it last changed, on the provider's clock, where it says so: a record that is older
    /// than the one known is late, and gives nothing back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Timestamp>,
    /// Groups, nested ones resolved; sorted, without doubles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

impl Person {
    /// The value of an attribute that `link` may name: `id`, `email`, `username`, or one of the further ones.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        match name {
            "id" => Some(&self.id.key),
            "email" => self.email.as_deref(),
            "username" => self.username.as_deref(),
            other => self.attributes.get(other).map(String::as_str),
        }
    }

    /// Takes an attribute away that `link` may name. The id is never anybody else's.
    pub fn forget(&mut self, attribute: &str) {
        match attribute {
            "id" => {}
            "email" => self.email = None,
            "username" => self.username = None,
            other => drop(self.attributes.remove(other)),
        }
    }

    /// Every attribute with its value, each of which `link` may name.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        [("id", Some(self.id.key.as_str())), ("email", self.email.as_deref()), ("username", self.username.as_deref())]
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| (name, value)))
            .chain(self.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// The identifiers that a REF may be: key, e-mail, user name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [Some(self.id.key.as_str()), self.email.as_deref(), self.username.as_deref()].into_iter().flatten()
    }
}
