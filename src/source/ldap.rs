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

/// Entries that are read at once: the most that Active Directory gives is 1,000.
const ROWS: i32 = 500;
/// Those whose time it is are looked at so many at once: others do not wait for all of them.
const DUE: usize = 200;
/// Nothing of an entry but its name.
const NOTHING: &str = "1.1";
/// Any entry.
const ANY: &str = "(objectClass=*)";

/// A directory that speaks LDAP.
pub struct Ldap(Client);

/// Where a listing goes on. It is bound to its connection.
#[derive(Clone, Debug)]
struct ListingPosition {
    /// Which listing it is.
    listing: u64,
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
    /// Up to where changes were heard; `None`: from now on.
    position: Option<Cursor>,
    outbox: Outbox,
    link: Option<Link>,
    /// The connection of the listing that is on its way: OpenLDAP remembers one place of a search in pages for each
    /// connection, and what is asked between two pieces of a listing may come in pages too.
    lister: Option<Link>,
    /// Why that connection is gone, if it is.
    broken: Option<String>,
    stream: Option<Stream>,
    /// The stream has told everything that happened before it began.
    refreshed: bool,
    /// What the stream says of entries is not needed: a full listing follows.
    draining: bool,
    groups: Staged<Tree, Key>,
    /// What was read of the people of the listing that is on its way.
    listed: Listed,
    /// Listings that were begun.
    listings: u64,
    /// The last of them that came to its end; 0: none, so not everybody is known.
    whole: u64,
    /// Who is a person: a deletion names everything by its key alone.
    known: HashMap<Key, LastSeen>,
    /// Somebody is out of sight, and no listing was asked for yet.
    doubt: bool,
    /// When a listing was last asked for by that.
    judged: Option<Timestamp>,
    /// The server says what it deletes. Until it was asked once, it is taken to.
    tells_deletions: bool,
    /// Whether DirSync does, where the container of what is deleted may not be read; asked once for each connection.
    dirsync_tells: Option<bool>,
    /// Who has to be looked at again when: nothing is written to an entry when it expires.
    timers: BTreeSet<(Timestamp, Key)>,
    /// The highest `modifyTimestamp` that was seen.
    newest: Option<Timestamp>,
    /// How new entries were, and whether the server is older than it was.
    age: Age,
    /// The writer was told, and no listing was taken since.
    older: bool,
    /// It may be another one since: the right one is back, perhaps.
    reopened: bool,
    /// Changes were followed, so that an older server is told by them.
    followed: bool,
}

impl Ldap {
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

    /// After a failure nothing of a connection is trusted any more.
    fn disconnect(&mut self) {
        (self.link, self.stream) = (None, None);
        (self.refreshed, self.draining) = (false, false);
        self.dirsync_tells = None;
    }

    /// A listing is bound to its connection for as long as it is read. Whoever asks for its next piece is told why there is
    /// none.
    fn stop_listing(&mut self, error: &SourceError) {
        self.disconnect();
        self.broken = Some(chain(error)).filter(|_| self.lister.is_some()).or_else(|| self.broken.take());
        self.lister = None;
        if !self.listed.all {
            self.groups.give_up();
        }
    }

    /// The connection; a new one is made where there is none.
    async fn link(&mut self) -> Result<&mut Link, SourceError> {
        if self.link.is_none() {
            let mut link = Link::open(&self.settings.server).await?;
            // A base that is not there is never "everybody left".
            link.list("find `base_dn`", at_base(&self.settings.base_dn, &[NOTHING])).await?;
            self.link = Some(link);
            self.reopened |= self.older;
        }
        self.link.as_mut().ok_or(SourceError::Unreachable { step: "connect", cause: "no connection".to_owned() })
    }

    /// Takes in what became of a group; whose groups are others by that. A listing that is on its way may have read it
    /// before.
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

    /// Reads all groups, where none were read so far.
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
        // Whoever's time it is and could not be read is looked at the next time.
        let Again { mut observations, hidden, trouble } =
            again.inspect_err(|_| self.timers.extend(due.into_iter().map(|key| (Timestamp::MIN, key))))?;
        resync |= self.doubts(hidden) | std::mem::take(&mut self.reopened);
        if let Some(older) = self.tell_older() {
            // First: what is told beside it is told by the older one.
            observations.insert(0, older);
            resync = true;
        }
        let silent = silent || self.doubt;
        self.followed = true;
        self.position = cursor.clone().or(self.position.take());
        let cursor = cursor.and_then(|cursor| cursor.text());
        Ok(Changes { observations, cursor, more, resync, silent, trouble })
    }

    /// Whose standing ends now, by what was read of them.
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
            // Nobody was listed yet by whom this could be for the listing.
            let person = self.person(key, &entry)?;
            return self.is_current().map(|()| person);
        }
        // It may be for the listing; whoever it is for otherwise is read again once that is over.
        let person = self.listed(key, &entry)?;
        self.groups.told(key);
        self.is_current().map(|()| person)
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
            // For want of a right, say: then a listing is all that there is.
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
        // Behind these people, and before the end by which they could count.
        page.observations.extend(self.0.tell_older());
        Ok(page)
    }

    async fn look_up(&mut self, attribute: &str, value: &str) -> Result<Option<Person>, SourceError> {
        let found = self.0.find(attribute, value).await;
        // A record that cannot be read is no fault of the connection's.
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
