#![doc = include_str!("keycloak.md")]

mod api;
mod events;
mod examine;
mod groups;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub use api::Realm;
use api::{AdminEvent, Api, Client, EventsConfig, User, UserEvent};
use events::{Hints, OVERLAP, Seen, Touched, USER_EVENTS, time};
use groups::Tree;

use super::directory::{Changes, Directory, Finding, Page};
use super::error::SourceError;
use super::http::Http;
use crate::domain::inbox::Observation;
use crate::domain::person::{Person, PersonId, Status};
use crate::domain::revocation::Target;
use crate::domain::time::Timestamp;

/// Events that are read at once.
const EVENTS: usize = 1_000;
/// Users that are read at once.
const ROWS: usize = 500;
/// Groups whose members are read before something else gets its turn.
const GROUPS: usize = 20;
/// How often whoever is disabled is listed: what no event tells is seen by then.
const STATUS: Duration = Duration::from_secs(10);
/// How long an ended session is remembered. No access token of it lives that long.
const SESSION: Duration = Duration::from_secs(30 * 86_400);
/// A listing that changes under our hands is begun anew this often.
const ATTEMPTS: usize = 3;
/// What a service account's user is called.
const SERVICE_ACCOUNT: &str = "service-account-";
/// An address that nobody vouched for: it is looked up for denials, and links nobody.
pub const UNVERIFIED_EMAIL: &str = "unverified_email";

/// What is configured of a realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of the source.
    pub name: String,
    /// `iss` of its tokens.
    pub issuer: String,
    /// Where, and as whom.
    pub realm: Realm,
    /// Attributes that `link` names beside id, e-mail and user name.
    pub attributes: BTreeSet<String>,
}

/// A realm of a Keycloak.
pub struct Keycloak {
    settings: Settings,
    api: Api,
    tree: Tree,
    /// Ids of the groups of each user, by the last listing and what was read since.
    memberships: HashMap<String, Vec<String>>,
    /// `clientId` by id: a deleted client is named by its id alone.
    clients: HashMap<String, String>,
    config: Option<EventsConfig>,
    cursor: Option<Cursor>,
    events: usize,
    next_status: Instant,
}

/// Up to where events were read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Cursor {
    admin: Seen,
    user: Seen,
}

/// Where a listing goes on.
#[derive(Clone, Debug)]
pub enum Place {
    /// Members of these groups are next.
    Groups(Vec<String>),
    /// Users are next.
    Users(Users),
}

/// Where the users of a listing go on.
#[derive(Clone, Debug, Default)]
pub struct Users {
    /// How many were read.
    rows: usize,
    /// The last of them: the next page begins with it, or rows have moved.
    last: Option<String>,
    /// How many there were when it began.
    before: usize,
    attempt: usize,
}

impl Keycloak {
    /// A realm, asked by `http`.
    #[must_use]
    pub fn new(settings: Settings, http: Http) -> Self {
        let api = Api::new(http, settings.realm.clone());
        Self {
            settings,
            api,
            tree: Tree::default(),
            memberships: HashMap::new(),
            clients: HashMap::new(),
            config: None,
            cursor: None,
            events: EVENTS,
            next_status: Instant::now(),
        }
    }

    fn id(&self, key: &str) -> PersonId {
        PersonId { source: self.settings.name.clone(), key: key.to_owned() }
    }

    /// What a user amounts to; nobody for a service account.
    fn person(&self, user: User) -> Option<Person> {
        let username = user.username.unwrap_or_default();
        if user.service_account_client_id.is_some() || username.starts_with(SERVICE_ACCOUNT) {
            return None;
        }
        let mut attributes: BTreeMap<String, String> = BTreeMap::new();
        for (name, values) in user.attributes {
            if let Some(value) = values.into_iter().next().filter(|_| self.settings.attributes.contains(&name)) {
                attributes.insert(name, value);
            }
        }
        let email = user.email.filter(|email| !email.is_empty());
        let (email, unverified) = if user.email_verified { (email, None) } else { (None, email) };
        attributes.extend(unverified.map(|email| (UNVERIFIED_EMAIL.to_owned(), email)));
        let groups = self.memberships.get(&user.id).filter(|_| user.enabled);
        let groups = groups.map(|ids| self.tree.flat(ids)).unwrap_or_default();
        Some(Person {
            id: self.id(&user.id),
            status: if user.enabled { Status::Active } else { Status::Suspended },
            email,
            username: Some(username).filter(|name| !name.is_empty()),
            attributes,
            changed: None,
            groups,
        })
    }

