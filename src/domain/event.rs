//! Events: the content of the log.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use super::epoch::{Epoch, NotAnEpoch, Position};

use super::call::Answered;
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
    /// Its source reports the person as active again.
    ActiveAgain,
    /// It was removed from the configuration.
    TakenOut,
    /// It was a mistake: an operator undid it, with the cut-off that it left (law 7's one exception).
    Undone,
    /// A new exemption took its place.
    Replaced,
}

/// The end of one revocation. For a block on a person, subject, client or issuer the fold leaves a residual cut-off at
/// `at` (law 7), so no caller can forget to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its id.
    pub revocation: RevocationId,
    /// Its target, repeated so that the fold need not look back.
    pub target: Target,
    /// Its shape.
    pub shape: Shape,
    /// When it would have expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// The persons that it applied to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub persons: Vec<PersonId>,
    /// Whether it had taken effect, by the time that never falls: only then does it leave a residual cut-off.
    pub began: bool,
    /// Why it ended.
    pub cause: EndCause,
    /// When it ended, on the provider's clock if known.
    pub at: Timestamp,
    /// Who ended it.
    pub actor: String,
    /// The given reason.
    pub reason: String,
}

/// Break glass: blocks of sources on these persons are lifted until `expires`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemption {
    /// Its id; `None` in the first event format, where it is the position of its event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ExemptionId>,
    /// The REF as it was given.
    pub reference: String,
    /// The persons it resolved to.
    pub persons: Vec<PersonId>,
    /// When it expires.
    pub expires: Timestamp,
    /// Who asked for it.
    pub actor: String,
    /// The given reason.
    pub reason: String,
}

impl Exemption {
    /// Its id, if its event is at `position`.
    #[must_use]
    pub fn id_at(&self, position: Position) -> ExemptionId {
        self.id.unwrap_or(ExemptionId::of_position(position))
    }
}

/// The holder of the configuration role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationRole {
    /// Name of the process.
    pub process: String,
    /// Rises by one each time that a process takes the role.
    pub term: u64,
}

/// The format in which a writer writes events. Every version reads all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum EventFormat {
    /// The format of versions up to 0.1: the position of an event is the id of the revocation or exemption that it
    /// begins, and only events from providers have an id.
    One = 1,
    /// Every event has an id, and every revocation and exemption a random id.
    #[default]
    Two = 2,
}

/// One change. In the log it is JSON: `{"revoked": {…}}`, `{"person": {…}}`.
///
/// Nothing inside is flattened or tagged: members with the same name would make an event unreadable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A revocation begins.
    Revoked(Revocation),
    /// A standing REF revocation applies to one more person.
    Extended {
        /// Its id.
        revocation: RevocationId,
        /// Its target, repeated so that the fold need not look back.
        target: Target,
        /// The additional person.
        person: PersonId,
    },
    /// A revocation ends.
    Ended(Ended),
    /// A source's complete record of one person.
    Person(Arc<Person>),
    /// A source completed a full sync.
    Synced {
        /// Its name.
        source: String,
        /// When the listing was taken.
        at: Timestamp,
        /// Its removals, unless they were announced.
        #[serde(default, skip_serializing_if = "Removals::is_nothing")]
        left_out: Removals,
    },
    /// A listing was accepted that is applied in steps. [`Event::Synced`] follows once it is fully applied.
    ListingAccepted {
        /// Name of its source.
        source: String,
        /// When it was taken.
        at: Timestamp,
        /// Its removals, unless they were announced.
        #[serde(default, skip_serializing_if = "Removals::is_nothing")]
        left_out: Removals,
    },
    /// How the configuration links a source; this still matches its blocks after it is removed.
    Linked {
        /// Its name.
        source: String,
        /// How.
        linking: Linking,
    },
    /// A source is alive: everything that happened there up to a time is known.
    #[serde(rename = "heard")]
    Heartbeat {
        /// Its name.
        source: String,
        /// Up to when.
        at: Timestamp,
        /// The cursor from which it continues after a restart, if it changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// The guard holds a listing back.
    #[serde(rename = "held_back")]
    ListingHeld(HeldListing),
    /// Another listing is held back in its place.
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
    /// An operator temporarily raised the removal limit.
    Expected {
        /// Its name.
        source: String,
        /// The share of people who may be missing, in hundredths of a percent.
        share: u32,
        /// Until when.
        until: Timestamp,
        /// Who announced it.
        actor: String,
    },
    /// An operator confirmed lost group memberships: a listing with the same loss is accepted. It does not cover
    /// people.
    MembershipsConfirmed {
        /// Name of the source.
        source: String,
        /// What was confirmed.
        confirmed: Confirmed,
        /// Who confirmed it.
        actor: String,
    },
    /// A process takes the configuration role: until another one takes it, it alone writes what follows from the
    /// configuration (notes of `revocations:`, links of sources, pins).
    ConfigurationRole(ConfigurationRole),
    /// Break glass begins.
    Exempted(Exemption),
    /// Break glass ends.
    ExemptionEnded {
        /// Its id.
        exemption: ExemptionId,
        /// The persons it applied to, repeated so that nobody need look back.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        persons: Vec<PersonId>,
        /// Why it ended.
        cause: EndCause,
        /// Who ended it, if somebody did.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        actor: String,
        /// The given reason.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// A name in `bindings.people` resolved for the first time; from now on it is pinned to this person.
    Pinned {
        /// Name of the binding's issuer.
        issuer: String,
        /// The name as it stands in the configuration.
        name: String,
        /// The person that it means in that person's source.
        person: PersonId,
    },
    /// A name is no longer in any binding; if it comes back, it is resolved again.
    Unpinned {
        /// Name of the binding's issuer.
        issuer: String,
        /// The name.
        name: String,
        /// The persons it was pinned to, repeated so that nobody need look back.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        persons: Vec<PersonId>,
    },
    /// A call that may be sent again was answered: with the events before it, or because what it asks for stood already.
    Answered(Answered),
}

/// An event to append.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEvent {
    /// When the writer planned it (believed wall clock).
    pub time: Timestamp,
    /// When it happened, on the provider's clock, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub happened: Option<Timestamp>,
    /// Its id: the provider's, or one drawn when it was planned. A second event with the same id is not appended, so an
    /// append can be retried. `None` only in the first format, for events without a provider's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The change.
    pub event: Event,
}

/// An event at its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its position.
    pub position: Position,
    /// The event appended there.
    pub new: NewEvent,
}

/// The source whose provider gave an event this id, which is then `SOURCE:ID`; ids of our own have no colon.
#[must_use]
pub fn provider_of(id: &str) -> Option<&str> {
    id.split_once(':').map(|(source, _)| source)
}

impl Recorded {
    /// The revocation that it makes, and its id.
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
