//! Who is no longer found: gone, or only out of our sight.
//!
//! A server gives the same empty success for an entry that does not exist and for one that we may not read. So before
//! anybody is reported gone, other entries are looked for with the same rights.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use ldap3::Scope;
use ldap3::controls::RawControl;

use super::entry::{Entry, Key};
use super::link::Search;
use super::{Client, Flavor, NOTHING, ber};
use crate::domain::command::Observation;
use crate::domain::name::dn::{self, normal};
use crate::source::error::SourceError;

/// How many other entries are looked for. Some of them may be gone by now too.
const OTHERS: usize = 3;
/// The shortest interval between listings that are requested because of doubts.
const BETWEEN: Duration = Duration::from_secs(60);
/// There is no such entry.
const NONE: u32 = 32;

/// Where and when somebody was last seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LastSeen {
    /// A hash of the entry's name.
    pub(super) name: u64,
    /// A hash of the parent entry's name: rights are mostly granted by parent.
    above: u64,
    /// How many listings had begun.
    listing: u64,
}

/// Where somebody was who is not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum LastKnown {
    /// Below the entry with this hash of its name.
    Below(u64),
    /// Among the groups.
    Groups,
    /// Unknown, as not everybody was listed yet.
    Anywhere,
}

impl LastSeen {
    /// Seen under this name.
    pub(super) fn at(dn: &str, listing: u64) -> Self {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let spelt = normal(dn);
        let above = dn::above(&spelt);
        Self { name: hasher.hash_one(dn), above: hasher.hash_one(above), listing }
    }

    /// Whether they were in this listing, or were seen since.
    pub(super) fn is_from(&self, listing: u64) -> bool {
        self.listing >= listing
    }
}

/// The error for this many entries that are out of sight.
pub(super) fn out_of_sight(hidden: usize) -> Option<SourceError> {
    let advice = format!(
        "{hidden} changed entries cannot be found, and no entry beside them either: `bind_dn` has lost the right to read \
         entries there, or all of them are gone; a full listing will tell"
    );
    (hidden > 0).then_some(SourceError::Forbidden { step: "read a changed entry", advice })
}

fn is_deleted(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| entry.is("isDeleted", "true"))
}

impl Client {
    /// Whether everybody should be listed because somebody (else) is out of sight: only a listing and its guard can
    /// decide. While a right is missing, each change raises such a doubt, and one listing answers all of them.
    pub(super) fn doubts(&mut self, hidden: bool) -> bool {
        let now = self.now();
        self.doubt |= hidden;
        let early = self.judged.is_some_and(|judged| judged <= now && now < judged.plus(BETWEEN));
        let due = self.doubt && !early;
        if due {
            (self.doubt, self.judged) = (false, Some(now));
        }
        due
    }

    /// The entries that may be gone or only out of sight.
    pub(super) async fn hidden(&mut self, found: &[(Key, Option<Entry>)]) -> Result<BTreeSet<Key>, SourceError> {
        let touched: BTreeSet<Key> = found.iter().map(|(key, _)| *key).collect();
        let mut hidden = BTreeSet::new();
        let mut sights: HashMap<LastKnown, bool> = HashMap::new();
        for (key, _) in found.iter().filter(|(_, entry)| entry.is_none()) {
            let Some(place) = self.place(*key) else { continue };
            let in_sight = match sights.get(&place) {
                Some(known) => *known,
                None => match place {
                    LastKnown::Groups => self.sees_groups(&touched).await?,
                    LastKnown::Below(above) => self.sees_people(Some(above), &touched).await?,
                    LastKnown::Anywhere => self.sees_people(None, &touched).await?,
                },
            };
            sights.insert(place, in_sight);
            if !in_sight {
                hidden.insert(*key);
            }
        }
        Ok(hidden)
    }

    /// Where somebody was who is not found; `None` if that concerns nobody.
    fn place(&self, key: Key) -> Option<LastKnown> {
        match self.known.get(&key) {
            Some(seen) => Some(LastKnown::Below(seen.above)),
            None if self.groups.counting().is_some_and(|tree| tree.contains(key)) => Some(LastKnown::Groups),
            None => (self.whole == 0).then_some(LastKnown::Anywhere),
        }
    }

    /// Whether any person is visible who was not touched: below the same parent if people are or were known there, else
    /// anywhere.
    async fn sees_people(&mut self, above: Option<u64>, touched: &BTreeSet<Key>) -> Result<bool, SourceError> {
        let others = self.known.iter().filter(|(key, _)| !touched.contains(key));
        let (beside, elsewhere): (Vec<_>, Vec<_>) = others.partition(|(_, seen)| Some(seen.above) == above);
        // People who were not in the last listing may be long gone. But if it had nobody of a parent, that parent is
        // out of sight until somebody there is found again.
        let current = |(_, seen): &&(&Key, &LastSeen)| seen.listing >= self.whole;
        let mut others: Vec<_> = beside.iter().filter(current).take(OTHERS).collect();
        if others.is_empty() {
            others = beside.iter().take(OTHERS).collect();
        }
        if others.is_empty() {
            others = elsewhere.iter().filter(current).take(OTHERS).collect();
        }
        let filter: String = others.into_iter().map(|(key, _)| self.by_key(**key)).collect();
        let filter = if filter.is_empty() { filter } else { format!("(|{filter})") };
        let search = self.search_people(Some(filter.as_str()).filter(|filter| !filter.is_empty()));
        self.sees(search).await
    }