    /// What was issued to a user before `notBefore` is dead.
    fn not_before(&self, user: &User) -> Option<Observation> {
        let target = Target::DirectoryPerson { person: self.id(&user.id) };
        (user.not_before > 0).then(|| self.cut_off(target, seconds(user.not_before), "`notBefore` of the user"))
    }

    fn realm_not_before(&self) -> Option<Observation> {
        let target = Target::Issuer { issuer: self.settings.issuer.clone() };
        let not_before = self.api.not_before;
        (not_before > 0).then(|| self.cut_off(target, seconds(not_before), "`notBefore` of the realm"))
    }

    fn cut_off(&self, target: Target, at: Timestamp, reason: &str) -> Observation {
        Observation::CutOff { source: self.settings.name.clone(), target, at, reason: reason.to_owned() }
    }

    fn session(&self, session: &str, at: i64) -> Observation {
        Observation::Block {
            source: self.settings.name.clone(),
            target: Target::Session { issuer: self.settings.issuer.clone(), session: session.to_owned() },
            stands: true,
            at: Some(time(at)),
            expires: Some(time(at).plus(SESSION)),
            reason: "session ended".to_owned(),
        }
    }

    /// What a client's being enabled, or its `notBefore`, amounts to.
    fn client(&mut self, client: &Client) -> Vec<Observation> {
        self.clients.insert(client.id.clone(), client.client_id.clone());
        let target = || Target::Client { issuer: self.settings.issuer.clone(), client: client.client_id.clone() };
        let mut found = vec![self.client_block(&client.client_id, !client.enabled)];
        if client.not_before > 0 {
            found.push(self.cut_off(target(), seconds(client.not_before), "`notBefore` of the client"));
        }
        found
    }

    fn client_block(&self, client: &str, stands: bool) -> Observation {
        Observation::Block {
            source: self.settings.name.clone(),
            target: Target::Client { issuer: self.settings.issuer.clone(), client: client.to_owned() },
            stands,
            at: None,
            expires: None,
            reason: if stands { "client disabled" } else { "client enabled" }.to_owned(),
        }
    }

    /// Reads one user again, with the groups.
    async fn read_again(&mut self, id: &str, touched: Touched) -> Result<Vec<Observation>, SourceError> {
        let at = Some(time(touched.at));
        let Some(user) = self.api.user(id).await? else {
            self.memberships.remove(id);
            return Ok(vec![Observation::Gone { person: self.id(id), at }]);
        };
        self.read_groups(id).await?;
        let (enabled, not_before) = (user.enabled, self.not_before(&user));
        let Some(person) = self.person(user) else { return Ok(vec![]) };
        let target = || Target::DirectoryPerson { person: person.id.clone() };
        let mut found = Vec::new();
        // Out and in again before anybody looked: what was issued before stays dead all the same.
        if let Some(disabled) = touched.disabled.filter(|_| enabled) {
            found.push(self.cut_off(target(), time(disabled.max(touched.at)), "had been disabled"));
        }
        found.extend(touched.cut_off.map(|at| self.cut_off(target(), time(at), "signed out or credential changed")));
        found.extend(not_before);
        found.push(Observation::Change { person, at, event_id: None });
        Ok(found)
    }

    async fn read_groups(&mut self, id: &str) -> Result<(), SourceError> {
        let path = ["users", id, "groups"];
        let query = [("briefRepresentation", "true"), ("max", "-1")];
        let groups: Vec<api::Group> = match self.api.get("read the groups of a user", &path, &query, "view-users").await
        {
            Err(SourceError::NotFound { .. }) => vec![],
            found => found?,
        };
        let known: BTreeSet<&String> = self.tree.ids().collect();
        if groups.iter().any(|group| !known.contains(&group.id)) {
            self.tree = groups::read(&mut self.api).await?;
        }
        self.memberships.insert(id.to_owned(), groups.into_iter().map(|group| group.id).collect());
        Ok(())
    }

