//! What is in the tenant, and what administrators do there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use super::delta::Mark;

/// What goes wrong with every answer of Graph's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Throttled,
    Overloaded,
    Broken,
    Html,
    Truncated,
    Hang,
    /// The place of a delta query is no longer known: 410.
    Gone,
    /// The same, as a delta token that is older than seven days is answered.
    Expired,
    /// A page leads to itself.
    Circle,
    /// A page leads to another host.
    Elsewhere,
}

#[derive(Clone, Debug)]
pub struct Group {
    pub name: String,
    pub members: BTreeSet<String>,
}

const WHAT: [&str; 2] = ["users", "groups"];

/// What was changed, for who asks for changes.
#[derive(Clone, Debug)]
pub enum Change {
    User(String, Vec<String>),
    Group(String),
    Member(String, String),
}

pub type Users = BTreeMap<String, Map<String, Value>>;

pub struct Tenant {
    pub(super) url: String,
    pub(super) users: Users,
    pub(super) deleted: BTreeMap<String, (Map<String, Value>, &'static str)>,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) journal: Vec<Change>,
    pub(super) marks: HashMap<String, Mark>,
    /// Rows of users and groups as they were once answered.
    pub(super) history: Vec<(&'static str, Value)>,
    /// Whose next round says the first so many of that again.
    pub(super) replays: BTreeMap<&'static str, usize>,
    /// What is changed from here on is missing from the next round.
    pub(super) late: BTreeMap<&'static str, usize>,
    /// The users and groups that a first round shows, if it is late.
    pub(super) frozen: Option<(Users, BTreeMap<String, Group>)>,
    /// Users as an address of theirs goes on saying for so many times.
    pub(super) stale: BTreeMap<String, (Map<String, Value>, usize)>,
    /// Groups whose members their address goes on telling for so many times.
    pub(super) stale_members: BTreeMap<String, (BTreeSet<String>, usize)>,
    /// Who is at no address, though changes and listings name them.
    pub hidden: BTreeSet<String>,
    /// Who is in a listing, and further on in it deleted.
    pub deleted_meanwhile: Option<String>,
    /// A first round shows groups without members.
    pub memberless: bool,
    /// Whoever asks for this user is answered 500.
    pub unreadable: Option<String>,
    pub(super) permissions: BTreeSet<&'static str>,
    pub(super) tokens: HashMap<String, BTreeSet<&'static str>>,
    pub(super) issued: usize,
    pub fault: Option<Fault>,
    /// Faults are for addresses that begin so.
    pub fault_at: &'static str,
    /// How much of what may be asked is used up.
    pub used: Option<f64>,
    /// Rows of changes hold what changed, not all.
    pub partial: bool,
    pub page: usize,
    /// Everything that was asked for: path and query.
    pub asked: Vec<String>,
}

/// The id of the n-th object.
pub fn guid(kind: u8, number: usize) -> String {
    format!("8b1ee412-{kind:04x}-4aaa-bbbb-{number:012x}")
}

impl Tenant {
    pub(super) fn new(url: String) -> Self {
        Self {
            url,
            users: BTreeMap::new(),
            deleted: BTreeMap::new(),
            groups: BTreeMap::new(),
            journal: Vec::new(),
            marks: HashMap::new(),
            history: Vec::new(),
            replays: BTreeMap::new(),
            late: BTreeMap::new(),
            frozen: None,
            stale: BTreeMap::new(),
            stale_members: BTreeMap::new(),
            hidden: BTreeSet::new(),
            deleted_meanwhile: None,
            memberless: false,
            unreadable: None,
            permissions: BTreeSet::from(["User.Read.All", "GroupMember.Read.All"]),
            tokens: HashMap::new(),
            issued: 0,
            fault: None,
            fault_at: "/v1.0",
            used: None,
            partial: true,
            page: 2,
            asked: Vec::new(),
        }
    }

    /// A new user, enabled; the id.
    pub fn add_user(&mut self, name: &str) -> String {
        let id = guid(0, self.users.len() + self.deleted.len() + 1);
        let Value::Object(user) = json!({
            "id": id, "accountEnabled": true, "userPrincipalName": format!("{name}@corp.example"),
            "mail": format!("{name}@mail.example"), "displayName": name,
            "signInSessionsValidFromDateTime": "2020-01-01T00:00:00Z",
        }) else {
            panic!()
        };
        self.changed(&id, &["id", "accountEnabled", "userPrincipalName", "mail"]);
        self.users.insert(id.clone(), user);
        id
    }

    fn changed(&mut self, id: &str, what: &[&str]) {
        self.journal.push(Change::User(id.to_owned(), what.iter().map(ToString::to_string).collect()));
    }

    pub fn set(&mut self, id: &str, property: &str, value: Value) {
        self.users.get_mut(id).unwrap().insert(property.to_owned(), value);
        self.changed(id, &[property]);
    }

    pub fn enable(&mut self, id: &str, enabled: bool) {
        self.set(id, "accountEnabled", json!(enabled));
    }

    /// `POST /users/{id}/revokeSignInSessions`, at this second.
    pub fn revoke_sessions(&mut self, id: &str, at: i64) {
        let at = jiff::Timestamp::from_second(at).unwrap().to_string();
        self.set(id, "signInSessionsValidFromDateTime", json!(at));
    }

    /// `changed`: it can be restored; `deleted`: it cannot.
    pub fn delete(&mut self, id: &str, reason: &'static str) {
        let user = self.users.remove(id).unwrap_or_else(|| self.deleted[id].0.clone());
        self.deleted.insert(id.to_owned(), (user, reason));
        self.changed(id, &[]);
        let groups: Vec<String> = self.groups.keys().cloned().collect();
        groups.iter().for_each(|group| self.leave(group, id));
    }

    pub fn restore(&mut self, id: &str) {
        let (user, _) = self.deleted.remove(id).unwrap();
        self.users.insert(id.to_owned(), user);
        self.changed(id, &["id", "accountEnabled", "userPrincipalName", "mail"]);
    }

    /// A new group; the id.
    pub fn add_group(&mut self, name: &str) -> String {
        let id = guid(1, self.groups.len() + 1);
        self.groups.insert(id.clone(), Group { name: name.to_owned(), members: BTreeSet::new() });
        self.journal.push(Change::Group(id.clone()));
        id
    }

    pub fn rename_group(&mut self, id: &str, name: &str) {
        self.groups.get_mut(id).unwrap().name = name.to_owned();
        self.journal.push(Change::Group(id.to_owned()));
    }

    pub fn delete_group(&mut self, id: &str) {
        self.groups.remove(id).unwrap();
        self.journal.push(Change::Group(id.to_owned()));
    }

    /// A user or a group becomes a member of a group.
    pub fn join(&mut self, group: &str, member: &str) {
        if self.groups.get_mut(group).unwrap().members.insert(member.to_owned()) {
            self.journal.push(Change::Member(group.to_owned(), member.to_owned()));
        }
    }

    pub fn leave(&mut self, group: &str, member: &str) {
        if self.groups.get_mut(group).unwrap().members.remove(member) {
            self.journal.push(Change::Member(group.to_owned(), member.to_owned()));
        }
    }

    /// How many rows were answered so far.
    pub fn answered(&self) -> usize {
        self.history.len()
    }

    /// The next answers to changes hold so many of the rows that were ever answered once more.
    pub fn replay(&mut self, rows: usize) {
        self.replays = WHAT.map(|what| (what, rows)).into();
    }

    /// What is changed from now on comes a round late.
    pub fn lag(&mut self) {
        self.late = WHAT.map(|what| (what, self.journal.len())).into();
    }

    /// Whoever lists everybody sees them as they are now, from now on.
    pub fn freeze_listings(&mut self) {
        self.frozen = Some((self.users.clone(), self.groups.clone()));
    }

    /// Somebody's own address goes on saying for so many times what it says now.
    pub fn keep_saying(&mut self, id: &str, times: usize) {
        self.stale.insert(id.to_owned(), (self.users[id].clone(), times));
    }

    /// The address of a group's members goes on saying for so many times what it says now.
    pub fn keep_saying_members(&mut self, group: &str, times: usize) {
        self.stale_members.insert(group.to_owned(), (self.groups[group].members.clone(), times));
    }

    /// Whether that address says how it is.
    pub fn has_told_members(&self, group: &str) -> bool {
        self.stale_members.get(group).is_none_or(|(_, times)| *times == 0)
    }

    /// An administrator takes a permission away; tokens that name it are of no use for it.
    pub fn take_away(&mut self, permission: &'static str) {
        assert!(self.permissions.remove(permission));
    }

    /// An administrator gives it again: new tokens name it.
    pub fn give(&mut self, permission: &'static str) {
        self.tokens.values_mut().for_each(|token| _ = token.remove(permission));
        self.permissions.insert(permission);
    }

    /// How many are enabled.
    pub fn people(&self) -> u32 {
        u32::try_from(self.users.values().filter(|user| user["accountEnabled"] == true).count()).unwrap()
    }

    /// Whether somebody's own address says how it is.
    pub fn is_up_to_date(&self, id: &str) -> bool {
        self.stale.get(id).is_none_or(|(_, times)| *times == 0)
    }

    /// No token that was issued is accepted any more.
    pub fn end_tokens(&mut self) {
        self.tokens.clear();
    }
}
