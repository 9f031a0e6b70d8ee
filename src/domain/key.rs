//! Look-up keys: fixed-size stand-ins for texts, so that a check compares numbers and never strings.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::name::Compare;
use super::secret::{Fingerprint, Secret};

/// A 128-bit keyed hash of what it stands for.
///
/// It is keyed because callers choose its inputs: without the installation's secret, nobody can make two that collide,
/// or many that crowd one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The more significant half, which chooses the shard.
    pub high: u64,
    /// The less significant half.
    pub low: u64,
}

/// A set of keys. They are keyed hashes already, so they are not hashed again.
pub type KeySet = HashSet<Key, BuildHasherDefault<KeyHasher>>;

/// Takes the halves of a key for its hash.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, half: u64) {
        self.0 = self.0.rotate_left(32) ^ half;
    }
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
    /// `(name, folded)`: any identifier of a person as people write it; see [`NameKey`]
    Name,
    /// `(source, attribute, value, folded)`: what a claim is compared with; see [`LinkKey`]
    Link,
    /// `(issuer, claim, value)`: an identifier that `link` uses, whoever has it
    LinkClaim,
    /// `(issuer, group)`, or `(group, folded)`
    Group,
    /// `(name)` of a source
    Source,
    /// `(SHA-256 in lower-case hex)` of what a token signs
    SignedToken,
}

/// Makes keys with the secret of this installation.
#[derive(Clone)]
pub struct Keyer {
    secret: [u8; 16],
    fingerprint: Fingerprint,
}

impl std::fmt::Debug for Keyer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyer")
    }
}

impl Keyer {
    /// A keyer with a look-up secret that is not part of another secret.
    #[must_use]
    pub fn new(secret: [u8; 16]) -> Self {
        Self { secret, fingerprint: Fingerprint::of(&secret) }
    }

    /// A keyer with the look-up secret of an installation.
    #[must_use]
    pub fn of(secret: &Secret) -> Self {
        Self { secret: secret.look_up(), fingerprint: secret.fingerprint() }
    }

    /// The fingerprint of its secret.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
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

    /// The key of an identifier as the first versions compared it: case and surrounding space do not count.
    #[must_use]
    pub fn name(&self, name: &str) -> Key {
        self.key(KeyKind::Name, &[&fold_name(name)])
    }
}

/// The rule for names from before each attribute had its own. Denials still apply it as well, except to ids.
const BEFORE: u8 = 16;

/// The rules that a key stands for, one bit for each.
const fn bit(compare: Compare) -> u8 {
    match compare {
        Compare::Exact => 1,
        Compare::IgnoreCase => 2,
        Compare::Prepared => 4,
        Compare::DistinguishedName => 8,
    }
}

/// A key that an exact text has for itself.
fn exactly(key: Key, exact: u32) -> Key {
    Key { high: key.high ^ u64::from(exact), low: key.low }
}

/// A name of a person, under which denied REFs are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameKey {
    /// Key of the name, folded.
    pub key: Key,
    /// The rules by which the name is compared under this key.
    rules: u8,
    /// A hash of the unfolded name, for the rule that compares exactly.
    exact: u32,
}

/// A denied REF under one of its keys, with the rules for which this key counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefKey {
    /// Key of the REF, folded by these rules.
    pub key: Key,
    /// The rules; 0 means that it is compared as in the first versions.
    pub rules: u8,
    /// A hash of the unfolded REF.
    pub exact: u32,
}

fn exact(keyer: &Keyer, name: &str) -> u32 {
    (keyer.key(KeyKind::Name, &["exact", name]).low >> 32) as u32
}

/// The text of a name that is hashed. A name that is compared exactly keeps the key that the first versions gave it.
fn text(compare: Compare, name: &str) -> String {
    match compare {
        Compare::Exact => fold_name(name),
        other => other.fold(name.trim()).text.into_owned(),
    }
}

