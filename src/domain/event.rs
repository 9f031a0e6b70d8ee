//! What the log holds: the one truth, in one order.

use serde::{Deserialize, Serialize};

pub use super::epoch::{Epoch, NotAnEpoch, Position};

use super::guard::{Confirmed, HeldListing, HeldListingUpdate, ReleaseCause, Removals};
use super::id::{ExemptionId, RevocationId};
use super::person::{Person, PersonId};
use super::revocation::{Revocation, Shape, Target};
use super::source::Linking;
use super::time::Timestamp;

/// Why a revocation or an exemption ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// An operator restored it.
    Restored,
    /// Its expiry time came.
    Expired,
    /// Its source says the person is active again.
    ActiveAgain,
    /// It was taken out of the configuration.
    TakenOut,
}

/// The end of one revocation. If it was a block on a person, subject, client or issuer, the fold leaves a
/// cut-off at `at` in its place (law 7): no caller can forget to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Which one.
    pub revocation: RevocationId,
    /// What it was about, repeated so that the fold need not look back.
    pub target: Target,
    /// The shape that it had.
    pub shape: Shape,
    /// When it would have ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// The persons whom it meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub persons: Vec<PersonId>,
    /// Whether it had begun to deny by then, on the clock that never falls: only then does it leave anything.
    pub began: bool,
    /// Why it ended.
    pub cause: EndCause,
    /// When: the provider's time where it gave one.
    pub at: Timestamp,
    /// Who ended it.
    pub actor: String,
    /// Why, in somebody's words.
    pub reason: String,
}

/// Break glass: what a source says of these persons is overridden until `expires`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemption {
    /// Its name; `None` in the first event format, where it is the position of its event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ExemptionId>,
    /// The REF as it was given.
    pub reference: String,
    /// Everybody whom it named.
    pub persons: Vec<PersonId>,
    /// When it ends by itself.
    pub expires: Timestamp,
    /// Who asked for it.
    pub actor: String,
    /// Why, in somebody's words.
    pub reason: String,
}

impl Exemption {
    /// Its name, where its event stands at `position`.
    #[must_use]
    pub fn id_at(&self, position: Position) -> ExemptionId {
        self.id.unwrap_or(ExemptionId::of_position(position))
    }
}

/// Who writes what follows from the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationRole {
    /// Name of the process.
    pub process: String,
    /// Rises by one each time that somebody takes the role.
    pub term: u64,
}

/// In which form a writer writes events. Every version reads all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum EventFormat {
    /// As versions up to 0.1 write and read them: the position of an event names what it begins, and only events that a
    /// provider named have an id.
    One = 1,
    /// Every event has an id, and every revocation and exemption a random name.
    #[default]
    Two = 2,
}

/// One change. In the log it is JSON: `{"revoked": {…}}`, `{"person": {…}}`.
///
/// Nothing is flattened or tagged inside: members that meet under one name would make an event that nobody can read back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A revocation begins to stand.
    Revoked(Revocation),
    /// A standing REF revocation turned out to mean one more person.
    Extended {
        /// Which one.
        revocation: RevocationId,
        /// What it is about, repeated so that the fold need not look back.
        target: Target,
        /// Whom it now means too.
        person: PersonId,
    },
    /// A revocation ends.
    Ended(Ended),
    /// A source's complete word on one person.
    Person(Person),
    /// A source completed a full sync.
    Synced {
        /// Its name.
        source: String,
        /// When the listing was taken.
        at: Timestamp,
        /// What it left out, unless that was announced.
        #[serde(default, skip_serializing_if = "Removals::is_nothing")]
        left_out: Removals,
    },
    /// A listing was accepted whose removals come into force in steps. [`Event::Synced`] says when all of them are.
    ListingAccepted {
        /// Name of its source.
        source: String,
        /// When it was taken.
        at: Timestamp,
        /// What it leaves out, unless that was announced.
        #[serde(default, skip_serializing_if = "Removals::is_nothing")]
        left_out: Removals,
    },
    /// The configuration says how a source is linked; after it is taken out, its blocks are matched so.
    Linked {
        /// Its name.
        source: String,
        /// How.
        linking: Linking,
    },
    /// A source lives: everything that happened there up to a time is known.
    #[serde(rename = "heard")]
    Heartbeat {
        /// Its name.
        source: String,
        /// Up to when.
        at: Timestamp,
        /// From where it goes on after a restart, where that changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// The guard holds a listing back.
    #[serde(rename = "held_back")]
    ListingHeld(HeldListing),
    /// Another one is held back in its place.
    #[serde(rename = "held_on")]
    ListingHeldUpdated(HeldListingUpdate),
    /// A listing is held back no longer.
    Released {
        /// Name of its source.
        source: String,
        /// How it ended.
        cause: ReleaseCause,
        /// Who ended it.
        actor: String,
    },
    /// Many are announced to leave a source.
    Expected {
        /// Its name.
        source: String,
        /// How many of ten thousand may be missing.
        share: u32,
        /// Until when.
        until: Timestamp,
        /// Who announced it.
        actor: String,
    },
    /// An operator confirmed that memberships in groups were lost: a listing that says it again is let pass. Of people it
    /// says nothing.
    MembershipsConfirmed {
        /// Name of the source.
        source: String,
        /// What was confirmed.
        confirmed: Confirmed,
        /// Who confirmed it.
        actor: String,
    },
    /// A process takes the configuration role: it alone writes what follows from the configuration (notes of
    /// `revocations:`, how sources are linked, pins), until another one takes it.
    ConfigurationRole(ConfigurationRole),
    /// Break glass begins.
    Exempted(Exemption),
    /// Break glass ends.
    ExemptionEnded {
        /// Which one.
        exemption: ExemptionId,
        /// For whom it was, repeated so that nobody need look back.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        persons: Vec<PersonId>,
        /// Why it ended.
        cause: EndCause,
    },
    /// A name in `bindings.people` resolved for the first time; from now on it means this person.
    Pinned {
        /// Name of the binding's issuer.
        issuer: String,
        /// The name as it stands in the configuration.
        name: String,
        /// Whom it means in that person's source.
        person: PersonId,
    },
    /// A name no longer stands in any binding; should it come back, it is resolved anew.
    Unpinned {
        /// Name of the binding's issuer.
        issuer: String,
        /// The name.
        name: String,
        /// Whom it meant, repeated so that nobody need look back.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        persons: Vec<PersonId>,
    },
}

/// An event that is to be appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEvent {
    /// When the writer took it in (believed wall clock).
    pub time: Timestamp,
    /// When it happened at the provider, where the provider said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub happened: Option<Timestamp>,
    /// Its name: a provider's own, or one that was drawn when it was planned. A second event with the same id is not
    /// appended, so the same bytes can be offered again. `None` only in the first format, where a provider gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The change.
    pub event: Event,
}

/// An event at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its place.
    pub position: Position,
    /// What was appended there.
    pub new: NewEvent,
}

/// The source whose provider gave an event this name: it is `SOURCE:ID` then, and no name of our own has a colon.
#[must_use]
pub fn provider_of(id: &str) -> Option<&str> {
    id.split_once(':').map(|(source, _)| source)
}

impl Recorded {
    /// The revocation that it makes, and its name.
    #[must_use]
    pub fn revocation(&self) -> Option<(RevocationId, &Revocation)> {
        match &self.new.event {
            Event::Revoked(revocation) => Some((revocation.id_at(self.position), revocation)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
