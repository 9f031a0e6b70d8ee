//! The building blocks of the table of keys. [`super::keys`] holds the table; the check, the schema and the typed stage
//! all use it.

use super::text::Format;

/// The kind of value of a key.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Text in a given format.
    Text(Format),
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Count,
    /// One word of a closed set.
    Word(&'static Words),
    /// A non-empty list.
    List(&'static Kind),
    /// A list that may be empty.
    ListOrEmpty(&'static Kind),
    /// The name of a claim: a string, or a list of strings that lead into nested objects.
    Claim,
    /// A list, or this word instead.
    ListOr(&'static Kind, &'static str),
    /// A map with these keys.
    Section(&'static Section),
    /// A map whose keys have this format and whose values are of this kind.
    Names(Format, &'static Kind),
}

/// A closed set of words.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// Words that work.
    pub built: &'static [&'static str],
    /// Words of the contract that do not work yet.
    pub later: &'static [&'static str],
}

/// A map with known keys.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its name, unique in the table.
    pub name: &'static str,
    /// What it describes.
    pub about: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// One key of a section.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Whether it is required or supported.
    pub need: Need,
    /// What it means, with its default.
    pub about: &'static str,
}

/// Whether a key is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Required.
    Required,
    /// Optional.
    Optional,
    /// In the contract, but not supported yet.
    NotBuilt,
}

/// A required key.
#[must_use]
pub const fn required(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, need: Need::Required, about }
}

/// An optional key.
#[must_use]
pub const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, need: Need::Optional, about }
}

/// A key that is not supported yet.
#[must_use]
pub const fn later(name: &'static str) -> Key {
    Key { name, kind: Kind::Text(Format::Plain), need: Need::NotBuilt, about: "Not supported yet." }
}

impl Section {
    /// The key of this name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}
