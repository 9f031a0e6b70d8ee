//! One human in a directory.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// The id of a person: a source, and a key that this source never gives to anybody else.
///
/// The same human in two sources is two persons; they are never merged by e-mail.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PersonId {
    /// Name of the source, as configured.
    pub source: String,
    /// The immutable key in the source: Okta user id, Keycloak user id, `entryUUID`, `id` of a people file.
    pub key: String,
}

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.key)
    }
}

/// A text that is not the id of a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not SOURCE/KEY")]
pub struct NotAPersonId(String);

impl FromStr for PersonId {
    type Err = NotAPersonId;

    /// Reads what `Display` writes.
    // INVARIANT: names of sources contain no `/` (the configuration refuses it), so the first `/` ends the name. Keys
    // may contain anything.
    fn from_str(text: &str) -> Result<Self, NotAPersonId> {
        let (source, key) = text.split_once('/').ok_or_else(|| NotAPersonId(text.to_owned()))?;
        Ok(Self { source: source.to_owned(), key: key.to_owned() })
    }
}

/// The status of a person in the source. Its effect is a block that the source owns; `decide` reads no status.
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
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Active, Self::Suspended, Self::Departed];

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

/// What a source knows about one person: a complete record, which replaces the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Who it is.
    pub id: PersonId,
    /// Their status in the source.
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
    /// Further values of an attribute, by its name in `link`. The first value is in the fields above, where versions
    /// that know only one value expect it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub more: BTreeMap<String, Vec<String>>,
    /// When the record last changed by the provider's clock, if known. A record older than the known one came late and
    /// grants nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Timestamp>,
    /// Groups, with nested ones resolved; sorted, without duplicates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// An unverified address. It counts for denials, but it links nobody and is not a name for bindings.
pub const UNVERIFIED_EMAIL: &str = "unverified_email";

impl Person {
    /// A person about whom nothing else is known.
    #[must_use]
    pub fn new(id: PersonId, status: Status) -> Self {
        Self {
            id,
            status,
            email: None,
            username: None,
            attributes: BTreeMap::new(),
            more: BTreeMap::new(),
            changed: None,
            groups: Vec::new(),
        }
    }

    /// Whether its groups are sorted and each is there once, as the state keeps them.
    #[must_use]
    pub fn has_groups_in_order(&self) -> bool {
        self.groups.is_sorted_by(|one, other| one < other)
    }

    /// Puts its groups in order, each once.
    pub fn put_groups_in_order(&mut self) {
        self.groups.sort_unstable();
        self.groups.dedup();
    }

    /// The values of an attribute that `link` may name: `id`, `email`, `username`, or a further one. All values count.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let first = match name {
            "id" => Some(&self.id.key),
            "email" => self.email.as_ref(),
            "username" => self.username.as_ref(),
            other => self.attributes.get(other),
        };
        first.into_iter().chain(self.more.get(name).into_iter().flatten()).map(String::as_str)
    }

    /// Sets the values of an attribute, in this order. The id cannot be set.
    pub fn set_values(&mut self, name: &str, values: impl IntoIterator<Item = String>) {
        let mut values = values.into_iter();
        let first = values.next();
        match name {
            "id" => return,
            "email" => self.email = first,
            "username" => self.username = first,
            other => match first {
                Some(first) => drop(self.attributes.insert(other.to_owned(), first)),
                None => drop(self.attributes.remove(other)),
            },
        }
        let mut more: Vec<String> = Vec::new();
        for value in values {
            if !more.contains(&value) && self.values(name).next() != Some(value.as_str()) {
                more.push(value);
            }
        }
        if more.is_empty() {
            self.more.remove(name);
        } else {
            self.more.insert(name.to_owned(), more);
        }
    }

    /// Removes values of an attribute that `link` may name. The id is never removed: it never passes to anybody else.
    pub fn forget(&mut self, attribute: &str, gone: impl Fn(&str) -> bool) {
        let left: Vec<String> = self.values(attribute).filter(|value| !gone(value)).map(str::to_owned).collect();
        self.more.remove(attribute);
        self.set_values(attribute, left);
    }

    /// Every attribute that `link` may name, with each of its values.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        let first = [("id", Some(&self.id.key)), ("email", self.email.as_ref()), ("username", self.username.as_ref())];
        let own = first.into_iter().filter_map(|(name, value)| value.map(|value| (name, value)));
        let further = self.attributes.iter().map(|(name, value)| (name.as_str(), value));
        let more = self.more.iter().flat_map(|(name, values)| values.iter().map(move |value| (name.as_str(), value)));
        own.chain(further).chain(more).map(|(name, value)| (name, value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person() -> Person {
        let id = PersonId { source: "hr".into(), key: "e7".into() };
        Person { email: Some("a@example.com".into()), ..Person::new(id, Status::Active) }
    }

    #[test]
    fn all_values_count_and_the_first_stays_where_it_was() {
        let mut person = person();
        person.set_values("uid", ["b", "a", "b", "c"].map(str::to_owned));
        person.set_values("email", ["x@example.com", "y@example.com"].map(str::to_owned));
        assert_eq!(person.values("uid").collect::<Vec<_>>(), ["b", "a", "c"]);
        assert_eq!((person.email.as_deref(), &*person.attributes["uid"]), (Some("x@example.com"), "b"));
        let json = serde_json::to_value(&person).unwrap();
        assert_eq!(json["attributes"]["uid"], "b");
        assert_eq!(serde_json::from_value::<Person>(json).unwrap(), person);
        person.forget("uid", |value| value != "c");
        assert_eq!(person.values("uid").collect::<Vec<_>>(), ["c"]);
        person.forget("email", |_| true);
        person.forget("id", |_| true);
        assert_eq!(person.attributes().collect::<Vec<_>>(), [("id", "e7"), ("uid", "c")]);
        assert!(person.more.is_empty());
    }

    #[test]
    fn a_record_of_the_version_before_reads_as_it_was() {
        let before = r#"{"id":{"source":"ad","key":"1"},"status":"active","email":"a@x","attributes":{"uid":"a"}}"#;
        let person: Person = serde_json::from_str(before).unwrap();
        assert_eq!(person.values("uid").collect::<Vec<_>>(), ["a"]);
        assert_eq!(serde_json::to_string(&person).unwrap(), before);
    }
}
