//! What admin events and user events point at. They are only hints: every user they name is read again.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::shapes::{AdminEvent, UserEvent};

/// How far back events are read again, in milliseconds: they become visible late and out of order. 11 ms were seen on
/// one node; the rest allows for the clocks of a cluster.
pub const OVERLAP: i64 = 5_000;

/// The types of user events that matter. A server answers 500 if it does not know one of them.
pub const USER_EVENTS: [&str; 10] = [
    "LOGOUT",
    "UPDATE_PASSWORD",
    "UPDATE_CREDENTIAL",
    "RESET_PASSWORD",
    "REMOVE_CREDENTIAL",
    "REMOVE_TOTP",
    "DELETE_ACCOUNT",
    "USER_DISABLED_BY_PERMANENT_LOCKOUT",
    "UPDATE_EMAIL",
    "UPDATE_PROFILE",
];

/// The position in the events: a time in milliseconds of the provider's clock, and the ids of events that may come
/// again.
///
/// The ids are not kept across a restart. Then the objects of some events are read once more, and give the same
/// cut-offs and revocations with the same times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventCursor {
    /// The time of the newest event so far.
    pub until: i64,
    /// `until` is the time of an event. That event must exist as long as older ones do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    event: bool,
    #[serde(skip)]
    ids: BTreeMap<String, i64>,
}

impl EventCursor {
    /// The position at this time, with no event seen.
    #[must_use]
    pub fn from(until: i64) -> Self {
        Self { until, event: false, ids: BTreeMap::new() }
    }

    /// The time from which to read.
    #[must_use]
    pub fn since(&self) -> i64 {
        self.until.saturating_sub(OVERLAP).max(0)
    }

    /// Whether an event is new. No event moves the position beyond `now`, as one node's clock may be ahead.
    fn is_new(&mut self, id: Option<&String>, time: i64, now: i64) -> bool {
        let at = time.min(now);
        if at >= self.until {
            self.event = at == time || (at == self.until && self.event);
            self.until = at;
        }
        // An event without an id may be a repetition. Reading its user once more does no harm.
        id.is_none_or(|id| self.ids.insert(id.clone(), time).is_none())
    }

    /// Continues after the newest event, without the overlap.
    pub fn leave_overlap(&mut self) {
        (self.until, self.event) = (self.until.saturating_add(OVERLAP), false);
    }

    /// The time of the newest known event if it is missing from `events`, which hold everything since the overlap. It
    /// is not looked for again.
    pub fn missing(&mut self, events: &[AdminEvent]) -> Option<i64> {
        let newest = self.event.then_some(self.until)?;
        if events.iter().any(|event| event.time == newest) {
            return None;
        }
        self.event = false;
        Some(newest)
    }

    /// Forgets ids that cannot come again.
    pub fn forget(&mut self) {
        let since = self.since().saturating_sub(OVERLAP);
        self.ids.retain(|_, time| *time >= since);
    }
}

/// What events say about one user. Times are in milliseconds of the provider's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// The times of all events about them.
    times: BTreeSet<i64>,
    /// When a request enabled (`true`) or disabled them. The order within one millisecond is unknown: they are assumed
    /// to have been disabled first.
    switched: BTreeSet<(i64, bool)>,
    /// Tokens issued up to then are invalid: an admin's logout, a password reset, a removed factor.
    pub cut_off: Option<i64>,
}

impl Touched {
    /// Since when they have been enabled, if they are: the first event that enables them after the last that disables
    /// them. `None` if no event says so. Other events do not count: they may be older than the disabling (by a
    /// directory behind Keycloak, say), and tokens of the time between would become valid again.
    #[must_use]
    pub fn enabled_at(&self) -> Option<i64> {
        let behind = self.switched.iter().rev().take_while(|(_, enabled)| *enabled).last();
        behind.map(|(time, _)| *time)
    }

    /// Since when they have been disabled, if they are: the first event that disables them after the last that enables
    /// them. If no event says so, the time of the first event about them.
    #[must_use]
    pub fn disabled_at(&self) -> Option<i64> {
        let behind = self.switched.iter().rev().take_while(|(_, enabled)| !*enabled).last();
        behind.map(|(time, _)| *time).or(self.times.first().copied())
    }

    /// When they were enabled again after being disabled for a while (or slightly later: no token is issued in
    /// between).
    #[must_use]
    pub fn back_at(&self) -> Option<i64> {
        let (disabled, _) = self.switched.iter().rev().find(|(_, enabled)| !*enabled)?;
        let enabled = self.switched.range((*disabled, true)..).map(|(time, _)| *time).next();
        enabled.or(Some(*disabled))
    }

    /// The time of the last event about them.
    #[must_use]
    pub fn last(&self) -> Option<i64> {
        self.times.last().copied()
    }

    fn cut_off_at(&mut self, time: i64) {
        self.cut_off = self.cut_off.max(Some(time));
    }
}

/// The objects that events point at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Users to read again.
    pub users: BTreeMap<String, Touched>,
    /// Sessions that ended, and when.
    pub sessions: BTreeMap<String, i64>,
    /// Clients to read again, with their `clientId` if the event has it.
    pub clients: BTreeMap<String, Option<String>>,
    /// The realm itself changed.
    pub realm: bool,
    /// Groups themselves changed.
    pub groups: bool,
    /// The ids of deleted groups.
    pub dissolved: BTreeSet<String>,
    /// Only a full listing can show what changed.
    pub resync: bool,
    /// The realm went back to an older state, and how that shows.
    pub back: Option<String>,
}

