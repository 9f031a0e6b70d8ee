//! Groups: follows what a delta query says of them, reads them again, and finds whose groups change.

use std::collections::{BTreeSet, HashSet};

use serde::Deserialize;
use tokio::time::Instant;

use super::api::GROUPS;
use super::users::Hint;
use super::wire::{Group, Member};
use super::{DOUBT, Doubted, Entra};
use crate::source::directory::Changes;
use crate::source::error::SourceError;

/// How many groups are read again in one turn.
const TURN: usize = 5;
/// If this many groups change at once, everything is listed anew.
const MANY: usize = 500;
/// The most direct members of one group.
const MEMBERS: usize = 5_000_000;

/// Why a group is to be read again.
#[derive(Clone, Debug, Default)]
pub struct Dirty {
    /// Its members too, not only its name.
    pub members: bool,
    left: BTreeSet<String>,
    joined: BTreeSet<String>,
}

/// `GET groups/{id}`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    #[serde(default)]
    display_name: Option<String>,
}

impl Entra {
    /// Reads the next page of changes, or the rest of the last one. Before the first listing there is nothing to
    /// change.
    pub(super) async fn follow_groups(&mut self, changes: &mut Changes) -> Result<(), SourceError> {
        if self.graphs.counting().is_none() {
            self.dirty.clear();
            return Ok(());
        }
        if !self.groups.is_following() && self.groups.link.is_some() {
            let first = self.groups_url()?;
            match self.groups.read::<Group>(&mut self.api, first, GROUPS).await? {
                Some(rows) => self.take_groups(&rows),
                None => changes.resync = true,
            }
        }
        if self.dirty.len() > MANY {
            changes.resync = true;
            self.dirty.clear();
        }
        let turn: Vec<String> = self.dirty.keys().take(TURN).cloned().collect();
        for id in turn {
            self.read_group(&id).await?;
            self.dirty.remove(&id);
        }
        if self.dirty.is_empty() {
            self.groups.pass();
        }
        Ok(())
    }

    /// Applies what some rows remove, and notes which groups to read again.
    fn take_groups(&mut self, rows: &[Group]) {
        for row in rows {
            let dirty = self.dirty.entry(row.id.clone()).or_default();
            dirty.members |= row.members.is_some();
            for member in row.members.iter().flatten().filter(|member| member.counts()) {
                let these = if member.is_removed() { &mut dirty.left } else { &mut dirty.joined };
                these.insert(member.id.clone());
            }
            let left: Vec<String> = dirty.left.iter().cloned().collect();
            // A member who was added again may get the membership back.
            for back in dirty.joined.difference(&dirty.left) {
                self.lost.remove(&(row.id.clone(), back.clone()));
            }
            if row.is_removed() {
                self.lose_group(&row.id);
            } else if !left.is_empty() {
                let now = Instant::now();
                self.lost.extend(left.iter().map(|member| ((row.id.clone(), member.clone()), now)));
                self.change_groups(left.iter().map(String::as_str), [], |graph| {
                    left.iter().for_each(|member| graph.part(&row.id, member));
                });
            }
        }
    }

    fn lose_group(&mut self, id: &str) {
        let Some(name) = self.graphs.counting().and_then(|graph| graph.name(id)).map(str::to_owned) else { return };
        self.lost_groups.insert(id.to_owned(), Instant::now());
        self.change_groups([id], [name.as_str()], |graph| graph.drop_group(id));
    }

    /// Changes groups; everybody whose groups change is read again, and reported completely.
    fn change_groups<'a>(
        &mut self,
        touched: impl IntoIterator<Item = &'a str>,
        names: impl IntoIterator<Item = &'a str>,
        change: impl FnOnce(&mut super::Graph),
    ) {
        let graph = self.graphs.counting_mut().as_mut();
        let moved = graph.map(|graph| graph.moved(touched, names, change)).unwrap_or_default();
        for person in moved {
            self.hints.entry(person).or_insert_with(Hint::moved);
        }
    }

    /// Reads a group at its own address.
    async fn read_group(&mut self, id: &str) -> Result<(), SourceError> {
        let query = [("$select", "id,displayName")];
        let named: Named = match self.api.get("read a group", &["groups", id], &query, GROUPS).await {
            Err(SourceError::NotFound { .. }) => {
                self.lose_group(id);
                return Ok(());
            }
            named => named?,
        };
        let dirty = self.dirty.get(id).cloned().unwrap_or_default();
        let name = named.display_name.unwrap_or_default();
        let before = self.graphs.counting().and_then(|graph| graph.name(id)).map(str::to_owned);
        if before.as_ref() != Some(&name) {
            let names = before.as_deref().into_iter().chain([name.as_str()]);
            self.change_groups([id], names, |graph| graph.put(id, &name));
        }
        if before.is_some() && !dirty.members {
            return Ok(());
        }
        let mut members = self.read_members(id).await?;
        // A copy of the directory may lag behind: it must not give back what the query removed, and what the query
        // added counts only once it can be read.
        let lost = self.lost.range((id.to_owned(), String::new())..).take_while(|((of, _), _)| of == id);
        let lost = lost.filter(|(_, at)| at.elapsed() < DOUBT).map(|((_, who), _)| who);
        let named = members.len();
        dirty.left.iter().chain(lost).for_each(|left| _ = members.remove(left));
        if members.len() < named || dirty.joined.iter().any(|joined| !members.contains(joined)) {
            self.doubt(Doubted::Group(id.to_owned()));
        }
        let known: HashSet<String> =
            self.graphs.counting().into_iter().flat_map(|graph| graph.members(id)).map(str::to_owned).collect();
        let touched = members.symmetric_difference(&known).map(String::as_str);
        self.change_groups(touched, [], |graph| graph.set_members(id, &members));
        Ok(())
    }

    async fn read_members(&mut self, id: &str) -> Result<HashSet<String>, SourceError> {
        let (path, query) = (["groups", id, "members"], [("$select", "id"), ("$top", "999")]);
        match self.api.list::<Member>("read the members of a group", &path, &query, (GROUPS, MEMBERS)).await {
            // The group has just been deleted; the query reports it next.
            Err(SourceError::NotFound { .. }) => Ok(HashSet::new()),
            Err(error) => Err(error),
            Ok(members) => Ok(members.into_iter().filter(Member::counts).map(|member| member.id).collect()),
        }
    }
}
