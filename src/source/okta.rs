#![doc = include_str!("okta.md")]

mod again;
mod api;
mod app;
mod assertion;
mod budget;
mod count;
mod cursor;
mod events;
mod examine;
mod groups;
mod links;
mod listing;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Url;

pub use crate::domain::settings::okta::{Credential, Settings};
use api::{Api, Group, Listed, Right, User};
use app::Standing;
use cursor::{Cursor, FeedPosition};
use events::{DeliveredIds, Ended, Hints, Touched, Wanted, time};
use groups::Groups;
use listing::ListingState;

use super::context::Time;
use super::directory::{Changes, Directory, Finding, ListingOutcome};
use super::error::SourceError;
use super::http::Http;
use super::outbox::Outbox;
use super::page::{Page, PageToken};
use super::staged::Staged;
use super::visited::Visited;
use crate::domain::command::Observation;
use crate::domain::person::{Person, PersonId, Status};
use crate::domain::revocation::Target;
use crate::domain::time::Timestamp;

/// Events per request: the most that Okta returns.
const EVENTS: usize = 1000;
/// How long users are read again before the results are passed on.
const FOLLOWED: Duration = Duration::from_secs(1);
/// The limit of users to read again; beyond it no more events are read.
const MOST: usize = 5000;
/// How long after an event the record may still be the old one.
const SETTLED: Duration = Duration::from_secs(60);
/// The most groups of one person.
const MOST_GROUPS: usize = 100_000;
/// The longest id that is looked up. Okta's have 20 characters.
const ID: usize = 64;
/// The longest pause in the last tenth of a rate-limit window while events are followed.
const PAUSE: Duration = Duration::from_secs(1);
/// Statuses of people who work here, or will. `LOCKED_OUT` means that somebody guesses the person's password.
const PRESENT: [&str; 7] =
    ["ACTIVE", "ACTIVATING", "LOCKED_OUT", "PASSWORD_EXPIRED", "PROVISIONED", "RECOVERY", "STAGED"];

/// An Okta organization.
pub struct Okta {
    settings: Settings,
    api: Api,
    time: Time,
    wanted: Wanted,
    groups: Staged<Groups, String>,
    /// Users who were reported during a listing with the group names from before it; they are read again.
    told: BTreeSet<String>,
    seen: DeliveredIds,
    /// The cursor from the last run.
    kept: Option<String>,
    /// The position in the log; `None` until it was read.
    position: Option<FeedPosition>,
    outbox: Outbox,
    listing: ListingState,
    /// Users who are known to be gone. Further events about them report nothing new.
    gone: DeliveredIds,
}

/// A profile value, if it can identify somebody.
fn shown(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) if !text.is_empty() => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

impl Okta {
    /// An organization that is reached by `http`. `time` is only compared with Okta's own.
    #[must_use]
    pub fn new(settings: Settings, http: Http, time: Time) -> Self {
        let api = Api::new(http, settings.url.clone(), settings.credential.clone(), settings.app.is_some());
        Self {
            wanted: Wanted { app: settings.app.clone() },
            settings,
            api,
            time,
            groups: Staged::default(),
            told: BTreeSet::new(),
            seen: DeliveredIds::default(),
            kept: None,
            position: None,
            outbox: Outbox::default(),
            listing: ListingState::default(),
            gone: DeliveredIds::default(),
        }
    }

    fn id(&self, key: &str) -> PersonId {
        PersonId { source: self.settings.name.clone(), key: key.to_owned() }
    }

    /// The person of a user record, without groups.
    fn person(&self, user: User) -> Result<Person, SourceError> {
        let malformed = |what: &str| SourceError::Malformed { step: "read a user", what: what.to_owned() };
        // A user who cannot be looked up later must not become known.
        if !is_id(&user.id) || user.status.is_empty() {
            return Err(malformed("a user record has no id or no status"));
        }
        // An attribute may be a list. Only text and numbers in it identify somebody.
        let texts = |name: &str| match user.profile.get(name) {
            Some(serde_json::Value::Array(values)) => values.iter().filter_map(shown).collect(),
            Some(value) => shown(value).into_iter().collect::<Vec<_>>(),
            None => Vec::new(),
        };
        let status = match user.status.as_str() {
            _ if user.transitioning_to_status.as_deref() == Some("DEPROVISIONED") => Status::Departed,
            "DEPROVISIONED" => Status::Departed,
            status if PRESENT.contains(&status) => Status::Active,
            // Also any status that is not known yet.
            _ => Status::Suspended,
        };
        let mut person = Person::new(self.id(&user.id), status);
        person.set_values("email", texts("email"));
        person.set_values("username", texts("login"));
        for name in &self.settings.attributes {
            person.set_values(name, texts(name));
        }
        person.changed = user.last_updated.as_deref().and_then(time);
        Ok(person)
    }

