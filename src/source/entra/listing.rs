//! A full listing: a delta query of groups from the beginning, then one of users. Changes are followed from where these
//! end.
//!
//! Rows are not compared with `users/$count`. That number comes from another index, which lags behind, and would reject
//! true listings. Instead each missing user is looked up at their own address.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use reqwest::Url;
use serde::de::DeserializeOwned;

use super::api::{Delta, GROUPS, USERS};
use super::feed::{Link, link};
use super::graph::Graph;
use super::users::Hint;
use super::wire::{Group, User};
use super::{DOUBT, Entra};
use crate::source::directory::ListingOutcome;
use crate::source::error::SourceError;
use crate::source::page::Page;
use crate::source::visited::Visited;

/// The position in a listing. What was read so far is kept separately, as a page that failed is requested again.
#[derive(Clone, Debug)]
pub enum ListingPosition {
    /// Next: groups.
    Groups(Url),
    /// Next: users.
    Users(Url),
}

/// What a listing has read so far, other than its groups.
#[derive(Debug, Default)]
pub struct Listed {
    /// How many people could be read.
    readable: usize,
    /// Groups that are reported gone.
    gone: Vec<String>,
    /// Memberships that are reported ended.
    over: Vec<(String, String)>,
    /// From where to follow changes of groups, once all of them were read.
    link: Option<Url>,
    /// Groups to read again once these count.
    dirty: BTreeSet<String>,
    seen: Visited,
    /// Hashes of the ids of all users in it.
    users: HashSet<u64>,
    hasher: RandomState,
}

impl Listed {
    fn take(&mut self, graph: &mut Graph, row: Group) {
        if row.is_removed() {
            self.gone.push(row.id);
            return;
        }
        if let Some(name) = &row.display_name {
            graph.put(&row.id, name);
        }
        for member in row.members.iter().flatten().filter(|member| member.counts()) {
            if member.is_removed() {
                self.over.push((row.id.clone(), member.id.clone()));
            } else {
                graph.join(&row.id, &member.id);
            }
        }
    }

    /// Removes what is reported lost. The remaining members of these groups are to be read again.
    fn lose<'a>(
        &mut self,
        graph: &mut Graph,
        gone: impl IntoIterator<Item = &'a String>,
        over: impl IntoIterator<Item = &'a (String, String)>,
    ) {
        // Most groups that are reported gone were deleted long ago.
        for id in gone.into_iter().filter(|id| graph.has(id)).cloned().collect::<Vec<_>>() {
            graph.drop_group(&id);
            self.dirty.insert(id);
        }
        for (group, member) in over {
            if graph.is_in(group, member) {
                graph.part(group, member);
                self.dirty.insert(group.clone());
            }
        }
    }

    fn list(&mut self, user: &str) {
        let hash = self.hasher.hash_one(user);
        self.users.insert(hash);
    }

    fn has(&self, user: &str) -> bool {
        self.users.contains(&self.hasher.hash_one(user))
    }
}

impl Entra {
    /// Begins a listing, with the groups.
    pub(super) async fn begin(&mut self) -> Result<Page, SourceError> {
        // Copies of the directory may lag by this much.
        self.lost.retain(|_, at| at.elapsed() < DOUBT);
        self.lost_groups.retain(|_, at| at.elapsed() < DOUBT);
        self.graphs.begin(Graph::default());
        self.listed = Listed::default();
        let first = self.groups_url()?;
        self.list_groups(first).await
    }

    async fn rows<T: DeserializeOwned>(
        &mut self,
        step: &'static str,
        url: Url,
        right: &str,
    ) -> Result<(Vec<T>, Link), SourceError> {
        match self.api.delta::<T>((step, right), url, false).await? {
            Delta::Page(wire) => {
                let link = link(&self.api, step, &wire)?;
                Ok((wire.value, link))
            }
            Delta::Reset => Err(SourceError::Malformed {
                step,
                what: "the provider no longer knows the position of the listing".to_owned(),
            }),
        }
    }

