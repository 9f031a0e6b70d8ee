//! Users: reads again whom a delta query names, and decides what to report.

use std::collections::HashMap;

use tokio::time::Instant;

use super::api::{GROUPS, USERS};
use super::wire::{List, Member, User, is_guid};
use super::{Doubted, Entra};
use crate::domain::command::Observation;
use crate::domain::person::{Person, Status};
use crate::domain::revocation::Target;
use crate::domain::time::Timestamp;
use crate::source::directory::Changes;
use crate::source::error::SourceError;

/// The most ids in one request.
const TOGETHER: usize = 15;
/// How many users are read again in one turn.
const TURN: usize = 150;
/// The limit of users to read again; beyond it no more changes are read.
const MOST: usize = 5_000;
/// The most groups of one person.
const MANY: usize = 20_000;

/// Why a user is to be read again.
#[derive(Clone, Debug, Default)]
pub struct Hint {
    /// What the query said about them, if anything.
    said: Vec<User>,
    /// When it first said that they are disabled, by the provider's clock.
    disabled: Option<Timestamp>,
    /// Only their groups changed. Their absence is not decided by this.
    moved: bool,
}

impl Hint {
    /// Their groups changed.
    pub fn moved() -> Self {
        Self { moved: true, ..Self::default() }
    }

    /// The query said this about them.
    pub fn said(&mut self, row: User) {
        self.said.push(row);
        self.moved = false;
    }

    /// Whether they are disabled or deleted.
    fn is_bad(&self) -> bool {
        self.said.iter().any(is_bad)
    }
}

fn is_bad(user: &User) -> bool {
    user.is_removed() || user.enabled() == Some(false)
}

impl Entra {
    /// Reads the next page of changes, and the users whom it names. Users who cannot be read now are kept for later,
    /// and later changes do not wait for them.
    pub(super) async fn follow_users(&mut self, changes: &mut Changes) -> Result<(), SourceError> {
        let mut read = Ok(());
        if !self.users.is_following() && self.hints.len() < MOST {
            read = self.read_hints(changes).await;
        }
        let followed = match &read {
            Err(error) if is_general(error) => Ok(()),
            _ => self.follow_hints(changes).await,
        };
        if followed.is_err() || read.is_err() {
            changes.observations.extend(self.unread());
        }
        if self.hints.len() < MOST && self.users.pass() {
            changes.more |= self.renew();
        }
        read.and(followed)
    }

    /// Reads some of the named users again; bad news first.
    async fn follow_hints(&mut self, changes: &mut Changes) -> Result<(), SourceError> {
        let mut turn: Vec<String> =
            self.hints.iter().filter(|(_, hint)| hint.is_bad()).map(|(id, _)| id.clone()).collect();
        turn.extend(self.hints.iter().filter(|(_, hint)| !hint.is_bad()).map(|(id, _)| id.clone()));
        let mut trouble = Ok(());
        for ids in turn.get(..TURN.min(turn.len())).unwrap_or_default().chunks(TOGETHER) {
            let Err(error) = self.read_again(ids, changes).await else { continue };
            if is_general(&error) {
                return Err(error);
            }
            trouble = trouble.and(Err(error));
            // The error concerns one of them; the others must not wait.
            if !self.read_one_by_one(ids, changes).await? {
                break;
            }
        }
        trouble
    }

    /// Reads users one by one; returns whether anybody could be read.
    async fn read_one_by_one(&mut self, ids: &[String], changes: &mut Changes) -> Result<bool, SourceError> {
        let mut some = false;
        for id in ids.iter().filter(|_| ids.len() > 1) {
            match self.read_again(std::slice::from_ref(id), changes).await {
                Err(error) if is_general(&error) => return Err(error),
                read => some |= read.is_ok(),
            }
        }
        Ok(some)
    }

