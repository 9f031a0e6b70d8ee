//! A persistent table: clones share its parts. The revocation set and the people are built of it.
//!
//! A root of nodes over sorted leaves; both widen as the table grows. A change copies one leaf, one node and the root,
//! never the table; within a batch node and root are copied at most once. Copying them counts a reference for each part,
//! and each reference is another cache line, which costs more than copying the leaf: so nodes are small, and a batch of a
//! thousand changes pays for the large root.
//!
//! Nearly everything that a check looks up among revocations is absent. So their leaves have a small filter that rules out
//! most absent keys: a look-up reads the root, a node and one word of the filter, and the processor goes on to the next key
//! while that word is being loaded.

use std::sync::Arc;

use crate::domain::key::Key;

/// An entry of a table. Several entries may share a key; they are ordered by `rank`.
pub trait Keyed: Clone {
    /// Its key.
    fn key(&self) -> Key;

    /// The average number of entries in a leaf before the table widens. Each change copies a leaf.
    const CROWD: usize = 64;

    /// Whether leaves have filters. They cost a reference of each leaf, and pay only where most keys that are looked up
    /// are absent.
    const FILTERED: bool = true;

    /// Its order among entries of the same key. An entry replaces one with the same key and rank.
    fn rank(&self) -> (u64, u64);
}

/// Leaves of a table, as a power of two: at first, the steps in which it widens, and at most.
const NARROWEST: u32 = 14;
const WIDENS_BY: u32 = 2;
const WIDEST: u32 = 18;

type Node<E> = Arc<[Leaf<E>]>;

/// Keys per word of a filter: 16 bits for each.
const KEYS_PER_WORD: usize = 4;

/// The entries of a leaf, in order, and a filter of their keys.
#[derive(Clone, Debug)]
struct Leaf<E> {
    /// `None` in a table without filters, and in an empty leaf.
    filter: Option<Arc<[u64]>>,
    entries: Arc<[E]>,
}

impl<E> Default for Leaf<E> {
    fn default() -> Self {
        Self { filter: None, entries: Arc::default() }
    }
}

impl<E: Keyed> Leaf<E> {
    fn of(entries: Arc<[E]>) -> Self {
        Self { filter: (E::FILTERED && !entries.is_empty()).then(|| filter(&entries)), entries }
    }

    /// Inserts an entry, or replaces the one with the same key and rank. Returns whether there was none.
    ///
    /// Always into new memory of the exact size: growing in place left a quarter of the memory unused.
    fn insert(&mut self, entry: E) -> bool {
        let order = (entry.key(), entry.rank());
        let at = self.entries.partition_point(|other| (other.key(), other.rank()) < order);
        let replaces = self.entries.get(at).is_some_and(|other| (other.key(), other.rank()) == order);
        let (before, after) = self.entries.split_at(at);
        let after = after.get(usize::from(replaces)..).unwrap_or(&[]);
        // Copy slices: cloning entries one by one took half of a replay.
        let mut entries = Vec::with_capacity(before.len() + 1 + after.len());
        entries.extend_from_slice(before);
        entries.push(entry);
        entries.extend_from_slice(after);
        *self = Self::of(entries.into());
        !replaces
    }

    /// Removes the entries with this key for which `gone` returns true.
    fn remove(&mut self, key: Key, gone: impl Fn(&E) -> bool) {
        *self = Self::of(self.entries.iter().filter(|entry| entry.key() != key || !gone(entry)).cloned().collect());
    }

    /// `false` if no entry has this key. With a filter, `true` is wrong in one of a hundred cases.
    #[inline]
    fn may_hold(&self, key: Key) -> bool {
        let Some(filter) = &self.filter else { return !E::FILTERED };
        let bits = bits(key);
        filter.get(word(key, filter.len())).is_some_and(|word| word & bits == bits)
    }
}

fn filter<E: Keyed>(entries: &[E]) -> Arc<[u64]> {
    let mut filter = vec![0; entries.len().div_ceil(KEYS_PER_WORD)];
    entries.iter().for_each(|entry| add_to(&mut filter, entry.key()));
    filter.into()
}

fn add_to(filter: &mut [u64], key: Key) {
    let at = word(key, filter.len());
    if let Some(word) = filter.get_mut(at) {
        *word |= bits(key);
    }
}

/// The index of the filter word for this key.
fn word(key: Key, words: usize) -> usize {
    usize::try_from((u128::from(key.low) * (words as u128)) >> 64).unwrap_or(0)
}

