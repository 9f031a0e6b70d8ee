//! Who is disabled now: what no event tells is seen by this.
//!
//! Whoever ever left is disabled, so these are more each year. They are read in pieces, one with each poll, so that
//! events are read in between; and after all of them there is a pause that grows with the time that they took.

use std::time::Duration;

use tokio::time::Instant;

use super::Keycloak;
use super::rows::{Read, RowQuery, Rows};
use super::shapes::User;
use crate::domain::command::Observation;
use crate::domain::time::Timestamp;
use crate::source::directory::Changes;
use crate::source::error::SourceError;

/// It is asked with every tenth poll, and at least this often.
const LONGEST: Duration = Duration::from_secs(10);
/// Whoever is disabled is not asked for before the first listing, which says it too; unless that takes longer.
const FIRST: Duration = Duration::from_secs(60);
/// Keycloak has this many times as long to itself as it took to list whoever is disabled.
const RESTS: u32 = 10;

/// How often it is asked, by how often events are read.
fn every(poll: Duration) -> Duration {
    (poll * 10).min(LONGEST.max(poll))
}

/// How long whoever is disabled is not asked for, when listing them took so long.
pub(super) fn pause(poll: Duration, spent: Duration) -> Duration {
    every(poll).max(spent * RESTS)
}

/// When it is asked again what no event tells.
pub(super) struct Status {
    /// The realm itself.
    realm: Instant,
    /// Whoever is disabled.
    pub(super) next: Instant,
    round: Option<Round>,
}

/// A listing of whoever is disabled, on its way.
#[derive(Default)]
struct Round {
    rows: Rows,
    /// Somebody was in it.
    found: bool,
    /// For how long Keycloak was busy with it.
    spent: Duration,
}

impl Status {
    /// Nothing is asked before the first listing is over.
    pub(super) fn new() -> Self {
        let first = Instant::now() + FIRST;
        Self { realm: first, next: first, round: None }
    }

    /// A listing is over.
    pub(super) fn listed(&mut self, poll: Duration) {
        let next = Instant::now() + every(poll);
        (self.realm, self.next) = (self.realm.min(next), self.next.min(next));
    }

    /// Everything is asked with the next poll.
    #[cfg(test)]
    pub(super) fn is_due(&mut self) {
        (self.realm, self.next) = (Instant::now(), Instant::now());
    }
}

impl Keycloak {
    /// What no event tells, when it is time for it.
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

    /// Some of those who are disabled; whether there are more.
    async fn read_disabled(&mut self, round: &mut Round) -> Result<(Option<Observation>, bool), SourceError> {
        let step = "list disabled users";
        // In brief they come without attributes: one that links somebody would be lost.
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
        // When it was taken counts for complete listings alone.
        let seen = Observation::Listing { source, people, complete: false, at: Timestamp::MIN };
        Ok((round.found.then_some(seen), more))
    }
}
