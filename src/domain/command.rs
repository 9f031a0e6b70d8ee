//! The one way in: what sources, operators and the configuration ask the writer to make true.

use tokio::sync::{mpsc, oneshot};

use super::event::Epoch;
use super::id::{ExemptionId, RevocationId};
use super::person::{Person, PersonId, Status};
use super::policy::Policy;
use super::revocation::{Shape, Target};
use super::time::{Now, Timestamp};

/// What a source saw. The writer compares it with what is known; a source never compares itself.
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
    /// Something of this key is gone, and the source cannot tell what it was: a person that is known by it has departed.
    UnknownDeleted {
        /// Who, if anybody.
        person: PersonId,
    },
    /// Somebody is out, says what is not whole yet: nothing else of their record may be believed. Of somebody who is not
    /// known, or is out already, that says nothing.
    PartialDisable {
        /// Who.
        person: PersonId,
        /// How.
        status: Status,
    },
    /// A group is no more: an event said so, and nobody is in it. Asked again as long as [`Done::more`] says so.
    GroupDeleted {
        /// Name of the source.
        source: String,
        /// What the group was called.
        group: String,
    },
    /// Everybody, in one piece, as far as the listing is complete.
    Listing {
        /// Name of the source.
        source: String,
        /// Who is in it.
        people: Vec<Person>,
        /// Whether somebody who is not in it has departed.
        complete: bool,
        /// When it was taken.
        at: Timestamp,
    },
    /// Some of a listing that comes in many pieces. A source has one at a time: the first piece of the next one ends it.
    ListingPage {
        /// Name of the source.
        source: String,
        /// Which listing.
        listing: ListingId,
        /// Who is in this piece.
        people: Vec<Person>,
        /// Who is in it, and out only because another list leaves them out. Of somebody who is known to be active that
        /// says as little as a missing row.
        doubted: Vec<Person>,
        /// Who is in it, and cannot be read.
        unread: Vec<PersonId>,
    },
    /// All pieces were sent. Asked again as long as [`Done::more`] says so: a large listing comes into force in steps.
    ListingEnd {
        /// Name of the source.
        source: String,
        /// Which listing.
        listing: ListingId,
        /// When it was begun.
        at: Timestamp,
        /// How many people the provider counts, where it does: a listing of another length is none.
        count: Option<usize>,
        /// Changes nothing yet if somebody known is missing, but names them in [`Done::persons`]: the source looks
        /// each up, and sends who is there after all as another piece.
        verify: bool,
    },
    /// The provider went back to an older state: a backup was restored, or one answers that lags behind. Until an operator
    /// says that it is right, or a listing says again what is known, nothing that it says gives access.
    RolledBack {
        /// Name of the source.
        source: String,
        /// How that is known, in words.
        because: String,
    },
    /// What was issued before is dead: a logout everywhere, a password reset, a `notBefore`.
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
    /// A session that was ended, or a client that was disabled or enabled again.
    Block {
        /// Name of the source.
        source: String,
        /// Whom or what.
        target: Target,
        /// Whether it is denied from now on, or no longer.
        stands: bool,
        /// The provider's own time of the change.
        at: Option<Timestamp>,
        /// When it may be forgotten, if ever.
        expires: Option<Timestamp>,
        /// Why, in a few words.
        reason: String,
    },
    /// The source lives, and everything that happened there up to a time was sent.
    Heartbeat {
        /// Name of the source.
        source: String,
        /// Up to when.
        at: Timestamp,
        /// From where it goes on after a restart, where that changed.
        cursor: Option<String>,
    },
}

/// One listing of one source, among those of this process.
pub type ListingId = u64;

/// What an operator says to a listing that is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Whoever is missing from it has left.
    Confirm,
    /// It was wrong.
    Discard,
}

/// What an operator asks for.
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
    /// From when on, if not at once.
    pub effective: Option<Timestamp>,
    /// Until when, if not for ever.
    pub expires: Option<Timestamp>,
}

/// What the writer can be asked.
#[derive(Debug)]
pub enum Command {
    /// A source saw something.
    Observe(Observation),
    /// An operator revokes.
    Revoke(RevokeRequest),
    /// An operator ends one revocation.
    Restore {
        /// Which.
        id: RevocationId,
        /// Why.
        reason: String,
        /// Who asks.
        actor: String,
    },
    /// An operator breaks glass.
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
    /// An operator judges the listing that is held back. Asked again as long as [`Done::more`] says so.
    Judge {
        /// Name of the source.
        source: String,
        /// When it was taken: another one is not meant. `None`: whichever it is.
        listing: Option<Timestamp>,
        /// What they say.
        verdict: Verdict,
        /// Who says so.
        actor: String,
    },
    /// An operator announces that many will leave.
    Expect {
        /// Name of the source.
        source: String,
        /// How many of ten thousand may be missing.
        share: u32,
        /// Until when.
        until: Timestamp,
        /// Who says so.
        actor: String,
    },
    /// A configuration comes into force.
    Configure(std::sync::Arc<Policy>),
    /// Time went on: what expired ends.
    Tick,
}

