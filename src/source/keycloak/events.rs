//! What admin events and user events point at. They are hints: who is named is read again.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::shapes::{AdminEvent, UserEvent};

/// Events become visible late, and not in order: so far back they are read again. Seen: 11 ms on one node; the rest
/// is for the clocks of a cluster.
pub const OVERLAP: i64 = 5_000;

/// The types of user events that matter. A type that a server does not know makes it answer 500.
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

/// Up to where events were read: milliseconds of the provider's clock, and the ids of those that may come again.
///
/// The ids are not kept for a restart: what an event points at is read once more then, and cut-offs and blocks are the
/// same again, at the same times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventCursor {
    /// The newest that was seen.
    pub until: i64,
    /// It is the time of an event, which is to be there as long as older ones are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    event: bool,
    #[serde(skip)]
    ids: BTreeMap<String, i64>,
}

impl EventCursor {
    /// Nothing seen before this time.
    #[must_use]
    pub fn from(until: i64) -> Self {
        Self { until, event: false, ids: BTreeMap::new() }
    }

    /// From where to read.
    #[must_use]
    pub fn since(&self) -> i64 {
        self.until.saturating_sub(OVERLAP).max(0)
    }

    /// Whether an event is new. No event moves the place beyond `now`: one node's clock may be ahead.
    fn is_new(&mut self, id: Option<&String>, time: i64, now: i64) -> bool {
        let at = time.min(now);
        if at >= self.until {
            self.event = at == time || (at == self.until && self.event);
            self.until = at;
        }
        // Without an id it may be the same again: reading somebody once more does no harm.
        id.is_none_or(|id| self.ids.insert(id.clone(), time).is_none())
    }

    /// Goes on behind the newest event, without looking back.
    pub fn leave_overlap(&mut self) {
        (self.until, self.event) = (self.until.saturating_add(OVERLAP), false);
    }

    /// The time of the newest event that was seen, if it is not among these, which are all from the overlap on. It is looked for
    /// no more.
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

/// What is known of one user from events, in milliseconds of the provider's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// When anything happened to them.
    times: BTreeSet<i64>,
    /// When something was sent to the server that enables (`true`) or disables them. Within one millisecond the order is
    /// not known: they are taken to have been disabled first.
    switched: BTreeSet<(i64, bool)>,
    /// What was issued up to then is to be dead: an admin's logout, a reset password, a removed factor.
    pub cut_off: Option<i64>,
}

impl Touched {
    /// Since when they have been enabled, if they are: the first that enables them behind the last that disables
    /// them. `None` where no event says so: whatever else happened to them may have happened before they were disabled
    /// (by a directory behind Keycloak, say), and tokens of the time between would live again.
    #[must_use]
    pub fn enabled_at(&self) -> Option<i64> {
        let behind = self.switched.iter().rev().take_while(|(_, enabled)| *enabled).last();
        behind.map(|(time, _)| *time)
    }

    /// Since when they have been disabled, if they are: the first that disables them behind the last that enables
    /// them. Where no event says so, the first thing that happened.
    #[must_use]
    pub fn disabled_at(&self) -> Option<i64> {
        let behind = self.switched.iter().rev().take_while(|(_, enabled)| !*enabled).last();
        behind.map(|(time, _)| *time).or(self.times.first().copied())
    }

    /// They were disabled for a while, and enabled again at this time (or not much later: nothing is issued meanwhile).
    #[must_use]
    pub fn back_at(&self) -> Option<i64> {
        let (disabled, _) = self.switched.iter().rev().find(|(_, enabled)| !*enabled)?;
        let enabled = self.switched.range((*disabled, true)..).map(|(time, _)| *time).next();
        enabled.or(Some(*disabled))
    }

    /// When the last thing happened.
    #[must_use]
    pub fn last(&self) -> Option<i64> {
        self.times.last().copied()
    }

    fn cut_off_at(&mut self, time: i64) {
        self.cut_off = self.cut_off.max(Some(time));
    }
}

/// What events point at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Users to read again.
    pub users: BTreeMap<String, Touched>,
    /// Sessions that were ended, and when.
    pub sessions: BTreeMap<String, i64>,
    /// Clients to read again, with their `clientId` where that was said.
    pub clients: BTreeMap<String, Option<String>>,
    /// Something happened to the realm itself.
    pub realm: bool,
    /// Something happened to groups themselves.
    pub groups: bool,
    /// Ids of groups that were deleted.
    pub dissolved: BTreeSet<String>,
    /// Only a full listing can tell what changed.
    pub resync: bool,
    /// The realm is older than it was, and how that is seen.
    pub back: Option<String>,
}

impl Hints {
    /// What these hints amount to a while later: who is meant, but no times. More may have happened to them by then.
    #[must_use]
    pub fn once_more(&self) -> Self {
        let users = self.users.keys().map(|id| (id.clone(), Touched::default())).collect();
        Self { users, sessions: BTreeMap::new(), resync: false, back: None, ..self.clone() }
    }

    /// Takes admin events in; how many were new. `now` is the provider's clock.
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
            // A partial import names the realm, and replaces users by new ones without a word of the old.
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
            // A directory behind Keycloak was taken out, or synchronised.
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

    /// Takes user events in; how many were new. `now` is the provider's clock.
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
            // Whoever has to change it while signing in gets a token in the same second: that one is good.
            "UPDATE_PASSWORD" | "RESET_PASSWORD" | "REMOVE_CREDENTIAL" | "REMOVE_TOTP" => {
                touched.cut_off_at(before_the_second(event.time));
            }
            // Anything but a password is one more factor, not another one.
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

/// Whether what was sent to the server enables or disables a user: `enabled`, or `active` in SCIM. What became of it is
/// read.
fn says_enabled(representation: &str) -> Option<bool> {
    let sent: serde_json::Value = serde_json::from_str(representation).ok()?;
    ["enabled", "active"].iter().find_map(|name| sent.get(*name)?.as_bool())
}

fn client_id(representation: &str) -> Option<String> {
    let sent: serde_json::Value = serde_json::from_str(representation).ok()?;
    sent.get("clientId")?.as_str().map(str::to_owned)
}