    fn cut_off(&self, ended: Ended) -> Observation {
        Observation::CutOff {
            source: self.settings.name.clone(),
            target: Target::DirectoryPerson { person: self.id(&ended.user) },
            at: Timestamp::from_millis(ended.at),
            reason: ended.reason.to_owned(),
        }
    }

    /// A user's current groups.
    async fn groups_of(&mut self, id: &str) -> Result<Vec<String>, SourceError> {
        let step = "read the groups of a user";
        let mut url = self.api.address(&["api", "v1", "users", id, "groups"], &[])?;
        let (mut groups, mut visited) = (Vec::<Group>::new(), Visited::default());
        loop {
            visited.note(step, &url)?;
            let Listed { rows, next } = match self.api.list(step, url.clone(), Right::Groups).await {
                Err(SourceError::NotFound { .. }) => break,
                found => found?,
            };
            groups.extend(rows);
            let Some(next) = next else { break };
            if groups.len() > MOST_GROUPS {
                return Err(SourceError::Malformed { step, what: "the list does not end".to_owned() });
            }
            url = next;
        }
        let knows = |known: &Groups| groups.iter().all(|group| known.knows(group));
        if self.groups.counting().is_none() || !self.groups.all_mut().all(|known| knows(known)) {
            let new = self.read_all_groups().await?;
            self.groups.counting_mut().get_or_insert_default();
            self.groups.all_mut().for_each(|known| known.learn(&new));
        }
        let name = |group: &Group| self.groups.counting()?.name(&group.id);
        Ok(groups.iter().filter_map(name).map(|name| name.to_string()).collect())
    }

    /// A user with groups, and whether they are assigned to the application. Neither matters for a blocked user.
    async fn complete(&mut self, user: User) -> Result<(Person, Standing), SourceError> {
        let id = user.id.clone();
        let (mut person, mut standing) = (self.person(user)?, Standing::Unasked);
        if person.status == Status::Active {
            standing = self.standing(&id).await?;
            person.status = if standing == Standing::Unassigned { Status::Suspended } else { Status::Active };
        }
        if person.status == Status::Active {
            person.groups = self.groups_of(&id).await?;
            self.groups.told(id);
        }
        Ok((person, standing))
    }

    /// Reads the next page of the log; returns whether there are more.
    async fn read_log(&mut self, place: &mut FeedPosition, read: &mut Changes) -> Result<bool, SourceError> {
        let step = "read the System Log";
        let url = match place.ahead.next.as_deref().map(Url::parse) {
            Some(Ok(next)) => next,
            _ => {
                let since = Timestamp::from_millis(place.ahead.since).to_string();
                let (filter, limit) = (self.wanted.filter(), EVENTS.to_string());
                let query = [("since", since.as_str()), ("filter", filter.as_str()), ("limit", limit.as_str())];
                self.api.address(&["api", "v1", "logs"], &query)?
            }
        };
        let page: Listed<serde_json::Value> = match self.api.list(step, url.clone(), Right::Logs).await {
            Err(SourceError::Status { status: 400, .. }) if !place.ahead.is_fresh(self.api.now().await?) => {
                tracing::warn!(source.name = %self.settings.name, "the System Log no longer has the kept position; listing everybody");
                place.ahead.begin_anew(self.api.now().await?);
                read.resync = true;
                return Ok(true);
            }
            page => page?,
        };
        let Some(next) = page.next.filter(|next| page.rows.is_empty() || *next != url) else {
            return Err(SourceError::Malformed { step, what: "the page has no `next` link".to_owned() });
        };
        let full = page.rows.len() >= EVENTS;
        let hints = Hints::of(page.rows, &self.seen, &self.wanted);
        place.ahead.go_on(&next, hints.newest);
        read.resync |= hints.resync;
        read.observations.extend(hints.ended.into_iter().map(|ended| self.cut_off(ended)));
        // What the group gave ends at once; a listing shows the rest.
        let names =
            |groups: &mut Groups| hints.dissolved.iter().flat_map(|id| groups.all_names(id)).collect::<Vec<_>>();
        let dissolved: BTreeSet<Arc<str>> = self.groups.all_mut().flat_map(names).collect();
        let source = || self.settings.name.clone();
        let deleted = |group: Arc<str>| Observation::GroupDeleted { source: source(), group: group.to_string() };
        read.observations.extend(dissolved.into_iter().map(deleted));
        hints.users.into_iter().for_each(|(user, touched)| place.touch(user, touched));
        self.seen.add(hints.ids);
        Ok(full)
    }

