//! What happened since the last poll: reads events, then the users they point at.

use std::collections::BTreeSet;

use super::Keycloak;
use super::events::{EventCursor, Hints, Touched, USER_EVENTS};
use super::groups::{self, Groups, Tree};
use super::people::is_service_account;
use super::shapes::{AdminEvent, Client, EventsConfig, Group, UserEvent};
use crate::domain::command::Observation;
use crate::domain::revocation::Target;
use crate::domain::time::Timestamp;
use crate::source::error::SourceError;

/// Events per request.
pub const EVENTS: usize = 1_000;
/// The most events per request. More than this within the overlap would exceed the limit of an answer.
const MOST_EVENTS: usize = 64_000;
/// How many members of changed groups are read one by one. For more, a listing is faster.
const AT_ONCE: usize = 200;

impl Keycloak {
    /// Reads the settings of events. If admin events were off until now, no event tells what happened in the meantime.
    pub(super) async fn read_config(&mut self) -> Result<bool, SourceError> {
        let new: EventsConfig =
            self.api.get("read the settings of events", &["events", "config"], &[], "view-events").await?;
        let on = new.admin_events_enabled;
        let before = self.config.replace(new).map(|config| config.admin_events_enabled);
        if before == Some(true) && !on {
            tracing::warn!(source.name = %self.settings.name, "admin events were switched off; changes are found by full listings only");
        }
        Ok(before == Some(false) && on)
    }

    /// Reads the next events of both kinds; returns whether there are more.
    pub(super) async fn read_events(
        &mut self,
        admin: &mut EventCursor,
        user: &mut EventCursor,
    ) -> Result<(Hints, bool), SourceError> {
        let mut hints = Hints::default();
        if self.config.is_none() {
            hints.resync = self.read_config().await?;
        }
        let config = self.config.clone().unwrap_or_default();
        let (max, mut more) = (self.events.to_string(), false);
        if config.admin_events_enabled {
            let since = admin.since().to_string();
            let query = [("dateFrom", since.as_str()), ("direction", "asc"), ("max", max.as_str())];
            let events: Vec<AdminEvent> =
                self.api.get("read admin events", &["admin-events"], &query, "view-events").await?;
            if events.len() < self.events
                && let Some(newest) = admin.missing(&events)
            {
                hints.back = self.older_than(newest).await?;
            }
            let new = hints.admin(admin, &events, self.clock());
            more |= self.is_full(admin, (events.len(), new));
        }
        if config.events_enabled {
            let since = user.since().to_string();
            let mut query = vec![("dateFrom", since.as_str()), ("direction", "asc"), ("max", max.as_str())];
            query.extend(USER_EVENTS.map(|kind| ("type", kind)));
            let events: Vec<UserEvent> = self.api.get("read user events", &["events"], &query, "view-events").await?;
            let new = hints.user_events(user, &events, self.clock());
            more |= self.is_full(user, (events.len(), new));
        }
        if !more {
            self.events = EVENTS;
            admin.forget();
            user.forget();
        }
        Ok((hints, more))
    }

    /// How it shows that the realm was restored from a backup: the newest event is gone while older ones still exist.
    /// Expiry removes the oldest first, and clearing removes all.
    async fn older_than(&mut self, newest: i64) -> Result<Option<String>, SourceError> {
        let query = [("dateFrom", "0"), ("direction", "asc"), ("max", "1")];
        let oldest: Vec<AdminEvent> =
            self.api.get("read the oldest admin event", &["admin-events"], &query, "view-events").await?;
        let older = oldest.first().is_some_and(|oldest| oldest.time < newest);
        let at = Timestamp::from_millis(newest);
        Ok(older.then(|| format!("its newest admin event, of {at}, is missing, while older ones are still there")))
    }

    /// The provider's clock in milliseconds, rounded up by a second: it is known only to the second.
    fn clock(&self) -> i64 {
        self.api.now().map_or(i64::MAX, |now| now.as_millis().saturating_add(1_000))
    }

    /// Whether a page is full, so more events may follow. A full page without a new event lies within the overlap: it
    /// is requested again with a higher limit. Beyond the highest limit, the overlap is dropped.
    fn is_full(&mut self, seen: &mut EventCursor, (events, new): (usize, usize)) -> bool {
        let full = events >= self.events;
        if full && new == 0 {
            if self.events >= MOST_EVENTS {
                seen.leave_overlap();
            }
            self.events = self.events.saturating_mul(4).min(MOST_EVENTS);
        }
        full
    }

    /// Follows the hints in this order: the whole realm, sessions, clients, groups, people. A failure does not delay
    /// the rest.
    pub(super) async fn follow(
        &mut self,
        mut hints: Hints,
        found: &mut Vec<Observation>,
    ) -> (bool, Result<(), SourceError>) {
        let mut outcome = Ok(());
        let mut keep = |error: SourceError| outcome = std::mem::replace(&mut outcome, Ok(())).and(Err(error));
        if hints.realm {
            match self.follow_realm().await {
                Ok((not_before, gap)) => {
                    found.extend(not_before);
                    hints.resync |= gap;
                }
                Err(error) => keep(error),
            }
        }
        found.extend(hints.sessions.iter().map(|(session, at)| self.session(session, Timestamp::from_millis(*at))));
        match self.follow_clients(hints.clients.into_iter().collect()).await {
            Ok(clients) => found.extend(clients),
            Err(error) => keep(error),
        }
        if hints.groups {
            match self.follow_groups(&hints.dissolved, found).await {
                Ok(Some(members)) => members.into_iter().for_each(|id| _ = hints.users.entry(id).or_default()),
                Ok(None) => hints.resync = true,
                Err(error) => keep(error),
            }
        }
        let groups = hints.groups;
        for (id, touched) in hints.users {
            match self.read_again(&id, &touched).await {
                Ok(read) => found.extend(read),
                Err(error) => keep(error),
            }
        }
        // The affected members are found by comparing with the previous tree, which is lost the next time.
        let lost = groups && outcome.is_err();
        (hints.resync || lost, outcome)
    }

