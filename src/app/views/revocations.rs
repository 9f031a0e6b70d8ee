//! Revocations as they are shown: the state says which stand, their texts are in the log and its records.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use imbl::OrdMap;

use crate::control::views::{Concerned, RevocationView};
use crate::domain::event::{Event, Position, Recorded};
use crate::domain::id::RevocationId;
use crate::domain::key::RefKey;
use crate::domain::revocation::{Revocation, Target};
use crate::domain::time::Timestamp;
use crate::log::{Log, LogError};
use crate::state::State;
use crate::state::people::Known;
use crate::state::revocations::{Entry, EntryKind};

/// Events that are read at once.
const READ: usize = 4096;

/// A page ends with this revocation: where it stands, and which it is. What no log holds comes before everything else.
pub(super) type PageEnd = (Position, RevocationId);

/// Where texts of revocations are.
pub(super) struct Texts<'a, L> {
    pub(super) log: &'a L,
    /// What is enforced from memory, while the store is gone.
    pub(super) volatile: OrdMap<RevocationId, Arc<Revocation>>,
}

impl<L: Log> Texts<'_, L> {
    /// One of them, and where it stands.
    pub(super) async fn revocation(&self, id: RevocationId) -> Result<Option<(Position, RevocationView)>, LogError> {
        if let Some(volatile) = self.volatile.get(&id) {
            return Ok(Some((Position::MAX, volatile_view(id, volatile))));
        }
        let recorded = self.log.revocation(id).await?;
        Ok(recorded.and_then(|recorded| Some((recorded.position, view_of(&recorded)?))))
    }

    /// Some revocations that stand, newest first.
    pub(super) async fn standing(
        &self,
        ids: BTreeSet<RevocationId>,
        before: Option<PageEnd>,
        limit: usize,
    ) -> Result<Vec<RevocationView>, LogError> {
        let mut views = Vec::new();
        for id in ids {
            views.extend(self.revocation(id).await?.map(|(position, view)| ((Reverse(position), id), view)));
        }
        views.retain(|(place, _)| before.is_none_or(|(position, id)| *place > (Reverse(position), id)));
        views.sort_unstable_by_key(|(place, _)| *place);
        Ok(views.into_iter().take(limit).map(|(_, view)| view).collect())
    }

    /// All revocations that stand, newest first.
    pub(super) async fn all_standing(
        &self,
        state: &State,
        before: Option<PageEnd>,
        limit: usize,
    ) -> Result<Vec<RevocationView>, LogError> {
        let (position, last) = before.map_or((Position::MAX, None), |(position, id)| (position, Some(id)));
        let volatile = self.volatile.iter().filter(|(id, _)| {
            // In the order of their ids.
            position == Position::MAX && last.is_none_or(|last| **id > last)
        });
        let mut views: Vec<RevocationView> =
            volatile.map(|(id, revocation)| volatile_view(*id, revocation)).take(limit).collect();
        let stands = |recorded: &Recorded| {
            recorded.revocation().is_some_and(|(id, revocation)| {
                state.fold.revocations.stands(revocation.target.key(&state.fold.keyer), id)
            })
        };
        let mut end = Some(position);
        while let Some(before) = end.filter(|_| views.len() < limit) {
            let (page, next) = self.log.revocations(before, READ).await?;
            views.extend(page.iter().filter(|recorded| stands(recorded)).filter_map(view_of));
            end = next;
        }
        views.truncate(limit);
        Ok(views)
    }

    /// Everything that ever was revoked, with its end; of what was cut off the log only what stands.
    pub(super) async fn history(&self, before: Option<Position>) -> Result<Vec<RevocationView>, LogError> {
        loop {
            match self.read_history(before).await {
                // Meanwhile: what went is a record now.
                Err(LogError::Cut { .. }) => {}
                read => return read,
            }
        }
    }

    async fn read_history(&self, before: Option<Position>) -> Result<Vec<RevocationView>, LogError> {
        let mut views: Vec<(RevocationId, RevocationView)> = Vec::new();
        let mut index: HashMap<RevocationId, usize> = HashMap::new();
        let mut after = self.log.bounds().await?.first - 1;
        let mut end = Some(after + 1);
        while let Some(next) = end {
            let (page, next) = self.log.revocations(next, READ).await?;
            let older = page.iter().filter(|recorded| before.is_none_or(|end| recorded.position < end));
            views.extend(older.filter_map(|recorded| Some((recorded.revocation()?.0, view_of(recorded)?))));
            end = next;
        }
        views.reverse();
        index.extend(views.iter().enumerate().map(|(index, (id, _))| (*id, index)));
        loop {
            let page = self.log.read(after, READ).await?;
            let Some(last) = page.last() else { break };
            after = last.position;
            for recorded in page {
                if let Some((id, _)) =
                    recorded.revocation().filter(|_| before.is_none_or(|end| recorded.position < end))
                {
                    index.insert(id, views.len());
                    views.extend(view_of(&recorded).map(|view| (id, view)));
                }
                if let Event::Ended(ended) = recorded.new.event
                    && let Some((_, view)) = index.get(&ended.revocation).and_then(|index| views.get_mut(*index))
                {
                    view.ended = Some((ended.at, ended.cause));
                }
            }
        }
        Ok(views.into_iter().rev().map(|(_, view)| view).collect())
    }
}

