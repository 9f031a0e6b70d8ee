//! What the control API shows, as plain values. The application fills them from its state.

mod decisions;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use tokio_stream::Stream;

use super::proto;
use crate::domain::credential::Verified;
use crate::domain::event::{EndCause, Epoch, Exemption};
use crate::domain::guard::{HeldListing, Removals};
use crate::domain::id::RevocationId;
use crate::domain::person::{Person, PersonId, Status};
use crate::domain::revocation::{Revocation, Shape, Target, TargetKind};
use crate::domain::time::{Now, Timestamp};

pub use decisions::{ComparisonView, Explanation, ObservedView, Question, StepView};

/// Which revocations are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevocationFilter {
    /// Those of this REF; `None`: all.
    pub reference: Option<String>,
    /// Include those that have ended.
    pub ended: bool,
    /// Those older than this one.
    pub before: Option<RevocationId>,
    /// At most this many.
    pub limit: usize,
}

/// A revocation and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationView {
    /// `rN`, or `file:line` of a configured one.
    pub id: String,
    /// As recorded in the log.
    pub revocation: Revocation,
    /// When and why it ended, if it did and that is known.
    pub ended: Option<(Timestamp, EndCause)>,
    /// The cut-off that it left when it ended, as far as that is still told from others.
    pub left: Option<Timestamp>,
}

/// A cut-off that an ended block has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutOffView {
    /// The last time of issue that is denied.
    pub at: Timestamp,
    /// The revocation that left it.
    pub by: RevocationView,
}

/// A person, and what this replica knows besides the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonView {
    /// What the source says.
    pub person: Person,
    /// Their current roles.
    pub roles: Vec<String>,
    /// API keys that they own, by public id.
    pub keys: Vec<String>,
    /// Their standing revocations.
    pub revocations: Vec<RevocationView>,
    /// Cut-offs that ended blocks have left.
    pub cut_offs: Vec<CutOffView>,
    /// Last allow per service.
    pub last_allows: Vec<(String, Timestamp)>,
    /// Live streams under guard.
    pub open_streams: u64,
    /// End of their exemption, if any.
    pub exempted_until: Option<Timestamp>,
}

/// Which people are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeopleFilter {
    /// With this status.
    pub status: Option<Status>,
    /// Of this source.
    pub source: Option<String>,
    /// After this one, ordered by source and key.
    pub after: Option<PersonId>,
    /// At most this many.
    pub limit: usize,
}

/// What a revocation affects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreviewView {
    /// The people affected.
    pub people: Vec<PersonView>,
    /// API keys that stop working with them.
    pub keys: Vec<String>,
    /// Live streams that will be cut.
    pub open_streams: u64,
    /// Warnings before acting.
    pub warnings: Vec<String>,
    /// Warning that nothing like the target was ever seen.
    pub unseen: Option<String>,
    /// Credentials in use that die with it.
    pub dies: SeenView,
    /// Credentials in use that a cut-off leaves alive.
    pub stays: SeenView,
}

/// Unexpired credentials that this replica has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenView {
    /// How many they are.
    pub count: u64,
    /// Sessions among them.
    pub sessions: u64,
    /// Those that were used last, last first.
    pub last: Vec<CredentialView>,
}

/// One credential that was seen: what it says of itself, verified, and the last use of each service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialView {
    /// The credential.
    pub verified: Arc<Verified>,
    /// By service, the last use.
    pub uses: Vec<(Arc<str>, Timestamp)>,
}

/// What is known of a REF that resolves to nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// A verified credential has shown this name since the start.
    Seen,
    /// No source has completed a listing, so nothing follows from it (law 3).
    NeverListed,
    /// Nobody has it. Names that are near it, each with its person.
    Unknown(Vec<String>),
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
    /// Time up to which all changes there are known.
    pub last_heard: Option<Timestamp>,
    /// The held-back listing.
    pub held: Option<Arc<HeldListing>>,
    /// Recent removals of its listings, and since when.
    pub left_out: Option<(Timestamp, Removals)>,
    /// The raised removal limit in basis points, and until when.
    pub expected: Option<(u32, Timestamp)>,
    /// Health of the source's task; `None`: it is not running.
    pub health: Option<SourceHealth>,
    /// Its people by status.
    pub people: Vec<(Status, u64)>,
}

/// Health of a source's task in this replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceHealth {
    /// When its events were last read completely.
    pub last_poll: Option<Timestamp>,
    /// The listing in progress: since when, and how many people so far.
    pub listing: Option<(Timestamp, u64)>,
    /// The last failure, unless something has succeeded since: time and text.
    pub trouble: Option<(Timestamp, String)>,
    /// Failures since the last success.
    pub failures: u64,
}

/// A finding of a source check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindingView {
    /// `ok`, `warning` or `error`.
    pub grade: &'static str,
    /// What was tested.
    pub what: String,
    /// The result, and what to do about it.
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
    /// Error of the last fetch, unless one has succeeded since.
    pub trouble: Option<String>,
}

/// An issuer's key that is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnusableKeyView {
    /// Its position in the set, from 1.
    pub number: u64,
    /// Its `kid`, if any.
    pub kid: Option<String>,
    /// The reason.
    pub reason: String,
}

/// Something that is wrong now, or that somebody chose and that lets more through than usual.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProblemView {
    /// What it concerns, such as `store` or `source hr`.
    pub area: String,
    /// What is wrong, in words that everybody may read: no person, and nothing that a provider said.
    pub text: String,
    /// For operators: error texts, people, remedies.
    pub details: Vec<String>,
    /// Somebody chose it.
    pub chosen: bool,
}

