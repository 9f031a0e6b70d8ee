//! The groups in force, and those of a listing in progress. The latter count for the listing alone until it is accepted;
//! until then they give nobody anything.

use std::collections::BTreeSet;

/// Groups of a directory (`G`), with the memberships of people by key (`K`).
#[derive(Debug)]
pub struct Staged<G, K> {
    counting: Option<G>,
    next: Option<Next<G, K>>,
}

#[derive(Debug)]
struct Next<G, K> {
    groups: G,
    complete: bool,
    told: BTreeSet<K>,
}

impl<G, K> Default for Staged<G, K> {
    fn default() -> Self {
        Self { counting: None, next: None }
    }
}

impl<G, K: Ord> Staged<G, K> {
    /// The groups in force; `None` before the first listing.
    pub fn counting(&self) -> Option<&G> {
        self.counting.as_ref()
    }

    /// The same, to be changed by events.
    pub fn counting_mut(&mut self) -> &mut Option<G> {
        &mut self.counting
    }

    /// Begins a listing with these groups. What another listing read is dropped.
    pub fn begin(&mut self, groups: G) {
        self.next = Some(Next { groups, complete: false, told: BTreeSet::new() });
    }

    /// Whether a listing is in progress.
    pub fn is_listing(&self) -> bool {
        self.next.is_some()
    }

    /// The groups of the listing in progress, as far as they were read.
    pub fn reading(&self) -> Option<&G> {
        self.next.as_ref().map(|next| &next.groups)
    }

    /// The same, to be added to, and changed by events.
    pub fn reading_mut(&mut self) -> Option<&mut G> {
        self.next.as_mut().map(|next| &mut next.groups)
    }

    /// All known groups: events concern those in force and those of the listing in progress.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut G> {
        self.counting.iter_mut().chain(self.next.iter_mut().map(|next| &mut next.groups))
    }

    /// All groups of the listing were read.
    pub fn complete(&mut self) {
        self.next.iter_mut().for_each(|next| next.complete = true);
    }

    /// The groups of the listing in progress, once all of them were read.
    pub fn listed(&self) -> Option<&G> {
        self.next.as_ref().filter(|next| next.complete).map(|next| &next.groups)
    }

    /// Notes that a person was reported during a listing, perhaps with other groups than will be in force.
    pub fn told(&mut self, person: K) {
        if let Some(next) = &mut self.next {
            next.told.insert(person);
        }
    }

    /// Drops what the listing has read.
    pub fn give_up(&mut self) {
        self.next = None;
    }

    /// Ends the listing. Its groups come into force if all were read and it `counts`. Returns whether they do, and who was
    /// reported meanwhile: these people must be read again.
    pub fn conclude(&mut self, counts: bool) -> (bool, BTreeSet<K>) {
        let Some(next) = self.next.take() else { return (false, BTreeSet::new()) };
        let counts = counts && next.complete;
        if counts {
            self.counting = Some(next.groups);
        }
        (counts, next.told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Groups = Staged<&'static str, u32>;

    #[test]
    fn groups_count_once_their_listing_was_taken() {
        let mut groups = Groups::default();
        *groups.counting_mut() = Some("old");
        groups.told(1);
        groups.begin("new");
        groups.told(2);
        assert_eq!((groups.counting(), groups.reading(), groups.listed()), (Some(&"old"), Some(&"new"), None));
        groups.complete();
        assert_eq!((groups.counting(), groups.listed()), (Some(&"old"), Some(&"new")));
        assert_eq!(groups.conclude(true), (true, [2].into()), "nobody was told of during the listing but 2");
        assert_eq!((groups.counting(), groups.is_listing()), (Some(&"new"), false));
        assert_eq!(groups.conclude(true), (false, [].into()), "once");
    }

    #[test]
    fn groups_of_a_listing_that_was_not_taken_never_count() {
        for (complete, counts) in [(true, false), (false, true), (false, false)] {
            let mut groups = Groups::default();
            groups.begin("lost");
            groups.begin("new");
            if complete {
                groups.complete();
            }
            groups.told(3);
            assert_eq!(groups.conclude(counts), (false, [3].into()));
            assert_eq!((groups.counting(), groups.reading()), (None, None));
        }
        let mut groups = Groups::default();
        groups.begin("new");
        groups.give_up();
        assert_eq!(groups.conclude(true), (false, [].into()));
    }
}
