#![doc = include_str!("entra.md")]

mod api;
mod examine;
mod feed;
mod graph;
mod groups;
mod refusal;
mod listing;
mod users;
mod wire;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub use crate::domain::settings::entra::{Settings, Tenant};
use api::{Api, USERS};
use feed::Feed;
use graph::Graph;
use groups::Dirty;
use listing::{Listed, ListingPosition};
use users::{Hint, is_general};
use wire::{PROPERTIES, User};

use super::directory::{Changes, Directory, Finding, ListingOutcome};
use super::error::SourceError;
use super::http::Http;
use super::outbox::Outbox;
use super::page::{Page, PageToken};
use super::staged::Staged;
use crate::domain::command::Observation;
use crate::domain::person::{Person, PersonId, Status};
use crate::domain::revocation::Target;
use crate::domain::time::Timestamp;

/// How long a record that contradicts the owner's own address is read again: some copies of the directory lag behind.
const DOUBT: Duration = Duration::from_secs(120);
/// The shortest interval between these reads.
const DOUBT_EVERY: Duration = Duration::from_secs(2);
/// How often the cursor is stored even if nothing happens: it is valid for seven days.
const PLACE: Duration = Duration::from_secs(3600);
/// How many people who were out lately are stored with it.
const RECENT: usize = 1_000;
/// How long an ended session is remembered. No access token of it lives longer.
const SESSIONS: Duration = Duration::from_secs(30 * 86_400);

/// A tenant of Microsoft Entra ID.
///
/// What a delta query says is a hint. Every user whom it names is read again at their own address before they get
/// anything back, so a page that is repeated or late gives nothing back. Only bad news is believed at once. No copy of
/// the people is kept in memory. The groups are kept, since a change of one does not say who is in it through another;
/// they are read anew at each start.
pub struct Entra {
    settings: Settings,
    api: Api,
    /// The properties to request for a user.
    select: String,
    /// Changes of users.
    users: Feed,
    hints: BTreeMap<String, Hint>,
    /// Where the last listing says to continue with users, once everything before it was read.
    fresh: Option<Url>,
    /// Changes of groups.
    groups: Feed,
    dirty: BTreeMap<String, Dirty>,
    /// Who is in which group; none count before the first listing.
    graphs: Staged<Graph, String>,
    /// What else the running listing has read.
    listed: Listed,
    /// Memberships that ended a short while ago, or since the running listing began: it may not show that yet.
    lost: BTreeMap<(String, String), Instant>,
    /// Groups that were deleted since then.
    lost_groups: BTreeMap<String, Instant>,
    /// People who were absent or disabled when last seen: a listing alone does not bring them back.
    out: HashSet<String>,
    /// People who were reported out lately, and when: this must survive a restart.
    recent: BTreeMap<String, Instant>,
    /// People who were reported present but were absent when last read.
    unseen: BTreeSet<String>,
    /// Users and groups in doubt, and until when.
    doubted: BTreeMap<Doubted, Instant>,
    next_doubt: Instant,
    /// The cursor that was last stored.
    place: Option<(String, Instant)>,
    /// Something was reported since then.
    news: bool,
    outbox: Outbox,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Doubted {
    User(String),
    Group(String),
}

/// The position in the changes. Groups have none: they are listed anew after a restart.
#[derive(Serialize, Deserialize)]
struct Cursor {
    /// The user properties that were requested: a link is valid only for these.
    select: String,
    users: String,
    /// People who were reported out a short while ago: a listing may not show that yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    out: Vec<String>,
}

impl Entra {
    /// A tenant that is reached by `http`.
    #[must_use]
    pub fn new(settings: Settings, http: Http) -> Self {
        let api = Api::new(http, settings.tenant.clone());
        let further = settings.attributes.iter().map(String::as_str).filter(|name| !PROPERTIES.contains(name));
        let select = PROPERTIES.into_iter().chain(further).collect::<Vec<_>>().join(",");
        Self {
            settings,
            api,
            select,
            users: Feed::new("read changes of users"),
            hints: BTreeMap::new(),
            fresh: None,
            groups: Feed::new("read changes of groups"),
            dirty: BTreeMap::new(),
            graphs: Staged::default(),
            listed: Listed::default(),
            lost: BTreeMap::new(),
            lost_groups: BTreeMap::new(),
            out: HashSet::new(),
            recent: BTreeMap::new(),
            unseen: BTreeSet::new(),
            doubted: BTreeMap::new(),
            next_doubt: Instant::now(),
            place: None,
            news: false,
            outbox: Outbox::default(),
        }
    }

    fn id(&self, key: &str) -> PersonId {
        PersonId { source: self.settings.name.clone(), key: key.to_owned() }
    }

    /// The person of a complete record.
    fn person(&self, user: &User, groups: Vec<String>) -> Result<Person, SourceError> {
        let missing = || SourceError::Malformed {
            step: "read a user",
            what: format!("it has no `accountEnabled`: does the application have `{USERS}`?"),
        };
        let enabled = user.enabled().ok_or_else(missing)?;
        let status = if enabled { Status::Active } else { Status::Suspended };
        let mut person = Person { groups, ..Person::new(self.id(&user.id), status) };
        person.set_values("email", user.texts("mail"));
        person.set_values("username", user.texts("userPrincipalName"));
        for name in &self.settings.attributes {
            person.set_values(name, user.texts(name));
        }
        Ok(person)
    }

    fn groups_of(&self, id: &str) -> Vec<String> {
        self.graphs.counting().map(|graph| graph.flat(id)).unwrap_or_default()
    }