impl Hints {
    /// The hints for the second reading: the same objects without times. More may have happened to them since.
    #[must_use]
    pub fn once_more(&self) -> Self {
        let users = self.users.keys().map(|id| (id.clone(), Touched::default())).collect();
        Self { users, sessions: BTreeMap::new(), resync: false, back: None, ..self.clone() }
    }

    /// Takes in admin events; returns how many were new. `now` is the provider's clock.
    pub fn admin(&mut self, seen: &mut EventCursor, events: &[AdminEvent], now: i64) -> usize {
        let mut new = 0;
        for event in events {
            if seen.is_new(event.id.as_ref(), event.time, now) {
                new += 1;
                self.admin_event(event);
            }
        }
        new
    }

    fn admin_event(&mut self, event: &AdminEvent) {
        let path: Vec<&str> = event.resource_path.split('/').collect();
        match (event.resource_type.as_str(), path.as_slice()) {
            // Keycloak's own SCIM API.
            (_, ["scim", "v2", "Users", id, ..]) => self.user(id, event),
            (_, ["scim", "v2", ..]) => self.resync = true,
            // A partial import names only the realm, and replaces users without an event about the old ones.
            ("REALM", ["users", id, ..]) => {
                self.resync = true;
                self.user(id, event);
            }
            ("REALM", ["groups" | "clients", ..]) => self.resync = true,
            ("REALM", _) => self.realm = true,
            ("CLIENT", ["clients", id, ..]) => {
                let said = event.representation.as_deref().and_then(client_id);
                let client = self.clients.entry((*id).to_owned()).or_default();
                *client = said.or(client.take());
            }
            ("USER_SESSION", ["sessions", id, ..]) => {
                self.sessions.insert((*id).to_owned(), event.time);
            }
            ("GROUP", path) => {
                self.groups = true;
                let deleted = path.get(1).filter(|_| path.len() == 2 && event.operation_type == "DELETE");
                self.dissolved.extend(deleted.map(|id| (*id).to_owned()));
            }
            // A directory behind Keycloak was removed or synchronized.
            ("COMPONENT", _) if event.operation_type == "DELETE" => self.resync = true,
            (_, ["user-storage", ..]) => self.resync = true,
            (_, ["users", id, ..]) => self.user(id, event),
            _ => {}
        }
    }

    fn user(&mut self, id: &str, event: &AdminEvent) {
        let touched = self.users.entry(id.to_owned()).or_default();
        touched.times.insert(event.time);
        let switched = event.representation.as_deref().and_then(says_enabled);
        touched.switched.extend(switched.map(|enabled| (event.time, enabled)));
        let path: Vec<&str> = event.resource_path.split('/').collect();
        let ends =
            matches!(path.as_slice(), ["users", _, "logout" | "reset-password"] | ["users", _, "credentials", _]);
        if event.operation_type == "ACTION" && ends {
            touched.cut_off_at(event.time);
        }
    }

    /// Takes in user events; returns how many were new. `now` is the provider's clock.
    pub fn user_events(&mut self, seen: &mut EventCursor, events: &[UserEvent], now: i64) -> usize {
        let mut new = 0;
        for event in events {
            if seen.is_new(event.id.as_ref(), event.time, now) {
                new += 1;
                self.user_event(event);
            }
        }
        new
    }

    fn user_event(&mut self, event: &UserEvent) {
        if event.kind == "LOGOUT" {
            self.sessions.extend(event.session_id.clone().map(|session| (session, event.time)));
            return;
        }
        let Some(id) = &event.user_id else { return };
        let touched = self.users.entry(id.clone()).or_default();
        touched.times.insert(event.time);
        match event.kind.as_str() {
            "USER_DISABLED_BY_PERMANENT_LOCKOUT" => {
                touched.switched.insert((event.time, false));
            }
            // A user who must change it during sign-in gets a token in the same second. That token is valid.
            "UPDATE_PASSWORD" | "RESET_PASSWORD" | "REMOVE_CREDENTIAL" | "REMOVE_TOTP" => {
                touched.cut_off_at(before_the_second(event.time));
            }
            // Anything but a password is an additional factor and replaces nothing.
            "UPDATE_CREDENTIAL" if event.details.credential_type == "password" => {
                touched.cut_off_at(before_the_second(event.time));
            }
            _ => {}
        }
    }
}

fn before_the_second(time: i64) -> i64 {
    time.saturating_sub(time.rem_euclid(1_000)).saturating_sub(1)
}

/// Whether the body of a request enables or disables a user: `enabled`, or `active` in SCIM. The result is read
/// separately.
fn says_enabled(representation: &str) -> Option<bool> {
    let sent: serde_json::Value = serde_json::from_str(representation).ok()?;
    ["enabled", "active"].iter().find_map(|name| sent.get(*name)?.as_bool())
}

fn client_id(representation: &str) -> Option<String> {
    let sent: serde_json::Value = serde_json::from_str(representation).ok()?;
    sent.get("clientId")?.as_str().map(str::to_owned)
}
