//! The position in the changes, and whether a server is behind it: restored from a backup, or lagging.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;

/// The position in the changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Cursor {
    /// A cookie of RFC 4533, in base64.
    Sync(String),
    /// A cookie of DirSync.
    DirSync(DirSync),
    /// The highest `modifyTimestamp`.
    Modified(Modified),
    /// The highest `uSNChanged` of one domain controller.
    Usn(Counter),
}

/// A cookie of DirSync, in base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum DirSync {
    /// The form of earlier versions, and for servers whose counter is not readable.
    Bare(String),
    /// Cookies are opaque, and a restored domain controller may accept one too. So the controller's counter at that
    /// time is kept.
    Counted {
        cookie: String,
        #[serde(flatten)]
        counter: Counter,
    },
}

impl DirSync {
    pub(super) fn of(cookie: String, counter: Option<Counter>) -> Self {
        match counter {
            Some(counter) => Self::Counted { cookie, counter },
            None => Self::Bare(cookie),
        }
    }

    pub(super) fn cookie(&self) -> &str {
        match self {
            Self::Bare(cookie) | Self::Counted { cookie, .. } => cookie,
        }
    }

    pub(super) fn counter(&self) -> Option<&Counter> {
        match self {
            Self::Bare(_) => None,
            Self::Counted { counter, .. } => Some(counter),
        }
    }
}

/// The highest `modifyTimestamp`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Modified {
    /// The form of earlier versions, and for servers without a readable `contextCSN`.
    Bare(Timestamp),
    /// With the values of `contextCSN`, separated by semicolons.
    State { newest: Timestamp, state: String },
}

impl Modified {
    pub(super) fn of(newest: Timestamp, state: Option<String>) -> Self {
        match state {
            Some(state) => Self::State { newest, state },
            None => Self::Bare(newest),
        }
    }

    pub(super) fn newest(&self) -> Timestamp {
        match self {
            Self::Bare(newest) | Self::State { newest, .. } => *newest,
        }
    }

    pub(super) fn state(&self) -> Option<&str> {
        match self {
            Self::Bare(_) => None,
            Self::State { state, .. } => Some(state),
        }
    }
}

/// The change counter of a domain controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counter {
    /// Its `dsServiceName`.
    pub(super) server: String,
    /// The `invocationId` of its database, if readable. A restored database gets a new one.
    #[serde(default)]
    pub(super) database: Option<String>,
    /// Its `highestCommittedUSN`.
    pub(super) last: i64,
}

impl Counter {
    /// Whether it continues the count of `before`. Each domain controller has its own counter, and a restored database
    /// starts a new one.
    pub(super) fn goes_on_from(&self, before: &Self) -> bool {
        self.server == before.server && self.database == before.database && self.last >= before.last
    }

    /// How it shows that the database is older; `None` for another domain controller.
    pub(super) fn went_back_from(&self, before: &Self) -> Option<String> {
        if self.server != before.server {
            return None;
        }
        if let (Some(was), Some(is)) = (&before.database, &self.database)
            && was != is
        {
            return Some(format!("the `invocationId` of its database was {was} and is {is}"));
        }
        let (was, is) = (before.last, self.last);
        (is < was).then(|| format!("its `highestCommittedUSN` went from {was} back to {is}"))
    }
}

impl Cursor {
    /// Parses a stored cursor.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The text to store.
    pub(super) fn text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}

/// How a cookie of RFC 4533 is older than an earlier one. Each server has its own format. Those of OpenLDAP and 389 DS
/// are known; other formats say nothing.
pub(super) fn older_cookie(before: &[u8], now: &[u8]) -> Option<String> {
    let (before, now) = (std::str::from_utf8(before).ok()?, std::str::from_utf8(now).ok()?);
    let csn = |cookie: &'_ str| cookie.split(',').find_map(|part| part.strip_prefix("csn=")).map(str::to_owned);
    if let (Some(before), Some(now)) = (csn(before), csn(now)) {
        return older_state(&before, &now);
    }
    // `SERVER#CLIENT#NUMBER`.
    let ((was_of, was), (is_of, is)) = (before.rsplit_once('#')?, now.rsplit_once('#')?);
    let (was, is) = (was.parse::<u64>().ok()?, is.parse::<u64>().ok()?);
    (was_of == is_of && is < was).then(|| format!("its change number went from {was} back to {is}"))
}