    /// Tokens from before a user's sessions were ended are invalid.
    fn sessions(&self, user: &User) -> Option<Observation> {
        let at = user.valid_from()?;
        let now = self.api.date.unwrap_or(Timestamp::MAX);
        let recent = now == Timestamp::MAX || at >= now.minus(SESSIONS);
        let target = Target::DirectoryPerson { person: self.id(&user.id) };
        let reason = "sessions revoked".to_owned();
        recent.then(|| Observation::CutOff { source: self.settings.name.clone(), target, at, reason })
    }

    /// Notes whether a user is present and enabled.
    fn note(&mut self, user: &User) {
        if user.enabled() == Some(true) {
            self.out.remove(&user.id);
        } else {
            self.out.insert(user.id.clone());
        }
    }

    fn doubt(&mut self, whom: Doubted) {
        self.doubted.entry(whom).or_insert_with(|| Instant::now() + DOUBT);
    }

    /// Reads users in doubt again, as if they had been named. Returns whether anybody stayed absent until the end of
    /// the doubt.
    fn ask_again(&mut self, now: Instant) -> bool {
        if self.next_doubt > now {
            return false;
        }
        self.next_doubt = now + DOUBT_EVERY;
        self.recent.retain(|_, at| *at + DOUBT > now);
        let unseen = self.unseen.len();
        self.doubted.retain(|whom, until| {
            let lasts = *until > now;
            if let (Doubted::User(id), false) = (whom, lasts) {
                self.unseen.remove(id);
            }
            lasts
        });
        for whom in self.doubted.keys() {
            match whom {
                Doubted::User(id) => drop(self.hints.entry(id.clone()).or_default()),
                Doubted::Group(id) => self.dirty.entry(id.clone()).or_default().members = true,
            }
        }
        self.unseen.len() < unseen
    }

    /// The address from which to read users: all of them, or only changes from now on.
    fn users_url(&self, from_now: bool) -> Result<Url, SourceError> {
        let query = [("$select", self.select.as_str()), ("$deltatoken", "latest")];
        self.api.url(&["users", "delta"], query.get(..if from_now { 2 } else { 1 }).unwrap_or_default())
    }

    fn groups_url(&self) -> Result<Url, SourceError> {
        self.api.url(&["groups", "delta"], &[("$select", "id,displayName,members")])
    }

    /// The cursor to store, if it is worth storing: an older one only repeats some changes.
    fn place(&mut self) -> Option<String> {
        // INVARIANT: users who are still to be read again are covered only by an older cursor, so no newer one is
        // stored.
        if !self.hints.is_empty() {
            return None;
        }
        let link = self.users.link.as_ref()?.to_string();
        let due = self.place.as_ref().is_none_or(|(last, at)| *last != link && (self.news || at.elapsed() >= PLACE));
        if !due {
            return None;
        }
        (self.news, self.place) = (false, Some((link.clone(), Instant::now())));
        let out = self.recent.keys().take(RECENT).cloned().collect();
        serde_json::to_string(&Cursor { select: self.select.clone(), users: link, out }).ok()
    }

    async fn step(&mut self, changes: &mut Changes) -> Result<(), SourceError> {
        changes.resync |= self.ask_again(Instant::now());
        let users = self.follow_users(changes).await;
        if users.as_ref().is_err_and(is_general) {
            return users;
        }
        users.and(self.follow_groups(changes).await)
    }
}

#[async_trait]
impl Directory for Entra {
    fn open(&mut self, kept: Option<String>) {
        let kept = kept.and_then(|text| serde_json::from_str::<Cursor>(&text).ok());
        // A link is valid only for the same properties.
        let Some(kept) = kept.filter(|kept| kept.select == self.select) else { return };
        self.users.link = self.api.followed("go on", &kept.users).ok();
        self.recent = kept.out.iter().map(|id| (id.clone(), Instant::now())).collect();
        self.out.extend(kept.out);
    }

    async fn changes(&mut self) -> Result<Changes, SourceError> {
        if let Some(again) = self.outbox.again() {
            return Ok(again);
        }
        let mut changes = Changes::default();
        changes.trouble = self.step(&mut changes).await.err();
        let waits =
            !self.hints.is_empty() || !self.dirty.is_empty() || self.users.is_within() || self.groups.is_within();
        changes.more = (changes.more || waits) && changes.trouble.is_none();
        self.news |= !changes.observations.is_empty();
        changes.cursor = self.place();
        Ok(self.outbox.give(changes))
    }

    fn acknowledged(&mut self) {
        self.outbox.acknowledged();
    }

    async fn page(&mut self, token: Option<PageToken>) -> Result<Page, SourceError> {
        match token.map(|token| token.read()).transpose()? {
            None => self.begin().await,
            Some(ListingPosition::Groups(groups)) => self.list_groups(groups).await,
            Some(ListingPosition::Users(users)) => self.list_users(users).await,
        }
    }

    async fn look_up(&mut self, attribute: &str, value: &str) -> Result<Option<Person>, SourceError> {
        let Some(user) = self.find(attribute, value).await? else { return Ok(None) };
        self.note(&user);
        self.graphs.told(user.id.clone());
        let groups = match self.graphs.counting() {
            Some(graph) if self.graphs.listed().is_none() => graph.flat(&user.id),
            // A running listing is not used to answer its own doubts, except for the names of groups.
            _ => {
                let ids = self.transitive(&user.id).await?;
                let names = self.graphs.listed().or(self.graphs.counting());
                let names = ids.iter().filter_map(|id| names?.goes_by(id)).map(str::to_owned).collect::<Vec<_>>();
                ids.into_iter().chain(names).collect()
            }
        };
        self.person(&user, groups).map(Some)
    }

    fn listing_over(&mut self, outcome: ListingOutcome) {
        self.adopt(outcome);
    }

    async fn examine(&mut self) -> Vec<Finding> {
        examine::examine(self).await
    }

    fn date(&self) -> Option<Timestamp> {
        self.api.date
    }
}
