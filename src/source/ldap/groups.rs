//! Groups, their members, and whose groups a change of one affects.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::entry::{Entry, Key};
use crate::domain::name::Compare;
use crate::domain::settings::ldap::Flavor;
use crate::source::names::Names;

/// Object classes of groups.
pub(super) const CLASSES: [&str; 6] =
    ["groupOfNames", "groupOfUniqueNames", "posixGroup", "groupOfMembers", "group", "groupOfEntries"];
/// The attributes that are read of a group.
pub(super) const ATTRIBUTES: [&str; 6] = ["objectClass", "cn", "member", "uniqueMember", "memberUid", "objectSid"];

/// How a group refers to a member.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Member {
    /// By the entry's name, normalized.
    Dn(String),
    /// By user name.
    Uid(String),
    /// Not at all: it is an account's primary group, with this SID.
    Primary(Vec<u8>),
}

/// The name of an entry, equal for all spellings that are equivalent. A membership gives access, so letters that case
/// folding would turn into other characters do not match.
fn identical(dn: &str) -> String {
    Compare::DistinguishedName.fold(dn).strict().to_owned()
}

impl Member {
    /// The member with this name.
    pub(super) fn called(dn: &str) -> Self {
        Self::Dn(identical(dn))
    }
}

/// A group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    dn: String,
    name: Option<String>,
    sid: Option<Vec<u8>>,
    members: BTreeSet<Member>,
}

impl Group {
    /// The group of an entry, if it is one.
    pub(super) fn read(entry: &Entry) -> Option<Self> {
        if !CLASSES.iter().any(|class| entry.is("objectClass", class)) {
            return None;
        }
        let unique = entry.texts("uniqueMember").map(without_uid);
        let by_dn = entry.texts("member").chain(unique).map(Member::called);
        let by_uid = entry.texts("memberUid").map(|uid| Member::Uid(uid.to_owned()));
        Some(Self {
            dn: entry.dn.clone(),
            name: entry.text("cn").map(str::to_owned),
            sid: entry.bytes("objectSid").map(<[u8]>::to_vec),
            members: by_dn.chain(by_uid).collect(),
        })
    }

    /// Everybody in it: its members, and the accounts whose primary group it is.
    fn concerned(&self) -> impl Iterator<Item = Member> {
        self.members.iter().cloned().chain(self.sid.clone().map(Member::Primary))
    }
}

/// A group's `cn`, normalized.
fn spelt(name: &str) -> String {
    Compare::Prepared.fold(name).text.into_owned()
}

/// The name in a value of `uniqueMember`, without the identifier that may follow it: `#`, and binary digits as
/// `'0101'B` (RFC 4517 section 3.3.21). A `#` in the name itself is not escaped, so the last one counts.
fn without_uid(value: &str) -> &str {
    let is_uid = |text: &str| {
        let digits = text.strip_prefix('\'').and_then(|text| text.strip_suffix("'B"));
        digits.is_some_and(|digits| digits.bytes().all(|byte| matches!(byte, b'0' | b'1')))
    };
    value.rsplit_once('#').filter(|(_, uid)| is_uid(uid)).map_or(value, |(name, _)| name)
}

/// All groups.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    groups: HashMap<Key, Group>,
    by_dn: HashMap<String, Key>,
    by_sid: HashMap<Vec<u8>, Key>,
    by_name: Names<String, Key>,
    of: HashMap<Member, BTreeSet<Key>>,
}

impl Tree {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether this is a group.
    pub(super) fn contains(&self, key: Key) -> bool {
        self.groups.contains_key(&key)
    }

