//! Whether entries show that a server went back to an older state. The finding stays until the writer has taken it in.

use std::collections::HashMap;

use super::entry::{Entry, Key};
use super::{Client, Flavor};
use crate::domain::command::Observation;
use crate::domain::time::Timestamp;
use crate::source::directory::went_back;
use crate::source::error::SourceError;

/// A server's number for the last change of an entry: `TIME#COUNT#SERVER#PART` (draft-chu-ldap-csn, section 2). A
/// server numbers each change higher than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Csn {
    /// Year to second, as digits.
    second: u64,
    micros: u32,
    count: u32,
    server: u32,
    part: u32,
}

impl Csn {
    /// Parses it; OpenLDAP before 2.4 has no fraction.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('#');
        let time = parts.next()?.strip_suffix('Z')?;
        let (second, micros) = time.split_once('.').unwrap_or((time, "0"));
        let mut hex = || u32::from_str_radix(parts.next()?, 16).ok();
        let (count, server, part) = (hex()?, hex()?, hex()?);
        Some(Self { second: second.parse().ok()?, micros: micros.parse().ok()?, count, server, part })
    }
}

/// The version of an entry when it was last seen.
#[derive(Clone, Copy, Debug)]
struct Version {
    /// Its `entryCSN`, if it has one that is readable.
    csn: Option<Csn>,
    /// Its `modifyTimestamp`, in whole seconds: two changes may have the same.
    stamp: Option<Timestamp>,
    /// The server has reported it deleted. An `entryUUID` is never reused (RFC 4530, section 2).
    deleted: bool,
}

impl Version {
    /// How an entry with the version `now` went back.
    fn went_back(&self, now: &Self, entry: &Entry) -> Option<String> {
        if let Some((was, is)) = self.csn.zip(now.csn) {
            let text = entry.text("entryCSN").unwrap_or_default();
            let older = is < was || (self.deleted && is == was);
            return older.then(|| match self.deleted {
                true => format!("it was deleted, and is there again with the `entryCSN` {text}"),
                false => format!("its `entryCSN` went back to {text}"),
            });
        }
        let (was, is) = self.stamp.zip(now.stamp)?;
        (is < was).then(|| format!("its `modifyTimestamp` went from {was} back to {is}"))
    }
}

/// The versions of people and groups that were seen, and whether they show an older server.
#[derive(Debug, Default)]
pub(super) struct Age {
    versions: HashMap<Key, Version>,
    /// How it shows that the server is older; the writer has not taken it in.
    back: Option<String>,
    /// It was given to the writer, and the result is not known yet.
    telling: bool,
}

impl Age {
    /// Notes that the server is older; `how` it shows.
    pub(super) fn is_older(&mut self, how: String) {
        self.back.get_or_insert(how);
    }

    /// An entry was read.
    pub(super) fn read(&mut self, key: Key, entry: &Entry) {
        let csn = entry.text("entryCSN").and_then(Csn::parse);
        let now = Version { csn, stamp: entry.time("modifyTimestamp"), deleted: false };
        let how = self.versions.insert(key, now).and_then(|before| before.went_back(&now, entry));
        if let Some(how) = how {
            self.is_older(format!("of entry {key}, {how}"));
        }
    }

    /// The server reported an entry deleted.
    pub(super) fn deleted(&mut self, key: Key) {
        self.versions.entry(key).and_modify(|version| version.deleted = true);
    }
}

impl Client {
    /// Takes in the version of an entry. Active Directory is excluded: each domain controller has its own counter and
    /// stamps.
    pub(super) fn compare(&mut self, key: Key, entry: &Entry) {
        if self.settings.flavor == Flavor::OpenLdap {
            self.age.read(key, entry);
        }
    }

    /// What to report to the writer about it. It is repeated until [`Client::was_told`].
    pub(super) fn tell_older(&mut self) -> Option<Observation> {
        let how = self.age.back.as_deref()?;
        (self.age.telling, self.older) = (true, true);
        Some(went_back(&self.settings.name, how))
    }

    /// The writer has taken in what it was given last.
    pub(super) fn was_told(&mut self) {
        if std::mem::take(&mut self.age.telling) {
            self.age.back = None;
        }
    }

