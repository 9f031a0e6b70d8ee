//! A full listing: groups and clients, then the members of each group, then the users.

use std::sync::Arc;

use super::Keycloak;
use super::groups::{self, Groups};
use super::rows::{ROWS, Read, RowQuery, Rows};
use super::shapes::{Client, Member, User};
use crate::domain::command::Observation;
use crate::source::error::SourceError;
use crate::source::page::Page;

/// Groups whose members are read before something else gets its turn.
const GROUPS: usize = 20;
/// More clients than that are followed by events alone.
const CLIENTS: &str = "10000";

/// Where a listing goes on.
#[derive(Clone, Debug)]
pub enum ListingPosition {
    /// Members of groups are next.
    Members(Members),
    /// Users are next.
    Users(Users),
}

/// Where the members of groups go on.
#[derive(Clone, Debug)]
pub struct Members {
    /// Those that are left; the last one is being read.
    groups: Vec<Arc<str>>,
    rows: Rows,
    ids: Vec<String>,
}

/// Where the users of a listing go on.
#[derive(Clone, Debug)]
pub struct Users {
    rows: Rows,
    /// How many there were when it began.
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

    /// All clients, and those that were known and are in the listing no more.
    async fn list_clients(&mut self) -> Result<Vec<Observation>, SourceError> {
        let query = [("max", CLIENTS)];
        let clients = match self.api.get::<Vec<Client>>("list clients", &["clients"], &query, "view-clients").await {
            Err(SourceError::Forbidden { .. }) => return Ok(vec![]),
            found => found?,
        };
        let mut missing = self.clients.clone();
        let mut found: Vec<Observation> = clients.iter().flat_map(|client| self.client(client)).collect();
        clients.iter().for_each(|client| drop(missing.remove(&client.id)));
        // A listing may be empty for want of a right: each is asked for.
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
                // It was deleted meanwhile: its event says so.
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