/// Three bits of a filter word, chosen by bits of the key that choose neither leaf nor word.
fn bits(key: Key) -> u64 {
    1 << (key.high & 63) | 1 << (key.high >> 6 & 63) | 1 << (key.high >> 12 & 63)
}

/// A table of entries by key. Cloning is cheap and gives an independent table.
#[derive(Clone, Debug)]
pub struct Table<E> {
    nodes: Arc<[Option<Node<E>>]>,
    len: usize,
    width: Width,
}

/// How many leaves a table has.
#[derive(Clone, Copy, Debug)]
struct Width {
    /// The leaves, as a power of two.
    leaves: u32,
    /// The leaves of a node, as a power of two.
    of_node: u32,
}

impl Width {
    const fn of(leaves: u32) -> Self {
        Self { leaves, of_node: leaves / 4 }
    }

    const fn nodes(self) -> usize {
        1 << (self.leaves - self.of_node)
    }

    /// Whether this many entries crowd its leaves.
    fn is_crowded<E: Keyed>(self, entries: usize) -> bool {
        self.leaves < WIDEST && entries > E::CROWD << self.leaves
    }
}

impl<E: Keyed> Default for Table<E> {
    fn default() -> Self {
        let width = Width::of(NARROWEST);
        Self { nodes: vec![None; width.nodes()].into(), len: 0, width }
    }
}

/// The index of the node (the first bits), and of the leaf in it (the next ones).
#[inline]
fn place(key: Key, width: Width) -> (usize, usize) {
    let leaf = usize::try_from(key.high >> (64 - width.leaves)).unwrap_or(0);
    (leaf >> width.of_node, leaf & ((1 << width.of_node) - 1))
}

/// The approximate index of a key in a leaf of `len` entries, by the bits after those that choose the leaf.
#[inline]
fn guess(key: Key, width: Width, len: usize) -> usize {
    let share = u128::from(key.high << width.leaves) * (len as u128);
    usize::try_from(share >> 64).unwrap_or(0)
}

/// The index of the first entry of a sorted leaf whose key is not less than `key`.
///
/// Keys are uniform, so the guess is off by about the square root of the length: a walk from there reads one or two
/// cache lines, while a binary search would read one for each step.
fn lower_bound<E: Keyed>(leaf: &[E], width: Width, key: Key) -> usize {
    let mut at = guess(key, width, leaf.len());
    while at > 0 && leaf.get(at - 1).is_some_and(|entry| entry.key() >= key) {
        at -= 1;
    }
    while leaf.get(at).is_some_and(|entry| entry.key() < key) {
        at += 1;
    }
    at
}

impl<E: Keyed> Table<E> {
    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    fn leaf(&self, key: Key) -> Option<&Leaf<E>> {
        let (node, leaf) = place(key, self.width);
        self.nodes.get(node).and_then(Option::as_ref).and_then(|node| node.get(leaf))
    }

    /// `false` if there is no entry with this key. `true` may be wrong.
    #[must_use]
    #[inline]
    pub fn may_hold(&self, key: Key) -> bool {
        self.leaf(key).is_some_and(|leaf| leaf.may_hold(key))
    }

    /// All entries with this key, in order of rank.
    #[must_use]
    #[inline]
    pub fn get(&self, key: Key) -> &[E] {
        let Some(leaf) = self.leaf(key).filter(|leaf| leaf.may_hold(key)) else { return &[] };
        of_key(&leaf.entries, self.width, key)
    }
}

/// The entries with this key in a sorted leaf.
fn of_key<E: Keyed>(leaf: &[E], width: Width, key: Key) -> &[E] {
    let from = lower_bound(leaf, width, key);
    let rest = leaf.get(from..).unwrap_or(&[]);
    let many = rest.iter().take_while(|entry| entry.key() == key).count();
    rest.get(..many).unwrap_or(&[])
}

impl<E: Keyed> Table<E> {
    /// Inserts an entry, in place of the one with the same key and rank.
    pub fn insert(&mut self, entry: E) {
        let added = self.leaf_mut(entry.key()).is_some_and(|leaf| leaf.insert(entry));
        self.len += usize::from(added);
        if self.width.is_crowded::<E>(self.len) {
            *self = Self::of_width(self.iter().cloned().collect(), Width::of(self.width.leaves + WIDENS_BY));
        }
    }

