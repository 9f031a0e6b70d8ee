//! What admin events and user events point at. They are hints: who is named is read again.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::api::{AdminEvent, UserEvent};
use crate::domain::time::Timestamp;

/// Events become visible late, and not in order: so far back they are read again. Seen: 11 ms on one node; the rest
/// is for the clocks of a cluster.
pub const OVERLAP: i64 = 5_000;

/// The types of user events that matter. A type that a server does not know makes it answer 500.
pub const USER_EVENTS: [&str; 9] = [
    "LOGOUT",
    "UPDATE_PASSWORD",
    "RESET_PASSWORD",
    "REMOVE_TOTP",
    "DELETE_ACCOUNT",
    "USER_DISABLED_BY_PERMANENT_LOCKOUT",
    "UPDATE_EMAIL",
    "UPDATE_PROFILE",
    "REVOKE_GRANT",
];

/// Up to where events were read: milliseconds of the provider's clock, and the ids of those that may come again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The newest that was seen.
    pub until: i64,
    #[serde(skip)]
    ids: BTreeMap<String, i64>,
}

impl Seen {
    /// Nothing seen before this time.
    #[must_use]
    pub fn from(until: i64) -> Self {
        Self { until, ids: BTreeMap::new() }
    }

    /// Whether an event is new.
    fn is_new(&mut self, id: Option<&String>, time: i64) -> bool {
        self.until = self.until.max(time);
        // Without an id it may be the same again: reading somebody once more does no harm.
        id.is_none_or(|id| self.ids.insert(id.clone(), time).is_none())
    }

    /// Forgets ids that cannot come again.
    pub fn forget(&mut self) {
        let since = self.until.saturating_sub(2 * OVERLAP);
        self.ids.retain(|_, time| *time >= since);
    }
}

/// What is known of one user from events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// When something last happened to them.
    pub at: i64,
    /// They were disabled then, by what was sent to the server.
    pub disabled: Option<i64>,
    /// What was issued before is to be dead: a reset password, a removed factor.
    pub cut_off: Option<i64>,
}

/// What events point at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Users to read again.
    pub users: BTreeMap<String, Touched>,
    /// Sessions that were ended, and when.
    pub sessions: BTreeMap<String, i64>,
    /// Clients to read again.
    pub clients: BTreeSet<String>,
    /// Something happened to the realm itself.
    pub realm: bool,
    /// Only a full listing can tell what changed.
    pub resync: bool,
}

impl Hints {
    /// Takes admin events in; how many were new.
    pub fn admin(&mut self, seen: &mut Seen, events: &[AdminEvent]) -> usize {
        let mut new = 0;
        for event in events {
            if seen.is_new(event.id.as_ref(), event.time) {
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
            // A partial import names the realm, and replaces users by new ones without a word of the old.
            ("REALM", ["users", id, ..]) => {
                self.resync = true;
                self.user(id, event);
            }
            ("REALM", ["groups" | "roles" | "clients", ..]) => self.resync = true,
            ("REALM", _) => self.realm = true,
            ("CLIENT", ["clients", id, ..]) => {
                self.clients.insert((*id).to_owned());
            }
            ("USER_SESSION", ["sessions", id, ..]) => {
                self.sessions.insert((*id).to_owned(), event.time);
            }
            ("GROUP" | "REALM_ROLE" | "CLIENT_ROLE", _) => self.resync = true,
            ("REALM_ROLE_MAPPING" | "CLIENT_ROLE_MAPPING", ["groups", ..]) => self.resync = true,
            (_, ["users", id, ..]) => self.user(id, event),
            _ => {}
        }
    }

    fn user(&mut self, id: &str, event: &AdminEvent) {
        let touched = self.users.entry(id.to_owned()).or_default();
        touched.at = touched.at.max(event.time);
        if event.representation.as_deref().is_some_and(says_disabled) {
            touched.disabled = touched.disabled.max(Some(event.time));
        }
        let act = event.resource_path.rsplit('/').next().unwrap_or_default();
        let credential = event.resource_path.contains("/credentials/");
        if event.operation_type == "ACTION" && (matches!(act, "logout" | "reset-password") || credential) {
            touched.cut_off = touched.cut_off.max(Some(event.time));
        }
    }

    /// Takes user events in; how many were new.
    pub fn user_events(&mut self, seen: &mut Seen, events: &[UserEvent]) -> usize {
        let mut new = 0;
        for event in events {
            if !seen.is_new(event.id.as_ref(), event.time) {
                continue;
            }
            new += 1;
            if event.kind == "LOGOUT" {
                self.sessions.extend(event.session_id.clone().map(|session| (session, event.time)));
                continue;
            }
            let Some(id) = &event.user_id else { continue };
            let touched = self.users.entry(id.clone()).or_default();
            touched.at = touched.at.max(event.time);
            if matches!(event.kind.as_str(), "UPDATE_PASSWORD" | "RESET_PASSWORD" | "REMOVE_TOTP") {
                touched.cut_off = touched.cut_off.max(Some(event.time));
            }
            if event.kind == "USER_DISABLED_BY_PERMANENT_LOCKOUT" {
                touched.disabled = touched.disabled.max(Some(event.time));
            }
        }
        new
    }
}

/// Whether what was sent to the server disables a user: `enabled`, or `active` in SCIM. What it became is read.
fn says_disabled(representation: &str) -> bool {
    let Ok(serde_json::Value::Object(sent)) = serde_json::from_str(representation) else { return false };
    ["enabled", "active"].iter().any(|name| sent.get(*name) == Some(&serde_json::Value::Bool(false)))
}

/// A time of the provider.
#[must_use]
pub fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}
