//! The revocation set: what a check looks up, compact.

use super::table::{Keyed, Table};
use crate::domain::event::Ended;
use crate::domain::id::RevocationId;
use crate::domain::key::{Key, KeyKind, Keyer, RefKey};
use crate::domain::revocation::{Owner, Shape, TargetKind};
use crate::domain::time::Timestamp;
use crate::faults::{Fault, planted};

/// Who owns an entry, as far as decisions tell owners apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum OwnerKind {
    /// An operator.
    Operator = 0,
    /// The configuration.
    Configuration = 1,
    /// A source.
    Source = 2,
}

impl From<&Owner> for OwnerKind {
    fn from(owner: &Owner) -> Self {
        match owner {
            Owner::Operator => Self::Operator,
            Owner::Configuration => Self::Configuration,
            Owner::Source(_) => Self::Source,
        }
    }
}

/// What an entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EntryKind {
    /// Denies while it stands.
    Block = 0,
    /// Denies what was issued at or before a time, until somebody ends it.
    CutOff = 1,
    /// What is left of a block that ended: a cut-off that nobody ends (law 7).
    ResidualCutoff = 2,
}

/// One revocation under one key: 48 bytes. Its texts are in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Under what it is looked up.
    pub key: Key,
    /// Which revocation.
    pub id: RevocationId,
    /// Of a cut-off: the last time of issue that is denied. Of a block: when it began, on the provider's clock where it
    /// said so, and no cut-off that is left of it is earlier (law 7).
    pub at: Timestamp,
    /// It denies from then on.
    pub effective: Timestamp,
    /// What it is about.
    pub kind: TargetKind,
    /// What it does.
    pub stand: EntryKind,
    /// Whose it is.
    pub owner: OwnerKind,
    /// Which source, where it is one: see [`whose`]. Of a REF: a hash of it as it is.
    pub whose: u32,
    /// Of a REF: the rules by which its names stand under this key; 0: any, and for everything else.
    pub rules: u8,
}

impl Entry {
    /// What tells leftovers of one key apart: each owner's, and each REF's that is compared by other rules.
    fn class(&self) -> u64 {
        let of_ref = u64::from(self.whose) << 16 | u64::from(self.rules) << 8;
        self.owner as u64 | if self.owner == OwnerKind::Source { 0 } else { of_ref }
    }
}

/// Tells sources apart as owners in four bytes; nought for everybody else. Two sources that were mistaken for each
/// other could end each other's blocks: one in four thousand million pairs.
#[must_use]
pub fn whose(keyer: &Keyer, owner: &Owner) -> u32 {
    match owner {
        Owner::Source(name) => (keyer.key(KeyKind::Source, &[name]).low >> 32) as u32,
        Owner::Operator | Owner::Configuration => 0,
    }
}

impl Keyed for Entry {
    fn key(&self) -> Key {
        self.key
    }

    fn rank(&self) -> (u64, u64) {
        // One leftover for each owner is enough: the latest. Everything else stands for itself.
        match self.stand {
            EntryKind::ResidualCutoff => (0, self.class()),
            EntryKind::Block | EntryKind::CutOff => (self.id.number(), 0),
        }
    }
}

/// All that stands.
#[derive(Clone, Debug, Default)]
pub struct Revocations {
    table: Table<Entry>,
    live: [usize; TargetKind::ALL.len()],
}

impl Revocations {
    /// The set that holds exactly these entries.
    #[must_use]
    pub fn build(entries: Vec<Entry>) -> Self {
        let table = Table::build(entries);
        let mut live = [0; TargetKind::ALL.len()];
        for entry in table.iter() {
            count(&mut live, entry.kind, 1);
        }
        Self { table, live }
    }

    /// `false`: nothing stands under this key. `true` may be wrong; [`Revocations::under`] knows.
    #[must_use]
    #[inline]
    pub fn may_hold(&self, key: Key) -> bool {
        self.table.may_hold(key)
    }

    /// What stands under a key.
    #[must_use]
    #[inline]
    pub fn under(&self, key: Key) -> &[Entry] {
        self.table.get(key)
    }