    async fn read_again(&mut self, ids: &[String], changes: &mut Changes) -> Result<(), SourceError> {
        let left: Vec<String> = ids.iter().filter(|id| self.hints.contains_key(*id)).cloned().collect();
        let found = self.read_users(&left).await?;
        for id in &left {
            let hint = self.hints.get(id).cloned().unwrap_or_default();
            changes.observations.extend(self.settle(id, &hint, found.get(id))?);
            self.hints.remove(id);
        }
        Ok(())
    }

    /// Continues from the last listing, once everything before it was read.
    fn renew(&mut self) -> bool {
        let fresh = self.fresh.take();
        let renewed = fresh.is_some();
        if renewed {
            self.users.set(fresh);
        }
        renewed
    }

    /// Reads a page. Users whom it reports deleted are gone at once.
    async fn read_hints(&mut self, changes: &mut Changes) -> Result<(), SourceError> {
        let first = self.users_url(true)?;
        let Some(rows) = self.users.read::<User>(&mut self.api, first, USERS).await? else {
            changes.resync |= !self.renew();
            changes.more = true;
            return Ok(());
        };
        for row in rows {
            changes.observations.extend(self.sessions(&row));
            if row.is_removed() {
                changes.observations.push(Observation::Deleted { person: self.id(&row.id), at: None });
            }
            if is_bad(&row) {
                self.note(&row);
                self.recent.insert(row.id.clone(), Instant::now());
            }
            let disabled = self.api.date.filter(|_| row.enabled() == Some(false));
            let hint = self.hints.entry(row.id.clone()).or_default();
            hint.disabled = hint.disabled.or(disabled);
            hint.said(row);
        }
        Ok(())
    }

    /// Users who were reported disabled but cannot be read are believed to be disabled. A row that says only that also
    /// invalidates tokens from before.
    fn unread(&self) -> Vec<Observation> {
        let mut observations = Vec::new();
        for (id, hint) in &self.hints {
            let disabled = |row: &&User| row.enabled() == Some(false);
            let whole = hint.said.iter().filter(disabled).find(|row| row.is_whole());
            let whole = whole.and_then(|row| self.person(row, self.groups_of(id)).ok());
            let cut_off = |at| Observation::CutOff {
                source: self.settings.name.clone(),
                target: Target::DirectoryPerson { person: self.id(id) },
                at,
                reason: "had been disabled".to_owned(),
            };
            observations.extend(whole.map(change).or_else(|| hint.disabled.map(cut_off)));
        }
        observations
    }

    /// What to report about a user who was named for this reason.
    pub(super) fn settle(
        &mut self,
        id: &str,
        hint: &Hint,
        found: Option<&User>,
    ) -> Result<Vec<Observation>, SourceError> {
        let Some(user) = found else {
            if hint.moved {
                return Ok(vec![]);
            }
            self.out.insert(id.to_owned());
            // Reported present but absent: since a moment ago, or not everywhere yet.
            if hint.said.iter().any(|row| !row.is_removed()) {
                self.doubt(Doubted::User(id.to_owned()));
            }
            if hint.said.iter().any(User::is_removed) {
                return Ok(vec![Observation::Deleted { person: self.id(id), at: None }]);
            }
            // Nobody said that they left. If they stay absent, a listing reports it, and its guard decides.
            if self.doubted.contains_key(&Doubted::User(id.to_owned())) {
                self.unseen.insert(id.to_owned());
            }
            return Ok(vec![]);
        };
        self.unseen.remove(id);
        if hint.said.iter().any(|row| row.contradicts(user)) {
            self.doubt(Doubted::User(id.to_owned()));
        }
        let person = self.person(user, self.groups_of(id))?;
        let mut observations: Vec<Observation> = self.sessions(user).into_iter().collect();
        let disabled = hint.said.iter().any(|row| row.enabled() == Some(false));
        if disabled && person.status == Status::Active {
            // They were disabled at least for a while. The row may be old, so names and groups are those that were
            // read.
            observations.push(change(Person { status: Status::Suspended, ..person.clone() }));
        }
        self.note(user);
        self.graphs.told(id.to_owned());
        // Without groups nobody gets anything; the running listing reports them.
        if self.graphs.counting().is_some() || person.status != Status::Active {
            observations.push(change(person));
        }
        Ok(observations)
    }

