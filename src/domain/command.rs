//! Commands: the only way for sources, operators and the configuration to change the state.

mod refused;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

pub use refused::Refused;

use super::call::{Call, Stood};
use super::event::Epoch;
use super::id::{ExemptionId, RevocationId};
use super::person::{Person, PersonId, Status};
use super::policy::Policy;
use super::revocation::{Shape, Target};
use super::time::{Now, Timestamp};

/// What a source saw. The writer compares it with the state; a source never compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// One person, as they are now.
    Change {
        /// Their complete record.
        person: Person,
        /// The provider's own time of the change.
        at: Option<Timestamp>,
        /// The provider's id of the event: a second delivery changes nothing.
        event_id: Option<String>,
    },
    /// The source no longer has this person.
    Deleted {
        /// Who.
        person: PersonId,
        /// The provider's own time of the deletion.
        at: Option<Timestamp>,
    },
    /// An object with this key was deleted, and the source cannot tell of which kind: a known person with it has
    /// departed.
    UnknownDeleted {
        /// The person, if it was one.
        person: PersonId,
    },
    /// A partial record says that a person is disabled: nothing else of it counts. Ignored for unknown or already
    /// disabled people.
    PartialDisable {
        /// Who.
        person: PersonId,
        /// How.
        status: Status,
    },
    /// A group was deleted by an event: it has no members any more. Repeated while [`Done::more`] is set.
    GroupDeleted {
        /// Name of the source.
        source: String,
        /// Name of the group.
        group: String,
    },
    /// A listing in one piece.
    Listing {
        /// Name of the source.
        source: String,
        /// Who is in it.
        people: Vec<Person>,
        /// Whether it is complete: known people who are not in it have departed.
        complete: bool,
        /// When it was taken.
        at: Timestamp,
    },
    /// A page of a listing. A source has one listing at a time: the first page of the next one ends it.
    ListingPage {
        /// Name of the source.
        source: String,
        /// Which listing.
        listing: ListingId,
        /// The people on this page, shared with the events and the state that come of them.
        people: Vec<Arc<Person>>,
        /// People on this page who are disabled only because another list leaves them out. For a known active person
        /// that counts no more than a missing row.
        doubted: Vec<Person>,
        /// People on this page with unreadable records.
        unread: Vec<PersonId>,
    },
    /// All pages were sent. Repeated while [`Done::more`] is set: a large listing is applied in steps.
    ListingEnd {
        /// Name of the source.
        source: String,
        /// Which listing.
        listing: ListingId,
        /// When it was started.
        at: Timestamp,
        /// The number of people by the provider's count, if it has one: a listing of another length is void.
        count: Option<usize>,
        /// If known people are missing, changes nothing yet and returns them in [`Done::persons`]: the source looks
        /// each up and sends those who are present as another page.
        verify: bool,
    },
    /// The provider went back to an older state: a backup was restored, or a lagging replica answers. Until an operator
    /// confirms it, or a listing matches what is known, nothing that it reports grants access.
    RolledBack {
        /// Name of the source.
        source: String,
        /// How that is known, in words.
        because: String,
    },
    /// Credentials issued before are denied: a logout everywhere, a password reset, a `notBefore`.
    CutOff {
        /// Name of the source.
        source: String,
        /// A person of this source, a subject, a client or an issuer.
        target: Target,
        /// The last time of issue that is denied, on the provider's clock.
        at: Timestamp,
        /// Why, in a few words.
        reason: String,
    },
    /// A session was ended, or a client was disabled or enabled again.
    Block {
        /// Name of the source.
        source: String,
        /// Whom or what.
        target: Target,
        /// Whether it is denied from now on, or no longer.
        stands: bool,
        /// The provider's own time of the change.
        at: Option<Timestamp>,
        /// When it expires, if ever.
        expires: Option<Timestamp>,
        /// Why, in a few words.
        reason: String,
    },
    /// The source is alive, and everything that happened there up to a time was sent.
    Heartbeat {
        /// Name of the source.
        source: String,
        /// Up to when.
        at: Timestamp,
        /// The cursor from which it continues after a restart, if it changed.
        cursor: Option<String>,
    },
}

/// A listing of a source, unique in this process.
pub type ListingId = u64;

/// An operator's verdict on a held listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Missing people have left.
    Confirm,
    /// It was wrong.
    Discard,
}

/// What becomes of a revocation whose REF means nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUnknown {
    /// It is refused: most likely a typing error.
    Refuse,
    /// The name is denied all the same.
    DenyName,
}

/// What becomes of a revocation whose REF means several people of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenAmbiguous {
    /// It is refused, with the candidates.
    Refuse,
    /// All candidates are denied.
    DenyAll,
}

/// An operator's request for a revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeRequest {
    /// What to revoke.
    pub target: Target,
    /// Block or cut-off.
    pub shape: Shape,
    /// Why.
    pub reason: String,
    /// Who asks.
    pub actor: String,
    /// When it takes effect, if not at once.
    pub effective: Option<Timestamp>,
    /// When it expires, if ever.
    pub expires: Option<Timestamp>,
    /// If its REF means nobody.
    pub when_unknown: WhenUnknown,
    /// If its REF means several people of one source.
    pub when_ambiguous: WhenAmbiguous,
}