/// How one state of an OpenLDAP server is older than another. A state is the newest change of each server of a
/// replicated database, separated by semicolons. Servers that are in only one of the states do not count.
pub(super) fn older_state(before: &str, now: &str) -> Option<String> {
    let before = changes(before);
    changes(now).into_iter().find_map(|(server, is)| {
        let was = before.get(server).filter(|was| is < **was)?;
        Some(format!("its newest change (`contextCSN`) was {was} and is {is}"))
    })
}

/// The newest changes `TIME#COUNT#SERVER#PART`, by server. All times have the same length, so they can be compared as
/// text.
fn changes(state: &str) -> BTreeMap<&str, &str> {
    let server = |change: &'_ str| change.match_indices('#').nth(1).map(|(at, _)| at + 1);
    let each = state.split(';').filter_map(|change| {
        let from = server(change)?;
        Some((change.get(from..)?.split('#').next()?, change))
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(server: &str, database: Option<&str>, last: i64) -> Counter {
        Counter { server: server.into(), database: database.map(str::to_owned), last }
    }

    #[test]
    fn what_earlier_versions_kept_is_read() {
        let usn = r#"{"usn":{"server":"CN=DC1","database":"d","last":7}}"#;
        assert_eq!(Cursor::parse(usn), Some(Cursor::Usn(counter("CN=DC1", Some("d"), 7))));
        assert_eq!(Cursor::parse(usn).unwrap().text().unwrap(), usn);
        let old = r#"{"usn":{"server":"CN=DC1","last":7}}"#;
        assert_eq!(Cursor::parse(old), Some(Cursor::Usn(counter("CN=DC1", None, 7))));
        let bare = Cursor::DirSync(DirSync::Bare("TVNEUw==".into()));
        assert_eq!(Cursor::parse(r#"{"dirsync":"TVNEUw=="}"#), Some(bare));
        let bare = Cursor::Modified(Modified::Bare(Timestamp::from_millis(7_000)));
        assert_eq!(Cursor::parse(&bare.text().unwrap()), Some(bare.clone()));
        assert_eq!(bare.text().unwrap(), r#"{"modified":7000}"#);
        for new in [
            Cursor::DirSync(DirSync::of("TVM=".into(), Some(counter("CN=DC2", None, 9)))),
            Cursor::Modified(Modified::of(Timestamp::from_millis(9), Some("a#b#c#d".into()))),
        ] {
            assert_eq!(Cursor::parse(&new.text().unwrap()), Some(new));
        }
    }

    #[test]
    fn a_state_that_lies_behind() {
        let one = "20261130120000.000000Z#000000#001#000000";
        let two = "20261130110000.000000Z#000000#002#000000";
        let newer = "20261130120000.000001Z#000000#001#000000";
        let counted = "20261130120000.000000Z#000001#001#000000";
        let cookie = |csn: &str| format!("rid=000,sid=003,csn={csn}").into_bytes();
        for (before, now, older) in [
            (newer, one, true),
            (counted, one, true),
            (one, one, false),
            (one, newer, false),
            (one, two, false),
            (&format!("{newer};{two}"), &format!("{two};{one}"), true),
            (&format!("{one};{two}"), newer, false),
            ("", one, false),
            (newer, "", false),
            (newer, "garbage;#;##;###", false),
        ] {
            assert_eq!(older_state(before, now).is_some(), older, "{before} {now}");
            assert_eq!(older_cookie(&cookie(before), &cookie(now)).is_some(), older, "{before} {now}");
        }
        assert!(older_cookie(&cookie(newer), &cookie(one)).unwrap().contains(one));
        let other = |number: u64| format!("ds.example.org:389#cn=sync:ou=people:(uid=*)#{number}").into_bytes();
        assert!(older_cookie(&other(120), &other(99)).is_some() && older_cookie(&other(99), &other(120)).is_none());
        assert!(older_cookie(&other(9), &cookie(one)).is_none() && older_cookie(b"\xff", b"\xff").is_none());
    }

    #[test]
    fn a_counter_that_lies_behind() {
        let before = counter("DC1", Some("a"), 90);
        for (now, older, goes_on) in [
            (counter("DC1", Some("a"), 90), false, true),
            (counter("DC1", Some("a"), 91), false, true),
            (counter("DC1", Some("a"), 89), true, false),
            (counter("DC1", Some("b"), 120), true, false),
            (counter("DC1", None, 120), false, false),
            (counter("DC1", None, 12), true, false),
            (counter("DC2", Some("c"), 12), false, false),
        ] {
            assert_eq!((now.went_back_from(&before).is_some(), now.goes_on_from(&before)), (older, goes_on), "{now:?}");
        }
    }
}
