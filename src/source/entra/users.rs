//! Users: who a delta query names, read again, and what that amounts to.

use std::collections::HashMap;

use super::api::{GROUPS, USERS};
use super::wire::{List, Member, User};
use super::{Doubted, Entra};
use crate::domain::inbox::Observation;
use crate::domain::person::{Person, Status};
use crate::source::directory::Changes;
use crate::source::error::SourceError;

/// Ids that one request may name.
const TOGETHER: usize = 15;
/// Users who are read again before something else gets its turn.
const TURN: usize = 150;
/// Groups of one person.
const MANY: usize = 20_000;

/// Why a user is to be read again.
#[derive(Clone, Debug, Default)]
pub struct Hint {
    /// What the query said of them, if it did.
    said: Vec<User>,
    /// Only their groups changed: if they are not there, that is for others to tell.
    moved: bool,
}

impl Hint {
    /// Their groups changed.
    pub fn moved() -> Self {
        Self { said: Vec::new(), moved: true }
    }

    /// Disabled or deleted.
    fn is_bad(&self) -> bool {
        self.said.iter().any(is_bad)
    }
}

fn is_bad(user: &User) -> bool {
    user.is_removed() || user.enabled() == Some(false)
}

impl Entra {
    /// The next page of changes, or what is left of the last one.
    pub(super) async fn follow_users(&mut self, changes: &mut Changes) -> Result<(), SourceError> {
        if !self.users.is_following() {
            self.read_hints(changes).await?;
        }
        // Bad news first.
        let mut turn: Vec<String> =
            self.hints.iter().filter(|(_, hint)| hint.is_bad()).map(|(id, _)| id.clone()).collect();
        turn.extend(self.hints.iter().filter(|(_, hint)| !hint.is_bad()).map(|(id, _)| id.clone()));
        for ids in turn.get(..TURN.min(turn.len())).unwrap_or_default().chunks(TOGETHER) {
            let found = match self.read_users(ids).await {
                Ok(found) => found,
                Err(error) => {
                    changes.observations.extend(self.unread(ids));
                    return Err(error);
                }
            };
            for id in ids {
                let hint = self.hints.get(id).cloned().unwrap_or_default();
                changes.observations.extend(self.settle(id, &hint, found.get(id))?);
                self.hints.remove(id);
            }
        }
        if self.hints.is_empty() && self.users.pass() {
            changes.more |= self.renew();
        }
        Ok(())
    }

    /// Goes on from the last listing, once what came before is read.
    fn renew(&mut self) -> bool {
        let fresh = self.fresh.take();
        let renewed = fresh.is_some();
        if renewed {
            self.users.set(fresh);
        }
        renewed
    }

    /// Reads a page. Who is deleted by it is gone at once.
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
                changes.observations.push(Observation::Gone { person: self.id(&row.id), at: None });
            }
            if is_bad(&row) {
                self.note(&row);
            }
            let hint = self.hints.entry(row.id.clone()).or_default();
            hint.said.push(row);
            hint.moved = false;
        }
        Ok(())
    }

    /// Who was said to be disabled, and cannot be read: it is believed.
    fn unread(&self, ids: &[String]) -> Vec<Observation> {
        let said = ids.iter().filter_map(|id| self.hints.get(id)).flat_map(|hint| &hint.said);
        let disabled = said.filter(|row| row.is_whole() && row.enabled() == Some(false));
        disabled.filter_map(|row| self.person(row, self.groups_of(&row.id)).ok()).map(change).collect()
    }

    /// What a user's record amounts to, who was named for this reason.
    fn settle(&mut self, id: &str, hint: &Hint, found: Option<&User>) -> Result<Vec<Observation>, SourceError> {
        let Some(user) = found else {
            if hint.moved {
                return Ok(vec![]);
            }
            // Named as somebody who is there, and is not: a moment ago, or not yet everywhere.
            if hint.said.iter().any(|row| !row.is_removed()) {
                self.doubt(Doubted::User(id.to_owned()));
            }
            self.out.insert(id.to_owned());
            return Ok(vec![Observation::Gone { person: self.id(id), at: None }]);
        };
        if hint.said.iter().any(|row| row.contradicts(user)) {
            self.doubt(Doubted::User(id.to_owned()));
        }
        let person = self.person(user, self.groups_of(id))?;
        let mut observations: Vec<Observation> = self.sessions(user).into_iter().collect();
        let disabled = hint.said.iter().any(|row| row.enabled() == Some(false));
        if disabled && person.status == Status::Active {
            // Disabled for a while, at least. A row may be old: names and groups are as they were read.
            observations.push(change(Person { status: Status::Suspended, ..person.clone() }));
        }
        self.note(user);
        // Without groups nobody gets anything: the listing that is on its way tells.
        if self.graph.is_some() || person.status != Status::Active {
            observations.push(change(person));
        }
        Ok(observations)
    }

    /// Reads users at their own addresses, as many as there are.
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
            // One who is in no answer to many is gone only if there is nobody at that address.
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

    /// One user by id; nobody where there is none.
    async fn read_user(&mut self, id: &str) -> Result<Option<User>, SourceError> {
        let select = self.select.clone();
        match self.api.get::<User>("read a user", &["users", id], &[("$select", &select)], USERS).await {
            // The address takes a user name too.
            Ok(user) => Ok(Some(user).filter(|user| user.id == id)),
            Err(SourceError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The one user of whom this is so.
    pub(super) async fn find(&mut self, attribute: &str, value: &str) -> Result<Option<User>, SourceError> {
        let property = match attribute {
            // Whatever a token claims: only ids are looked up by id.
            "id" if !is_guid(value) => return Ok(None),
            "id" => return self.read_user(value).await,
            "email" => "mail",
            "username" => "userPrincipalName",
            other => other,
        };
        let (select, filter) = (self.select.clone(), format!("{property} eq {}", quoted(value)));
        let query = [("$filter", filter.as_str()), ("$select", select.as_str()), ("$top", "2")];
        let page: List<User> = self.api.get("look a user up", &["users"], &query, USERS).await?;
        let mut users = page.value;
        Ok(if users.len() > 1 { None } else { users.pop() })
    }

    /// Ids of all groups that somebody is in, as the provider resolves them. Their names wait for the listing: without
    /// it nobody knows which are unambiguous.
    pub(super) async fn transitive(&mut self, id: &str) -> Result<Vec<String>, SourceError> {
        let (path, query) = (["users", id, "transitiveMemberOf"], [("$select", "id"), ("$top", "999")]);
        let groups: Vec<Member> = self.api.list("read the groups of a user", &path, &query, (GROUPS, MANY)).await?;
        Ok(groups.into_iter().filter(Member::is_group).map(|group| group.id).collect())
    }
}

fn change(person: Person) -> Observation {
    Observation::Change { person, at: None, event_id: None }
}

/// A text in a filter.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `01234567-89ab-cdef-0123-456789abcdef`
fn is_guid(text: &str) -> bool {
    let at_dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| if at_dash(at) { b == b'-' } else { b.is_ascii_hexdigit() })
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
