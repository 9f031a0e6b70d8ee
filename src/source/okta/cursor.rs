//! The position in the System Log, and which users are still to be read again.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::events::{Touched, Wanted};
use crate::domain::time::Timestamp;
use crate::source::address::followed;

/// How far back events are read again when reading starts anew: they may become visible late.
const OVERLAP: Duration = Duration::from_secs(300);
/// A start that is not older than this cannot be too old for the log.
const FRESH: Duration = Duration::from_secs(600);

/// Stored across restarts, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The filter with which `next` was requested.
    filter: String,
    /// The next page of the log.
    pub next: Option<String>,
    /// If there is no `next`: the time from which to read, in milliseconds.
    pub since: i64,
    /// The time of the newest event that was read, in milliseconds.
    until: i64,
    /// Always 0: earlier releases counted here, and cannot read a cursor without it.
    #[serde(default)]
    turn: u64,
}

/// The position, with what need not be stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedPosition {
    /// The cursor that may be stored: everything before it was followed.
    pub kept: Cursor,
    /// How far the log was read.
    pub ahead: Cursor,
    /// Users to read again.
    pub users: BTreeMap<String, Touched>,
    /// Users whose record was older than the event that named them; read again at the next poll.
    pub doubted: BTreeMap<String, Touched>,
}

impl FeedPosition {
    /// Continues from the stored cursor.
    #[must_use]
    pub fn at(kept: Cursor) -> Self {
        Self { ahead: kept.clone(), kept, ..Self::default() }
    }

    /// Notes that a user must be read again, and why.
    pub fn touch(&mut self, user: String, touched: Touched) {
        self.users.entry(user).or_default().and(touched);
    }

    /// The user to read next: blocked ones, by the events, come first.
    #[must_use]
    pub fn first(&self) -> Option<(String, Touched)> {
        let first = self.users.iter().min_by_key(|(_, touched)| !touched.is_out());
        first.map(|(user, touched)| (user.clone(), *touched))
    }

    /// The cursor to store now.
    pub fn keep(&mut self) -> &Cursor {
        if self.users.is_empty() && self.doubted.is_empty() {
            self.kept = self.ahead.clone();
        }
        &self.kept
    }
}

impl Cursor {
    /// Starts from now.
    #[must_use]
    pub fn new(now: Timestamp, wanted: &Wanted) -> Self {
        let since = now.minus(OVERLAP).as_millis();
        Self { filter: wanted.name(), since, until: now.as_millis(), ..Self::default() }
    }

    /// Continues from the stored cursor if it matches the current filter and address; returns whether events may have
    /// been missed.
    #[must_use]
    pub fn kept(text: &str, url: &Url, now: Timestamp, wanted: &Wanted) -> (Self, bool) {
        let Ok(mut kept) = serde_json::from_str::<Self>(text) else { return (Self::new(now, wanted), true) };
        if kept.next.as_deref().is_some_and(|next| followed(next, url).is_err()) {
            return (Self::new(now, wanted), true);
        }
        if kept.filter != wanted.name() {
            // The address of the next page contains the filter.
            kept.since = Timestamp::from_millis(kept.until).minus(OVERLAP).as_millis();
            (kept.filter, kept.next) = (wanted.name(), None);
        }
        (kept, false)
    }

    /// The log does not go back that far: start from now.
    pub fn begin_anew(&mut self, now: Timestamp) {
        (self.next, self.since) = (None, now.minus(OVERLAP).as_millis());
    }

    /// Whether the start is so recent that no log can have dropped it.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.next.is_none() && Timestamp::from_millis(self.since).plus(FRESH) >= now
    }

    /// A page was read.
    pub fn go_on(&mut self, next: &Url, newest: Option<i64>) {
        self.next = Some(next.to_string());
        self.until = self.until.max(newest.unwrap_or(self.until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn url() -> Url {
        Url::parse("https://x.okta.com").unwrap()
    }

    fn new() -> Cursor {
        Cursor::new(NOW, &Wanted::default())
    }

    fn kept(change: impl FnOnce(&mut Cursor)) -> (Cursor, bool) {
        let mut cursor = new();
        let later = NOW.plus(Duration::from_secs(60)).as_millis();
        cursor.go_on(&Url::parse("https://x.okta.com/api/v1/logs?after=1").unwrap(), Some(later));
        change(&mut cursor);
        Cursor::kept(&serde_json::to_string(&cursor).unwrap(), &url(), NOW, &Wanted::default())
    }

    #[test]
    fn it_goes_on_where_it_was() {
        let (cursor, missed) = kept(|_| {});
        assert_eq!(cursor.next.as_deref(), Some("https://x.okta.com/api/v1/logs?after=1"));
        assert!(!missed);
    }

    #[test]
    fn what_was_kept_by_an_older_release_is_read() {
        let mut kept = serde_json::to_value(new()).unwrap();
        assert_eq!(kept["turn"], 0, "which needs it");
        kept["missed"] = serde_json::json!(["00u1", "00u2"]);
        assert_eq!(Cursor::kept(&kept.to_string(), &url(), NOW, &Wanted::default()), (new(), false));
    }

    #[test]
    fn another_filter_begins_with_an_overlap() {
        let (cursor, missed) = kept(|cursor| cursor.filter = "older".into());
        assert_eq!((cursor.next, missed), (None, false));
        assert_eq!(cursor.since, NOW.as_millis() + 60_000 - 300_000);
        assert_eq!(cursor.filter, Wanted::default().name());
    }

    #[test]
    fn another_organization_begins_anew_with_a_listing() {
        for next in ["https://y.okta.com/api/v1/logs?after=1", "http://x.okta.com/", "nonsense"] {
            let (cursor, missed) = kept(|cursor| cursor.next = Some(next.into()));
            assert_eq!((cursor, missed), (new(), true), "{next}");
        }
        assert_eq!(Cursor::kept("{}", &url(), NOW, &Wanted::default()), (new(), true));
    }

    #[test]
    fn it_is_kept_once_everything_before_it_was_followed() {
        let mut place = FeedPosition::at(new());
        let begun = place.kept.clone();
        place.ahead.go_on(&Url::parse("https://x.okta.com/api/v1/logs?after=2").unwrap(), None);
        place.touch("00u1".into(), Touched { at: 2, ..Touched::default() });
        place.touch("00u2".into(), Touched { at: 1, blocked: Some(1), ..Touched::default() });
        assert_eq!(place.first().unwrap().0, "00u2", "who leaves comes first");
        assert_eq!(*place.keep(), begun, "00u1 and 00u2 are still to be read");
        place.users.clear();
        assert_eq!(place.keep().next.as_deref(), Some("https://x.okta.com/api/v1/logs?after=2"));
    }
}
