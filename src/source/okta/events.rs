//! What events of the System Log point at. They are hints: users whom they name are read again. What an event itself
//! ends is cut off at once.

use std::collections::{BTreeMap, HashSet, VecDeque};

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::time::Timestamp;

/// How many ids are remembered, as events may come again.
const REMEMBERED: usize = 10_000;

/// What an event means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// A user may no longer sign in. Tokens from before are invalid even if the user may sign in again by now.
    Blocks,
    /// A user is deleted for good, or is about to be.
    Deletes,
    /// A user may sign in again, or for the first time.
    Unblocks,
    /// Tokens from before are invalid.
    CutsOff(&'static str),
    /// A user's names may have changed.
    Renames,
    /// Something else about a user changed: a group.
    Changes,
    /// A user may use the application (again).
    Assigns,
    /// A user may no longer use the application. Tokens from before are invalid even if the user may again by now.
    Unassigns,
    /// Only a full listing can show what changed for whom.
    Resync,
}

const SIGNED_OUT: Act = Act::CutsOff("signed out");
const PASSWORD: Act = Act::CutsOff("password changed");
const REVOKED: Act = Act::CutsOff("token revoked");

/// The types of events that matter; no others are requested.
const CATALOGUE: [(&str, Act); 30] = [
    ("user.lifecycle.suspend", Act::Blocks),
    ("user.lifecycle.unsuspend", Act::Unblocks),
    ("user.lifecycle.deactivate", Act::Blocks),
    ("user.lifecycle.activate", Act::Unblocks),
    ("user.lifecycle.reactivate", Act::Unblocks),
    ("user.lifecycle.create", Act::Renames),
    ("user.lifecycle.delete.initiated", Act::Deletes),
    ("user.lifecycle.delete.completed", Act::Deletes),
    ("system.import.user.suspend", Act::Blocks),
    ("system.import.user.delete", Act::Deletes),
    ("system.import.user.update_user_lifecycle_from_master", Act::Renames),
    ("user.session.end", SIGNED_OUT),
    ("user.session.clear", SIGNED_OUT),
    ("user.session.expire", SIGNED_OUT),
    ("user.authentication.universal_logout", SIGNED_OUT),
    ("user.authentication.universal_logout.scheduled", SIGNED_OUT),
    ("user.account.reset_password", PASSWORD),
    ("user.account.update_password", PASSWORD),
    ("user.account.expire_password", PASSWORD),
    ("app.oauth2.token.revoke", REVOKED),
    ("app.oauth2.token.revoke.implicit.user", REVOKED),
    ("app.oauth2.as.token.revoke", REVOKED),
    ("user.account.lock", Act::Changes),
    ("user.account.unlock", Act::Changes),
    ("user.account.update_profile", Act::Renames),
    ("user.account.update_user_type", Act::Renames),
    ("group.user_membership.add", Act::Changes),
    ("group.user_membership.remove", Act::Changes),
    ("group.lifecycle.delete", Act::Resync),
    ("group.profile.update", Act::Resync),
];

/// Types that matter if an application is configured, and only if they are about it.
const OF_APP: [(&str, Act); 5] = [
    ("application.user_membership.add", Act::Assigns),
    ("application.user_membership.remove", Act::Unassigns),
    ("application.user_membership.deprovision", Act::Changes),
    ("application.user_membership.revoke", Act::Changes),
    ("application.user_membership.update", Act::Changes),
];

/// Which events are requested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The application whose assignments matter.
    pub app: Option<String>,
}

impl Wanted {
    fn of_app(&self) -> &'static [(&'static str, Act)] {
        if self.app.is_some() { &OF_APP } else { &[] }
    }

    /// The filter of the request.
    #[must_use]
    pub fn filter(&self) -> String {
        let types = CATALOGUE.iter().chain(self.of_app());
        types.map(|(name, _)| format!("eventType eq \"{name}\"")).collect::<Vec<_>>().join(" or ")
    }

    /// A short name for [`Wanted::filter`], which shows whether it changed.
    #[must_use]
    pub fn name(&self) -> String {
        hex::encode(digest(&SHA256, self.filter().as_bytes()).as_ref().get(..8).unwrap_or_default())
    }

    fn act(&self, event: &Event) -> Option<Act> {
        let named = |(name, _): &&(&str, Act)| *name == event.event_type;
        let of_app = self.of_app().iter().find(named).filter(|_| event.may_be_about(self.app.as_deref()));
        CATALOGUE.iter().find(named).or(of_app).map(|(_, act)| *act)
    }
}