/// A command to the writer.
#[derive(Debug)]
pub enum Command {
    /// A source saw something.
    Observe(Observation),
    /// An operator revokes.
    Revoke(RevokeRequest),
    /// An operator revokes several targets at once: all of them, or none.
    RevokeAll(Vec<RevokeRequest>),
    /// An operator asks whether a revocation would be accepted. Changes nothing.
    CheckRevoke(RevokeRequest),
    /// An operator ends one revocation.
    Restore {
        /// Which.
        id: RevocationId,
        /// Why.
        reason: String,
        /// Who asks.
        actor: String,
    },
    /// An operator takes back one revocation that was a mistake, with the cut-off that it left.
    Undo {
        /// Which.
        id: RevocationId,
        /// Why.
        reason: String,
        /// Who asks.
        actor: String,
    },
    /// An operator ends the exemptions of a person.
    EndExemption {
        /// Whose.
        reference: String,
        /// Why.
        reason: String,
        /// Who asks.
        actor: String,
    },
    /// An operator breaks glass. Replaces the exemption that the person had.
    Exempt {
        /// For whom.
        reference: String,
        /// Until when.
        expires: Timestamp,
        /// Why.
        reason: String,
        /// Who asks.
        actor: String,
    },
    /// An operator judges the held listing. Repeated while [`Done::more`] is set.
    Judge {
        /// Name of the source.
        source: String,
        /// The time of the listing that is meant; `None` for any.
        listing: Option<Timestamp>,
        /// The verdict.
        verdict: Verdict,
        /// Who says so.
        actor: String,
    },
    /// An operator temporarily raises the removal limit.
    Expect {
        /// Name of the source.
        source: String,
        /// The share of people who may be missing, in hundredths of a percent.
        share: u32,
        /// Until when.
        until: Timestamp,
        /// Who says so.
        actor: String,
    },
    /// A configuration takes effect.
    Configure(std::sync::Arc<Policy>),
    /// The notes of entries of `revocations:` in other processes' configurations: none of them is ended. Replaces the
    /// set given before.
    NotedElsewhere(std::collections::BTreeSet<String>),
    /// This process takes the configuration role.
    TakeConfigurationRole,
    /// Time has passed: ends what has expired.
    Tick,
}

/// The result of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The id of the revocation that the command created, if any.
    pub revocation: Option<RevocationId>,
    /// The ids of the revocations that [`Command::RevokeAll`] created, in the order of its requests.
    pub revocations: Vec<RevocationId>,
    /// Those of them that the same caller had made already: they stand, and none was added.
    pub stood: Vec<Stood>,
    /// The id of the exemption that it created, if any.
    pub exemption: Option<ExemptionId>,
    /// The epoch up to which everything is durable and enforced in this process.
    pub epoch: Epoch,
    /// The persons that a REF resolved to, or who are missing from a listing.
    pub persons: Vec<PersonId>,
    /// A listing, or an operator's verdict on one, is not fully applied: repeat the command.
    pub more: bool,
    /// The store is unavailable: denials are enforced from memory only, and nothing else was done. A caller that
    /// promises durability must not acknowledge it.
    pub volatile: bool,
}

/// A command with the time it was received and the channel for the answer.
#[derive(Debug)]
pub struct Envelope {
    /// The command.
    pub command: Command,
    /// The time it was received.
    pub now: Now,
    /// The call that it carries out, if that may be sent again.
    pub call: Option<Call>,
    /// The channel for the answer.
    pub reply: oneshot::Sender<Result<Done, Refused>>,
}

/// The pending answer to a command.
pub type Answer = oneshot::Receiver<Result<Done, Refused>>;

/// Sends commands to the writer. Bounded: senders wait, nothing is dropped.
#[derive(Clone, Debug)]
pub struct WriterHandle(mpsc::Sender<Envelope>);

/// The capacity of the queue: two full group commits (`writer` takes up to 4096 at once).
const WAITING: usize = 8192;

impl WriterHandle {
    /// A handle, and the receiver for the writer.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Envelope>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), receiver)
    }

    /// Sends a command and waits until it is durable and enforced (law 5).
    ///
    /// # Errors
    /// [`Refused`] says why nothing was changed.
    pub async fn ask(&self, command: Command, now: Now) -> Result<Done, Refused> {
        self.put(command, now).await?.await.map_err(|_| Refused::Stopped)?
    }

    /// Like [`Self::ask`], for a call that may be sent again: it acts once, and is answered alike for a day.
    ///
    /// # Errors
    /// [`Refused`]; [`Refused::KeyReused`] if its key is that of another request.
    pub async fn ask_once(&self, command: Command, call: Option<Call>, now: Now) -> Result<Done, Refused> {
        self.send(command, call, now).await?.await.map_err(|_| Refused::Stopped)?
    }

    /// Sends a command and returns the pending answer.
    ///
    /// # Errors
    /// [`Refused::Stopped`].
    pub async fn put(&self, command: Command, now: Now) -> Result<Answer, Refused> {
        self.send(command, None, now).await
    }

    async fn send(&self, command: Command, call: Option<Call>, now: Now) -> Result<Answer, Refused> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Envelope { command, now, call, reply }).await.map_err(|_| Refused::Stopped)?;
        Ok(answer)
    }
}
