//! What every provider that is asked has in common.

use async_trait::async_trait;

use super::error::SourceError;
use super::page::{Page, PageToken};
use crate::domain::command::Observation;
use crate::domain::person::Person;
use crate::domain::time::Timestamp;

/// What happened at a provider since it was last asked.
#[derive(Debug, Default)]
pub struct Changes {
    /// What to take in, in this order.
    pub observations: Vec<Observation>,
    /// What to keep for a restart once these changes are taken in; `None`: what was kept before is still right.
    pub cursor: Option<String>,
    /// There is more already: ask again at once.
    pub more: bool,
    /// Something happened that only a full listing can tell.
    pub resync: bool,
    /// The provider does not tell everything that happens: what is known is as old as the last full listing.
    pub silent: bool,
    /// What could not be asked, where the rest could.
    pub trouble: Option<SourceError>,
}

/// What to tell of a provider that is older than it was; `how` that is seen.
pub(super) fn went_back(source: &str, how: &str) -> Observation {
    let because = format!("the provider went back to an older state, as if restored from a backup: {how}");
    Observation::RolledBack { source: source.to_owned(), because }
}

/// How a listing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListingOutcome {
    /// It is in force.
    Accepted,
    /// It failed, is held back, or another one takes its place.
    Dropped,
}

/// What was found where a source was examined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How grave it is.
    pub grade: Grade,
    /// What was looked at.
    pub what: &'static str,
    /// What was found, and what to do about it.
    pub text: String,
}

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As it should be.
    Good,
    /// Something will be slower or missing.
    Warning,
    /// It will not work.
    Bad,
}

impl Grade {
    /// The word in listings.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Warning => "warning",
            Self::Bad => "error",
        }
    }
}

/// A provider that is asked: events for speed, a full listing for truth.
///
/// It keeps a connection, its position in the provider's events, and what it needs to make sense of answers. It never keeps
/// what is known of people: the writer compares.
///
/// # Position
///
/// - [`open`](Self::open) is called once, before the first request, with the cursor that was kept at the last run. Without
///   one, or with one that is of no use any more (another server, another filter, unreadable), events are read from now on;
///   the listing that follows every start tells what happened before.
/// - [`changes`](Self::changes) continues from where the directory itself stands. Nobody hands it a cursor again.
/// - [`acknowledged`](Self::acknowledged) says that everything it gave last (changes or a page) was taken in, and the cursor
///   was kept. Only then may it move on. Until then `changes` gives the same again, without asking the provider: after an
///   append that failed nothing is lost, and nothing newer overtakes it. What was acknowledged is not given again, except
///   where the provider has nothing but timestamps and an overlap is read each time (LDAP with `sync: poll`).
/// - A round that fails gives nothing and moves nothing: the next one reads the same events again. Where only a part fails,
///   [`Changes::trouble`] says so. What the directory will read again by itself stays ahead of the cursor; anything else is
///   left to the next listing.
/// - After a restart it goes on from the last cursor that was kept. That one may lie behind what was taken in, never ahead:
///   the writer hears some things twice, and misses nothing. A directory without cursors (the file) has only its listing.
///
/// # Listings
///
/// A listing is read page by page, and `changes` in between; neither moves the position of the other. A page that failed,
/// or was not taken in, is asked for again with the same token. A listing begins with the page without a token, which
/// ends any listing before it, and ends with [`listing_over`](Self::listing_over). Until it is accepted its groups give
/// nobody anything, unless nothing was known before it.
#[async_trait]
pub trait Directory: Send + 'static {
    /// Whether [`Directory::changes`] waits by itself until something happens, for about a second at most.
    fn long_polls(&self) -> bool {
        false
    }

    /// Whether events show that the provider is an older one (a restored backup). Then they are asked before a listing begins:
    /// a listing of an older one would give back what was taken.
    fn events_show_rollback(&self) -> bool {
        false
    }

    /// Goes on from `kept`, the last cursor that was kept; without one from now on.
    fn open(&mut self, kept: Option<String>);

    /// What happened since; the same again where it was not acknowledged.
    ///
    /// # Errors
    /// [`SourceError`]; then nothing was given, and the same is asked again.
    async fn changes(&mut self) -> Result<Changes, SourceError>;

    /// What was given last was taken in as a whole.
    fn acknowledged(&mut self);

    /// A page of a full listing: the first, or that of `token`.
    ///
    /// # Errors
    /// [`SourceError`]; then the same page is asked for again, or the listing is begun anew.
    async fn page(&mut self, token: Option<PageToken>) -> Result<Page, SourceError>;

    /// The listing on its way is over.
    fn listing_over(&mut self, outcome: ListingOutcome);

    /// The one person of whom `attribute` is `value`; nobody where there is none, or more than one.
    ///
    /// # Errors
    /// [`SourceError`]; then nothing is concluded.
    async fn look_up(&mut self, attribute: &str, value: &str) -> Result<Option<Person>, SourceError>;

    /// Tries everything that it will need, and says what is missing.
    async fn examine(&mut self) -> Vec<Finding>;

    /// What time it was at the provider when it last answered, where it says so.
    fn date(&self) -> Option<Timestamp> {
        None
    }
}
