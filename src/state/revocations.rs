//! The revocation set: the compact form in which checks look up revocations.

use super::table::{Keyed, Table};
use crate::domain::event::{EndCause, Ended};
use crate::domain::id::RevocationId;
use crate::domain::key::{Key, KeyKind, Keyer, RefKey};
use crate::domain::revocation::{Owner, Shape, TargetKind};
use crate::domain::time::Timestamp;
use crate::faults::{Fault, planted};

/// The owner of an entry, as far as decisions distinguish owners.
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

/// The effect of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EntryKind {
    /// Denies while it stands.
    Block = 0,
    /// Denies what was issued at or before a time, until it is ended.
    CutOff = 1,
    /// The rest of a block that ended: a cut-off that nobody ends (law 7).
    ResidualCutoff = 2,
}

/// One revocation under one key, in 48 bytes. Its texts are in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key under which it is looked up.
    pub key: Key,
    /// The revocation.
    pub id: RevocationId,
    /// For a cut-off: the last time of issue that is denied. For a block: when it began, on the provider's clock if
    /// known; its residual cut-off is never earlier (law 7).
    pub at: Timestamp,
    /// When it takes effect.
    pub effective: Timestamp,
    /// The kind of its target.
    pub kind: TargetKind,
    /// Its effect.
    pub effect: EntryKind,
    /// Its owner.
    pub owner: OwnerKind,
    /// For a source: see [`owner_hash`]. For a REF: a hash of its exact text.
    pub owner_hash: u32,
    /// For a REF: the rules that apply under this key, 0 for any. 0 for everything else.
    pub rules: u8,
}

impl Entry {
    /// Distinguishes residual cut-offs of one key: one for each owner, and for each REF with other rules.
    fn class(&self) -> u64 {
        let of_ref = u64::from(self.owner_hash) << 16 | u64::from(self.rules) << 8;
        self.owner as u64 | if self.owner == OwnerKind::Source { 0 } else { of_ref }
    }
}

/// A hash that distinguishes sources as owners; 0 for other owners. Two sources with the same hash could end each
/// other's blocks: one in four thousand million pairs has the same.
#[must_use]
pub fn owner_hash(keyer: &Keyer, owner: &Owner) -> u32 {
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
        // The latest residual cut-off of the configuration and of each source is enough. Everything else is kept by id: of
        // an operator's, one may be undone, and those of others stay.
        match self.effect {
            EntryKind::ResidualCutoff if self.owner == OwnerKind::Operator => (self.id.number(), 1),
            EntryKind::ResidualCutoff => (0, self.class()),
            EntryKind::Block | EntryKind::CutOff => (self.id.number(), 0),
        }
    }
}

/// All standing revocations.
#[derive(Clone, Debug, Default)]
pub struct Revocations {
    table: Table<Entry>,
    live: [usize; TargetKind::ALL.len()],
}

impl Revocations {
    /// The set of exactly these entries.
    #[must_use]
    pub fn build(entries: Vec<Entry>) -> Self {
        let table = Table::build(entries);
        let stands = |entry: &&Entry| entry.effect != EntryKind::ResidualCutoff;
        let mut standing: Vec<_> = table.iter().filter(stands).map(|entry| (entry.id, entry.kind)).collect();
        // One of a REF has several entries.
        standing.sort_unstable();
        standing.dedup();
        let mut live = [0; TargetKind::ALL.len()];
        standing.into_iter().for_each(|(_, kind)| count(&mut live, kind, 1));
        Self { table, live }
    }

    /// `false` if there is no entry under this key. `true` may be wrong; [`Revocations::under`] is exact.
    #[must_use]
    #[inline]
    pub fn may_hold(&self, key: Key) -> bool {
        self.table.may_hold(key)
    }

    /// The entries under a key.
    #[must_use]
    #[inline]
    pub fn under(&self, key: Key) -> &[Entry] {
        self.table.get(key)
    }

