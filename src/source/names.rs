//! Who shares a name. A group's name counts only if no other group has it, since anybody may choose a name.

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// The holders of each name. It is cheap while few names are shared: a name with one holder needs no allocation.
#[derive(Clone, Debug)]
pub struct Names<N, H>(HashMap<N, Holders<H>>);

#[derive(Clone, Debug)]
enum Holders<H> {
    One(H),
    Several(BTreeSet<H>),
}

impl<N, H> Default for Names<N, H> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<N: Eq + Hash, H: Copy + Ord> Names<N, H> {
    /// `holder` has this name too. Adding it twice has no effect.
    pub fn add(&mut self, name: N, holder: H) {
        let holders = self.0.entry(name).or_insert(Holders::One(holder));
        match holders {
            Holders::One(one) if *one == holder => {}
            Holders::One(one) => *holders = Holders::Several(BTreeSet::from([*one, holder])),
            Holders::Several(several) => _ = several.insert(holder),
        }
    }

    /// `holder` no longer has this name.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, name: &Q, holder: H)
    where
        N: Borrow<Q>,
    {
        match self.0.get_mut(name) {
            Some(Holders::One(one)) if *one == holder => _ = self.0.remove(name),
            Some(Holders::Several(several)) => {
                several.remove(&holder);
                if several.len() < 2 {
                    let left = several.pop_first().map(Holders::One);
                    self.0.get_mut(name).into_iter().zip(left).for_each(|(holders, left)| *holders = left);
                }
            }
            Some(Holders::One(_)) | None => {}
        }
    }

    /// Whether this name has exactly one holder.
    pub fn is_unique<Q: Eq + Hash + ?Sized>(&self, name: &Q) -> bool
    where
        N: Borrow<Q>,
    {
        matches!(self.0.get(name), Some(Holders::One(_)))
    }

    /// The holders of this name.
    pub fn holders<Q: Eq + Hash + ?Sized>(&self, name: &Q) -> impl Iterator<Item = H>
    where
        N: Borrow<Q>,
    {
        let (one, several) = match self.0.get(name) {
            Some(Holders::One(one)) => (Some(*one), None),
            Some(Holders::Several(several)) => (None, Some(several)),
            None => (None, None),
        };
        one.into_iter().chain(several.into_iter().flatten().copied())
    }
}

impl<N: Eq + Hash, H: Copy + Ord> FromIterator<(N, H)> for Names<N, H> {
    fn from_iter<I: IntoIterator<Item = (N, H)>>(all: I) -> Self {
        let mut names = Self::default();
        all.into_iter().for_each(|(name, holder)| names.add(name, holder));
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_unique_while_one_alone_has_it() {
        let mut names: Names<String, u32> = [("eng".to_owned(), 1), ("eng".to_owned(), 1)].into_iter().collect();
        let of = |names: &Names<String, u32>| (names.is_unique("eng"), names.holders("eng").collect::<Vec<_>>());
        assert_eq!(of(&names), (true, vec![1]), "twice is once");
        names.add("eng".to_owned(), 3);
        names.add("eng".to_owned(), 2);
        assert_eq!(of(&names), (false, vec![1, 2, 3]));
        names.remove("eng", 4);
        names.remove("eng", 1);
        assert_eq!(of(&names), (false, vec![2, 3]));
        names.remove("eng", 3);
        assert_eq!(of(&names), (true, vec![2]));
        names.remove("eng", 3);
        names.remove("other", 2);
        assert_eq!(of(&names), (true, vec![2]), "who does not have it cannot lose it");
        names.remove("eng", 2);
        assert_eq!(of(&names), (false, vec![]));
    }
}
