//! Random ids for revocations, exemptions and events, drawn anew at each planning.

use std::hash::Hasher as _;
use std::sync::atomic::{AtomicU64, Ordering};

use siphasher::sip::SipHasher13;

use crate::domain::id::{ExemptionId, RevocationId};

/// How many bits number the names that share their random ones.
const SHARED: u32 = 12;

/// Draws ids: a keyed hash of a counter, under a key that no other process has. So different things never get the same
/// id, across logs and across attempts at one plan.
#[derive(Debug)]
pub struct Ids {
    key: [u8; 16],
    drawn: AtomicU64,
}

impl Ids {
    /// Ids under a random key from the system.
    ///
    /// # Errors
    /// If the system provides no random numbers.
    pub fn from_system() -> Result<Self, getrandom::Error> {
        let mut key = [0; 16];
        getrandom::fill(&mut key)?;
        Ok(Self::under(key))
    }

    /// Ids under a given key: the same key draws the same ids.
    #[must_use]
    pub fn under(key: [u8; 16]) -> Self {
        Self { key, drawn: AtomicU64::new(0) }
    }

    /// 64 bits that nobody else draws: 52 random ones, and the number among the names that share these. Ids in a row
    /// are neighbours in the index, and written together.
    fn draw(&self) -> u64 {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write_u64(number >> SHARED);
        hasher.finish() << SHARED | number & ((1 << SHARED) - 1)
    }

    /// The id of a new revocation.
    pub(super) fn revocation(&self) -> RevocationId {
        RevocationId::random(self.draw())
    }

    /// The id of a new exemption.
    pub(super) fn exemption(&self) -> ExemptionId {
        ExemptionId::random(self.draw())
    }

    /// The prefix of the event names of one plan, so that they are neighbours in the index and written together.
    pub(super) fn batch(&self) -> u64 {
        self.draw()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_name_is_given_twice() {
        let (one, other) = (Ids::from_system().unwrap(), Ids::from_system().unwrap());
        let names: HashSet<RevocationId> = (0..1000).flat_map(|_| [one.revocation(), other.revocation()]).collect();
        assert_eq!(names.len(), 2000);
        assert_eq!(Ids::under([7; 16]).revocation(), Ids::under([7; 16]).revocation(), "the key says it all");
    }
}
