#![doc = include_str!("ldap.md")]

mod ber;
mod cursor;
mod entry;
mod examine;
mod failure;
mod follow;
mod gone;
mod groups;
mod link;
mod listing;
mod older;
mod reading;
mod status;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use ldap3::{Scope, ldap_escape};

pub use crate::domain::settings::ldap::{Flavor, Server, Settings, Sync};
use cursor::Cursor;
use entry::{Entry, Key};
use follow::Hints;
use gone::LastSeen;
use groups::{Group, Member, Tree};
use link::{Link, Search, Stream};
use listing::Listed;
use older::Age;
use reading::Again;

use super::context::Time;
use super::directory::{Changes, Directory, Finding, ListingOutcome};
use super::error::{SourceError, chain};
use super::outbox::Outbox;
use super::page::{Page, PageToken};
use super::staged::Staged;
use crate::domain::name::dn;
use crate::domain::person::Person;
use crate::domain::time::Timestamp;

/// Entries per page; Active Directory's limit is 1,000.
const ROWS: i32 = 500;
/// How many people whose time has come are read in one turn, so that others do not wait for all of them.
const DUE: usize = 200;
/// Requests no attributes, only the name of an entry.
const NOTHING: &str = "1.1";
/// Matches any entry.
const ANY: &str = "(objectClass=*)";

/// An LDAP directory.
pub struct Ldap(Client);

/// The position in a listing. It is bound to a connection.
#[derive(Clone, Debug)]
struct ListingPosition {
    /// The number of the listing.
    listing: u64,
    /// Groups come first.
    groups: bool,
    cookie: Vec<u8>,
}

/// The client of a directory, with the state that its answers need.
struct Client {
    settings: Settings,
    /// `people_dn` in normalized spelling.
    people_dn: String,
    time: Time,
    /// The position in the changes; `None`: start from now.
    position: Option<Cursor>,
    outbox: Outbox,
    link: Option<Link>,
    /// The connection of the running listing. OpenLDAP keeps one position of a paged search per connection, and
    /// requests between two pages of a listing may be paged too.
    lister: Option<Link>,
    /// Why that connection was lost, if it was.
    broken: Option<String>,
    stream: Option<Stream>,
    /// The stream has reported everything that happened before it began.
    refreshed: bool,
    /// The entries of the stream are not needed, as a full listing follows.
    draining: bool,
    groups: Staged<Tree, Key>,
    /// What was read of the people in the running listing.
    listed: Listed,
    /// How many listings began.
    listings: u64,
    /// The last one that completed; 0: none, so not everybody is known.
    whole: u64,
    /// All known people: a deletion names any entry only by its key.
    known: HashMap<Key, LastSeen>,
    /// Somebody is out of sight, and no listing was requested for it yet.
    doubt: bool,
    /// When a listing was last requested for that reason.
    judged: Option<Timestamp>,
    /// Whether the server reports deletions. Assumed until it was asked once.
    tells_deletions: bool,
    /// Whether DirSync reports them if the container of deleted objects is not readable; asked once per connection.
    dirsync_tells: Option<bool>,
    /// Who must be read again, and when: an entry is not written when it expires.
    timers: BTreeSet<(Timestamp, Key)>,
    /// The highest `modifyTimestamp` so far.
    newest: Option<Timestamp>,
    /// The versions of entries, and whether the server went back to an older state.
    age: Age,
    /// The writer knows that it went back, and no listing was accepted since.
    older: bool,
    /// The connection was reopened since: the right server may be back.
    reopened: bool,
    /// Changes were followed, so they would show an older server.
    followed: bool,
}

