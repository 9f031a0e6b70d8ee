//! Events of the log, and what stands, as changes.

use crate::control::convert::{self, cause_word};
use crate::control::proto::{self, Change};
use crate::domain::event::{EndCause, Ended, Event, Exemption, Position, Recorded};
use crate::domain::guard::ReleaseCause;
use crate::domain::id::{ExemptionId, RevocationId};
use crate::domain::person::{Person, PersonId};
use crate::domain::revocation::{Owner, Revocation, Shape, Target};
use crate::domain::time::Timestamp;

/// Where something stands in the log.
pub(super) fn epoch(generation: u64, position: Position) -> Option<proto::Epoch> {
    Some(proto::Epoch { generation, position })
}

/// The change that an event is; `None`: it changes nothing for anybody, or what it changes follows with other events.
pub(super) fn of_event(recorded: &Recorded, generation: u64) -> Option<Change> {
    let change = match &recorded.new.event {
        Event::Revoked(revocation) => kind("revoked", revoked(revocation.id_at(recorded.position), revocation)),
        Event::Extended { revocation, target, person } => {
            kind("extended", about((*revocation, target), std::slice::from_ref(person)))
        }
        Event::Ended(end) => kind("ended", ended(end)),
        Event::Person(person) => kind("person", of_person(person)),
        Event::Exempted(exemption) => kind("exempted", exemption_of(exemption.id_at(recorded.position), exemption)),
        Event::ExemptionEnded { exemption, persons, cause, actor, reason } => Change {
            id: Some(exemption.to_string()),
            people: texts(persons),
            cause: Some(cause_word(*cause).to_owned()),
            actor: given(actor),
            reason: given(reason),
            ..kind("exemption_ended", Change::default())
        },
        Event::ListingHeld(held) => Change {
            source: Some(held.source.clone()),
            reason: Some(format!(
                "{} of {} people and {} memberships are missing",
                held.missing.len(),
                held.known,
                held.memberships
            )),
            ..kind("listing_held", Change::default())
        },
        Event::Released { source, cause, actor } => Change {
            source: Some(source.clone()),
            actor: given(actor),
            cause: Some(release_word(*cause).to_owned()),
            ..kind("listing_released", Change::default())
        },
        Event::Synced { .. }
        | Event::ListingAccepted { .. }
        | Event::Linked { .. }
        | Event::Heartbeat { .. }
        | Event::ListingHeldUpdated(_)
        | Event::Expected { .. }
        | Event::MembershipsConfirmed { .. }
        | Event::ConfigurationRole(_)
        | Event::Pinned { .. }
        | Event::Unpinned { .. }
        | Event::Answered(_) => return None,
    };
    Some(Change { epoch: epoch(generation, recorded.position), time: Some(recorded.new.time.to_string()), ..change })
}

/// A revocation that stands, or has left a cut-off; `later` are those whom it came to mean.
pub(super) fn standing(
    (id, revocation): (RevocationId, &Revocation),
    left: Option<Timestamp>,
    later: &[PersonId],
    of: &Change,
) -> Change {
    let mut change = revoked(id, revocation);
    change.people.extend(texts(later));
    change.left_cut_off = left.map(|left| left.to_string());
    stands(if left.is_some() { "cut_off" } else { "revoked" }, change, of)
}

/// An exemption in force.
pub(super) fn exempted(id: ExemptionId, exemption: &Exemption, of: &Change) -> Change {
    stands("exempted", exemption_of(id, exemption), of)
}

/// What a source says of somebody.
pub(super) fn person(person: &Person, of: &Change) -> Change {
    stands("person", of_person(person), of)
}

fn kind(word: &str, change: Change) -> Change {
    Change { kind: word.to_owned(), ..change }
}

fn stands(what: &str, change: Change, of: &Change) -> Change {
    Change { epoch: of.epoch, standing: Some(what.to_owned()), ..kind("standing", change) }
}

fn texts(persons: &[PersonId]) -> Vec<String> {
    persons.iter().map(ToString::to_string).collect()
}

fn given(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn about((id, target): (RevocationId, &Target), persons: &[PersonId]) -> Change {
    let people = match target {
        Target::DirectoryPerson { person } => std::slice::from_ref(person),
        _ => persons,
    };
    Change {
        id: Some(id.to_string()),
        target_kind: Some(target.kind().word().to_owned()),
        target: Some(target.to_string()),
        people: texts(people),
        ..Change::default()
    }
}

fn shaped(shape: Shape, change: Change) -> Change {
    let (word, issued_before) = convert::shape(shape);
    Change { shape: Some(word.to_owned()), issued_before, ..change }
}

fn revoked(id: RevocationId, revocation: &Revocation) -> Change {
    let source = match &revocation.owner {
        Owner::Source(name) => Some(name.clone()),
        Owner::Operator | Owner::Configuration => None,
    };
    Change {
        effective: Some(revocation.effective.to_string()),
        expires: revocation.expires.map(|expires| expires.to_string()),
        owner: Some(revocation.owner.to_string()),
        actor: given(&revocation.actor),
        source,
        reason: given(&revocation.reason),
        ..shaped(revocation.shape, about((id, &revocation.target), &revocation.persons))
    }
}

fn ended(end: &Ended) -> Change {
    let leaves = end.began && end.shape == Shape::Block && end.cause != EndCause::Undone;
    let left = leaves && end.target.kind().leaves_cut_off();
    Change {
        left_cut_off: left.then(|| end.at.to_string()),
        cause: Some(cause_word(end.cause).to_owned()),
        actor: given(&end.actor),
        reason: given(&end.reason),
        ..shaped(end.shape, about((end.revocation, &end.target), &end.persons))
    }
}

fn of_person(person: &Person) -> Change {
    Change {
        people: vec![person.id.to_string()],
        status: Some(person.status.word().to_owned()),
        groups: person.groups.clone(),
        source: Some(person.id.source.clone()),
        ..Change::default()
    }
}

fn exemption_of(id: ExemptionId, exemption: &Exemption) -> Change {
    Change {
        id: Some(id.to_string()),
        target: Some(exemption.reference.clone()),
        people: texts(&exemption.persons),
        expires: Some(exemption.expires.to_string()),
        actor: given(&exemption.actor),
        reason: given(&exemption.reason),
        ..Change::default()
    }
}

fn release_word(cause: ReleaseCause) -> &'static str {
    match cause {
        ReleaseCause::Confirmed => "confirmed",
        ReleaseCause::Discarded => "discarded",
        ReleaseCause::Superseded => "superseded",
    }
}
