//! The one way in: what sources, operators and the configuration ask the writer to make true.

use tokio::sync::{mpsc, oneshot};

use super::event::{Epoch, Position};
use super::person::{Person, PersonId};
use super::policy::Policy;
use super::revocation::{RevocationId, Shape, Target};
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
    /// Everybody, as far as the listing is complete.
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
    /// A configuration comes into force.
    Configure(std::sync::Arc<Policy>),
    /// Time went on: what expired ends.
    Tick,
}

/// What the writer made true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Position of the first event that the command caused; 0 when it caused none.
    pub position: Position,
    /// Everything up to here is durable and enforced in this process.
    pub epoch: Epoch,
    /// Whom a REF turned out to mean.
    pub persons: Vec<PersonId>,
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
    #[error("`{reference}` means several people: {}", candidates.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Ambiguous {
        /// The REF.
        reference: String,
        /// All whom it may mean.
        candidates: Vec<PersonId>,
    },
    /// A name means nobody, where somebody is needed.
    #[error("`{0}` means nobody that a source knows")]
    Nobody(String),
    /// The request itself makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A listing is held back by the guard.
    #[error("listing of source `{source_name}` is held back: {missing} of {known} known people are missing from it")]
    Guarded {
        /// Which source.
        source_name: String,
        /// How many are missing.
        missing: usize,
        /// How many are known.
        known: usize,
    },
    /// The log did not take it: nothing was changed.
    #[error("log did not take it: {0}")]
    Log(String),
    /// The writer is gone.
    #[error("the writer has stopped")]
    Stopped,
}

/// One command on its way, with the time it was received and the way back.
#[derive(Debug)]
pub struct Letter {
    /// What is asked.
    pub command: Command,
    /// What time it is for the writer.
    pub now: Now,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<Done, Refused>>,
}

/// Where commands are put in. Bounded: who asks waits, nothing is dropped.
#[derive(Clone, Debug)]
pub struct Inbox(mpsc::Sender<Letter>);

/// Commands that may wait: two full group commits (`writer` takes up to 1024 at once).
const WAITING: usize = 2048;

impl Inbox {
    /// An inbox, and the end that the writer reads.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Letter>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), receiver)
    }

    /// Asks, and waits until it is durable and enforced (law 5).
    ///
    /// # Errors
    /// [`Refused`] says why nothing was changed.
    pub async fn ask(&self, command: Command, now: Now) -> Result<Done, Refused> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Letter { command, now, reply }).await.map_err(|_| Refused::Stopped)?;
        answer.await.map_err(|_| Refused::Stopped)?
    }
}
