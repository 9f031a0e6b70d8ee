//! Who is disabled now. This finds what no event reports.
//!
//! Everybody who ever left is disabled, so the list grows every year. It is read in pieces, one per poll, so that
//! events are read in between. After the whole list there is a pause that grows with the time that it took.

use std::time::Duration;

use tokio::time::Instant;

use super::Keycloak;
use super::rows::{Read, RowQuery, Rows};
use super::shapes::User;
use crate::domain::command::Observation;
use crate::domain::time::Timestamp;
use crate::source::directory::Changes;
use crate::source::error::SourceError;

/// The longest interval. Otherwise the list is read at every tenth poll.
const LONGEST: Duration = Duration::from_secs(10);
/// How long to wait for the first listing, which has the same information, before reading the list without it.
const FIRST: Duration = Duration::from_secs(60);
/// The pause is this many times as long as reading the list took.
const RESTS: u32 = 10;

/// The interval, derived from the poll interval.
fn every(poll: Duration) -> Duration {
    (poll * 10).min(LONGEST.max(poll))
}

/// How long to pause after a list that took this long.
pub(super) fn pause(poll: Duration, spent: Duration) -> Duration {
    every(poll).max(spent * RESTS)
}

/// When to ask next for what no event reports.
pub(super) struct Status {
    /// For the realm itself.
    realm: Instant,
    /// For disabled users.
    pub(super) next: Instant,
    round: Option<Round>,
}

/// The list of disabled users that is being read.
#[derive(Default)]
struct Round {
    rows: Rows,
    /// Whether anybody was in it.
    found: bool,
    /// How long Keycloak was busy with it.
    spent: Duration,
}

impl Status {
    /// Nothing is asked for before the first listing ends.
    pub(super) fn new() -> Self {
        let first = Instant::now() + FIRST;
        Self { realm: first, next: first, round: None }
    }

    /// A listing has ended.
    pub(super) fn listed(&mut self, poll: Duration) {
        let next = Instant::now() + every(poll);
        (self.realm, self.next) = (self.realm.min(next), self.next.min(next));
    }

    /// The next poll asks for everything.
    #[cfg(test)]
    pub(super) fn is_due(&mut self) {
        (self.realm, self.next) = (Instant::now(), Instant::now());
    }
}

impl Keycloak {
    /// Reads what no event reports, if it is due.
    pub(super) async fn beside_events(&mut self, changes: &mut Changes) -> Result<(), SourceError> {
        if self.status.realm <= Instant::now() {
            self.status.realm = Instant::now() + every(self.settings.poll);
            changes.resync |= self.read_config().await?;
            let not_before = self.api.realm_not_before().await?;
            changes.observations.extend(self.realm_not_before(not_before));
        }
        if self.status.next > Instant::now() {
            return Ok(());
        }
        let (began, mut round) = (Instant::now(), self.status.round.take().unwrap_or_default());
        let read = self.read_disabled(&mut round).await;
        round.spent += began.elapsed();
        if matches!(read, Ok((_, true))) {
            self.status.round = Some(round);
        } else {
            self.status.next = Instant::now() + pause(self.settings.poll, round.spent);
        }
        changes.observations.extend(read?.0);
        Ok(())
    }

    /// Reads a piece of the list of disabled users; returns whether there are more.
    async fn read_disabled(&mut self, round: &mut Round) -> Result<(Option<Observation>, bool), SourceError> {
        let step = "list disabled users";
        // The brief form has no attributes, which may link somebody.
        let brief = if self.settings.attributes.is_empty() { "true" } else { "false" };
        let query = [("enabled", "false"), ("briefRepresentation", brief)];
        let listing = RowQuery { step, path: &["users"], query: &query, id: |user: &User| &user.id };
        let (users, more) = match round.rows.next(&mut self.api, &listing).await? {
            Read::Page(users, more) => (users, more),
            Read::Moved => return Ok((None, true)),
        };
        let disabled = users.into_iter().filter(|user| !user.enabled);
        let people: Vec<_> = disabled.map(|user| self.person(user, self.groups.counting())).collect();
        round.found |= !people.is_empty();
        if !round.found && !more {
            let count = self.api.count(&[("enabled", "false")]).await?;
            if count > 0 {
                return Err(self.api.void(step, 0, count));
            }
        }
        let source = self.settings.name.clone();
        // The time matters only for complete listings.
        let seen = Observation::Listing { source, people, complete: false, at: Timestamp::MIN };
        Ok((round.found.then_some(seen), more))
    }
}
