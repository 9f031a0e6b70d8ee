//! What a table of keys is made of. [`super::keys`] holds the table; the checks, the schema and the typed
//! stage all go by it.

use super::text::Format;

/// What stands behind a key.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Text, written in a certain way.
    Text(Format),
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Count,
    /// One word of a closed set.
    Word(&'static Words),
    /// A list, which must not be empty.
    List(&'static Kind),
    /// A list, which may be empty.
    ListOrEmpty(&'static Kind),
    /// The name of a claim: a text, or a list of texts that lead into nested objects.
    Claim,
    /// A list, or this one word instead.
    ListOr(&'static Kind, &'static str),
    /// A map of these keys.
    Section(&'static Section),
    /// A map whose keys are written so, and what stands behind each.
    Names(Format, &'static Kind),
}

/// A closed set of words.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// Those that work.
    pub built: &'static [&'static str],
    /// Those of the contract that do not yet.
    pub later: &'static [&'static str],
}

/// A map with known keys.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its name, unique in the table.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// One key of a section.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// What stands behind it.
    pub kind: Kind,
    /// Whether it must be there, or cannot.
    pub need: Need,
    /// What it means, and what happens without it.
    pub about: &'static str,
}

/// Whether a key must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It must.
    Required,
    /// It may.
    Optional,
    /// It belongs to the contract, but does not work yet.
    NotBuilt,
}

/// A key that must be there.
#[must_use]
pub const fn required(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, need: Need::Required, about }
}

/// A key that may be there.
#[must_use]
pub const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, need: Need::Optional, about }
}

/// A key that does not work yet.
#[must_use]
pub const fn later(name: &'static str) -> Key {
    Key { name, kind: Kind::Text(Format::Plain), need: Need::NotBuilt, about: "Not built yet." }
}

impl Section {
    /// The key of this name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}