    /// Removes the entries with this key for which `gone` returns true, and returns them.
    pub fn remove(&mut self, key: Key, gone: impl Fn(&E) -> bool) -> Vec<E> {
        let removed: Vec<E> = self.get(key).iter().filter(|entry| gone(entry)).cloned().collect();
        if !removed.is_empty()
            && let Some(leaf) = self.leaf_mut(key)
        {
            leaf.remove(key, gone);
            self.len -= removed.len();
        }
        removed
    }

    fn leaf_mut(&mut self, key: Key) -> Option<&mut Leaf<E>> {
        let (node, leaf) = place(key, self.width);
        let leaves = 1 << self.width.of_node;
        let slot = Arc::make_mut(&mut self.nodes).get_mut(node)?;
        let node = slot.get_or_insert_with(|| vec![Leaf::default(); leaves].into());
        Arc::make_mut(node).get_mut(leaf)
    }

    /// All entries, in order of key and rank.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.nodes.iter().flatten().flat_map(|node| node.iter()).flat_map(|leaf| leaf.entries.iter())
    }

    /// Builds a table of entries in any order. Later ones replace earlier ones.
    pub fn build(mut entries: Vec<E>) -> Self {
        entries.sort_by_key(|entry| (entry.key(), entry.rank()));
        entries.dedup_by(|later, earlier| {
            let same = (later.key(), later.rank()) == (earlier.key(), earlier.rank());
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        let mut width = Width::of(NARROWEST);
        while width.is_crowded::<E>(entries.len()) {
            width = Width::of(width.leaves + WIDENS_BY);
        }
        Self::of_width(entries, width)
    }

    /// Builds a table of sorted entries.
    fn of_width(entries: Vec<E>, width: Width) -> Self {
        let mut nodes = vec![None; width.nodes()];
        for of_leaf in entries.chunk_by(|one, other| place(one.key(), width) == place(other.key(), width)) {
            let Some(first) = of_leaf.first() else { continue };
            let (node, leaf) = place(first.key(), width);
            let Some(slot) = nodes.get_mut(node) else { continue };
            let node: &mut Node<E> = slot.get_or_insert_with(|| vec![Leaf::default(); 1 << width.of_node].into());
            if let Some(slot) = Arc::make_mut(node).get_mut(leaf) {
                *slot = Leaf::of(of_leaf.into());
            }
        }
        Self { nodes: nodes.into(), len: entries.len(), width }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Item(Key, u64, u32);

    impl Keyed for Item {
        /// Widens at once, so that every width is met.
        const CROWD: usize = 0;

        fn key(&self) -> Key {
            self.0
        }
        fn rank(&self) -> (u64, u64) {
            (self.1, 0)
        }
    }

    /// Few distinct keys, so that they meet; spread over and inside leaves.
    fn key() -> impl Strategy<Value = Key> {
        (0_u64..4, 0_u64..6, 0_u64..3).prop_map(|(leaf, inside, low)| Key { high: leaf << 49 | inside << 40, low })
    }

    proptest! {
        #[test]
        fn a_table_does_what_a_map_does(steps in prop::collection::vec((key(), 0_u64..3, any::<u32>(), any::<bool>()), 0..200)) {
            let mut table = Table::default();
            let mut map = BTreeMap::new();
            for (key, rank, value, insert) in steps {
                let before = table.clone();
                let size = before.len();
                if insert {
                    table.insert(Item(key, rank, value));
                    map.insert((key, rank), value);
                } else {
                    let removed = table.remove(key, |item| item.1 == rank);
                    prop_assert_eq!(removed.len(), usize::from(map.remove(&(key, rank)).is_some()));
                }
                prop_assert_eq!(before.len(), size, "a clone is independent");
                prop_assert_eq!(before.iter().count(), size);
                prop_assert_eq!(table.len(), map.len());
                let all: Vec<Item> = map.iter().map(|(&(key, rank), &value)| Item(key, rank, value)).collect();
                prop_assert_eq!(table.iter().cloned().collect::<Vec<_>>(), all.clone());
                let of_key: Vec<Item> = all.iter().filter(|item| item.0 == key).cloned().collect();
                prop_assert_eq!(table.get(key).to_vec(), of_key);
                prop_assert_eq!(Table::build(all.clone()).iter().cloned().collect::<Vec<_>>(), all);
            }
        }
    }
}
