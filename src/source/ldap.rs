#![doc = include_str!("ldap.md")]

mod ber;
mod dn;
mod entry;
mod examine;
mod failure;
mod follow;
mod groups;
mod link;
mod reading;
mod status;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use ldap3::{Scope, ldap_escape};

use entry::Key;
use follow::{Cursor, Hints};
use groups::{Group, Member, Tree};
pub use link::Server;
use link::{Link, Search, Stream};

use super::directory::{Changes, Directory, Finding, Page};
use super::error::SourceError;
use super::poller::Time;
use crate::domain::person::Person;
use crate::domain::time::Timestamp;

/// Entries that are read at once: the most that Active Directory gives is 1,000.
const ROWS: i32 = 500;
/// Nothing of an entry but its name.
const NOTHING: &str = "1.1";
/// Any entry.
const ANY: &str = "(objectClass=*)";

/// Whose rules the entries go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// OpenLDAP, and servers that are like it.
    OpenLdap,
    /// Active Directory.
    Ad,
}

/// How changes are heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// RFC 4533: the server tells.
    Syncrepl,
    /// Active Directory is asked what changed.
    DirSync,
    /// Whatever has a newer `modifyTimestamp`, or `uSNChanged`.
    Poll,
}

/// What is configured of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of the source.
    pub name: String,
    /// Where, and as whom.
    pub server: Server,
    /// Below it are people and groups.
    pub base_dn: String,
    /// Below it are people.
    pub people_dn: String,
    /// Which entries there are people, where it is not by their class.
    pub people_filter: Option<String>,
    /// Whose rules.
    pub flavor: Flavor,
    /// How changes are heard of.
    pub sync: Sync,
    /// Attributes that `link` names beside id, e-mail and user name.
    pub attributes: BTreeSet<String>,
}

/// A directory that speaks LDAP. `WAITS`: the server tells what changed, and is waited for.
pub struct Ldap<const WAITS: bool>(Client);

/// Where a listing goes on. It is bound to the connection.
#[derive(Clone, Debug)]
pub struct Place {
    link: u64,
    /// Groups come first.
    groups: bool,
    cookie: Vec<u8>,
}

/// A directory, and what is needed to make sense of its answers.
struct Client {
    settings: Settings,
    /// `people_dn` in its one spelling.
    people_dn: String,
    time: Time,
    link: Option<Link>,
    links: u64,
    stream: Option<Stream>,
    /// The stream has told everything that happened before it began.
    refreshed: bool,
    /// What the stream says of entries is not needed: a full listing follows.
    draining: bool,
    tree: Option<Tree>,
    /// The groups of a listing that is on its way.
    building: Tree,
    listing: bool,
    /// Who is a person, with a hash of their name: a deletion names everything by its key alone.
    known: HashMap<Key, u64>,
    /// Whether that is everybody.
    complete: bool,
    /// Who has to be looked at again when: nothing is written to an entry when it expires.
    timers: BTreeSet<(Timestamp, Key)>,
    /// The highest `modifyTimestamp` that was seen.
    newest: Option<Timestamp>,
}

impl<const WAITS: bool> Ldap<WAITS> {
    /// The directory of these settings, which is told the time by `time`.
    #[must_use]
    pub fn new(settings: Settings, time: Time) -> Self {
        Self(Client::new(settings, time))
    }
}

impl Client {
    fn new(settings: Settings, time: Time) -> Self {
        Self {
            people_dn: dn::normal(&settings.people_dn),
            settings,
            time,
            link: None,
            links: 0,
            stream: None,
            refreshed: false,
            draining: false,
            tree: None,
            building: Tree::default(),
            listing: false,
            known: HashMap::new(),
            complete: false,
            timers: BTreeSet::new(),
            newest: None,
        }
    }

    fn now(&self) -> Timestamp {
        (self.time)().wall
    }

    /// After a failure nothing of a connection is trusted any more.
    fn disconnect(&mut self) {
        (self.link, self.stream, self.refreshed, self.draining, self.listing) = (None, None, false, false, false);
    }

    /// The connection; a new one is made where there is none.
    async fn link(&mut self) -> Result<&mut Link, SourceError> {
        if self.link.is_none() {
            let mut link = Link::open(&self.settings.server).await?;
            // A base that is not there is never "everybody left".
            link.list("find `base_dn`", at_base(&self.settings.base_dn, &[NOTHING])).await?;
            self.links += 1;
            self.link = Some(link);
        }
        self.link.as_mut().ok_or(SourceError::Unreachable { step: "connect", cause: "no connection".to_owned() })
    }

    /// Takes in what became of a group; whose groups are others by that. A listing that is on its way may have read it
    /// before.
    fn take_group(&mut self, key: Key, group: Option<Group>) -> Vec<Member> {
        if self.listing {
            match &group {
                Some(group) => self.building.put(key, group.clone()),
                None => self.building.remove(key),
            }
        }
        self.tree.get_or_insert_default().change(key, group)
    }

    /// Reads all groups, where none were read so far.
    async fn know_groups(&mut self) -> Result<(), SourceError> {
        if self.tree.is_some() {
            return Ok(());
        }
        let (mut tree, mut cookie) = (Tree::default(), Vec::new());
        while let Some(next) = self.read_groups(&mut tree, cookie).await? {
            cookie = next;
        }
        self.tree = Some(tree);
        Ok(())
    }

