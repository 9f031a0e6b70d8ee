//! What the control API shows, as plain values. The application fills them from the state it holds.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use tokio_stream::Stream;

use crate::domain::event::{EndCause, Epoch, Exemption};
use crate::domain::guard::{HeldListing, Removals};
use crate::domain::id::RevocationId;
use crate::domain::person::{Person, PersonId, Status};
use crate::domain::revocation::{Revocation, Target, TargetKind};
use crate::domain::time::{Now, Timestamp};

/// Which revocations are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevocationFilter {
    /// Those that concern this REF; `None`: all.
    pub reference: Option<String>,
    /// Also those that have ended.
    pub ended: bool,
    /// Those that are older than this one.
    pub before: Option<RevocationId>,
    /// So many at most.
    pub limit: usize,
}

/// One revocation and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationView {
    /// `rN`, or `file:line` of a configured one.
    pub id: String,
    /// What stands in the log.
    pub revocation: Revocation,
    /// When and why it ended, if it has.
    pub ended: Option<(Timestamp, EndCause)>,
}

/// One person and what this replica knows beside the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonView {
    /// What the source says.
    pub person: Person,
    /// Roles that they hold now.
    pub roles: Vec<String>,
    /// API keys that they own, by public id.
    pub keys: Vec<String>,
    /// What denies them now.
    pub revocations: Vec<RevocationView>,
    /// Last allow for each service.
    pub last_allows: Vec<(String, Timestamp)>,
    /// Live streams under guard.
    pub open_streams: u64,
    /// Break glass in force until then.
    pub exempted_until: Option<Timestamp>,
}

/// Which people are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeopleFilter {
    /// Those of this status.
    pub status: Option<Status>,
    /// Those of this source.
    pub source: Option<String>,
    /// Those behind this one, in order of source and key.
    pub after: Option<PersonId>,
    /// At most so many.
    pub limit: usize,
}

/// What dies with a revocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreviewView {
    /// Whom it concerns.
    pub people: Vec<PersonView>,
    /// API keys that stop working beside theirs.
    pub keys: Vec<String>,
    /// Live streams that are cut.
    pub open_streams: u64,
    /// What to think of before acting.
    pub warnings: Vec<String>,
    /// That nothing like it was ever seen, and where to look then.
    pub unseen: Option<String>,
}

/// The state of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceView {
    /// Its name.
    pub name: String,
    /// Time of its last full sync; `None`: never.
    pub last_sync: Option<Timestamp>,
    /// Past its `max_staleness`.
    pub stale: bool,
    /// Up to when everything that happened there is known.
    pub last_heard: Option<Timestamp>,
    /// The listing that is held back.
    pub held: Option<Arc<HeldListing>>,
    /// What its listings left out lately, and since when.
    pub left_out: Option<(Timestamp, Removals)>,
    /// How many of ten thousand are announced to leave, until when.
    pub expected: Option<(u32, Timestamp)>,
    /// How asking it goes; `None`: nobody asks it.
    pub health: Option<SourceHealth>,
    /// Its people by status.
    pub people: Vec<(Status, u64)>,
}

/// How asking a source goes, in this replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceHealth {
    /// When its events were last read to the end.
    pub last_poll: Option<Timestamp>,
    /// Of the listing on its way: since when, and how many people so far.
    pub sweep: Option<(Timestamp, u64)>,
    /// The last failure, as long as nothing has succeeded since: when, and in words.
    pub trouble: Option<(Timestamp, String)>,
    /// How often it failed since it last succeeded.
    pub failures: u64,
}

/// One thing that was found where a source was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindingView {
    /// `ok`, `warning` or `error`.
    pub grade: &'static str,
    /// What was looked at.
    pub what: String,
    /// What was found, and what to do about it.
    pub text: String,
}

/// The state of one issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IssuerView {
    /// Its name.
    pub name: String,
    /// Keys in use.
    pub keys: u64,
    /// When they were last fetched; `None`: never.
    pub last_fetched: Option<Timestamp>,
    /// Keys of its set that are not used, or not for every token.
    pub left_out: Vec<UnusableKeyView>,
    /// What the last fetch failed with, as long as none has succeeded since.
    pub trouble: Option<String>,
}