    /// Every entry, by key.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.table.iter()
    }

    /// The number of revocations that stand about targets of this kind, each once, without what ended ones have left.
    #[must_use]
    pub fn live(&self, kind: TargetKind) -> usize {
        self.live.get(kind as usize).copied().unwrap_or(0)
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Adds an entry.
    pub(super) fn insert(&mut self, entry: Entry) {
        self.table.insert(entry);
    }

    /// Counts a revocation that began or ceased to stand under the main key of its target; `stood`: it did before.
    pub(super) fn recount(&mut self, main: Key, id: RevocationId, kind: TargetKind, stood: bool) {
        match (stood, self.stands(main, id)) {
            (false, true) => count(&mut self.live, kind, 1),
            (true, false) => count(&mut self.live, kind, -1),
            _ => {}
        }
    }

    /// Removes the cut-offs of sources that a later one about the same target covers: somebody logs out every day. `key` is
    /// the main key of the target.
    pub(super) fn supersede(&mut self, key: Key, by: RevocationId, kind: TargetKind, at: Timestamp) {
        let needless = |entry: &Entry| {
            entry.effect == EntryKind::CutOff
                && entry.owner == OwnerKind::Source
                && entry.kind == kind
                && entry.id != by
                && entry.at <= at
        };
        for entry in self.table.remove(key, needless) {
            count(&mut self.live, entry.kind, -1);
        }
    }

    /// Ends the entry of a revocation under `key`. A block on a target that outlives its credentials leaves a residual
    /// cut-off (law 7), unless it had not taken effect. One that is undone leaves nothing, and takes along what it left.
    pub(super) fn end(&mut self, key: Key, id: RevocationId, ended: &Ended) {
        let (at, began, undone) = (ended.at, ended.began, ended.cause == EndCause::Undone);
        let ended =
            self.table.remove(key, |entry| entry.id == id && (undone || entry.effect != EntryKind::ResidualCutoff));
        for entry in ended {
            if undone || planted(Fault::EndsWithoutCutOff) {
                continue;
            }
            if entry.effect == EntryKind::Block && entry.kind.leaves_cut_off() && began {
                self.leave_residual(Entry { effect: EntryKind::ResidualCutoff, at: at.max(entry.at), ..entry });
            }
        }
    }

    fn leave_residual(&mut self, residual: Entry) {
        let later = self.under(residual.key).iter().any(|entry| {
            entry.effect == EntryKind::ResidualCutoff && entry.class() == residual.class() && entry.at >= residual.at
        });
        if !later || residual.owner == OwnerKind::Operator {
            self.insert(residual);
        }
    }

    /// Whether this revocation still stands under `key`.
    #[must_use]
    pub fn stands(&self, key: Key, id: RevocationId) -> bool {
        self.under(key).iter().any(|entry| entry.id == id && entry.effect != EntryKind::ResidualCutoff)
    }
}

impl Revocations {
    /// The residual cut-off that this revocation left under `key`, if it did and it was not merged into a later one.
    #[must_use]
    pub fn left(&self, key: Key, id: RevocationId) -> Option<Timestamp> {
        let left = |entry: &&Entry| entry.id == id && entry.effect == EntryKind::ResidualCutoff;
        self.under(key).iter().find(left).map(|entry| entry.at)
    }
}

fn count(live: &mut [usize; TargetKind::ALL.len()], kind: TargetKind, by: isize) {
    if let Some(slot) = live.get_mut(kind as usize) {
        *slot = slot.saturating_add_signed(by);
    }
}

/// The entry of a revocation under `key`; `happened` is its time on the provider's clock.
pub(super) fn entry(key: Key, id: RevocationId, fields: &EntryFields<'_>, happened: Option<Timestamp>) -> Entry {
    let (effect, at) = match fields.shape {
        // A provider's clock may be wrong: it can only make a block begin earlier.
        Shape::Block => {
            (EntryKind::Block, happened.map_or(fields.effective, |happened| happened.min(fields.effective)))
        }
        Shape::CutOff { at } => (EntryKind::CutOff, at),
    };
    let (effective, kind, owner) = (fields.effective, fields.kind, fields.owner.into());
    Entry { key, id, at, effective, kind, effect, owner, owner_hash: fields.owner_hash, rules: 0 }
}

/// The entry under one of the keys of a REF.
pub(super) fn entry_of_ref(
    name: &RefKey,
    id: RevocationId,
    fields: &EntryFields<'_>,
    happened: Option<Timestamp>,
) -> Entry {
    Entry { owner_hash: name.exact, rules: name.rules, ..entry(name.key, id, fields, happened) }
}

/// The fields of an entry that come from its revocation.
#[derive(Clone, Copy)]
pub(super) struct EntryFields<'a> {
    pub(super) kind: TargetKind,
    pub(super) shape: Shape,
    pub(super) effective: Timestamp,
    pub(super) owner: &'a Owner,
    pub(super) owner_hash: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_48_bytes() {
        assert_eq!(size_of::<Entry>(), 48);
    }
}
