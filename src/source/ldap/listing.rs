//! A full listing: groups, then people, on a connection of its own; and what its groups count for.

use std::collections::BTreeSet;

use super::entry::{Entry, Key};
use super::groups::Tree;
use super::link::Link;
use super::{Client, NOTHING, PageToken, ROWS, at_base};
use crate::domain::time::Timestamp;
use crate::source::directory::Page;
use crate::source::error::SourceError;

/// The groups of a listing that is on its way. They count for it, and for all once it was taken.
#[derive(Debug, Default)]
pub(super) struct Next {
    pub(super) tree: Tree,
    /// All of them were read.
    pub(super) whole: bool,
    /// And all people.
    pub(super) read: bool,
    /// How many people could be read.
    pub(super) readable: usize,
    /// Who was told of since, by other groups than those that will count.
    pub(super) told: BTreeSet<Key>,
}

impl Client {
    pub(super) async fn list_on(&mut self, place: Option<PageToken>) -> Result<Page<PageToken>, SourceError> {
        if place.is_none() && self.followed && self.link.is_none() {
            // What is wrong with a connection is said first.
            self.link().await?;
            self.disconnect();
            let cause = "the connection was lost, and changes were not asked for since".to_owned();
            return Err(SourceError::Unreachable { step: "begin a listing", cause });
        }
        self.link().await?;
        let place = match place {
            Some(place) => place,
            None => {
                self.lister = Some(Link::open(&self.settings.server).await?);
                // Its changes were followed on the other connection: as long as that lives, it is the same server.
                let probe = at_base(&self.settings.base_dn, &[NOTHING]);
                self.link().await?.list("see whether the server is the same", probe).await?;
                self.next = Some(Next::default());
                self.listings += 1;
                PageToken { listing: self.listings, groups: true, cookie: Vec::new() }
            }
        };
        let search = if place.groups { self.search_groups() } else { self.search_people(None) };
        let step = if place.groups { "list groups" } else { "list people" };
        let Some(lister) = self.lister.as_mut().filter(|_| place.listing == self.listings) else {
            let why = self.broken.take().unwrap_or_else(|| "another one was begun".to_owned());
            let what = format!("the listing broke off in the middle: {why}");
            return Err(SourceError::Malformed { step, what });
        };
        let (entries, next) = lister.page(step, search, (ROWS, place.cookie)).await?;
        if place.groups {
            let mut read = self.next.take().unwrap_or_default();
            let taken = self.take_groups(&mut read.tree, entries).await;
            let groups = next.is_some();
            self.next = Some(Next { whole: !groups, ..read });
            taken?;
            let next = PageToken { groups, cookie: next.unwrap_or_default(), ..place };
            return Ok(Page::of(vec![], Some(next)));
        }
        self.list_people(entries, next)
    }

    fn list_people(&mut self, entries: Vec<Entry>, next: Option<Vec<u8>>) -> Result<Page<PageToken>, SourceError> {
        let (mut people, mut unread, mut observations) = (Vec::with_capacity(entries.len()), Vec::new(), Vec::new());
        let mut trouble = None;
        for entry in entries {
            let key = self.key(&entry)?;
            match self.listed(key, &entry) {
                Ok(person) => people.extend(person),
                Err(error) => {
                    unread.push(self.id(key));
                    trouble = Some(error);
                    continue;
                }
            }
            observations.extend(self.password(key, &entry));
        }
        let readable = self.next.as_mut().map_or(0, |next| {
            next.readable += people.len();
            next.readable
        });
        if let Some(error) = trouble {
            // One alone is nobody else's trouble; where nobody can be read a right is missing.
            if readable == 0 && next.is_none() {
                return Err(error);
            }
            tracing::error!(source.name = %self.settings.name, person = ?unread.first(), error = %error, "somebody cannot be read");
        }
        if next.is_none() {
            (self.whole, self.lister) = (self.listings, None);
            self.next.iter_mut().for_each(|next| next.read = true);
        }
        let next = next.map(|cookie| PageToken { listing: self.listings, groups: false, cookie });
        Ok(Page { unread, observations, ..Page::of(people, next) })
    }

    /// The groups of a listing that was taken are those that count from now on. Those of one that was not never did.
    pub(super) fn conclude(&mut self, taken: bool) {
        self.older &= !taken;
        let Some(next) = self.next.take() else { return };
        self.timers.extend(next.told.into_iter().map(|key| (Timestamp::MIN, key)));
        if taken && next.whole {
            self.tree = Some(next.tree);
            // Whom a listing that was taken did not have has left; others are no witness for them any more.
            let whole = self.whole;
            self.known.retain(|_, seen| seen.is_from(whole));
        }
    }
}
