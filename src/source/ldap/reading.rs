//! From entries to people, and from changed entries to what to report about them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ldap3::{Scope, ldap_escape};

use super::entry::{Entry, Key};
use super::gone::LastSeen;
use super::groups::{self, Group, Member};
use super::link::Search;
use super::status::{self, password_changed, standing};
use super::{Client, Flavor, ROWS, at_base, failure, gone};
use crate::domain::command::Observation;
use crate::domain::name::dn::{is_within, normal};
use crate::domain::person::{Person, PersonId};
use crate::domain::revocation::Target;
use crate::source::error::SourceError;

/// Object classes of people.
const PEOPLE: [&str; 4] = ["person", "organizationalPerson", "inetOrgPerson", "posixAccount"];
/// If a change of groups affects more people than this, they are not read one by one.
const CONCERNED: usize = 100;
/// How long after a rename the person is read again.
const MENDED: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(5)];

/// The result of reading entries again.
pub(super) struct Again {
    pub(super) observations: Vec<Observation>,
    /// Somebody is out of sight: nothing is known about them.
    pub(super) hidden: bool,
    /// An error that concerned only a part.
    pub(super) trouble: Option<SourceError>,
}

impl Client {
    /// The LDAP name of an attribute that `link` uses. Active Directory seldom has a `uid`.
    pub(super) fn called<'a>(&self, attribute: &'a str) -> &'a str {
        match (attribute, self.settings.flavor) {
            ("email", _) => "mail",
            ("username" | "uid", Flavor::Ad) => "sAMAccountName",
            ("username", Flavor::OpenLdap) => "uid",
            (other, _) => other,
        }
    }

    pub(super) fn people_filter(&self) -> &str {
        match (&self.settings.people_filter, self.settings.flavor) {
            (Some(filter), _) => filter,
            (None, Flavor::OpenLdap) => "(|(objectClass=person)(objectClass=posixAccount))",
            (None, Flavor::Ad) => "(&(objectCategory=person)(objectClass=user))",
        }
    }

    pub(super) fn groups_filter(&self) -> String {
        match self.settings.flavor {
            Flavor::Ad => "(objectCategory=group)".to_owned(),
            Flavor::OpenLdap => {
                let classes: String = groups::CLASSES.iter().map(|class| format!("(objectClass={class})")).collect();
                format!("(|{classes})")
            }
        }
    }

    /// A filter for people and groups.
    pub(super) fn everything(&self) -> String {
        format!("(|{}{})", self.people_filter(), self.groups_filter())
    }

    pub(super) fn key_attribute(&self) -> &'static str {
        match self.settings.flavor {
            Flavor::OpenLdap => "entryUUID",
            Flavor::Ad => "objectGUID",
        }
    }

    /// A filter for everything that is or was a person or group in Active Directory. A deleted entry loses its
    /// `objectCategory`, and the filter for people does not find somebody who no longer matches `people_filter`.
    pub(super) fn anything(&self) -> String {
        format!("(|{}(objectClass=user)(objectClass=group)(isDeleted=TRUE))", self.people_filter())
    }

    /// A filter for the entry with this key.
    pub(super) fn by_key(&self, key: Key) -> String {
        match self.settings.flavor {
            Flavor::OpenLdap => format!("(entryUUID={key})"),
            Flavor::Ad => format!("(objectGUID={})", key.guid_filter()),
        }
    }

    /// The attributes that are read of people and groups.
    pub(super) fn attributes(&self) -> Vec<String> {
        let own = ["username", "email"].map(|name| self.called(name));
        let further = self.settings.attributes.iter().map(|name| self.called(name));
        let fixed = [self.key_attribute(), "primaryGroupID"].into_iter().chain(own);
        let version = (self.settings.flavor == Flavor::OpenLdap).then_some("entryCSN");
        let all = fixed.chain(version).chain(status::ATTRIBUTES).chain(groups::ATTRIBUTES).chain(further);
        all.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect()
    }

    /// Searches all people, or those for whom `condition` holds.
    pub(super) fn search_people(&self, condition: Option<&str>) -> Search {
        let filter = match condition {
            None => self.people_filter().to_owned(),
            Some(condition) => format!("(&{}{condition})", self.people_filter()),
        };
        self.search(&self.settings.people_dn, filter)
    }

    pub(super) fn search_groups(&self) -> Search {
        self.search(&self.settings.base_dn, self.groups_filter())
    }

    pub(super) fn search(&self, base: &str, filter: String) -> Search {
        let attributes = self.attributes();
        Search { base: base.to_owned(), scope: Scope::Subtree, filter, attributes, controls: Vec::new(), limit: 0 }
    }

    /// The key of an entry. An unreadable key is an error: without it an entry cannot be followed.
    pub(super) fn key(&self, entry: &Entry) -> Result<Key, SourceError> {
        let name = self.key_attribute();
        let key = match self.settings.flavor {
            Flavor::OpenLdap => entry.text(name).and_then(Key::parse),
            Flavor::Ad => entry.bytes(name).and_then(Key::of_guid),
        };
        let missing = || SourceError::Misconfigured {
            step: "read an entry",
            // Without a key only the DN is left. It is not a secret, but contains somebody's name.
            what: format!(
                "`{name}` of `{}` cannot be read: `bind_dn` needs the right to read it for every entry",
                failure::shown(&entry.dn)
            ),
        };
        key.ok_or_else(missing)
    }

    pub(super) fn id(&self, key: Key) -> PersonId {
        PersonId { source: self.settings.name.clone(), key: key.to_string() }
    }

    fn is_person(&self, entry: &Entry) -> bool {
        let is_group = groups::CLASSES.iter().any(|class| entry.is("objectClass", class));
        let is_both = PEOPLE.iter().any(|class| entry.is("objectClass", class));
        (!is_group || is_both) && is_within(&normal(&entry.dn), &self.people_dn) && !entry.is("isDeleted", "true")
    }

    /// The person of an entry; `None` if it lies elsewhere.
    ///
    /// # Errors
    /// [`SourceError::Misconfigured`] if the entry does not show whether the account is disabled: there is no default
    /// for that.
    pub(super) fn person(&mut self, key: Key, entry: &Entry) -> Result<Option<Person>, SourceError> {
        self.groups.told(key);
        let groups = self.groups.counting().map(|tree| tree.flat(self.named(entry))).unwrap_or_default();
        Ok(self.without_groups(key, entry)?.map(|person| Person { groups, ..person }))
    }

    /// The same for the running listing, with the groups that it read.
    ///
    /// # Errors
    /// As for [`Client::person`].
    pub(super) fn listed(&mut self, key: Key, entry: &Entry) -> Result<Option<Person>, SourceError> {
        let groups = self.groups.reading().map(|tree| tree.flat(self.named(entry))).unwrap_or_default();
        Ok(self.without_groups(key, entry)?.map(|person| Person { groups, ..person }))
    }

    fn without_groups(&mut self, key: Key, entry: &Entry) -> Result<Option<Person>, SourceError> {
        if !self.is_person(entry) {
            return Ok(None);
        }
        let is_account = self.settings.flavor == Flavor::Ad && entry.is("objectClass", "user");
        if is_account && entry.number("userAccountControl").is_none() {
            let what = "`userAccountControl` cannot be read: `bind_dn` needs the right to read it for every account"
                .to_owned();
            return Err(SourceError::Misconfigured { step: "read an entry", what });
        }
        // Locks are operational attributes. If those were hidden, nobody would be locked, and every lock would end.
        if self.settings.flavor == Flavor::OpenLdap && entry.text("modifyTimestamp").is_none() {
            let what = format!(
                "`modifyTimestamp` of {key} cannot be read, and then no lock can be: `bind_dn` needs the right to read \
                 operational attributes, of every entry"
            );
            return Err(SourceError::Misconfigured { step: "read an entry", what });
        }
        let now = self.now();
        let seen = LastSeen::at(&entry.dn, self.listings);
        let before = self.known.insert(key, seen);
        self.compare(key, entry);
        if before.is_some_and(|before| before.name != seen.name) {
            // The server updates the groups that named them slightly later, and reports nothing (OpenLDAP, refint).
            self.timers.extend(MENDED.map(|after| (now.plus(after), key)));
        }
        self.newest = self.newest.max(entry.time("modifyTimestamp"));
        let standing = standing(entry, self.settings.flavor, now);
        self.timers.extend(standing.until.map(|until| (until, key)));
        // A server's stamp is not used as the version: after a restore from a backup it goes back.
        let mut person = Person::new(self.id(key), standing.status);
        for name in ["email", "username"].into_iter().chain(self.settings.attributes.iter().map(String::as_str)) {
            person.set_values(name, entry.all(self.called(name)));
        }
        Ok(Some(person))
    }

    /// Tokens from before the password was changed are invalid.
    pub(super) fn password(&self, key: Key, entry: &Entry) -> Option<Observation> {
        let at = password_changed(entry, self.settings.flavor, self.now()).filter(|_| self.is_person(entry))?;
        Some(Observation::CutOff {
            source: self.settings.name.clone(),
            target: Target::DirectoryPerson { person: self.id(key) },
            at,
            reason: "password changed".to_owned(),
        })
    }

    /// The group of an entry, if it is one, with all its members: a server may return them in parts.
    pub(super) async fn group(&mut self, mut entry: Entry) -> Result<Option<Group>, SourceError> {
        while let Some((attribute, next)) = next_range(&mut entry) {
            let name = format!("{attribute};range={next}-*");
            let more = self.link().await?.list("read the rest of a group", at_base(&entry.dn, &[&name])).await?;
            let rest = more.into_iter().next().map(|entry| entry.attributes).unwrap_or_default();
            let before = entry.attributes.len();
            entry.attributes.extend(rest.into_iter().filter(|(name, _)| name.contains(";range=")));
            if entry.attributes.len() == before {
                let what =
                    format!("the server does not return the remaining members of `{}`", failure::shown(&entry.dn));
                return Err(SourceError::Malformed { step: "read the rest of a group", what });
            }
        }
        let group = Group::read(&entry);
        if group.is_some() {
            self.compare(self.key(&entry)?, &entry);
        }
        Ok(group)
    }

    /// Reads the changed entries again, and returns what to report about them.
    pub(super) async fn read_again(
        &mut self,
        touched: BTreeSet<Key>,
        entries: Vec<Entry>,
        due: &[Key],
    ) -> Result<Again, SourceError> {
        let mut people: BTreeMap<Key, Option<Entry>> = BTreeMap::new();
        let mut concerned: BTreeSet<Member> = BTreeSet::new();
        let mut found = Vec::with_capacity(touched.len() + entries.len());
        for entry in entries {
            found.push((self.key(&entry)?, Some(entry)));
        }
        let said: BTreeSet<Key> = touched.iter().copied().collect();
        for key in touched.into_iter().chain(due.iter().copied().filter(|key| !said.contains(key))) {
            let search = self.search(&self.settings.base_dn, format!("(&{}{})", self.by_key(key), self.everything()));
            found.push((key, self.link().await?.list("read a changed entry", search).await?.into_iter().next()));
        }
        let hidden = self.hidden(&found).await?;
        found.retain(|(key, _)| !hidden.contains(key));
        // Only our own clock asked for these. If they are not found, that is not an event; a listing must decide, as
        // they may be missing from an older server.
        let unsaid = |(key, entry): &(Key, Option<Entry>)| entry.is_none() && !said.contains(key);
        let missed = found.iter().any(|found| unsaid(found) && self.known.contains_key(&found.0));
        found.retain(|found| !unsaid(found));
        // INVARIANT: groups come first, so that people who were touched together with a group have its current members.
        for (key, entry) in found {
            let group = match &entry {
                Some(entry) => self.group(entry.clone()).await?,
                None => None,
            };
            let was_group = self.groups.counting().is_some_and(|tree| tree.contains(key));
            let is_group = group.is_some();
            if was_group && entry.is_none() {
                self.age.deleted(key);
            }
            concerned.extend(self.take_group(key, group));
            if entry.as_ref().is_some_and(|entry| self.is_person(entry)) || !(is_group || was_group) {
                people.insert(key, entry);
            }
        }
        for entry in people.values().flatten() {
            concerned.extend(self.groups_that_name(entry).await?);
        }
        if concerned.len() > CONCERNED {
            self.members(&concerned, &mut people).await?;
        } else {
            for member in &concerned {
                for entry in self.member(member).await? {
                    people.entry(self.key(&entry)?).or_insert(Some(entry));
                }
            }
        }
        let (mut observations, mut trouble) = (Vec::new(), gone::out_of_sight(hidden.len()));
        for (key, entry) in people {
            match self.outcome(key, entry).await {
                Ok(found) => observations.extend(found),
                // They keep their last known state and must not delay anybody else.
                Err(error @ SourceError::Misconfigured { .. }) => trouble = Some(error),
                Err(error) => return Err(error),
            }
        }
        Ok(Again { observations, hidden: missed || !hidden.is_empty(), trouble })
    }

    /// Reads the people to whom groups refer like this; if they are many, reads everybody. A listing would not do, as
    /// its guard holds back removals from many.
    async fn members(
        &mut self,
        concerned: &BTreeSet<Member>,
        people: &mut BTreeMap<Key, Option<Entry>>,
    ) -> Result<(), SourceError> {
        let mut cookie = Some(Vec::new());
        while let Some(next) = cookie {
            let search = self.search_people(None);
            let page = self.link().await?.page("read the members of a group", search, (ROWS, next)).await?;
            for entry in page.0 {
                if self.named(&entry).any(|member| concerned.contains(&member)) {
                    people.entry(self.key(&entry)?).or_insert(Some(entry));
                }
            }
            cookie = page.1;
        }
        Ok(())
    }

    /// How groups refer to somebody.
    fn named<'a>(&self, entry: &'a Entry) -> impl Iterator<Item = Member> + use<'a> {
        let uids = entry.texts(self.called("username")).map(|uid| Member::Uid(uid.to_owned()));
        let primary = groups::primary(entry, self.settings.flavor).map(Member::Primary);
        std::iter::once(Member::called(&entry.dn)).chain(uids).chain(primary)
    }

    /// Reads the groups that refer to somebody again, as a server that updates names in them does not report it.
    /// Returns the members whose groups change.
    async fn groups_that_name(&mut self, entry: &Entry) -> Result<Vec<Member>, SourceError> {
        let dn = ldap_escape(entry.dn.as_str());
        let uids = entry.texts(self.called("username")).map(|uid| format!("(memberUid={})", ldap_escape(uid)));
        let named: String = uids.chain([format!("(member={dn})"), format!("(uniqueMember={dn})")]).collect();
        let search = self.search(&self.settings.base_dn, format!("(&{}(|{named}))", self.groups_filter()));
        let found = self.link().await?.list("read the groups of somebody", search).await?;
        let mut concerned = Vec::new();
        for entry in found {
            let key = self.key(&entry)?;
            let group = self.group(entry).await?;
            concerned.extend(self.take_group(key, group));
        }
        Ok(concerned)
    }

    /// The people to whom a group refers like this.
    async fn member(&mut self, member: &Member) -> Result<Vec<Entry>, SourceError> {
        let step = "read a member of a group";
        let search = match member {
            Member::Dn(dn) if !is_within(dn, &self.people_dn) => return Ok(vec![]),
            Member::Dn(dn) => Search { scope: Scope::Base, ..self.search(dn, self.people_filter().to_owned()) },
            Member::Primary(sid) => {
                let Some(rid) = groups::last_number(sid) else { return Ok(vec![]) };
                return self.pages(self.search_people(Some(&format!("(primaryGroupID={rid})"))), step).await;
            }
            Member::Uid(uid) => {
                self.search_people(Some(&format!("({}={})", self.called("username"), ldap_escape(uid.as_str()))))
            }
        };
        let found = self.link().await?.search(step, search).await?;
        // A group may refer to somebody who is gone.
        if found.result.rc != 32 {
            failure::checked(step, &found.result)?;
        }
        Ok(found.entries)
    }
}

/// Joins the parts of an attribute that was returned in parts, and returns where the next part begins.
fn next_range(entry: &mut Entry) -> Option<(String, usize)> {
    let parts: Vec<String> = entry.attributes.keys().filter(|name| name.contains(";range=")).cloned().collect();
    let mut next = None;
    for part in parts {
        let Some((attribute, more)) = groups::range(&part) else { continue };
        let values = entry.attributes.remove(&part).unwrap_or_default();
        entry.attributes.entry(attribute.to_owned()).or_default().extend(values);
        next = next.or_else(|| more.map(|more| (attribute.to_owned(), more)));
    }
    next
}