    /// The keys of all groups.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.groups.keys().copied()
    }

    /// Adds a group, or replaces it.
    pub(super) fn put(&mut self, key: Key, group: Group) {
        self.remove(key);
        self.by_dn.insert(identical(&group.dn), key);
        if let Some(sid) = &group.sid {
            self.by_sid.insert(sid.clone(), key);
        }
        if let Some(name) = &group.name {
            self.by_name.add(spelt(name), key);
        }
        for member in &group.members {
            self.of.entry(member.clone()).or_default().insert(key);
        }
        self.groups.insert(key, group);
    }

    /// Removes a group.
    pub(super) fn remove(&mut self, key: Key) {
        let Some(group) = self.groups.remove(&key) else { return };
        let dn = identical(&group.dn);
        if self.by_dn.get(&dn) == Some(&key) {
            self.by_dn.remove(&dn);
        }
        if let Some(sid) = group.sid.filter(|sid| self.by_sid.get(sid) == Some(&key)) {
            self.by_sid.remove(&sid);
        }
        if let Some(name) = group.name {
            self.by_name.remove(&spelt(&name), key);
        }
        for member in group.members {
            if let Some(keys) = self.of.get_mut(&member) {
                keys.remove(&key);
                if keys.is_empty() {
                    self.of.remove(&member);
                }
            }
        }
    }

    /// The names of all groups of a person, direct and through other groups. Each group counts by its DN and, if no
    /// other has the same, by its `cn`.
    pub(super) fn flat(&self, members: impl IntoIterator<Item = Member>) -> Vec<String> {
        let mut names = BTreeSet::new();
        let mut seen = HashSet::new();
        let mut next: Vec<Key> = Vec::new();
        for member in members {
            match &member {
                Member::Primary(sid) => next.extend(self.by_sid.get(sid)),
                Member::Dn(_) | Member::Uid(_) => next.extend(self.of.get(&member).into_iter().flatten()),
            }
        }
        while let Some(key) = next.pop() {
            let Some(group) = self.groups.get(&key).filter(|_| seen.insert(key)) else { continue };
            names.insert(group.dn.clone());
            let alone = |name: &&String| self.by_name.is_unique(&spelt(name));
            names.extend(group.name.as_ref().filter(alone).cloned());
            next.extend(self.of.get(&Member::called(&group.dn)).into_iter().flatten());
        }
        names.into_iter().collect()
    }

    /// Takes in what became of a group; returns the members whose groups change.
    pub(super) fn change(&mut self, key: Key, group: Option<Group>) -> Vec<Member> {
        if self.groups.get(&key) == group.as_ref() {
            return Vec::new();
        }
        let mut touched: Vec<Key> = vec![key];
        let old = self.groups.get(&key);
        // A name that two groups have counts for neither, so members of the other one gain or lose it.
        for name in [old, group.as_ref()].into_iter().flatten().filter_map(|group| group.name.as_ref()) {
            touched.extend(self.by_name.holders(&spelt(name)));
        }
        let arriving = group.iter().flat_map(Group::concerned);
        let mut concerned = self.below(touched, arriving.collect());
        let before: Vec<(Member, Vec<String>)> =
            concerned.iter().map(|member| (member.clone(), self.flat([member.clone()]))).collect();
        match group {
            Some(group) => self.put(key, group),
            None => self.remove(key),
        }
        concerned.clear();
        let changed = before.into_iter().filter(|(member, before)| self.flat([member.clone()]) != *before);
        changed.map(|(member, _)| member).filter(|member| !self.is_group(member)).collect()
    }

    fn is_group(&self, member: &Member) -> bool {
        matches!(member, Member::Dn(dn) if self.by_dn.contains_key(dn))
    }

    /// All members of these groups, and these members, direct and through other groups.
    fn below(&self, groups: Vec<Key>, members: BTreeSet<Member>) -> BTreeSet<Member> {
        let mut found = members.clone();
        let inner = |member: &Member| match member {
            Member::Dn(dn) => self.by_dn.get(dn).copied(),
            Member::Uid(_) | Member::Primary(_) => None,
        };
        let mut next = groups;
        next.extend(members.iter().filter_map(inner));
        let mut seen = HashSet::new();
        while let Some(key) = next.pop() {
            let Some(group) = self.groups.get(&key).filter(|_| seen.insert(key)) else { continue };
            next.extend(group.members.iter().filter_map(inner));
            found.extend(group.concerned());
        }
        found
    }
}

/// The SID of an account's primary group: its own domain with `primaryGroupID`.
pub(super) fn primary(entry: &Entry, flavor: Flavor) -> Option<Vec<u8>> {
    let rid = entry.number("primaryGroupID").filter(|_| flavor == Flavor::Ad)?;
    let own = entry.bytes("objectSid")?;
    let domain = own.get(..own.len().checked_sub(4)?)?;
    Some([domain, &u32::try_from(rid).ok()?.to_le_bytes()].concat())
}

/// The last number of a SID, which identifies an account or a group within its domain.
pub(super) fn last_number(sid: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(*sid.last_chunk::<4>()?))
}

/// For an attribute with too many values for one answer: its name, and where the next part begins.
pub(super) fn range(attribute: &str) -> Option<(&str, Option<usize>)> {
    let (name, span) = attribute.split_once(";range=")?;
    let (_, last) = span.split_once('-')?;
    match last {
        "*" => Some((name, None)),
        last => Some((name, Some(last.parse::<usize>().ok()?.checked_add(1)?))),
    }
}
