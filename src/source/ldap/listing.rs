//! A full listing: groups, then people, on its own connection; and when its groups begin to count.

use super::entry::Entry;
use super::groups::Tree;
use super::link::Link;
use super::{Client, ListingPosition, NOTHING, ROWS, at_base};
use crate::domain::time::Timestamp;
use crate::source::directory::ListingOutcome;
use crate::source::error::SourceError;
use crate::source::page::Page;

/// What was read of the people of a listing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Listed {
    /// Whether all were read.
    pub(super) all: bool,
    /// How many could be read.
    readable: usize,
}

impl Client {
    pub(super) async fn list_on(&mut self, place: Option<ListingPosition>) -> Result<Page, SourceError> {
        if place.is_none() && self.followed && self.link.is_none() {
            // Report a problem with the connection first.
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
                // Changes were followed on the other connection: while it lives, it is the same server.
                let probe = at_base(&self.settings.base_dn, &[NOTHING]);
                self.link().await?.list("check that the server is still the same", probe).await?;
                self.groups.begin(Tree::default());
                self.listed = Listed::default();
                self.listings += 1;
                ListingPosition { listing: self.listings, groups: true, cookie: Vec::new() }
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
            let mut tree = self.groups.reading_mut().map(std::mem::take).unwrap_or_default();
            let taken = self.take_groups(&mut tree, entries).await;
            self.groups.reading_mut().into_iter().for_each(|reading| std::mem::swap(reading, &mut tree));
            taken?;
            let groups = next.is_some();
            if !groups {
                self.groups.complete();
            }
            let next = ListingPosition { groups, cookie: next.unwrap_or_default(), ..place };
            return Ok(Page::of(vec![], Some(next)));
        }
        self.list_people(entries, next)
    }

    fn list_people(&mut self, entries: Vec<Entry>, next: Option<Vec<u8>>) -> Result<Page, SourceError> {
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
        self.listed.readable += people.len();
        if let Some(error) = trouble {
            // One unreadable person must not stop the others; if nobody can be read, a right is missing.
            if self.listed.readable == 0 && next.is_none() {
                return Err(error);
            }
            tracing::error!(source.name = %self.settings.name, person = ?unread.first(), error.message = %error, "cannot read user record; keeping last known state");
        }
        if next.is_none() {
            (self.whole, self.lister) = (self.listings, None);
            self.listed.all = true;
        }
        let next = next.map(|cookie| ListingPosition { listing: self.listings, groups: false, cookie });
        Ok(Page { unread, observations, ..Page::of(people, next) })
    }

    /// After an accepted listing, its groups count. The groups of any other listing never count.
    pub(super) fn conclude(&mut self, outcome: ListingOutcome) {
        let taken = outcome == ListingOutcome::Accepted;
        self.older &= !taken;
        let (counts, told) = self.groups.conclude(taken);
        self.timers.extend(told.into_iter().map(|key| (Timestamp::MIN, key)));
        if counts {
            // People who were not in an accepted listing have left, so they no longer show what is visible.
            let whole = self.whole;
            self.known.retain(|_, seen| seen.is_from(whole));
        }
    }
}