    /// Follows the hints, in the order: whole realm, sessions, clients, people.
    async fn follow(&mut self, hints: Hints) -> Result<Vec<Observation>, SourceError> {
        let mut found = Vec::new();
        if hints.realm {
            self.config = None;
            self.api.realm_not_before().await?;
            found.extend(self.realm_not_before());
        }
        found.extend(hints.sessions.iter().map(|(session, at)| self.session(session, *at)));
        for id in hints.clients {
            match self.api.get::<Client>("read a client", &["clients", &id], &[], "view-clients").await {
                Ok(client) => found.extend(self.client(&client)),
                Err(SourceError::NotFound { .. }) => {
                    found.extend(self.clients.get(&id).map(|client| self.client_block(client, true)));
                }
                // Without the right, clients are not followed: `source check` says so.
                Err(SourceError::Forbidden { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        for (id, touched) in hints.users {
            found.extend(self.read_again(&id, touched).await?);
        }
        Ok(found)
    }

    /// Who is disabled now, and the realm's `notBefore`: what no event told is seen by this.
    async fn status(&mut self) -> Result<Vec<Observation>, SourceError> {
        let mut people = Vec::new();
        let mut first = 0;
        loop {
            let (from, rows) = (first.to_string(), ROWS.to_string());
            let query = [("enabled", "false"), ("first", from.as_str()), ("max", rows.as_str())];
            let users: Vec<User> = self.api.get("list disabled users", &["users"], &query, "view-users").await?;
            let many = users.len();
            people.extend(users.into_iter().filter(|user| !user.enabled).filter_map(|user| self.person(user)));
            first += many;
            if many < ROWS || first > 1_000_000 {
                break;
            }
        }
        self.api.realm_not_before().await?;
        let listing = Observation::Listing {
            source: self.settings.name.clone(),
            people,
            complete: false,
            at: self.api.date.unwrap_or(Timestamp::MIN),
        };
        Ok(std::iter::once(listing).chain(self.realm_not_before()).collect())
    }

    /// The next events of both kinds; whether there are more.
    async fn read_events(&mut self, cursor: &mut Cursor) -> Result<(Hints, bool), SourceError> {
        let mut hints = Hints::default();
        let config = match self.config {
            Some(config) => config,
            None => *self
                .config
                .insert(self.api.get("read the settings of events", &["events", "config"], &[], "view-events").await?),
        };
        let max = self.events.to_string();
        let mut more = false;
        if config.admin_events_enabled {
            let from = (cursor.admin.until - OVERLAP).max(0).to_string();
            let query = [("dateFrom", from.as_str()), ("direction", "asc"), ("max", max.as_str())];
            let events: Vec<AdminEvent> =
                self.api.get("read admin events", &["admin-events"], &query, "view-events").await?;
            let new = hints.admin(&mut cursor.admin, &events);
            more |= self.is_full(events.len(), new);
        }
        if config.events_enabled {
            let from = (cursor.user.until - OVERLAP).max(0).to_string();
            let mut query = vec![("dateFrom", from.as_str()), ("direction", "asc"), ("max", max.as_str())];
            query.extend(USER_EVENTS.map(|kind| ("type", kind)));
            let events: Vec<UserEvent> = self.api.get("read user events", &["events"], &query, "view-events").await?;
            let new = hints.user_events(&mut cursor.user, &events);
            more |= self.is_full(events.len(), new);
        }
        if !more {
            self.events = EVENTS;
            cursor.admin.forget();
            cursor.user.forget();
        }
        Ok((hints, more))
    }

    /// Whether a page has no room for what comes behind it. One that holds nothing new is asked for anew, larger: its
    /// events are all of the overlap.
    fn is_full(&mut self, events: usize, new: usize) -> bool {
        let full = events >= self.events;
        if full && new == 0 {
            self.events = self.events.saturating_mul(4).min(1_000_000);
        }
        full
    }

    async fn begin(&mut self) -> Result<Page<Place>, SourceError> {
        self.config = None;
        self.tree = groups::read(&mut self.api).await?;
        self.memberships.clear();
        let mut observations = Vec::new();
        let query = [("max", "10000")];
        match self.api.get::<Vec<Client>>("list clients", &["clients"], &query, "view-clients").await {
            Ok(clients) => clients.iter().for_each(|client| observations.extend(self.client(client))),
            Err(SourceError::Forbidden { .. }) => {}
            Err(error) => return Err(error),
        }
        self.api.realm_not_before().await?;
        observations.extend(self.realm_not_before());
        let groups = self.tree.ids().cloned().collect();
        Ok(Page { people: vec![], observations, next: Some(Place::Groups(groups)), count: None })
    }

    async fn read_members(&mut self, mut groups: Vec<String>) -> Result<Page<Place>, SourceError> {
        for group in groups.split_off(groups.len().saturating_sub(GROUPS)) {
            for member in groups::members(&mut self.api, &group).await? {
                let of = self.memberships.entry(member).or_default();
                if !of.contains(&group) {
                    of.push(group.clone());
                }
            }
        }
        let next = if groups.is_empty() {
            let before = self.count().await?;
            Place::Users(Users { before, ..Users::default() })
        } else {
            Place::Groups(groups)
        };
        Ok(Page { people: vec![], observations: vec![], next: Some(next), count: None })
    }

    async fn count(&mut self) -> Result<usize, SourceError> {
        self.api.get("count users", &["users", "count"], &[], "view-users").await
    }

    /// A page of users, which begins with the last row of the page before: offsets move where somebody is deleted.
    async fn read_users(&mut self, mut place: Users) -> Result<Page<Place>, SourceError> {
        let overlap = usize::from(place.last.is_some());
        let (first, max) = ((place.rows - overlap).to_string(), (ROWS + overlap).to_string());
        let query = [("first", first.as_str()), ("max", max.as_str()), ("briefRepresentation", "false")];
        let mut users: Vec<User> = self.api.get("list users", &["users"], &query, "view-users").await?;
        let many = users.len();
        if let Some(last) = &place.last {
            if users.first().map(|user| &user.id) != Some(last) {
                return self.anew(place.attempt).await;
            }
            users.remove(0);
        }
        place.rows += users.len();
        place.last = users.last().map(|user| user.id.clone()).or(place.last);
        let observations = users.iter().filter_map(|user| self.not_before(user)).collect();
        let full = many >= ROWS + overlap;
        let people = users.into_iter().filter_map(|user| self.person(user)).collect();
        if full {
            return Ok(Page { people, observations, next: Some(Place::Users(place)), count: None });
        }
        let after = self.count().await?;
        // With only the right to query users, Keycloak lists nobody, and counts everybody.
        if place.rows < after.min(place.before) {
            let what = format!("it has {} rows, and the realm counts {after}: is `view-users` missing?", place.rows);
            return Err(SourceError::Malformed { step: "list users", what });
        }
        Ok(Page { people, observations, next: None, count: (after == place.before).then_some(after) })
    }

    async fn anew(&mut self, attempt: usize) -> Result<Page<Place>, SourceError> {
        if attempt >= ATTEMPTS {
            let what = "its rows moved each time that it was read".to_owned();
            return Err(SourceError::Malformed { step: "list users", what });
        }
        let before = self.count().await?;
        let users = Users { before, attempt: attempt + 1, ..Users::default() };
        Ok(Page { people: vec![], observations: vec![], next: Some(Place::Users(users)), count: None })
    }
}

fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

impl Directory for Keycloak {
    type Place = Place;

    async fn changes(&mut self, cursor: Option<&str>) -> Result<Changes, SourceError> {
        let mut place = match self.cursor.take() {
            Some(place) => place,
            None => match cursor.and_then(|text| serde_json::from_str(text).ok()) {
                Some(place) => place,
                None => {
                    self.api.realm_not_before().await?;
                    let now = self.api.date.map_or(0, Timestamp::as_millis);
                    Cursor { admin: Seen::from(now), user: Seen::from(now) }
                }
            },
        };
        let mut changes = Changes::default();
        if self.next_status <= Instant::now() {
            changes.observations = self.status().await?;
            self.next_status = Instant::now() + STATUS;
        }
        let before = place.clone();
        match self.read_events(&mut place).await {
            Ok((hints, more)) => {
                (changes.more, changes.resync) = (more, hints.resync);
                match self.follow(hints).await {
                    Ok(found) => changes.observations.extend(found),
                    // Read again with the next poll.
                    Err(error) => (place, changes.trouble) = (before.clone(), Some(error)),
                }
            }
            Err(error) => (place, changes.trouble) = (before.clone(), Some(error)),
        }
        if changes.trouble.is_some() {
            changes.more = false;
        }
        changes.cursor = serde_json::to_string(&place).ok();
        self.cursor = Some(place);
        Ok(changes)
    }

    async fn page(&mut self, place: Option<Place>) -> Result<Page<Place>, SourceError> {
        match place {
            None => self.begin().await,
            Some(Place::Groups(groups)) => self.read_members(groups).await,
            Some(Place::Users(users)) => self.read_users(users).await,
        }
    }

    async fn look_up(&mut self, attribute: &str, value: &str) -> Result<Option<Person>, SourceError> {
        let user = match attribute {
            "id" => self.api.user(value).await?,
            other => {
                let exact = format!("{other}:\"{value}\"");
                let query = match other {
                    "username" | "email" => [(other, value), ("exact", "true")],
                    _ => [("q", exact.as_str()), ("exact", "true")],
                };
                let mut found: Vec<User> = self.api.get("look a user up", &["users"], &query, "view-users").await?;
                if found.len() > 1 {
                    return Ok(None);
                }
                found.pop()
            }
        };
        let Some(user) = user else { return Ok(None) };
        self.read_groups(&user.id.clone()).await?;
        Ok(self.person(user))
    }

    async fn examine(&mut self) -> Vec<Finding> {
        examine::examine(&mut self.api, &self.settings).await
    }
}
