#![doc = include_str!("keycloak.md")]

mod api;
mod events;
mod examine;
mod follow;
mod groups;
mod listing;
mod people;
mod rows;
mod shapes;
mod status;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub use crate::domain::settings::keycloak::{Realm, Settings};
use api::Api;
use events::{EventCursor, Hints, Touched};
use follow::EVENTS;
use groups::Groups;
use listing::ListingPosition;
use people::is_service_account;
use shapes::{EventsConfig, User};
use status::Status;

use super::directory::{Changes, Directory, Finding, ListingOutcome, went_back};
use super::error::SourceError;
use super::http::Http;
use super::outbox::Outbox;
use super::page::{Page, PageToken};
use super::staged::Staged;
use super::token::SignsIn as _;
use crate::domain::person::Person;
use crate::domain::time::Timestamp;

/// How long after an event its object is read a second time. Each node of a cluster has a cache, which learns of a
/// change slightly later than the event table.
const ONCE_MORE: Duration = Duration::from_secs(1);

/// A Keycloak realm.
pub struct Keycloak {
    settings: Settings,
    api: Api,
    groups: Staged<Groups, String>,
    /// The current groups are those of a listing, not only of people who were read one by one.
    listed: bool,
    /// Each client's `clientId`, by its id.
    clients: BTreeMap<String, String>,
    config: Option<EventsConfig>,
    /// The position in the events; `None`: start from now.
    position: Option<Cursor>,
    outbox: Outbox,
    /// Events per request.
    events: usize,
    /// The timing of what no event reports.
    status: Status,
    /// What to read a second time, and when.
    once_more: VecDeque<(Instant, Hints)>,
}

/// The position in admin events and user events.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Cursor {
    admin: EventCursor,
    user: EventCursor,
}

impl Keycloak {
    /// A realm that is reached by `http`.
    #[must_use]
    pub fn new(settings: Settings, http: Http) -> Self {
        let api = Api::new(http, settings.realm.clone());
        Self {
            settings,
            api,
            groups: Staged::default(),
            listed: false,
            clients: BTreeMap::new(),
            config: None,
            position: None,
            outbox: Outbox::default(),
            events: EVENTS,
            status: Status::new(),
            once_more: VecDeque::new(),
        }
    }

    /// Where to continue reading events: the stored position, or now.
    async fn position(&mut self) -> Result<Cursor, SourceError> {
        if let Some(position) = &self.position {
            return Ok(position.clone());
        }
        self.api.sign_in().await?;
        let what = || SourceError::Malformed {
            step: "get a token for the service account",
            what: "the token is not a JWT with `iat`".to_owned(),
        };
        let now = self.api.now().ok_or_else(what)?.as_millis();
        Ok(Cursor { admin: EventCursor::from(now), user: EventCursor::from(now) })
    }

    /// Reads events and what they point at. If something cannot be read, the next poll reads the same events again.
    async fn by_events(&mut self, position: &mut Cursor, changes: &mut Changes) -> Result<(), SourceError> {
        let mut read = position.clone();
        let (mut hints, more) = self.read_events(&mut read.admin, &mut read.user).await?;
        if let Some(how) = hints.back.take() {
            // INVARIANT: this comes first, as everything beside it was read from the older server.
            changes.observations.push(went_back(&self.settings.name, &how));
            changes.resync = true;
        }
        let again = hints.once_more();
        let (resync, followed) = self.follow(hints, &mut changes.observations).await;
        changes.resync |= resync;
        followed?;
        (*position, changes.more) = (read, more);
        if again != Hints::default() {
            self.once_more.push_back((Instant::now() + ONCE_MORE, again));
        }
        Ok(())
    }

    /// Reads the objects of the events of a second ago a second time.
    async fn after_events(&mut self, changes: &mut Changes) -> Result<(), SourceError> {
        while self.once_more.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            let Some((due, hints)) = self.once_more.pop_front() else { break };
            let (resync, followed) = self.follow(hints.clone(), &mut changes.observations).await;
            changes.resync |= resync;
            if let Err(error) = followed {
                self.once_more.push_front((due, hints));
                return Err(error);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Directory for Keycloak {
    fn open(&mut self, kept: Option<String>) {
        self.position = kept.and_then(|kept| serde_json::from_str(&kept).ok());
    }

    async fn changes(&mut self) -> Result<Changes, SourceError> {
        if let Some(again) = self.outbox.again() {
            return Ok(again);
        }
        let mut position = self.position().await?;
        let mut changes = Changes::default();
        let by_events = self.by_events(&mut position, &mut changes).await;
        let after = self.after_events(&mut changes).await;
        let beside = self.beside_events(&mut changes).await;
        changes.trouble = by_events.and(after).and(beside).err();
        changes.more &= changes.trouble.is_none();
        changes.silent = !self.config.as_ref().is_some_and(|config| config.admin_events_enabled);
        changes.cursor = serde_json::to_string(&position).ok();
        self.position = Some(position);
        Ok(self.outbox.give(changes))
    }

    fn acknowledged(&mut self) {
        self.outbox.acknowledged();
    }

    async fn page(&mut self, token: Option<PageToken>) -> Result<Page, SourceError> {
        let page = match token.map(|token| token.read()).transpose()? {
            None => self.begin().await,
            Some(ListingPosition::Members(members)) => self.read_members(members).await,
            Some(ListingPosition::Users(users)) => self.read_users(users).await,
        }?;
        if page.next.is_none() {
            self.status.listed(self.settings.poll);
        }
        Ok(page)
    }

    async fn look_up(&mut self, attribute: &str, value: &str) -> Result<Option<Person>, SourceError> {
        let user = match attribute {
            "id" => self.api.user(value).await?,
            other => {
                let quoted = format!("{other}:\"{value}\"");
                let lower = value.to_lowercase();
                let query = match other {
                    // Keycloak stores these in lower case.
                    "username" | "email" => [(other, lower.as_str()), ("exact", "true")],
                    _ => [("q", quoted.as_str()), ("exact", "true")],
                };
                let mut found: Vec<User> = self.api.get("look up a user", &["users"], &query, "view-users").await?;
                found.pop().filter(|_| found.is_empty())
            }
        };
        let Some(user) = user.filter(|user| !is_service_account(user)) else { return Ok(None) };
        let user = self.api.settled(user).await?;
        self.read_groups(&user.id).await?;
        self.groups.told(user.id.clone());
        // While a listing looks up somebody it misses, it knows group names that the current groups do not have yet.
        let groups = self.groups.listed().or(self.groups.counting());
        Ok(Some(self.person(user, groups)))
    }

    fn listing_over(&mut self, outcome: ListingOutcome) {
        // Before the first listing there are no earlier groups to keep.
        let tree = |groups| Option::map(groups, |groups: &Groups| &groups.tree);
        let differ = tree(self.groups.counting()) != tree(self.groups.reading());
        let (counts, told) = self.groups.conclude(outcome == ListingOutcome::Accepted || !self.listed);
        self.listed |= counts;
        if differ && !told.is_empty() {
            let users = told.into_iter().map(|id| (id, Touched::default())).collect();
            self.once_more.push_front((Instant::now(), Hints { users, ..Hints::default() }));
        }
    }

    async fn examine(&mut self) -> Vec<Finding> {
        examine::examine(&mut self.api, &self.settings).await
    }

    fn date(&self) -> Option<Timestamp> {
        self.api.now()
    }
}