impl NameKey {
    /// The keys of a name that is compared by this rule, and also as in the first versions.
    pub fn of(keyer: &Keyer, compare: Compare, name: &str) -> impl Iterator<Item = Self> {
        let (folded, before) = (text(compare, name), fold_name(name));
        let key = |text: &str, rules: u8| Self { key: keyer.key(KeyKind::Name, &[text]), rules, exact: 0 };
        let same = folded == before;
        let first = key(&folded, if same { bit(compare) | BEFORE } else { bit(compare) });
        std::iter::once(first).chain((!same).then(|| key(&before, BEFORE)))
    }

    /// The key of an id. It is compared exactly, but with what the first versions recorded, it is compared as they did.
    #[must_use]
    pub fn id(keyer: &Keyer, id: &str) -> Self {
        let (key, exact) = (keyer.name(id), exact(keyer, id.trim()));
        Self { key, rules: bit(Compare::Exact), exact }
    }

    /// The key under which this name is remembered as seen: with its exact text, if it is compared exactly.
    #[must_use]
    pub fn seen(&self) -> Key {
        if self.rules == bit(Compare::Exact) { exactly(self.key, self.exact) } else { self.key }
    }

    /// Whether a REF under this key, with these rules, is this name.
    #[must_use]
    pub fn is(&self, rules: u8, exact: u32) -> bool {
        let shared = rules & self.rules;
        rules == 0 || shared & !bit(Compare::Exact) != 0 || (shared != 0 && exact == self.exact)
    }
}

impl RefKey {
    /// The keys of a REF, which may be a name under any rule.
    #[must_use]
    pub fn of(keyer: &Keyer, reference: &str) -> Vec<Self> {
        let mut found: Vec<(String, u8)> = vec![(fold_name(reference), BEFORE)];
        for compare in Compare::ALL {
            let text = text(compare, reference);
            match found.iter_mut().find(|(other, _)| *other == text) {
                Some((_, rules)) => *rules |= bit(compare),
                None => found.push((text, bit(compare))),
            }
        }
        let exact = exact(keyer, reference.trim());
        let key = |(text, rules): (String, u8)| Self { key: keyer.key(KeyKind::Name, &[&text]), rules, exact };
        found.into_iter().map(key).collect()
    }

    /// The keys under which [`NameKey::seen`] may have put a name that this REF means.
    pub fn seen(&self) -> impl Iterator<Item = Key> {
        let exact = (self.rules & bit(Compare::Exact) != 0).then(|| exactly(self.key, self.exact));
        exact.into_iter().chain((self.rules & !bit(Compare::Exact) != 0).then_some(self.key))
    }
}

/// The key by which a claim links: a value of an attribute of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkKey {
    /// Key of the value, folded by the attribute's rule.
    pub folded: Key,
    /// Key of the exact value, for sources whose rules the log does not know yet.
    pub exact: Key,
    /// The same for values whose match may grant access.
    pub strict: u64,
}

impl LinkKey {
    /// The key of a value of a source's attribute.
    #[must_use]
    pub fn of(keyer: &Keyer, source: &str, attribute: &str, (compare, value): (Compare, &str)) -> Self {
        let folded = compare.fold(value);
        let key = |text: &str| keyer.key(KeyKind::Link, &[source, attribute, text]);
        let folded_key = key(&folded.text);
        let strict = if folded.strict() == folded.text { folded_key } else { key(folded.strict()) };
        let exact = if folded.text == value { folded_key } else { key(value) };
        Self { folded: folded_key, exact, strict: strict.low }
    }
}

/// The name of a group, as its directory compares group names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupKey {
    /// Key of the name, folded.
    pub folded: Key,
    /// The same for names whose match may grant access.
    pub strict: u64,
}

impl GroupKey {
    /// The key of a group's name.
    #[must_use]
    pub fn of(keyer: &Keyer, (compare, name): (Compare, &str)) -> Self {
        let folded = compare.fold(name);
        let key = |text: &str| keyer.key(KeyKind::Group, &[text]);
        let (text, strict) = (key(&folded.text), folded.strict());
        let strict = if strict == folded.text { text } else { key(strict) };
        Self { folded: text, strict: strict.low }
    }
}

/// A name as the first versions compared it: trimmed, lower case. What they denied stays denied.
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
