//! Look-up keys: fixed-size stand-ins for texts, so that a check compares numbers and never strings.

use std::hash::Hasher as _;

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128 as _, SipHasher24};

/// A 128-bit keyed hash of what it stands for.
///
/// Keyed, because its inputs are chosen by callers: without the installation's secret nobody can make
/// two that collide, or that crowd one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The more significant half: chooses the shard.
    pub high: u64,
    /// The less significant half.
    pub low: u64,
}

/// What a key stands for; keys of different kinds never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum KeyKind {
    /// `(issuer, sub)`
    Subject = 1,
    /// `(issuer, sid)`
    Session,
    /// `(issuer, jti)`
    Token,
    /// `(issuer, client)`
    Client,
    /// `(issuer)`
    Issuer,
    /// `(id)` of an API key
    ApiKey,
    /// `(SHA-256 in lower-case hex)` of a certificate
    Certificate,
    /// `(source, immutable key)` of a person
    Person,
    /// `(name, folded to lower case)`: any identifier of a person, as people write it
    Name,
    /// `(source, attribute, value)`: what a claim is compared with, exactly
    Link,
    /// `(issuer, claim, value)`: an identifier that `link` uses, whoever holds it
    LinkClaim,
    /// `(issuer, group)`
    Group,
    /// `(name)` of a source
    Source,
}

/// Makes keys; holds the secret of this installation.
#[derive(Clone)]
pub struct Keyer {
    secret: [u8; 16],
}

impl std::fmt::Debug for Keyer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyer")
    }
}

impl Keyer {
    /// A keyer with the installation's secret, which the store creates once and keeps.
    #[must_use]
    pub fn new(secret: [u8; 16]) -> Self {
        Self { secret }
    }

    /// The key that stands for `parts`, in this order.
    #[must_use]
    pub fn key(&self, kind: KeyKind, parts: &[&str]) -> Key {
        let mut hasher = SipHasher24::new_with_key(&self.secret);
        hasher.write_u8(kind as u8);
        for part in parts {
            // The length goes first, so that ("ab", "c") and ("a", "bc") differ.
            hasher.write_u64(part.len() as u64);
            hasher.write(part.as_bytes());
        }
        let hash = hasher.finish128();
        Key { high: hash.h1, low: hash.h2 }
    }

    /// The key of an identifier as people write it: case and surrounding space do not count.
    #[must_use]
    pub fn name(&self, name: &str) -> Key {
        self.key(KeyKind::Name, &[&fold_name(name)])
    }
}

/// A name as it is compared: trimmed, lower case.
///
/// Folding can only make more people share a name, and a shared name grants nothing and denies all who
/// share it, so it errs on the strict side.
#[must_use]
pub fn fold_name(name: &str) -> String {
    name.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_kinds_parts_and_installations_apart() {
        let keyer = Keyer::new([7; 16]);
        let key = keyer.key(KeyKind::Subject, &["ab", "c"]);
        assert_eq!(key, keyer.key(KeyKind::Subject, &["ab", "c"]));
        assert_ne!(key, keyer.key(KeyKind::Subject, &["a", "bc"]));
        assert_ne!(key, keyer.key(KeyKind::Session, &["ab", "c"]));
        assert_ne!(key, Keyer::new([8; 16]).key(KeyKind::Subject, &["ab", "c"]));
    }

    #[test]
    fn names_are_folded() {
        let keyer = Keyer::new([7; 16]);
        assert_eq!(keyer.name(" Alice@Example.COM "), keyer.name("alice@example.com"));
    }
}