    /// Reads users at their own addresses, all that exist.
    pub(super) async fn read_users(&mut self, ids: &[String]) -> Result<HashMap<String, User>, SourceError> {
        let select = self.select.clone();
        let mut found = HashMap::new();
        for some in ids.chunks(TOGETHER) {
            if let [_, _, ..] = some {
                let named: Vec<String> = some.iter().map(|id| quoted(id)).collect();
                let filter = format!("id in ({})", named.join(","));
                let query = [("$filter", filter.as_str()), ("$select", select.as_str())];
                let users: Vec<User> = self.api.list("read users", &["users"], &query, (USERS, TOGETHER)).await?;
                found.extend(users.into_iter().map(|user| (user.id.clone(), user)));
            }
            // A user who is missing from an answer about many is gone only if nobody is at their own address.
            for id in some {
                if !found.contains_key(id)
                    && let Some(user) = self.read_user(id).await?
                {
                    found.insert(id.clone(), user);
                }
            }
        }
        Ok(found)
    }

    /// One user by id; `None` if there is none.
    async fn read_user(&mut self, id: &str) -> Result<Option<User>, SourceError> {
        let select = self.select.clone();
        match self.api.get::<User>("read a user", &["users", id], &[("$select", &select)], USERS).await {
            // The address also accepts a user name.
            Ok(user) => Ok(Some(user).filter(|user| user.id == id)),
            Err(SourceError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The only user with this value.
    pub(super) async fn find(&mut self, attribute: &str, value: &str) -> Result<Option<User>, SourceError> {
        let property = match attribute {
            // Whatever a token claims, only ids are looked up by id.
            "id" if !is_guid(value) => return Ok(None),
            "id" => return self.read_user(value).await,
            "email" => "mail",
            "username" => "userPrincipalName",
            other => other,
        };
        let (select, filter) = (self.select.clone(), format!("{property} eq {}", quoted(value)));
        let query = [("$filter", filter.as_str()), ("$select", select.as_str()), ("$top", "2")];
        let page: List<User> = self.api.get("look up a user", &["users"], &query, USERS).await?;
        let mut users = page.value;
        Ok(if users.len() > 1 { None } else { users.pop() })
    }

    /// The ids of all groups of a user, as the provider resolves them. Names wait for the listing: without it nobody
    /// knows which are unique.
    pub(super) async fn transitive(&mut self, id: &str) -> Result<Vec<String>, SourceError> {
        let (path, query) = (["users", id, "transitiveMemberOf"], [("$select", "id"), ("$top", "999")]);
        let groups: Vec<Member> = self.api.list("read the groups of a user", &path, &query, (GROUPS, MANY)).await?;
        Ok(groups.into_iter().filter(Member::is_group).map(|group| group.id).collect())
    }
}

/// Whether an error concerns everybody, so that nothing else needs to be tried now.
pub(super) fn is_general(error: &SourceError) -> bool {
    !matches!(error, SourceError::Status { .. } | SourceError::Malformed { .. })
}

fn change(person: Person) -> Observation {
    Observation::Change { person, at: None, event_id: None }
}

/// A text, quoted for a filter.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_is_looked_up_as_one() {
        assert!(is_guid("8b1ee412-0000-4aaa-bbbb-000000000001"));
        for other in [
            "",
            "..",
            "alice@corp.example",
            "8b1ee412-0000-4aaa-bbbb-00000000000g",
            "8b1ee412000004aaabbbb0000000000010000",
        ] {
            assert!(!is_guid(other), "{other}");
        }
        assert_eq!(quoted("o'neil' or 1 eq 1"), "'o''neil'' or 1 eq 1'");
    }
}