impl Ldap {
    /// The directory of these settings; `time` is our clock.
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
            position: None,
            outbox: Outbox::default(),
            link: None,
            lister: None,
            broken: None,
            stream: None,
            refreshed: false,
            draining: false,
            groups: Staged::default(),
            listed: Listed::default(),
            listings: 0,
            whole: 0,
            known: HashMap::new(),
            doubt: false,
            judged: None,
            tells_deletions: true,
            dirsync_tells: None,
            timers: BTreeSet::new(),
            newest: None,
            age: Age::default(),
            older: false,
            reopened: false,
            followed: false,
        }
    }

    fn now(&self) -> Timestamp {
        (self.time)().wall
    }

    /// After a failure no state of a connection is trusted.
    fn disconnect(&mut self) {
        (self.link, self.stream) = (None, None);
        (self.refreshed, self.draining) = (false, false);
        self.dirsync_tells = None;
    }

    /// Stops a listing, which is bound to its connection. The next request for a page says why.
    fn stop_listing(&mut self, error: &SourceError) {
        self.disconnect();
        self.broken = Some(chain(error)).filter(|_| self.lister.is_some()).or_else(|| self.broken.take());
        self.lister = None;
        if !self.listed.all {
            self.groups.give_up();
        }
    }

    /// The connection; opens a new one if there is none.
    async fn link(&mut self) -> Result<&mut Link, SourceError> {
        if self.link.is_none() {
            let mut link = Link::open(&self.settings.server).await?;
            // A missing base never means that everybody left.
            link.list("find `base_dn`", at_base(&self.settings.base_dn, &[NOTHING])).await?;
            self.link = Some(link);
            self.reopened |= self.older;
        }
        self.link.as_mut().ok_or(SourceError::Unreachable { step: "connect", cause: "no connection".to_owned() })
    }

    /// Takes in what became of a group; returns the members whose groups change. A running listing may have read the
    /// group before.
    fn take_group(&mut self, key: Key, group: Option<Group>) -> Vec<Member> {
        let mut concerned = self.groups.counting_mut().get_or_insert_default().change(key, group.clone());
        let complete = self.groups.listed().is_some();
        match (self.groups.reading_mut(), group) {
            (Some(tree), group) if complete => concerned.extend(tree.change(key, group)),
            (Some(tree), Some(group)) => tree.put(key, group),
            (Some(tree), None) => tree.remove(key),
            (None, _) => {}
        }
        concerned
    }

    /// Reads all groups, if none were read so far.
    async fn know_groups(&mut self) -> Result<(), SourceError> {
        if self.groups.counting().is_some() {
            return Ok(());
        }
        let (mut tree, mut cookie) = (Tree::default(), Vec::new());
        loop {
            let search = self.search_groups();
            let (entries, next) = self.link().await?.page("list groups", search, (ROWS, cookie)).await?;
            self.take_groups(&mut tree, entries).await?;
            let Some(next) = next else { break };
            cookie = next;
        }
        *self.groups.counting_mut() = Some(tree);
        Ok(())
    }

    async fn take_groups(&mut self, tree: &mut Tree, entries: Vec<Entry>) -> Result<(), SourceError> {
        for entry in entries {
            let key = self.key(&entry)?;
            match self.group(entry).await? {
                Some(group) => tree.put(key, group),
                None => tree.remove(key),
            }
        }
        Ok(())
    }

    async fn follow(&mut self) -> Result<Changes, SourceError> {
        self.link().await?;
        self.know_groups().await?;
        let before = self.position.clone();
        let Hints { touched, entries, cursor, more, mut resync, silent } = match self.settings.sync {
            Sync::Syncrepl => self.hear(before).await?,
            Sync::DirSync => self.ask_dirsync(before).await?,
            Sync::Poll if self.settings.flavor == Flavor::Ad => self.ask_usn(before).await?,
            Sync::Poll => self.ask_modified(before).await?,
        };
        let due = self.due();
        let more = more || due.len() == DUE;
        let again = self.read_again(touched, entries, &due).await;
        // People whose time has come but who could not be read are read the next time.
        let Again { mut observations, hidden, trouble } =
            again.inspect_err(|_| self.timers.extend(due.into_iter().map(|key| (Timestamp::MIN, key))))?;
        resync |= self.doubts(hidden) | std::mem::take(&mut self.reopened);
        if let Some(older) = self.tell_older() {
            // INVARIANT: this comes first, as everything beside it was read from the older server.
            observations.insert(0, older);
            resync = true;
        }
        let silent = silent || self.doubt;
        self.followed = true;
        self.position = cursor.clone().or(self.position.take());
        let cursor = cursor.and_then(|cursor| cursor.text());
        Ok(Changes { observations, cursor, more, resync, silent, trouble })
    }

    /// The people whose status ends now, by what was last read.
    fn due(&mut self) -> Vec<Key> {
        let now = self.now();
        let mut due = Vec::new();
        while due.len() < DUE
            && let Some((_, key)) = self.timers.first().copied().filter(|(time, _)| *time <= now)
        {
            self.timers.pop_first();
            due.push(key);
        }
        due
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
        let mut found = self.link().await?.list("look up a person", search).await?.into_iter();
        let (Some(entry), None) = (found.next(), found.next()) else { return Ok(None) };
        let key = self.key(&entry)?;
        if self.groups.listed().is_none() {
            // Nobody was listed yet, so this cannot be for the listing.
            let person = self.person(key, &entry)?;
            return self.is_current().map(|()| person);
        }
        // It may be for the listing; anybody else is read again after it.
        let person = self.listed(key, &entry)?;
        self.groups.told(key);
        self.is_current().map(|()| person)
    }
}

/// A search for the entry with this name.
fn at_base(base: &str, attributes: &[&str]) -> Search {
    Search {
        base: base.to_owned(),
        scope: Scope::Base,
        filter: ANY.to_owned(),
        attributes: attributes.iter().map(|name| (*name).to_owned()).collect(),
        controls: Vec::new(),
        limit: 0,
    }
}

#[async_trait]
impl Directory for Ldap {
    fn long_polls(&self) -> bool {
        self.0.settings.sync == Sync::Syncrepl
    }

    fn events_show_rollback(&self) -> bool {
        true
    }

    fn open(&mut self, kept: Option<String>) {
        self.0.position = kept.as_deref().and_then(Cursor::parse);
    }

    async fn changes(&mut self) -> Result<Changes, SourceError> {
        if let Some(again) = self.0.outbox.again() {
            return Ok(again);
        }
        let changes = self.0.follow().await.inspect_err(|error| {
            self.0.disconnect();
            // If a right is missing, say, only a listing remains.
            self.0.followed &= matches!(error, SourceError::Unreachable { .. });
        })?;
        Ok(self.0.outbox.give(changes))
    }

    fn acknowledged(&mut self) {
        self.0.outbox.acknowledged();
        self.0.was_told();
    }

    async fn page(&mut self, token: Option<PageToken>) -> Result<Page, SourceError> {
        let position = token.map(|token| token.read()).transpose()?;
        let page = self.0.list_on(position).await;
        let mut page = page.inspect_err(|error| self.0.stop_listing(error))?;
        // After these people, and before the end that would make them count.
        page.observations.extend(self.0.tell_older());
        Ok(page)
    }

    async fn look_up(&mut self, attribute: &str, value: &str) -> Result<Option<Person>, SourceError> {
        let found = self.0.find(attribute, value).await;
        // A record that cannot be read does not mean that the connection is broken.
        let keeps = |error: &SourceError| matches!(error, SourceError::Misconfigured { .. });
        found.inspect_err(|error| {
            if !keeps(error) {
                self.0.disconnect()
            }
        })
    }

    fn listing_over(&mut self, outcome: ListingOutcome) {
        self.0.conclude(outcome);
    }

    async fn examine(&mut self) -> Vec<Finding> {
        examine::examine(&mut self.0).await
    }
}
