//! The identifiers in verified tokens since the start, so that `revoke` can warn about one that no token ever had.
//!
//! A Bloom filter for each kind: of fixed size, without locks, and without false negatives. The fuller it gets, the more
//! often a warning is missed. Each token is added once, when it is first verified.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::credential::Identity;
use crate::domain::key::{Key, Keyer, RefKey};
use crate::domain::revocation::TargetKind;

/// Words of 64 bits: 1 MiB for kinds with millions of identifiers. At a million, one in fifty unseen ones counts as seen.
const MANY: usize = 128 * 1024;
/// Likewise: 64 KiB for clients, of which an issuer has thousands.
const FEW: usize = 8 * 1024;
/// Bits per key.
const BITS: u64 = 4;

/// The identifiers in verified tokens so far.
#[derive(Debug)]
pub struct SeenIdentifiers {
    subjects: Filter,
    sessions: Filter,
    tokens: Filter,
    clients: Filter,
    names: Filter,
}

impl Default for SeenIdentifiers {
    fn default() -> Self {
        let many = || Filter::of(MANY);
        Self { subjects: many(), sessions: many(), tokens: many(), clients: Filter::of(FEW), names: many() }
    }
}

impl SeenIdentifiers {
    /// Adds everything under which a verified credential and its actors may be revoked.
    pub fn note(&self, identity: &Identity) {
        for principal in std::iter::once(&identity.owner).chain(&identity.actors) {
            for (kind, key) in &principal.look_ups {
                if let Some(filter) = self.filter(*kind) {
                    filter.add(*key);
                }
            }
            principal.names.iter().for_each(|name| self.names.add(name.seen()));
        }
    }

    /// Whether a verified credential had this identifier; `None` for kinds that are not recorded. `Some(true)` may be wrong,
    /// `Some(false)` never is.
    #[must_use]
    pub fn has(&self, kind: TargetKind, key: Key) -> Option<bool> {
        self.filter(kind).map(|filter| filter.holds(key))
    }

    /// Whether a verified credential had a name that a REF means. `true` may be wrong, `false` never is.
    #[must_use]
    pub fn has_name(&self, keyer: &Keyer, reference: &str) -> bool {
        RefKey::of(keyer, reference).iter().flat_map(RefKey::seen).any(|key| self.names.holds(key))
    }

    fn filter(&self, kind: TargetKind) -> Option<&Filter> {
        match kind {
            TargetKind::Subject => Some(&self.subjects),
            TargetKind::Session => Some(&self.sessions),
            TargetKind::Token => Some(&self.tokens),
            TargetKind::Client => Some(&self.clients),
            TargetKind::Person | TargetKind::Issuer | TargetKind::Key | TargetKind::Certificate => None,
        }
    }
}

/// A Bloom filter.
#[derive(Debug)]
struct Filter {
    words: Box<[AtomicU64]>,
}

impl Filter {
    fn of(words: usize) -> Self {
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }

    /// The bits of a key. A key is a hash already, and its two halves are as good as many hashes (Kirsch and Mitzenmacher,
    /// "Less Hashing, Same Performance", 2006).
    fn bits(&self, key: Key) -> impl Iterator<Item = (&AtomicU64, u64)> {
        let bits = (self.words.len() as u64).saturating_mul(64);
        (0..BITS).filter_map(move |round| {
            let bit = key.high.wrapping_add(key.low.wrapping_mul(round)).checked_rem(bits)?;
            let word = self.words.get(usize::try_from(bit / 64).ok()?)?;
            Some((word, 1 << (bit % 64)))
        })
    }

    fn add(&self, key: Key) {
        for (word, bit) in self.bits(key) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    fn holds(&self, key: Key) -> bool {
        self.bits(key).all(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::key::{KeyKind, NameKey};
    use crate::domain::name::Compare;

    #[test]
    fn a_name_is_seen_as_it_is_compared() {
        let (keyer, seen) = (Keyer::new([9; 16]), SeenIdentifiers::default());
        seen.names.add(NameKey::id(&keyer, "e9").seen());
        NameKey::of(&keyer, Compare::IgnoreCase, "Mallory@example.com").for_each(|name| seen.names.add(name.seen()));
        for (reference, is_seen) in
            [("e9", true), ("E9", false), ("mallory@EXAMPLE.com", true), ("malory@example.com", false)]
        {
            assert_eq!(seen.has_name(&keyer, reference), is_seen, "{reference}");
        }
    }

    #[test]
    fn what_was_added_is_held_and_hardly_anything_else() {
        let keyer = Keyer::new([9; 16]);
        let key = |number: usize| keyer.key(KeyKind::Client, &["https://idp.example", &number.to_string()]);
        let filter = Filter::of(FEW);
        for number in 0..10_000 {
            filter.add(key(number));
        }
        assert!((0..10_000).all(|number| filter.holds(key(number))));
        let mistaken = (10_000..110_000).filter(|number| filter.holds(key(*number))).count();
        assert!(mistaken < 200, "{mistaken} of 100,000");
    }
}