/// A key of an issuer that is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnusableKeyView {
    /// Which key of the set it is, counted from 1.
    pub number: u64,
    /// Its `kid`, where it has one.
    pub kid: Option<String>,
    /// Why, in words.
    pub reason: String,
}

/// The state of this replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusView {
    /// Its name.
    pub replica: String,
    /// What it waits for; empty: it is ready.
    pub waiting_for: Vec<String>,
    /// Up to where it enforces the log.
    pub epoch: Epoch,
    /// Hash of the configuration in force.
    pub configuration: String,
    /// `enforce` or `observe`.
    pub enforcement: String,
    /// Kind of the store.
    pub store: String,
    /// Sources.
    pub sources: Vec<SourceView>,
    /// Issuers.
    pub issuers: Vec<IssuerView>,
    /// Live revocations by kind of target.
    pub revocations: BTreeMap<TargetKind, u64>,
    /// Audit records that were lost since the start.
    pub audit_lost: u64,
    /// Break glass in force.
    pub exemptions: Vec<Arc<Exemption>>,
    /// Services that enforce and still let through what is not ours, with the keys that say so.
    pub passes: Vec<(Arc<str>, Vec<&'static str>)>,
}

/// What is to be explained.
#[derive(Clone, PartialEq, Eq)]
pub enum Question {
    /// A recent decision, by its id.
    Decision(String),
    /// A request, as a proxy would describe it.
    Request {
        /// HTTP method.
        method: String,
        /// Host.
        host: String,
        /// Path, with its query.
        path: String,
        /// Headers; they may hold credentials.
        headers: Vec<(String, String)>,
    },
}

/// One step of a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepView {
    /// What was asked.
    pub question: String,
    /// What was found.
    pub answer: String,
    /// What made it so.
    pub cause: String,
}

/// A decision, step by step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Whether the request goes on.
    pub allowed: bool,
    /// Reason code.
    pub reason: String,
    /// The steps in order.
    pub steps: Vec<StepView>,
    /// Name of the service.
    pub service: String,
    /// Whose request it is, where that is known.
    pub person: Option<PersonId>,
    /// Up to where the log was enforced.
    pub epoch: Epoch,
    /// Name of the decision, if it was a recent one.
    pub decision_id: Option<String>,
}

/// Audit records as JSON lines.
pub type Lines = Pin<Box<dyn Stream<Item = String> + Send>>;

/// What the application knows. What decides is in memory; texts come from the log.
#[async_trait]
pub trait Views: Send + Sync + 'static {
    /// What time it is.
    fn now(&self) -> Now;
    /// Whether what has this key is in force; `None` if the log cannot be asked.
    async fn outcome(&self, key: &str) -> Option<bool>;
    /// Revocations, newest first.
    async fn revocations(&self, filter: &RevocationFilter) -> Vec<RevocationView>;
    /// Everybody whom a REF may mean, one or several per source.
    async fn person(&self, reference: &str) -> Vec<PersonView>;
    /// People in order of source and key.
    async fn people(&self, filter: &PeopleFilter) -> Vec<PersonView>;
    /// What would die with a revocation of this target.
    async fn preview(&self, target: &Target) -> PreviewView;
    /// The state of this replica.
    async fn status(&self) -> StatusView;
    /// Names that several people of a source have, each with their keys.
    async fn shared_names(&self, source: &str) -> Vec<String>;
    /// Asks a source at once; with `full`, for everybody. Answered when that is enforced.
    ///
    /// # Errors
    /// Why it came to nothing.
    async fn sync_source(&self, name: &str, full: bool) -> Result<(), String>;
    /// Has a source list everybody soon; nobody waits for that.
    fn list_soon(&self, name: &str);
    /// Tries everything that a source needs, and says how its links fare; also with a token, where one is given.
    ///
    /// # Errors
    /// There is no such source.
    async fn check_source(&self, name: &str, sample: Option<&str>) -> Result<Vec<FindingView>, String>;
    /// Why a decision was made, or would be; `None`: no recent decision has this id.
    async fn explain(&self, question: Question) -> Option<Explanation>;
    /// Audit records from now on: of this person, of this kind, where given.
    ///
    /// # Errors
    /// There is no such kind.
    fn tail(&self, person: Option<PersonId>, kind: Option<&str>) -> Result<Lines, String>;
}