fn view_of(recorded: &Recorded) -> Option<RevocationView> {
    let (id, revocation) = recorded.revocation()?;
    Some(RevocationView { id: id.to_string(), revocation: revocation.clone(), ended: None, left: None })
}

fn volatile_view(id: RevocationId, revocation: &Revocation) -> RevocationView {
    let mut revocation = revocation.clone();
    revocation.reason.push_str(" (not durable: the store is gone)");
    RevocationView { id: id.to_string(), revocation, ended: None, left: None }
}

/// What stands that is about a person, or about one of their names.
pub(super) fn ids_of(state: &State, known: &Known) -> BTreeSet<RevocationId> {
    standing(about(state, known))
}

/// What has ended and left a cut-off for a person, or for one of their names; with the latest.
pub(super) fn left_to(state: &State, known: &Known) -> BTreeMap<RevocationId, Timestamp> {
    let mut found = BTreeMap::new();
    for entry in about(state, known).filter(|entry| entry.effect == EntryKind::ResidualCutoff) {
        let at = found.entry(entry.id).or_insert(entry.at);
        *at = entry.at.max(*at);
    }
    found
}

fn about<'a>(state: &'a State, known: &'a Known) -> impl Iterator<Item = &'a Entry> {
    let revocations = &state.fold.revocations;
    let names = known
        .names
        .iter()
        .flat_map(|name| revocations.under(name.key).iter().filter(|entry| name.is(entry.rules, entry.owner_hash)));
    revocations.under(known.key).iter().chain(names)
}

/// The cut-off that a revocation left for its target.
pub(super) fn left(state: &State, id: RevocationId, target: &Target) -> Option<Timestamp> {
    state.fold.revocations.left(target.key(&state.fold.keyer), id)
}

/// What stands that says this very REF, in any spelling.
pub(super) fn ids_of_ref(state: &State, reference: &str) -> BTreeSet<RevocationId> {
    let keys = RefKey::of(&state.fold.keyer, reference);
    standing(keys.iter().flat_map(|name| state.fold.revocations.under(name.key)))
}

fn standing<'a>(entries: impl Iterator<Item = &'a Entry>) -> BTreeSet<RevocationId> {
    entries.filter(|entry| entry.effect != EntryKind::ResidualCutoff).map(|entry| entry.id).collect()
}

#[cfg(test)]
mod tests;

/// Whom a revocation means: the people it resolved to, those it came to mean, and those whom its target names now.
pub(super) fn concerned(state: &State, id: RevocationId, revocation: Revocation) -> Concerned {
    let mut persons = revocation.persons;
    persons.extend(state.fold.extensions.get(&id).into_iter().flatten().cloned());
    match &revocation.target {
        Target::DirectoryPerson { person } => persons.push(person.clone()),
        Target::Subject { issuer, subject } => persons.extend(state.resolve(&format!("{issuer}|{subject}"))),
        target => persons.extend(target.reference().into_iter().flat_map(|reference| state.resolve(reference))),
    }
    Concerned { persons, target: Some(state.rules.policy.canonical(&revocation.target)) }
}
