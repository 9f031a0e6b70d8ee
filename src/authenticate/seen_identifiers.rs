//! What verified tokens have shown since the start: so that a revocation of something that never came by is told from one
//! that works.
//!
//! A Bloom filter for each kind: of a fixed size, without locks, and it never denies what was seen. The fuller it is, the
//! more often it takes something for seen that was not, and a warning is left out. Written once per token, where it is
//! first verified.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::credential::Identity;
use crate::domain::key::Key;
use crate::domain::revocation::TargetKind;

/// 64 bits each: 1 MiB for what there may be millions of. At a million, one in fifty unseen ones is taken for seen.
const MANY: usize = 128 * 1024;
/// 64 KiB for clients, of which an issuer has thousands.
const FEW: usize = 8 * 1024;
/// Bits that stand for one key.
const BITS: u64 = 4;

/// What verified tokens have shown so far.
#[derive(Debug)]
pub struct SeenIdentifiers {
    subjects: Filter,
    sessions: Filter,
    tokens: Filter,
    clients: Filter,
}

impl Default for SeenIdentifiers {
    fn default() -> Self {
        let many = || Filter::of(MANY);
        Self { subjects: many(), sessions: many(), tokens: many(), clients: Filter::of(FEW) }
    }
}

impl SeenIdentifiers {
    /// Notes everything under which a verified credential and its actors may be revoked.
    pub fn note(&self, identity: &Identity) {
        for party in std::iter::once(&identity.owner).chain(&identity.actors) {
            for (kind, key) in &party.look_ups {
                if let Some(filter) = self.filter(*kind) {
                    filter.add(*key);
                }
            }
        }
    }

    /// Whether a verified credential has shown this; `None` for kinds of which no note is taken. Of what was not seen it
    /// may say that it was, of what was seen never that it was not.
    #[must_use]
    pub fn has(&self, kind: TargetKind, key: Key) -> Option<bool> {
        self.filter(kind).map(|filter| filter.holds(key))
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

/// A set that is never asked for its members.
#[derive(Debug)]
struct Filter {
    words: Box<[AtomicU64]>,
}

impl Filter {
    fn of(words: usize) -> Self {
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }

    /// The bits that stand for a key, which is a hash already: two halves are as good as many (Kirsch and Mitzenmacher,
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
    use crate::domain::key::{KeyKind, Keyer};

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