    /// Every entry, by key.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.table.iter()
    }

    /// Entries about targets of this kind.
    #[must_use]
    pub fn live(&self, kind: TargetKind) -> usize {
        self.live.get(kind as usize).copied().unwrap_or(0)
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Lets an entry stand.
    pub(super) fn stand(&mut self, entry: Entry) {
        let before = self.table.len();
        self.table.insert(entry);
        if self.table.len() > before {
            count(&mut self.live, entry.kind, 1);
        }
    }

    /// Takes out the cut-offs of sources that a later one about the same makes needless: somebody logs out every day.
    pub(super) fn outdate(&mut self, key: Key, by: RevocationId, kind: TargetKind, at: Timestamp) {
        let needless = |entry: &Entry| {
            entry.stand == EntryKind::CutOff
                && entry.owner == OwnerKind::Source
                && entry.kind == kind
                && entry.id != by
                && entry.at <= at
        };
        for entry in self.table.remove(key, needless) {
            count(&mut self.live, entry.kind, -1);
        }
    }

    /// Ends what the revocation put under `key`. Of a block on somebody who outlives their credentials a
    /// cut-off stays (law 7), unless it had not begun to deny.
    pub(super) fn end(&mut self, key: Key, id: RevocationId, ended: &Ended) {
        let (at, began) = (ended.at, ended.began);
        let ended = self.table.remove(key, |entry| entry.id == id && entry.stand != EntryKind::ResidualCutoff);
        for entry in ended {
            count(&mut self.live, entry.kind, -1);
            if planted(Fault::EndsWithoutCutOff) {
                continue;
            }
            if entry.stand == EntryKind::Block && entry.kind.leaves_cut_off() && began {
                self.leave(Entry { stand: EntryKind::ResidualCutoff, at: at.max(entry.at), ..entry });
            }
        }
    }

    fn leave(&mut self, leftover: Entry) {
        let later = self.under(leftover.key).iter().any(|entry| {
            entry.stand == EntryKind::ResidualCutoff && entry.class() == leftover.class() && entry.at >= leftover.at
        });
        if !later {
            self.stand(leftover);
        }
    }

    /// Whether this revocation still stands under `key`.
    #[must_use]
    pub fn stands(&self, key: Key, id: RevocationId) -> bool {
        self.under(key).iter().any(|entry| entry.id == id && entry.stand != EntryKind::ResidualCutoff)
    }
}

fn count(live: &mut [usize; TargetKind::ALL.len()], kind: TargetKind, by: isize) {
    if let Some(slot) = live.get_mut(kind as usize) {
        *slot = slot.saturating_add_signed(by);
    }
}

/// The entry that a revocation puts under `key`; `happened`: when, on the provider's clock.
pub(super) fn entry(key: Key, id: RevocationId, of: &Of<'_>, happened: Option<Timestamp>) -> Entry {
    let (stand, at) = match of.shape {
        // A provider's clock may be wrong: it makes a block begin earlier than we say, not later.
        Shape::Block => (EntryKind::Block, happened.map_or(of.effective, |happened| happened.min(of.effective))),
        Shape::CutOff { at } => (EntryKind::CutOff, at),
    };
    let (effective, kind, owner) = (of.effective, of.kind, of.owner.into());
    Entry { key, id, at, effective, kind, stand, owner, whose: of.whose, rules: 0 }
}

/// The same under one of the keys of a REF.
pub(super) fn entry_of_ref(name: &RefKey, id: RevocationId, of: &Of<'_>, happened: Option<Timestamp>) -> Entry {
    Entry { whose: name.exact, rules: name.rules, ..entry(name.key, id, of, happened) }
}

/// What an entry takes from its revocation.
#[derive(Clone, Copy)]
pub(super) struct Of<'a> {
    pub(super) kind: TargetKind,
    pub(super) shape: Shape,
    pub(super) effective: Timestamp,
    pub(super) owner: &'a Owner,
    pub(super) whose: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_48_bytes() {
        assert_eq!(size_of::<Entry>(), 48);
    }
}