    /// Fails until the writer knows that the server is older. A look-up returns one person by themselves, so until then
    /// it returns nobody.
    ///
    /// # Errors
    /// [`SourceError::Unreachable`] until the writer knows.
    pub(super) fn is_current(&self) -> Result<(), SourceError> {
        let error = |how: &String| SourceError::Unreachable {
            step: "look up a person",
            cause: format!("the server is older than it was ({how}), and that is told first"),
        };
        self.age.back.as_ref().map(error).map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "20261130174711.000412Z#000000#000#000000";
    const LATER: &str = "20261130174711.000413Z#000000#000#000000";

    fn key() -> Key {
        Key::of_uuid(&[7; 16]).unwrap()
    }

    fn entry(csn: Option<&str>, stamp: &str) -> Entry {
        let value = |text: &str| vec![text.as_bytes().to_vec()];
        let mut entry = Entry { dn: "uid=dora,dc=example".to_owned(), ..Entry::default() };
        entry.attributes.insert("modifytimestamp".to_owned(), value(stamp));
        entry.attributes.extend(csn.map(|csn| ("entrycsn".to_owned(), value(csn))));
        entry
    }

    /// Whether the second of these shows that the server is older than at the first.
    fn older(before: &Entry, now: &Entry, deleted: bool) -> bool {
        let mut age = Age::default();
        age.read(key(), before);
        if deleted {
            age.deleted(key());
        }
        age.read(key(), now);
        age.back.is_some()
    }

    #[test]
    fn numbers_of_changes_are_in_the_order_of_the_changes() {
        let order = [
            "20051231235959Z#000001#00#000000",
            "20261130174711.000412Z#000000#000#000000",
            "20261130174711.000412Z#00000a#000#000000",
            "20261130174711.000412Z#00000a#002#000000",
            "20261130174711.000413Z#000000#001#000000",
            "20261130174712.000000Z#000000#001#000000",
        ];
        let read: Vec<Csn> = order.iter().map(|text| Csn::parse(text).unwrap()).collect();
        assert!(read.is_sorted_by(|one, next| one < next), "{read:?}");
        for garbage in ["", "#", "20261130174711Z", "20261130174711#0#0#0", "20261130174711Z#x#0#0", "Z#0#0#0"] {
            assert_eq!(Csn::parse(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn an_entry_that_went_back() {
        let (second, earlier) = ("20261130174711Z", "20261130174710Z");
        let of = |csn| entry(Some(csn), second);
        assert!(older(&of(LATER), &of(FIRST), false), "within one second");
        assert!(!older(&of(FIRST), &of(LATER), false) && !older(&of(FIRST), &of(FIRST), false));
        assert!(older(&of(FIRST), &of(FIRST), true) && older(&of(LATER), &of(FIRST), true));
        assert!(!older(&of(FIRST), &of(LATER), true), "it was added again");
        let bare = |stamp| entry(None, stamp);
        assert!(older(&bare(second), &bare(earlier), false) && !older(&bare(second), &bare(second), false));
        // A right to read `entryCSN` that is granted or removed means nothing.
        assert!(!older(&of(LATER), &bare(second), false) && !older(&bare(second), &of(FIRST), false));
    }

    #[test]
    fn what_was_seen_stays_until_it_was_told() {
        let mut client = super::super::tests::client(Flavor::OpenLdap);
        client.compare(key(), &entry(Some(LATER), "20261130174711Z"));
        assert!(client.is_current().is_ok() && client.tell_older().is_none());
        client.compare(key(), &entry(Some(FIRST), "20261130174711Z"));
        // A confirmation of earlier reports does not confirm this one.
        client.was_told();
        assert!(client.is_current().is_err());
        for _ in 0..2 {
            client.disconnect();
            client.conclude(crate::source::directory::ListingOutcome::Dropped);
            client.compare(key(), &entry(Some(FIRST), "20261130174711Z"));
            assert!(matches!(client.tell_older(), Some(Observation::RolledBack { .. })));
        }
        client.was_told();
        assert!(client.is_current().is_ok() && client.tell_older().is_none());
    }
}