/// The state of this replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusView {
    /// Its name.
    pub replica: String,
    /// What is wrong now, then what somebody chose.
    pub problems: Vec<ProblemView>,
    /// What readiness waits for; empty if ready.
    pub waiting_for: Vec<String>,
    /// Up to where the log is enforced.
    pub epoch: Epoch,
    /// Hash of the configuration in force.
    pub configuration: String,
    /// `enforce` or `observe`, of the top level.
    pub enforcement: &'static str,
    /// The enforcement of each service.
    pub services: Vec<(Arc<str>, &'static str)>,
    /// Revocations that only an earlier configuration listed.
    pub revocations_kept: u64,
    /// Kind of the store.
    pub store: String,
    /// Sources.
    pub sources: Vec<SourceView>,
    /// Issuers.
    pub issuers: Vec<IssuerView>,
    /// Live revocations by kind of target.
    pub revocations: BTreeMap<TargetKind, u64>,
    /// Audit records lost since the start.
    pub audit_lost: u64,
    /// Exemptions in force.
    pub exemptions: Vec<Arc<Exemption>>,
    /// Services that enforce but pass unidentified requests, with the responsible settings.
    pub passes: Vec<(Arc<str>, Vec<&'static str>)>,
}

/// Whom a revocation means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concerned {
    /// The people whom its target names, now or when it was made.
    pub persons: Vec<PersonId>,
    /// Its target, with its issuer as `iss`.
    pub target: Option<Target>,
}

/// Which audit records are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TailFilter {
    /// Those about any of these people; `None`: about anybody.
    pub persons: Option<Vec<PersonId>>,
    /// Those of this kind.
    pub kind: Option<String>,
    /// Those that were written since then too.
    pub since: Option<Timestamp>,
}

/// Audit records as JSON lines; an error, after which nothing follows, if the trail cannot be read.
pub type Lines = Pin<Box<dyn Stream<Item = Result<String, String>> + Send>>;

/// Changes; an error, after which nothing follows, if the log cannot be read.
pub type Changes = Pin<Box<dyn Stream<Item = Result<proto::Change, String>> + Send>>;

/// The application's knowledge. Decisions use what is in memory; texts come from the log.
#[async_trait]
pub trait Views: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Now;
    /// Whether what has this key is in force; `None` if the log cannot be asked.
    async fn outcome(&self, key: &str) -> Option<bool>;
    /// Revocations, newest first.
    ///
    /// # Errors
    /// Why not all of them can be read: nobody may take the rest for all.
    async fn revocations(&self, filter: &RevocationFilter) -> Result<Vec<RevocationView>, String>;
    /// Whom a revocation means; nobody if it is not known.
    async fn concerned(&self, id: RevocationId) -> Concerned;
    /// The cut-off that a revocation left when it ended.
    async fn cut_off_left(&self, id: RevocationId) -> Option<Timestamp>;
    /// Everybody whom a REF may match, one or several per source.
    async fn person(&self, reference: &str) -> Vec<PersonView>;
    /// What is known of a REF that resolves to nobody.
    async fn unresolved(&self, reference: &str) -> Unresolved;
    /// People, ordered by source and key.
    async fn people(&self, filter: &PeopleFilter) -> Vec<PersonView>;
    /// What a revocation of this target, in this shape, would affect.
    async fn preview(&self, target: &Target, shape: Shape) -> PreviewView;
    /// The target that a token is, if it verifies as an access token of a configured issuer.
    ///
    /// # Errors
    /// Why it does not, without any part of it.
    async fn credential(&self, token: &str) -> Result<Target, String>;
    /// The state of this replica.
    async fn status(&self) -> StatusView;
    /// Names shared by several people of a source, with their keys.
    async fn shared_names(&self, source: &str) -> Vec<String>;
    /// Syncs a source now; with `full`, lists everybody. Returns when the result is enforced.
    ///
    /// # Errors
    /// Why it failed.
    async fn sync_source(&self, name: &str, full: bool) -> Result<(), String>;
    /// Requests a listing soon, without waiting for it.
    fn list_soon(&self, name: &str);
    /// Tests everything that a source needs, and reports on its links; with a token, also whom that matches.
    ///
    /// # Errors
    /// The source is unknown.
    async fn check_source(&self, name: &str, sample: Option<&str>) -> Result<Vec<FindingView>, String>;
    /// Why a decision was made or would be made.
    ///
    /// # Errors
    /// No recent decision has this id, or no service this name; in words.
    async fn explain(&self, question: Question) -> Result<Explanation, String>;
    /// What services that observe would have refused, the most frequent first, and since when that is counted: of this
    /// service, seen since then.
    ///
    /// # Errors
    /// The service is unknown; in words.
    fn observed(
        &self,
        service: Option<&str>,
        since: Option<Timestamp>,
    ) -> Result<(Timestamp, Vec<ObservedView>), String>;
    /// Audit records, from the wanted time on, as they are written.
    ///
    /// # Errors
    /// The kind is unknown.
    fn tail(&self, wanted: TailFilter) -> Result<Lines, String>;
    /// Changes after an epoch, or from now on, as they come into force.
    ///
    /// # Errors
    /// This process has not reached the epoch.
    fn watch(&self, since: Option<Epoch>) -> Result<Changes, String>;
}
