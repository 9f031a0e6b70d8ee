//! Revocations as they are shown: the state says which stand, their texts are in the log and its records.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use super::LiveViews;
use crate::control::views::RevocationView;
use crate::domain::event::{Event, Position, Recorded};
use crate::domain::id::RevocationId;
use crate::domain::key::RefKey;
use crate::domain::revocation::Revocation;
use crate::log::Log;
use crate::state::State;
use crate::state::people::Known;
use crate::state::revocations::{Entry, EntryKind};

/// Events that are read at once.
const READ: usize = 4096;

impl<L: Log> LiveViews<L> {
    pub(super) async fn revocation(&self, id: RevocationId) -> Option<(Position, RevocationView)> {
        let volatile = self.handler.published.store_state().borrow().volatile.get(&id).cloned();
        if let Some(volatile) = volatile {
            return Some((Position::MAX, volatile_view(id, &volatile)));
        }
        let recorded = self.log.revocation(id).await.ok()??;
        Some((recorded.position, view_of(&recorded)?))
    }

    /// Some revocations that stand, newest first.
    pub(super) async fn standing(
        &self,
        ids: BTreeSet<RevocationId>,
        before: Option<Position>,
        limit: usize,
    ) -> Vec<RevocationView> {
        let mut views = Vec::new();
        for id in ids {
            views.extend(self.revocation(id).await);
        }
        views.retain(|(position, _)| before.is_none_or(|before| *position < before));
        views.sort_unstable_by_key(|(position, _)| Reverse(*position));
        views.into_iter().take(limit).map(|(_, view)| view).collect()
    }

    /// All revocations that stand, newest first.
    pub(super) async fn all_standing(
        &self,
        state: &State,
        before: Option<Position>,
        limit: usize,
    ) -> Vec<RevocationView> {
        let mut views = Vec::new();
        if before.is_none() {
            let store = self.handler.published.store_state().borrow().clone();
            views.extend(store.volatile.iter().map(|(id, revocation)| volatile_view(*id, revocation)));
        }
        let stands = |recorded: &Recorded| {
            recorded.revocation().is_some_and(|(id, revocation)| {
                state.fold.revocations.stands(revocation.target.key(&state.fold.keyer), id)
            })
        };
        let mut end = Some(before.unwrap_or(Position::MAX));
        while let Some(before) = end.filter(|_| views.len() < limit)
            && let Ok((page, next)) = self.log.revocations(before, READ).await
        {
            views.extend(page.iter().filter(|recorded| stands(recorded)).filter_map(view_of));
            end = next;
        }
        views.truncate(limit);
        views
    }

    /// Everything that ever was revoked, with its end; of what was cut off the log only what stands.
    pub(super) async fn history(&self, before: Option<Position>) -> Vec<RevocationView> {
        let mut views: Vec<(RevocationId, RevocationView)> = Vec::new();
        let mut index: HashMap<RevocationId, usize> = HashMap::new();
        let mut after = self.log.bounds().await.map_or(0, |bounds| bounds.first - 1);
        let mut end = Some(after + 1);
        while let Some(next) = end
            && let Ok((page, next)) = self.log.revocations(next, READ).await
        {
            let older = page.iter().filter(|recorded| before.is_none_or(|end| recorded.position < end));
            views.extend(older.filter_map(|recorded| Some((recorded.revocation()?.0, view_of(recorded)?))));
            end = next;
        }
        views.reverse();
        index.extend(views.iter().enumerate().map(|(index, (id, _))| (*id, index)));
        while let Ok(page) = self.log.read(after, READ).await {
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
        views.into_iter().rev().map(|(_, view)| view).collect()
    }
}

fn view_of(recorded: &Recorded) -> Option<RevocationView> {
    let (id, revocation) = recorded.revocation()?;
    Some(RevocationView { id: id.to_string(), revocation: revocation.clone(), ended: None })
}

fn volatile_view(id: RevocationId, revocation: &Revocation) -> RevocationView {
    let mut revocation = revocation.clone();
    revocation.reason.push_str(" (not durable: the store is gone)");
    RevocationView { id: id.to_string(), revocation, ended: None }
}

/// What stands that is about a person, or about one of their names.
pub(super) fn ids_of(state: &State, known: &Known) -> BTreeSet<RevocationId> {
    let revocations = &state.fold.revocations;
    let names = known
        .names
        .iter()
        .flat_map(|name| revocations.under(name.key).iter().filter(|entry| name.is(entry.rules, entry.owner_hash)));
    standing(revocations.under(known.key).iter().chain(names))
}

/// What stands that says this very REF, in any spelling.
pub(super) fn ids_of_ref(state: &State, reference: &str) -> BTreeSet<RevocationId> {
    let keys = RefKey::of(&state.fold.keyer, reference);
    standing(keys.iter().flat_map(|name| state.fold.revocations.under(name.key)))
}

fn standing<'a>(entries: impl Iterator<Item = &'a Entry>) -> BTreeSet<RevocationId> {
    entries.filter(|entry| entry.effect != EntryKind::ResidualCutoff).map(|entry| entry.id).collect()
}