/// A time in Okta's format.
#[must_use]
pub fn time(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(|time| Timestamp::from_millis(time.as_millisecond()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    uuid: String,
    published: String,
    event_type: String,
    actor: Option<Actor>,
    target: Option<Vec<Actor>>,
    outcome: Option<Outcome>,
}

#[derive(Deserialize)]
struct Actor {
    id: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Outcome {
    result: Option<String>,
}

impl Event {
    /// The ids of the users whom it is about. A user who signs out is the actor.
    fn users(&self) -> Vec<&str> {
        let user = |party: &'_ &Actor| party.kind.as_deref() == Some("User");
        let targets: Vec<&Actor> = self.target.iter().flatten().filter(user).collect();
        let own = self.event_type == "user.session.end" && targets.is_empty();
        let actor = self.actor.iter().filter(|party| own && user(party));
        targets.into_iter().chain(actor).filter_map(|party| party.id.as_deref()).collect()
    }

    /// The ids of the groups that it is about.
    fn groups(&self) -> impl Iterator<Item = &str> {
        let groups = self.target.iter().flatten().filter(|party| party.kind.as_deref() == Some("UserGroup"));
        groups.filter_map(|party| party.id.as_deref())
    }

    /// Whether it is about this application, or does not name one.
    fn may_be_about(&self, app: Option<&str>) -> bool {
        let is_app = |party: &&Actor| party.kind.as_deref() == Some("AppInstance");
        let mut apps = self.target.iter().flatten().filter(is_app).map(|party| party.id.as_deref()).peekable();
        apps.peek().is_none() || apps.any(|id| id.is_none() || id == app)
    }
}

/// What events say about one user. Times are in milliseconds of Okta's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// The time of the last event about them.
    pub at: i64,
    /// When they were last blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<i64>,
    /// When they were last unblocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unblocked: Option<i64>,
    /// When they were deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<i64>,
    /// When they were last assigned to the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned: Option<i64>,
    /// When they were last unassigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unassigned: Option<i64>,
    /// The last event that may have changed their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed: Option<i64>,
}

impl Touched {
    /// Adds what other events say.
    pub fn and(&mut self, other: Self) {
        self.at = self.at.max(other.at);
        self.blocked = self.blocked.max(other.blocked);
        self.unblocked = self.unblocked.max(other.unblocked);
        self.deleted = self.deleted.max(other.deleted);
        self.assigned = self.assigned.max(other.assigned);
        self.unassigned = self.unassigned.max(other.unassigned);
        self.renamed = self.renamed.max(other.renamed);
    }

    /// Whether events say that they are out.
    #[must_use]
    pub fn is_out(&self) -> bool {
        self.still_blocked().or(self.still_unassigned()).is_some()
    }

    /// When they were unassigned, if events say that they still are.
    #[must_use]
    pub fn still_unassigned(&self) -> Option<i64> {
        self.unassigned.filter(|unassigned| self.assigned.is_none_or(|assigned| assigned < *unassigned))
    }

    /// When they were blocked, if events say that they still are.
    #[must_use]
    pub fn still_blocked(&self) -> Option<i64> {
        self.blocked.max(self.deleted).filter(|blocked| self.unblocked.is_none_or(|unblocked| unblocked < *blocked))
    }
}

/// A cut-off: tokens issued to a user before a time are invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The user's id.
    pub user: String,
    /// The time, in milliseconds.
    pub at: i64,
    /// The reason.
    pub reason: &'static str,
}

/// What a page of the log points at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Users to read again.
    pub users: BTreeMap<String, Touched>,
    /// Cut-offs, in the order of the log.
    pub ended: Vec<Ended>,
    /// The ids of deleted groups.
    pub dissolved: Vec<String>,
    /// Only a full listing can show what changed.
    pub resync: bool,
    /// The time of the newest event, in milliseconds.
    pub newest: Option<i64>,
    /// The ids of the events.
    pub ids: Vec<String>,
}

impl Hints {
    /// Takes in a page, except events that were seen before.
    #[must_use]
    pub fn of(page: Vec<Value>, seen: &DeliveredIds, wanted: &Wanted) -> Self {
        let mut hints = Self::default();
        let mut own = HashSet::new();
        for value in page {
            // An event that cannot be read may be a departure.
            let read: Option<(Event, i64)> = serde_json::from_value::<Event>(value).ok().and_then(|event| {
                let at = time(&event.published)?.as_millis();
                Some((event, at))
            });
            let Some((event, at)) = read else {
                hints.resync = true;
                continue;
            };
            hints.newest = hints.newest.max(Some(at));
            if !seen.has(&event.uuid) && own.insert(event.uuid.clone()) {
                if let Some(act) = wanted.act(&event) {
                    hints.take(&event, act, at);
                }
                hints.ids.push(event.uuid);
            }
        }
        hints
    }

    fn take(&mut self, event: &Event, act: Act, at: i64) {
        if event.outcome.as_ref().and_then(|outcome| outcome.result.as_deref()) != Some("SUCCESS") {
            return;
        }
        let users = event.users();
        match act {
            Act::Resync => {
                self.resync = true;
                let deleted = event.event_type == "group.lifecycle.delete";
                self.dissolved.extend(event.groups().filter(|_| deleted).map(str::to_owned));
            }
            // Somebody was blocked, and the event does not say who.
            Act::Blocks | Act::Deletes | Act::Unassigns if users.is_empty() => self.resync = true,
            _ => {}
        }
        for user in users {
            let reason = match act {
                Act::Blocks => Some("had been disabled"),
                Act::Deletes => Some("had been deleted"),
                Act::CutsOff(reason) => Some(reason),
                Act::Unassigns => Some("had been unassigned"),
                Act::Unblocks | Act::Assigns | Act::Renames | Act::Changes | Act::Resync => None,
            };
            self.ended.extend(reason.map(|reason| Ended { user: user.to_owned(), at, reason }));
            let one = |matters: bool| matters.then_some(at);
            let touched = Touched {
                at,
                blocked: one(act == Act::Blocks),
                unblocked: one(act == Act::Unblocks),
                deleted: one(act == Act::Deletes),
                assigned: one(act == Act::Assigns),
                unassigned: one(act == Act::Unassigns),
                renamed: one(act == Act::Renames),
            };
            // A cut-off is complete by itself.
            if !matches!(act, Act::CutsOff(_) | Act::Resync) {
                self.users.entry(user.to_owned()).or_default().and(touched);
            }
        }
    }
}

/// The latest ids that were taken in.
#[derive(Debug, Default)]
pub struct DeliveredIds {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl DeliveredIds {
    /// Whether this id was taken in.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// These ids were taken in.
    pub fn add(&mut self, ids: Vec<String>) {
        for id in ids {
            if self.ids.insert(id.clone()) {
                self.order.push_back(id);
            }
        }
        while self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}