    async fn follow_realm(&mut self) -> Result<(Option<Observation>, bool), SourceError> {
        let not_before = self.api.realm_not_before().await?;
        let gap = self.read_config().await?;
        Ok((self.realm_not_before(not_before), gap))
    }

    /// Reads clients again. Deleted ones come first, as a new client may have the same name.
    pub(super) async fn follow_clients(
        &mut self,
        clients: Vec<(String, Option<String>)>,
    ) -> Result<Vec<Observation>, SourceError> {
        let (mut gone, mut here) = (Vec::new(), Vec::new());
        for (id, said) in clients {
            match self.api.get::<Client>("read a client", &["clients", &id], &[], "view-clients").await {
                Ok(client) => here.push(client),
                Err(SourceError::NotFound { .. }) => {
                    let name = self.clients.remove(&id).or(said);
                    let another = name.as_ref().is_some_and(|name| self.clients.values().any(|known| known == name));
                    gone.extend(name.filter(|_| !another).map(|name| self.client_block(&name, true)));
                }
                // Without the role, clients are not followed; `source check` reports it.
                Err(SourceError::Forbidden { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        gone.extend(here.iter().flat_map(|client| self.client(client)).collect::<Vec<_>>());
        Ok(gone)
    }

    /// Reads the groups again; returns whose groups changed, or `None` if only a listing can tell.
    async fn follow_groups(
        &mut self,
        dissolved: &BTreeSet<String>,
        found: &mut Vec<Observation>,
    ) -> Result<Option<BTreeSet<String>>, SourceError> {
        let new = groups::read(&mut self.api).await?;
        let (mut gone, mut members) = (BTreeSet::new(), BTreeSet::new());
        // A running listing may have read, or reported, what ends here.
        for groups in self.groups.all_mut() {
            gone.extend(groups.tree.dissolved(dissolved, &new).into_iter().cloned());
            members.extend(groups.replace(&new).take(AT_ONCE + 1).map(str::to_owned));
        }
        // What a deleted group gave ends at once, however many members it had.
        let source = || self.settings.name.clone();
        found.extend(gone.into_iter().map(|group| Observation::GroupDeleted { source: source(), group }));
        Ok((self.listed && members.len() <= AT_ONCE).then_some(members))
    }

    /// Reads one user again, with the groups.
    async fn read_again(&mut self, id: &str, touched: &Touched) -> Result<Vec<Observation>, SourceError> {
        let time = |millis: Option<i64>| millis.map(Timestamp::from_millis);
        let Some(user) = self.api.user(id).await? else {
            self.groups.all_mut().for_each(|groups| drop(groups.memberships.remove(id)));
            return Ok(vec![Observation::Deleted { person: self.id(id), at: time(touched.last()) }]);
        };
        if is_service_account(&user) {
            return Ok(vec![]);
        }
        self.read_groups(id).await?;
        let target = || Target::DirectoryPerson { person: self.id(id) };
        let mut found = Vec::new();
        // They were disabled and enabled again before we looked. Tokens from before stay invalid all the same.
        let back = time(touched.back_at().filter(|_| user.enabled));
        found.extend(back.map(|at| self.cut_off(target(), at, "had been disabled")));
        let ended = time(touched.cut_off);
        found.extend(ended.map(|at| self.cut_off(target(), at, "signed out or credential changed")));
        found.extend(self.not_before(&user));
        let at = time(if user.enabled { touched.enabled_at() } else { touched.disabled_at() });
        self.groups.told(user.id.clone());
        found.push(Observation::Change { person: self.person(user, self.groups.counting()), at, event_id: None });
        Ok(found)
    }

    pub(super) async fn read_groups(&mut self, id: &str) -> Result<(), SourceError> {
        let path = ["users", id, "groups"];
        let query = [("briefRepresentation", "true"), ("max", "-1")];
        let groups: Vec<Group> = match self.api.get("read the groups of a user", &path, &query, "view-users").await {
            // The user was deleted meanwhile, which is an event of its own.
            Err(SourceError::NotFound { .. }) => vec![],
            found => found?,
        };
        self.groups.counting_mut().get_or_insert_default();
        let knows = |tree: &Tree| groups.iter().all(|group| tree.id(&group.id).is_some());
        if !self.groups.all_mut().all(|groups| knows(&groups.tree)) {
            let new = groups::read(&mut self.api).await?;
            self.groups.all_mut().for_each(|groups| groups.tree.learn(&new));
        }
        for Groups { tree, memberships } in self.groups.all_mut() {
            memberships.insert(id.into(), groups.iter().filter_map(|group| tree.id(&group.id)).collect());
        }
        Ok(())
    }
}
