//! A full listing in progress: page by page, then people who are missing, then into force.
//!
//! A failed step leaves it where it is, so that hitting a rate limit does not restart a listing of a million people.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::context::{SourceContext, observe};
use super::directory::Directory;
use super::error::SourceError;
use super::health::Progress;
use super::page::PageToken;
use super::visited::Visited;
use crate::domain::command::{Command, Done, ListingId, Observation};
use crate::domain::person::{Person, PersonId};
use crate::domain::time::Timestamp;

/// A directory may restart a listing when its rows moved; more often than this, it goes in a circle.
const REPEATS: usize = 5;
/// People to look up in one turn.
const LOOKED_UP: usize = 20;
/// Failed steps in a row before a listing is dropped and restarted. Being asked to wait is not a failure.
const FAILURES: usize = 3;

/// Listing ids are unique in the process: a source's next task begins a different listing.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// One listing in progress.
pub(super) struct ListingRun {
    source: String,
    id: ListingId,
    began: Timestamp,
    /// When the first page with more behind it came: waiting for a file to be complete is no work.
    works: Instant,
    stage: Stage,
    pieces: usize,
    people: usize,
    /// How many people could not be read.
    unread: usize,
    /// How often a page with exactly these people came.
    came: Visited,
    failures: usize,
}

enum Stage {
    /// Reading pages; this one is next.
    Pieces(Option<PageToken>),
    /// Looking up people who are missing.
    Missing(Vec<PersonId>),
    /// Coming into force.
    Ending,
}

impl ListingRun {
    /// A new listing of a source, begun at this time.
    pub(super) fn begin(source: String, began: Timestamp) -> Self {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let stage = Stage::Pieces(None);
        let works = Instant::now();
        Self { source, id, began, works, stage, pieces: 0, people: 0, unread: 0, came: Visited::default(), failures: 0 }
    }

    /// How far it is.
    pub(super) fn progress(&self) -> Progress {
        Progress { since: self.began, pieces: self.pieces, people: self.people }
    }

    /// How long it has been at work, without waiting until there is something to list.
    pub(super) fn took(&self) -> Duration {
        self.works.elapsed()
    }

    /// What is wrong with it although it was accepted.
    pub(super) fn trouble(&self) -> Option<SourceError> {
        let what = format!(
            "cannot read {} user records; keeping their last known state (the log names one per page; `offboard source \
             check {}` says which right is missing)",
            self.unread, self.source
        );
        (self.unread > 0).then_some(SourceError::Misconfigured { step: "list people", what })
    }

    /// Takes the next step; returns whether it was the last.
    ///
    /// # Errors
    /// [`SourceError`]; [`ListingRun::is_lost`] says whether the step may be tried again.
    pub(super) async fn step(
        &mut self,
        directory: &mut dyn Directory,
        context: &SourceContext,
    ) -> Result<bool, SourceError> {
        let over = match &self.stage {
            Stage::Pieces(token) => {
                let token = token.clone();
                self.read_piece(directory, context, token).await?
            }
            Stage::Missing(_) => self.read_missing(directory, context).await?,
            Stage::Ending => !self.end(context, None, false).await?.more,
        };
        self.failures = 0;
        Ok(over)
    }

    /// A step failed: returns whether the listing must be dropped.
    pub(super) fn is_lost(&mut self, error: &SourceError) -> bool {
        match error {
            SourceError::RateLimited { .. } => false,
            SourceError::Unreachable { .. } | SourceError::Status { .. } => {
                self.failures += 1;
                self.failures > FAILURES
            }
            _ => true,
        }
    }

    async fn read_piece(
        &mut self,
        directory: &mut dyn Directory,
        context: &SourceContext,
        token: Option<PageToken>,
    ) -> Result<bool, SourceError> {
        let page = directory.page(token).await?;
        self.count(page.people.iter().chain(&page.doubted))?;
        self.unread += page.unread.len();
        self.observe(context, (page.people, page.doubted, page.unread)).await?;
        observe(context, page.observations).await?;
        directory.acknowledged();
        if let Some(next) = page.next {
            if self.people == 0 {
                self.works = Instant::now();
            }
            self.stage = Stage::Pieces(Some(next));
            return Ok(false);
        }
        let done = self.end(context, page.count, true).await?;
        let over = done.persons.is_empty() && !done.more;
        self.stage = if done.persons.is_empty() { Stage::Ending } else { Stage::Missing(done.persons) };
        Ok(over)
    }

    /// Looks up some people who are missing: rows get lost between pages.
    async fn read_missing(
        &mut self,
        directory: &mut dyn Directory,
        context: &SourceContext,
    ) -> Result<bool, SourceError> {
        let Stage::Missing(missing) = &self.stage else { return Ok(false) };
        let mut left = missing.len();
        let mut people = Vec::new();
        for id in missing.iter().rev().take(LOOKED_UP) {
            people.extend(directory.look_up("id", &id.key).await?);
            left -= 1;
        }
        self.observe(context, (people, vec![], vec![])).await?;
        match &mut self.stage {
            Stage::Missing(missing) if left > 0 => missing.truncate(left),
            stage => *stage = Stage::Ending,
        }
        Ok(false)
    }

    async fn observe(
        &self,
        context: &SourceContext,
        (people, doubted, unread): (Vec<Person>, Vec<Person>, Vec<PersonId>),
    ) -> Result<(), SourceError> {
        // As the state keeps them, so that the record is shared and not copied.
        let in_order = |mut person: Person| {
            person.put_groups_in_order();
            Arc::new(person)
        };
        let people = people.into_iter().map(in_order).collect();
        let piece = Observation::ListingPage { source: self.source.clone(), listing: self.id, people, doubted, unread };
        observe(context, vec![piece]).await
    }

    async fn end(&self, context: &SourceContext, count: Option<usize>, verify: bool) -> Result<Done, SourceError> {
        let (source, listing, at) = (self.source.clone(), self.id, self.began);
        let swept = Observation::ListingEnd { source, listing, at, count, verify };
        Ok(context.writer.ask(Command::Observe(swept), (context.time)()).await?)
    }

    /// Counts a page.
    ///
    /// # Errors
    /// [`SourceError::Malformed`] if it came so often that this listing will not end.
    fn count<'a>(&mut self, people: impl Iterator<Item = &'a Person>) -> Result<(), SourceError> {
        self.pieces += 1;
        let keys: Vec<&str> = people.map(|person| person.id.key.as_str()).collect();
        let rows = keys.len();
        self.people += rows;
        if rows > 0 && self.came.count(&keys) > REPEATS {
            let what = format!("the provider returned the same {rows} people {REPEATS} times");
            return Err(SourceError::Malformed { step: "list people", what });
        }
        Ok(())
    }
}
