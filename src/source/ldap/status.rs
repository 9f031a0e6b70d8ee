//! Whether an entry's owner works here, by the attributes of each kind of server, and since when the password is valid.

use std::time::Duration;

use super::entry::{Entry, file_time};
use crate::domain::person::Status;
use crate::domain::settings::ldap::Flavor;
use crate::domain::time::Timestamp;

/// A password change that is older than this cuts nothing off: no access token lives longer.
const RECENT: Duration = Duration::from_secs(30 * 86_400);
/// What ppolicy writes for an account that is locked permanently.
const FOR_GOOD: &str = "000001010000";
/// `accountExpires`: the start of the year 10000.
const NEVER: i64 = 2_650_467_744_000_000_000;
/// `userAccountControl`: the account is disabled.
const DISABLED: i64 = 0x2;

/// The attributes that these rules read. Most are operational, and returned only if requested by name.
pub(super) const ATTRIBUTES: [&str; 14] = [
    "pwdAccountLockedTime",
    "pwdStartTime",
    "pwdEndTime",
    "pwdChangedTime",
    "nsAccountLock",
    "shadowExpire",
    "shadowInactive",
    "shadowMax",
    "shadowLastChange",
    "userAccountControl",
    "accountExpires",
    "pwdLastSet",
    "modifyTimestamp",
    "isDeleted",
];

/// What an entry says about its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// The current status.
    pub(super) status: Status,
    /// When to evaluate it again: the entry is not written at that time.
    pub(super) until: Option<Timestamp>,
}

/// What an entry says about its owner at this time.
pub(super) fn standing(entry: &Entry, flavor: Flavor, now: Timestamp) -> Standing {
    let (locked, from, to) = match flavor {
        Flavor::OpenLdap => (is_locked(entry, now), entry.time("pwdStartTime"), openldap_end(entry)),
        Flavor::Ad => {
            let control = entry.number("userAccountControl").unwrap_or(0);
            (control & DISABLED != 0, None, expiry(entry.number("accountExpires")))
        }
    };
    let outside = from.is_some_and(|from| now < from) || to.is_some_and(|to| now >= to);
    // An end before the beginning means that the account is never valid.
    let never = from.zip(to).is_some_and(|(from, to)| from >= to);
    let status = if locked || outside || never { Status::Suspended } else { Status::Active };
    let until = [from, to].into_iter().flatten().filter(|time| *time > now).min();
    Standing { status, until }
}

/// Whether somebody locked the account. A lock because of guessed passwords ends by itself and is not a departure.
fn is_locked(entry: &Entry, now: Timestamp) -> bool {
    let for_good = entry.texts("pwdAccountLockedTime").any(|time| time.starts_with(FOR_GOOD));
    for_good || entry.is("nsAccountLock", "true") || is_inactive(entry, now)
}

/// RFC 2307: the password expired too long ago. It applies only if all attributes are set. A last change on day 0 does
/// not count: the password must be changed at the next login (shadow(5)), and its age is unknown.
fn is_inactive(entry: &Entry, now: Timestamp) -> bool {
    let set = |name: &str| entry.number(name).filter(|days| *days >= 0);
    let days = set("shadowLastChange").filter(|day| *day > 0).zip(set("shadowMax")).zip(set("shadowInactive"));
    days.is_some_and(|((last, max), inactive)| {
        let end = last.saturating_add(max).saturating_add(inactive);
        now.as_millis().div_euclid(86_400_000) > end
    })
}

fn openldap_end(entry: &Entry) -> Option<Timestamp> {
    let day = |days: i64| Timestamp::from_millis(days.saturating_mul(86_400_000));
    // Day 0 means 1970 to some tools and "never" to others (shadow(5)). Treating it as 1970 is safe: somebody who is
    // wrongly out complains; somebody who is wrongly in does not.
    let expires = entry.number("shadowExpire").filter(|days| *days >= 0).map(day);
    [entry.time("pwdEndTime"), expires].into_iter().flatten().min()
}

/// `accountExpires`. 0 and the highest number mean "never". Samba writes a slightly lower number for it, so everything
/// beyond the year 9999 counts as never too.
fn expiry(ticks: Option<i64>) -> Option<Timestamp> {
    ticks.filter(|ticks| (1..NEVER).contains(ticks)).and_then(file_time)
}

/// When the password was last changed, if that is recent enough to matter.
pub(super) fn password_changed(entry: &Entry, flavor: Flavor, now: Timestamp) -> Option<Timestamp> {
    let changed = match flavor {
        Flavor::OpenLdap => entry.time("pwdChangedTime"),
        Flavor::Ad => entry.number("pwdLastSet").filter(|ticks| *ticks > 0).and_then(file_time),
    };
    changed.filter(|changed| changed.plus(RECENT) > now)
}