    /// Whether a group is visible that was not touched, if there is any.
    async fn sees_groups(&mut self, touched: &BTreeSet<Key>) -> Result<bool, SourceError> {
        let keys = self.groups.counting().into_iter().flat_map(super::Tree::keys).filter(|key| !touched.contains(key));
        let filter: String = keys.take(OTHERS).map(|key| self.by_key(key)).collect();
        if filter.is_empty() {
            return Ok(true);
        }
        let filter = format!("(&{}(|{filter}))", self.groups_filter());
        let search = self.search(&self.settings.base_dn, filter);
        self.sees(search).await
    }

    /// Whether this search finds anything.
    async fn sees(&mut self, search: Search) -> Result<bool, SourceError> {
        let step = "check that other entries are still visible";
        let search = Search { attributes: vec![NOTHING.to_owned()], limit: 1, ..search };
        let found = self.link().await?.search(step, search).await?;
        if found.entries.is_empty() && found.result.rc != NONE {
            super::failure::checked(step, &found.result)?;
        }
        Ok(!found.entries.is_empty())
    }

    /// What to report about somebody who was touched.
    pub(super) async fn outcome(&mut self, key: Key, entry: Option<Entry>) -> Result<Vec<Observation>, SourceError> {
        if let Some(entry) = &entry
            && let Some(person) = self.person(key, entry)?
        {
            let mut found: Vec<Observation> = self.password(key, entry).into_iter().collect();
            found.push(Observation::Change { person, at: None, event_id: None });
            return Ok(found);
        }
        // Not a person any more, or not here: moved or deleted.
        let person = self.id(key);
        if self.known.remove(&key).is_none() {
            // The keys of other deleted entries come too. Until everybody was listed once, it is unknown which are
            // people.
            let told = if self.whole > 0 { None } else { Some(Observation::UnknownDeleted { person }) };
            return Ok(told.into_iter().collect());
        }
        let elsewhere = entry.is_some() || self.is_elsewhere(key).await?;
        if !elsewhere {
            self.age.deleted(key);
        }
        let what = if elsewhere { "moved away" } else { "deleted" };
        tracing::info!(source.name = %self.settings.name, person = %key, what, "person left the directory");
        Ok(vec![Observation::Deleted { person, at: None }])
    }

    /// Whether an entry still exists, of any class and anywhere below `base_dn`.
    async fn is_elsewhere(&mut self, key: Key) -> Result<bool, SourceError> {
        let filter = self.by_key(key);
        let search = Search { attributes: vec![NOTHING.to_owned()], ..self.search(&self.settings.base_dn, filter) };
        Ok(!self.link().await?.list("look for a missing entry", search).await?.is_empty())
    }

    /// Whether Active Directory shows deleted entries. It does not say what it hides. But the container of deleted
    /// entries counts as deleted itself, and whoever may read its attribute for that may read its contents. Finding the
    /// container is not enough: Samba shows it, but nothing in it, to everybody.
    pub(super) async fn sees_deletions(&mut self, context: &str) -> Result<bool, SourceError> {
        let sees = self.reads_container(context).await?;
        self.take_to_tell(sees);
        Ok(sees)
    }

    /// Whether DirSync reports deletions. At Microsoft the right to DirSync is enough. Since CVE-2023-4154 Samba also
    /// requires the right to the entries, and omits those that are not readable. Read from the beginning, DirSync names
    /// whatever is or was deleted: at least the container.
    pub(super) async fn hears_deletions(&mut self, context: &str) -> Result<bool, SourceError> {
        let mut hears = self.reads_container(context).await?;
        if !hears {
            hears = match self.dirsync_tells {
                Some(tells) => tells,
                None => self.dirsync_names_deleted(context).await?,
            };
            self.dirsync_tells = Some(hears);
        }
        self.take_to_tell(hears);
        Ok(hears)
    }

    async fn reads_container(&mut self, context: &str) -> Result<bool, SourceError> {
        let container = format!("CN=Deleted Objects,{context}");
        let search = Search { scope: Scope::Base, ..self.search_deleted(&container, ber::show_deleted()) };
        let found = self.link().await?.search("look for deleted entries", search).await?;
        Ok(is_deleted(&found.entries))
    }

    async fn dirsync_names_deleted(&mut self, context: &str) -> Result<bool, SourceError> {
        let step = "read deletions (DirSync)";
        let search = Search { limit: 1, ..self.search_deleted(context, ber::dirsync(&[])) };
        let found = self.link().await?.search(step, search).await?;
        if found.entries.is_empty() {
            super::failure::checked(step, &found.result)?;
        }
        Ok(is_deleted(&found.entries))
    }

    fn search_deleted(&self, base: &str, control: RawControl) -> Search {
        let (attributes, controls) = (vec!["isDeleted".to_owned()], vec![control]);
        Search { attributes, controls, ..self.search(base, "(isDeleted=TRUE)".to_owned()) }
    }

    fn take_to_tell(&mut self, tells: bool) {
        if std::mem::replace(&mut self.tells_deletions, tells) && !tells {
            tracing::warn!(
                source.name = %self.settings.name,
                "cannot see deleted entries; deletions are found by full listings only"
            );
        }
    }

    /// Whether deletions are reported, as far as is known; otherwise only a listing shows them.
    pub(super) fn tells_deletions(&self) -> bool {
        self.tells_deletions && (self.settings.sync, self.settings.flavor) != (super::Sync::Poll, Flavor::OpenLdap)
    }
}
