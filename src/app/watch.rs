//! `Watch`: changes from the log, one page at a time, as they come into force here; and what stands, where the log no longer
//! reaches back.
//!
//! A reader is served from the log and keeps no more than a page, however slow it is.

mod change;

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream;
use tokio::sync::watch;

use self::change::{exempted, of_event, person, standing};
use crate::control::proto::Change;
use crate::control::views::Changes;
use crate::domain::event::{Epoch, Position, Recorded};
use crate::domain::person::{Person, PersonId};
use crate::log::{Log, LogError};
use crate::state::{Published, State};

/// What is read at once.
const PAGE: usize = 256;

/// Changes after an epoch, or from now on.
///
/// # Errors
/// This process has not reached the epoch.
pub(super) fn changes<L: Log>(log: Arc<L>, published: Arc<Published>, since: Option<Epoch>) -> Result<Changes, String> {
    let watcher = Watcher::new(log, published, since)?;
    Ok(Box::pin(stream::unfold(Some(watcher), |watcher| async move {
        let mut watcher = watcher?;
        match watcher.next().await? {
            Ok(change) => Some((Ok(change), Some(watcher))),
            Err(error) => Some((Err(format!("cannot read the log: {error}")), None)),
        }
    })))
}

/// What comes next, other than changes.
enum Part {
    /// Nothing was told yet. An epoch of an older generation says nothing about this log.
    Beginning {
        is_older: bool,
    },
    /// Revocations before this position, newest first.
    Revocations(Position),
    Exemptions,
    /// People after this one.
    People(Option<PersonId>),
}

struct Watcher<L> {
    log: Arc<L>,
    published: Arc<Published>,
    epochs: watch::Receiver<Epoch>,
    generation: u64,
    /// Up to here everything is told, or waits in `ready`.
    at: Position,
    ready: VecDeque<Change>,
    /// Set before the changes, and while what stands is told.
    part: Option<Part>,
}

impl<L: Log> Watcher<L> {
    fn new(log: Arc<L>, published: Arc<Published>, since: Option<Epoch>) -> Result<Self, String> {
        // Subscribed before the state is read, so that nothing comes in between.
        let epochs = published.epochs();
        let now = published.load().fold.epoch;
        let since = since.unwrap_or(now);
        if since > now {
            return Err(format!(
                "epoch {since} is not reached here, where {now} is in force: it is of another installation, or of a store \
                 that was lost; watch without it"
            ));
        }
        let part = Some(Part::Beginning { is_older: since.generation < now.generation });
        let (generation, ready) = (now.generation, VecDeque::new());
        Ok(Self { log, published, epochs, generation, at: since.position, ready, part })
    }

    /// The next change; `None` once nothing more will come into force.
    async fn next(&mut self) -> Option<Result<Change, LogError>> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                return Some(Ok(change));
            }
            let read = match self.part.take() {
                Some(part) => self.read_part(part).await,
                None => self.read_on().await,
            };
            match read {
                Ok(true) => {}
                Ok(false) => self.epochs.changed().await.ok()?,
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Reads what came into force since; whether there was anything.
    async fn read_on(&mut self) -> Result<bool, LogError> {
        let end = self.published.load().fold.epoch.position;
        let many = usize::try_from(end.saturating_sub(self.at)).unwrap_or(usize::MAX).min(PAGE);
        if many == 0 {
            return Ok(false);
        }
        let page = match self.log.read(self.at, many).await {
            Err(LogError::Cut { .. }) => Vec::new(),
            read => read?,
        };
        let Some(last) = page.last() else {
            // Cut off, whole or in part.
            self.stand();
            return Ok(true);
        };
        self.at = last.position;
        self.ready.extend(page.iter().filter_map(|recorded| of_event(recorded, self.generation)));
        Ok(true)
    }

    /// Goes on with what stands now, and then with the changes from here on. What changes while it is told is told twice, the
    /// second time as a change.
    fn stand(&mut self) {
        self.at = self.published.load().fold.epoch.position;
        self.part = Some(Part::Revocations(self.at.saturating_add(1)));
    }

    async fn read_part(&mut self, part: Part) -> Result<bool, LogError> {
        let of = self.at_epoch();
        self.part = match part {
            Part::Beginning { is_older } => {
                if is_older || self.log.bounds().await?.first > self.at.saturating_add(1) {
                    self.stand();
                    return Ok(true);
                }
                self.ready.push_back(Change { kind: "watching".to_owned(), ..of });
                None
            }
            Part::Revocations(before) => {
                let (page, next) = self.log.revocations(before, PAGE).await?;
                let state = self.published.snapshot();
                self.ready.extend(page.iter().filter_map(|recorded| stands(&state, recorded, &of)));
                Some(next.map_or(Part::Exemptions, Part::Revocations))
            }
            Part::Exemptions => {
                let state = self.published.snapshot();
                self.ready.extend(state.fold.exemptions.iter().map(|(id, one)| exempted(*id, one, &of)));
                Some(Part::People(None))
            }
            Part::People(after) => {
                let page = people(&self.published.snapshot(), after.as_ref());
                self.ready.extend(page.iter().map(|one| person(one, &of)));
                let last = page.last().filter(|_| page.len() == PAGE).map(|last| last.id.clone());
                if last.is_none() {
                    self.ready.push_back(Change { kind: "standing_complete".to_owned(), ..of });
                }
                last.map(|last| Part::People(Some(last)))
            }
        };
        Ok(true)
    }

    fn at_epoch(&self) -> Change {
        Change { epoch: change::epoch(self.generation, self.at), ..Change::default() }
    }
}

/// A revocation that stands, or left a cut-off.
fn stands(state: &State, recorded: &Recorded, of: &Change) -> Option<Change> {
    let (id, revocation) = recorded.revocation()?;
    let (revocations, key) = (&state.fold.revocations, revocation.target.key(&state.fold.keyer));
    let left = revocations.left(key, id);
    let later = state.fold.extensions.get(&id).map(Vec::as_slice).unwrap_or_default();
    (left.is_some() || revocations.stands(key, id)).then(|| standing((id, revocation), left, later, of))
}

/// The next people, by source and key.
fn people(state: &State, after: Option<&PersonId>) -> Vec<Arc<Person>> {
    let mut next: std::collections::BTreeMap<&PersonId, &Arc<Person>> = std::collections::BTreeMap::new();
    for known in state.fold.people.iter() {
        let id = &known.person.id;
        let is_further = next.len() == PAGE && next.last_key_value().is_some_and(|(last, _)| id > *last);
        if after.is_none_or(|after| id > after) && !is_further {
            next.insert(id, &known.person);
            if next.len() > PAGE {
                next.pop_last();
            }
        }
    }
    next.into_values().map(Arc::clone).collect()
}

#[cfg(test)]
mod tests;