    pub(super) async fn list_groups(&mut self, url: Url) -> Result<Page, SourceError> {
        let step = "list groups";
        let (rows, link) = self.rows::<Group>(step, url, GROUPS).await?;
        if let Some(graph) = self.graphs.reading_mut() {
            rows.into_iter().for_each(|row| self.listed.take(graph, row));
        }
        let next = match link {
            Link::Next(next) => {
                self.listed.seen.note(step, &next)?;
                ListingPosition::Groups(next)
            }
            Link::Over(link) => {
                let (gone, over) = (std::mem::take(&mut self.listed.gone), std::mem::take(&mut self.listed.over));
                // Nor may the listing show yet what was lost lately.
                if let Some(graph) = self.graphs.reading_mut() {
                    let gone = gone.iter().chain(self.lost_groups.keys());
                    self.listed.lose(graph, gone, over.iter().chain(self.lost.keys()));
                }
                self.graphs.complete();
                self.listed.link = Some(link);
                ListingPosition::Users(self.users_url(false)?)
            }
        };
        Ok(Page::of(vec![], Some(next)))
    }

    /// After an accepted listing, its groups count, except what they lost since. The groups of any other listing never
    /// count, unless there are none before it: without groups nobody could be followed after a restart.
    pub(super) fn adopt(&mut self, outcome: ListingOutcome) {
        let mut listed = std::mem::take(&mut self.listed);
        if let Some(graph) = self.graphs.reading_mut() {
            listed.lose(graph, self.lost_groups.keys(), self.lost.keys());
        }
        let counts = outcome == ListingOutcome::Accepted || self.graphs.counting().is_none();
        let (counts, told) = self.graphs.conclude(counts);
        if counts {
            for group in listed.dirty {
                self.dirty.entry(group).or_default().members = true;
            }
            self.groups.set(listed.link);
        }
        // People who were looked up for the listing may have been reported with its groups.
        for user in told {
            self.hints.entry(user).or_insert_with(Hint::moved);
        }
    }

    pub(super) async fn list_users(&mut self, url: Url) -> Result<Page, SourceError> {
        let step = "list users";
        let (rows, link) = self.rows::<User>(step, url, USERS).await?;
        let mut users: BTreeMap<String, User> = BTreeMap::new();
        let mut again: BTreeSet<String> = BTreeSet::new();
        for row in rows {
            let twice = self.listed.has(&row.id) || users.contains_key(&row.id);
            if row.is_removed() {
                // Most removals are old. A user who was in this listing before must be read at once.
                users.remove(&row.id);
                self.out.insert(row.id.clone());
                if twice {
                    self.hints.entry(row.id.clone()).or_default().said(row);
                }
                continue;
            }
            // If a user comes twice, it is unknown which row is later.
            if twice || !row.is_whole() || (row.enabled() == Some(true) && self.out.contains(&row.id)) {
                again.insert(row.id.clone());
            }
            users.insert(row.id.clone(), row);
        }
        let read = self.read_users(&again.iter().cloned().collect::<Vec<_>>()).await?;
        users.retain(|id, _| !again.contains(id));
        users.extend(read);
        let (mut people, mut unread, mut observations) = (Vec::new(), Vec::new(), Vec::new());
        let mut trouble = None;
        for user in users.values() {
            observations.extend(self.sessions(user));
            match self.person(user, self.graphs.reading().map(|graph| graph.flat(&user.id)).unwrap_or_default()) {
                Ok(person) => people.push(person),
                Err(error) => {
                    unread.push(self.id(&user.id));
                    trouble = Some(error);
                    continue;
                }
            }
            self.note(user);
        }
        self.listed.readable += people.len();
        if let Some(error) = trouble {
            // One unreadable user must not stop the others; if nobody can be read, a right is missing.
            if self.listed.readable == 0 && matches!(link, Link::Over(_)) {
                return Err(error);
            }
            tracing::error!(source.name = %self.settings.name, person = ?unread.first(), error.message = %error, "cannot read user record; keeping last known state");
        }
        let next = match link {
            Link::Next(next) => {
                self.listed.seen.note(step, &next)?;
                Some(ListingPosition::Users(next))
            }
            Link::Over(link) => {
                self.fresh = Some(link);
                None
            }
        };
        users.keys().for_each(|id| self.listed.list(id));
        Ok(Page { unread, observations, ..Page::of(people, next) })
    }
}
