//! A full listing: groups and clients, then the members of each group, then the users.

use std::sync::Arc;

use super::Keycloak;
use super::groups::{self, Groups};
use super::rows::{ROWS, Read, RowQuery, Rows};
use super::shapes::{Client, Member, User};
use crate::domain::command::Observation;
use crate::source::error::SourceError;
use crate::source::page::Page;

/// How many groups' members are read in one turn.
const GROUPS: usize = 20;
/// The limit for listed clients. Beyond it, clients are followed only by events.
const CLIENTS: &str = "10000";

/// The position in a listing.
#[derive(Clone, Debug)]
pub enum ListingPosition {
    /// Next: members of groups.
    Members(Members),
    /// Next: users.
    Users(Users),
}

/// The position among the members of groups.
#[derive(Clone, Debug)]
pub struct Members {
    /// The remaining groups; the last one is being read.
    groups: Vec<Arc<str>>,
    rows: Rows,
    ids: Vec<String>,
}

/// The position among the users.
#[derive(Clone, Debug)]
pub struct Users {
    rows: Rows,
    /// The number of users when the listing began.
    before: usize,
}

fn on_the_way(next: ListingPosition, observations: Vec<Observation>) -> Page {
    Page { observations, ..Page::of(vec![], Some(next)) }
}

impl Keycloak {
    pub(super) async fn begin(&mut self) -> Result<Page, SourceError> {
        let tree = groups::read(&mut self.api).await?;
        let groups = tree.ids().cloned().collect();
        self.groups.begin(Groups { tree, ..Groups::default() });
        let mut observations = self.list_clients().await?;
        observations.extend(self.api.realm_not_before().await.map(|at| self.realm_not_before(at))?);
        let members = Members { groups, rows: Rows::default(), ids: Vec::new() };
        Ok(on_the_way(ListingPosition::Members(members), observations))
    }

    /// Lists all clients, and reads known ones again that are no longer in the list.
    async fn list_clients(&mut self) -> Result<Vec<Observation>, SourceError> {
        let query = [("max", CLIENTS)];
        let clients = match self.api.get::<Vec<Client>>("list clients", &["clients"], &query, "view-clients").await {
            Err(SourceError::Forbidden { .. }) => return Ok(vec![]),
            found => found?,
        };
        let mut missing = self.clients.clone();
        let mut found: Vec<Observation> = clients.iter().flat_map(|client| self.client(client)).collect();
        clients.iter().for_each(|client| drop(missing.remove(&client.id)));
        // A listing may be empty because a right is missing, so each missing client is requested by itself.
        found.extend(self.follow_clients(missing.into_keys().map(|id| (id, None)).collect()).await?);
        Ok(found)
    }

    pub(super) async fn read_members(&mut self, mut place: Members) -> Result<Page, SourceError> {
        let (mut groups, mut read) = (0, 0);
        while let Some(group) = place.groups.last().cloned() {
            if groups >= GROUPS || read >= ROWS {
                return Ok(on_the_way(ListingPosition::Members(place), vec![]));
            }
            let listing = RowQuery {
                step: "list members of a group",
                path: &["groups", &group, "members"],
                query: &[("briefRepresentation", "true")],
                id: |member: &Member| &member.id,
            };
            let more = match place.rows.next(&mut self.api, &listing).await {
                Ok(Read::Page(members, more)) => {
                    read += members.len();
                    place.ids.extend(members.into_iter().map(|member| member.id));
                    more
                }
                Ok(Read::Moved) => {
                    place.ids.clear();
                    true
                }
                // The group was deleted meanwhile; its event reports it.
                Err(SourceError::NotFound { .. }) => false,
                Err(error) => return Err(error),
            };
            if !more {
                groups += 1;
                self.join(&group, std::mem::take(&mut place.ids));
                place.groups.pop();
                place.rows = Rows::default();
            }
        }
        self.groups.complete();
        let users = Users { rows: Rows::default(), before: self.api.count(&[]).await? };
        Ok(on_the_way(ListingPosition::Users(users), vec![]))
    }

    fn join(&mut self, group: &Arc<str>, members: Vec<String>) {
        let Some(Groups { memberships, .. }) = self.groups.reading_mut() else { return };
        for member in members {
            let of = memberships.entry(member.into()).or_default();
            if !of.contains(group) {
                of.push(Arc::clone(group));
            }
        }
    }

    pub(super) async fn read_users(&mut self, mut place: Users) -> Result<Page, SourceError> {
        let step = "list users";
        let query = [("briefRepresentation", "false")];
        let listing = RowQuery { step, path: &["users"], query: &query, id: |user: &User| &user.id };
        let Read::Page(users, more) = place.rows.next(&mut self.api, &listing).await? else {
            place.before = self.api.count(&[]).await?;
            return Ok(on_the_way(ListingPosition::Users(place), vec![]));
        };
        let observations = users.iter().filter_map(|user| self.not_before(user)).collect();
        let mut people = Vec::with_capacity(users.len());
        for user in users {
            let user = self.api.settled(user).await?;
            people.push(self.person(user, self.groups.reading()));
        }
        if more {
            return Ok(Page { observations, ..Page::of(people, Some(ListingPosition::Users(place))) });
        }
        let after = self.api.count(&[]).await?;
        if place.rows.read < after.min(place.before) {
            return Err(self.api.void(step, place.rows.read, after));
        }
        Ok(Page { observations, count: (after == place.before).then_some(after), ..Page::last(people) })
    }
}