    async fn read_groups(&mut self, tree: &mut Tree, cookie: Vec<u8>) -> Result<Option<Vec<u8>>, SourceError> {
        let search = self.search_groups();
        let (entries, next) = self.link().await?.page("list groups", search, (ROWS, cookie)).await?;
        for entry in entries {
            let key = self.key(&entry)?;
            match self.group(entry).await? {
                Some(group) => tree.put(key, group),
                None => tree.remove(key),
            }
        }
        Ok(next)
    }

    async fn follow(&mut self, cursor: Option<&str>) -> Result<Changes, SourceError> {
        self.link().await?;
        self.know_groups().await?;
        let cursor = cursor.and_then(Cursor::parse);
        let Hints { mut touched, entries, cursor, more, resync } = match self.settings.sync {
            Sync::Syncrepl => self.hear(cursor).await?,
            Sync::DirSync => self.ask_dirsync(cursor).await?,
            Sync::Poll if self.settings.flavor == Flavor::Ad => self.ask_usn(cursor).await?,
            Sync::Poll => self.ask_modified(cursor).await?,
        };
        touched.extend(self.due());
        let observations = self.read_again(touched, entries).await?;
        let cursor = cursor.and_then(|cursor| cursor.text());
        Ok(Changes { observations, cursor, more, resync, ..Changes::default() })
    }

    /// Whose standing ends now, by what was read of them.
    fn due(&mut self) -> Vec<Key> {
        let now = self.now();
        let mut due = Vec::new();
        while let Some((_, key)) = self.timers.first().copied().filter(|(time, _)| *time <= now) {
            self.timers.pop_first();
            due.push(key);
        }
        due
    }

    async fn list_on(&mut self, place: Option<Place>) -> Result<Page<Place>, SourceError> {
        self.link().await?;
        let place = place.unwrap_or_else(|| {
            (self.building, self.listing) = (Tree::default(), true);
            Place { link: self.links, groups: true, cookie: Vec::new() }
        });
        if place.link != self.links {
            let what = "the connection was lost in the middle of the listing".to_owned();
            return Err(SourceError::Malformed { step: "list people", what });
        }
        if place.groups {
            let mut tree = std::mem::take(&mut self.building);
            let next = self.read_groups(&mut tree, place.cookie).await?;
            let groups = next.is_some();
            if groups {
                self.building = tree
            } else {
                self.tree = Some(tree)
            }
            let next = Place { link: self.links, groups, cookie: next.unwrap_or_default() };
            return Ok(Page { people: vec![], doubted: vec![], observations: vec![], next: Some(next), count: None });
        }
        self.list_people(place.cookie).await
    }

    async fn list_people(&mut self, cookie: Vec<u8>) -> Result<Page<Place>, SourceError> {
        let search = self.search_people(None);
        let (entries, next) = self.link().await?.page("list people", search, (ROWS, cookie)).await?;
        let (mut people, mut observations) = (Vec::with_capacity(entries.len()), Vec::new());
        for entry in entries {
            let key = self.key(&entry)?;
            people.extend(self.person(key, &entry)?);
            observations.extend(self.password(key, &entry));
        }
        if next.is_none() {
            (self.listing, self.complete) = (false, true);
        }
        let next = next.map(|cookie| Place { link: self.links, groups: false, cookie });
        Ok(Page { people, doubted: vec![], observations, next, count: None })
    }

    async fn find(&mut self, attribute: &str, value: &str) -> Result<Option<Person>, SourceError> {
        let search = match attribute {
            "id" => match Key::parse(value) {
                Some(key) => self.search_people(Some(&self.by_key(key))),
                None => return Ok(None),
            },
            other => {
                let condition = format!("({}={})", self.called(other), ldap_escape(value));
                self.search_people(Some(&condition))
            }
        };
        self.link().await?;
        self.know_groups().await?;
        let mut found = self.link().await?.list("look somebody up", search).await?.into_iter();
        let (Some(entry), None) = (found.next(), found.next()) else { return Ok(None) };
        let key = self.key(&entry)?;
        self.person(key, &entry)
    }
}

/// The one entry of this name.
fn at_base(base: &str, attributes: &[&str]) -> Search {
    Search {
        base: base.to_owned(),
        scope: Scope::Base,
        filter: ANY.to_owned(),
        attributes: attributes.iter().map(|name| (*name).to_owned()).collect(),
        controls: Vec::new(),
    }
}

impl<const WAITS: bool> Directory for Ldap<WAITS> {
    type Place = Place;

    const WAITS: bool = WAITS;

    async fn changes(&mut self, cursor: Option<&str>) -> Result<Changes, SourceError> {
        let changes = Box::pin(self.0.follow(cursor)).await;
        changes.inspect_err(|_| self.0.disconnect())
    }

    async fn page(&mut self, place: Option<Place>) -> Result<Page<Place>, SourceError> {
        let page = Box::pin(self.0.list_on(place)).await;
        page.inspect_err(|_| self.0.disconnect())
    }

    async fn look_up(&mut self, attribute: &str, value: &str) -> Result<Option<Person>, SourceError> {
        let found = Box::pin(self.0.find(attribute, value)).await;
        found.inspect_err(|_| self.0.disconnect())
    }

    async fn examine(&mut self) -> Vec<Finding> {
        Box::pin(examine::examine(&mut self.0)).await
    }
}
