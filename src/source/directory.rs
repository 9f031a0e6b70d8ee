//! What every provider that is asked has in common.

use std::future::Future;

use super::error::SourceError;
use crate::domain::command::Observation;
use crate::domain::person::{Person, PersonId};
use crate::domain::time::Timestamp;

/// What happened at a provider since it was last asked.
#[derive(Debug, Default)]
pub struct Changes {
    /// In the order in which they must be taken in.
    pub observations: Vec<Observation>,
    /// From where to go on, once they are; kept for a restart.
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
    let because = format!("the provider is older than it was, as if restored from a backup: {how}");
    Observation::RolledBack { source: source.to_owned(), because }
}

/// A piece of a full listing.
#[derive(Debug)]
pub struct Page<P> {
    /// Who is in it.
    pub people: Vec<Person>,
    /// Who is out only because another list leaves them out, as they are then: judged like somebody whom this listing
    /// leaves out, and looked up before they are believed to be.
    pub doubted: Vec<Person>,
    /// Who is in it, and cannot be read: they are there, and stay as they are known.
    pub unread: Vec<PersonId>,
    /// What it tells beside: cut-offs, disabled clients.
    pub observations: Vec<Observation>,
    /// Where the next piece begins; `None`: that was all.
    pub next: Option<P>,
    /// How many people the provider counts, with the last piece.
    pub count: Option<usize>,
}

impl<P> Page<P> {
    /// These people, and where the next piece begins.
    #[must_use]
    pub fn of(people: Vec<Person>, next: Option<P>) -> Self {
        Self { people, doubted: vec![], unread: vec![], observations: vec![], next, count: None }
    }

    /// The same, with the place of the next piece as something else.
    pub fn with_token<Q>(self, token: impl FnOnce(P) -> Q) -> Page<Q> {
        let Self { people, doubted, unread, observations, next, count } = self;
        Page { people, doubted, unread, observations, next: next.map(token), count }
    }
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
/// It keeps a connection and what it needs to make sense of answers, never what is known of people: the writer
/// compares. Whoever works with any of them does by [`DynDirectory`](super::dyn_directory::DynDirectory).
pub trait Directory: Send + 'static {
    /// Where a listing goes on. Cloned, so that a piece that failed can be asked for again.
    type PageToken: Clone + Send + Sync + 'static;

    /// Whether [`Directory::changes`] waits by itself until something happens, for a second at most.
    fn waits(&self) -> bool {
        false
    }

    /// Whether it is the events that tell that the provider is an older one (a restored backup). Then nobody is listed before
    /// they were asked: a listing of an older one would give back what was taken.
    fn goes_back(&self) -> bool {
        false
    }

    /// What happened since `cursor`; without one, from now on.
    ///
    /// # Errors
    /// [`SourceError`]; then the same is asked again.
    fn changes(&mut self, cursor: Option<&str>) -> impl Future<Output = Result<Changes, SourceError>> + Send;

    /// A piece of a full listing, from its beginning or from `place`.
    ///
    /// # Errors
    /// [`SourceError`]; then the same piece is asked for again, or the listing is begun anew.
    fn page(
        &mut self,
        place: Option<Self::PageToken>,
    ) -> impl Future<Output = Result<Page<Self::PageToken>, SourceError>> + Send;

    /// What was heard, or listed, last was taken in as a whole. Until then it may not have been, and has to be said again where
    /// nothing else says it.
    fn taken_in(&mut self) {}

    /// The listing that is on its way is over: it was taken, or is of no use. Until it was taken, nothing of it may give
    /// anybody anything, unless nothing was known before it.
    fn concluded(&mut self, taken: bool) {
        let _ = taken;
    }

    /// The one person of whom `attribute` is `value`; nobody where there is none, or more than one.
    ///
    /// # Errors
    /// [`SourceError`]; then nothing is concluded.
    fn look_up(
        &mut self,
        attribute: &str,
        value: &str,
    ) -> impl Future<Output = Result<Option<Person>, SourceError>> + Send;

    /// Tries everything that it will need, and says what is missing.
    fn examine(&mut self) -> impl Future<Output = Vec<Finding>> + Send;

    /// What time it was at the provider when it last answered, where it says so.
    fn date(&self) -> Option<Timestamp> {
        None
    }
}