    /// Where to continue in the log, and whether events may have been missed.
    async fn resume(&mut self) -> Result<(FeedPosition, bool), SourceError> {
        if let Some(position) = self.position.take() {
            return Ok((position, false));
        }
        let now = self.api.now().await?;
        let (kept, missed) = match &self.kept {
            Some(text) => Cursor::kept(text, &self.settings.url, now, &self.wanted),
            None => (Cursor::new(now, &self.wanted), false),
        };
        Ok((FeedPosition::at(kept), missed))
    }
}

/// Whether a text looks like an Okta id. Nothing else that a token claims is requested as one.
fn is_id(text: &str) -> bool {
    let letter = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_');
    (1..=ID).contains(&text.len()) && text.bytes().all(letter)
}

#[async_trait]
impl Directory for Okta {
    fn open(&mut self, kept: Option<String>) {
        self.kept = kept;
    }

    async fn changes(&mut self) -> Result<Changes, SourceError> {
        if let Some(again) = self.outbox.again() {
            return Ok(again);
        }
        let (mut place, resync) = self.resume().await?;
        let mut changes = Changes { resync, ..Changes::default() };
        let mut more = false;
        if place.users.len() < MOST {
            let now = (self.time)().wall.as_millis();
            let told = std::mem::take(&mut self.told).into_iter();
            let told = told.map(|user| (user, Touched { at: now, ..Touched::default() }));
            for (user, touched) in std::mem::take(&mut place.doubted).into_iter().chain(told) {
                place.touch(user, touched);
            }
            match self.read_log(&mut place, &mut changes).await {
                Ok(full) => more = full,
                Err(error) => changes.trouble = Some(error),
            }
        }
        // What ended by itself must not wait. Users who cannot be read now are kept for later, and later events do not
        // wait for them.
        if changes.observations.is_empty()
            && let Err(error) = self.follow(&mut place, &mut changes).await
        {
            changes.trouble.get_or_insert(error);
        }
        changes.more = (more || !place.users.is_empty()) && changes.trouble.is_none();
        changes.cursor = serde_json::to_string(place.keep()).ok();
        self.position = Some(place);
        Ok(self.outbox.give(changes))
    }

    fn acknowledged(&mut self) {
        self.outbox.acknowledged();
    }

    async fn page(&mut self, token: Option<PageToken>) -> Result<Page, SourceError> {
        let listing = token.map(|token| token.read()).transpose()?;
        self.piece(listing).await
    }

    async fn look_up(&mut self, attribute: &str, value: &str) -> Result<Option<Person>, SourceError> {
        let user = match attribute {
            "id" if !is_id(value) => None,
            "id" => self.api.user(value).await?,
            other => {
                let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
                let (kind, name) = match other {
                    "username" | "login" => ("filter", "login"),
                    "email" => ("filter", "email"),
                    // Other attributes support only search, where a new user appears slightly later.
                    name => ("search", name),
                };
                let wanted = format!("profile.{name} eq \"{quoted}\"");
                let url = self.api.address(&["api", "v1", "users"], &[(kind, wanted.as_str()), ("limit", "2")])?;
                let Listed { mut rows, .. } = self.api.list::<User>("look up a user", url, Right::Users).await?;
                if rows.len() > 1 {
                    return Ok(None);
                }
                rows.pop()
            }
        };
        match user {
            Some(user) => self.complete(user).await.map(|(person, _)| Some(person)),
            None => Ok(None),
        }
    }

    fn listing_over(&mut self, outcome: ListingOutcome) {
        // Before the first listing there are no earlier groups to keep.
        let first = self.groups.counting().is_none();
        let differ = self.groups.counting().zip(self.groups.reading()).is_some_and(|(old, new)| old.differs(new));
        let (counts, told) = self.groups.conclude(outcome == ListingOutcome::Accepted || first);
        if counts && differ {
            self.told.extend(told);
        }
    }

    async fn examine(&mut self) -> Vec<Finding> {
        examine::examine(self).await
    }
}