/// What the writer made true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Name of the revocation that the command made, if it made one.
    pub revocation: Option<RevocationId>,
    /// Name of the exemption that it made, if it made one.
    pub exemption: Option<ExemptionId>,
    /// Everything up to here is durable and enforced in this process.
    pub epoch: Epoch,
    /// Whom a REF turned out to mean, or who is missing from a listing.
    pub persons: Vec<PersonId>,
    /// A listing, or an operator's verdict on one, is not in force as a whole yet: ask again.
    pub more: bool,
    /// The store is gone: what this denies is enforced from memory, nothing else is, and nothing is durable. Whoever
    /// promises more to others must not acknowledge it.
    pub volatile: bool,
}

/// Why the writer did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such standing revocation.
    #[error("no revocation `{0}` stands")]
    NotFound(RevocationId),
    /// It belongs to somebody else.
    #[error("revocation `{id}` belongs to {owner}: {advice}")]
    NotYours {
        /// Which.
        id: RevocationId,
        /// Whose it is.
        owner: String,
        /// What to do instead.
        advice: String,
    },
    /// A name means several people.
    #[error("`{reference}` matches several people: {}", candidates.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Ambiguous {
        /// The REF.
        reference: String,
        /// All whom it may mean.
        candidates: Vec<PersonId>,
    },
    /// A name means nobody, where somebody is needed.
    #[error("`{0}` matches nobody in any source")]
    Nobody(String),
    /// The request itself makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A listing is held back by the guard.
    #[error(
        "listing of source `{source_name}` is held back: {missing} of {known} known people and {memberships} \
             memberships are missing from it{beside}; `offboard source show {source_name}` says who"
    )]
    Guarded {
        /// Which source.
        source_name: String,
        /// How many people are missing.
        missing: usize,
        /// How many are known.
        known: usize,
        /// How many memberships in groups are missing.
        memberships: usize,
        /// Why that is too much, where the numbers do not say it.
        beside: String,
    },
    /// What was sent as a listing is none.
    #[error("listing of source `{source_name}` is void: {what}")]
    Void {
        /// Which source.
        source_name: String,
        /// Why.
        what: String,
    },
    /// There is no listing that is held back.
    #[error("no listing of source `{0}` is held back")]
    NothingHeld(String),
    /// Nobody knows yet whether the log took it. It is offered again until it stands or cannot.
    #[error("outcome unknown: the change may still take effect; query it with key `{key}`")]
    Unknown {
        /// The name of the first event that it is.
        key: String,
    },
    /// The log did not take it: nothing was changed.
    #[error("log did not take it: {0}")]
    Log(String),
    /// The store is gone: nothing was changed.
    #[error("nothing was changed: {0}")]
    Gone(String),
    /// The writer is gone.
    #[error("the writer has stopped")]
    Stopped,
}

/// One command on its way, with the time it was received and the way back.
#[derive(Debug)]
pub struct Envelope {
    /// What is asked.
    pub command: Command,
    /// What time it is for the writer.
    pub now: Now,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<Done, Refused>>,
}

/// What became of a command, once it did.
pub type Answer = oneshot::Receiver<Result<Done, Refused>>;

/// Where commands are put in. Bounded: who asks waits, nothing is dropped.
#[derive(Clone, Debug)]
pub struct WriterHandle(mpsc::Sender<Envelope>);

/// Commands that may wait: two full group commits (`writer` takes up to 1024 at once).
const WAITING: usize = 2048;

impl WriterHandle {
    /// A handle, and the end that the writer reads.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Envelope>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), receiver)
    }

    /// Asks, and waits until it is durable and enforced (law 5).
    ///
    /// # Errors
    /// [`Refused`] says why nothing was changed.
    pub async fn ask(&self, command: Command, now: Now) -> Result<Done, Refused> {
        self.put(command, now).await?.await.map_err(|_| Refused::Stopped)?
    }

    /// Puts a command behind those before it; the answer can be waited for later.
    ///
    /// # Errors
    /// [`Refused::Stopped`].
    pub async fn put(&self, command: Command, now: Now) -> Result<Answer, Refused> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Envelope { command, now, reply }).await.map_err(|_| Refused::Stopped)?;
        Ok(answer)
    }
}
