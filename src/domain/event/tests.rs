use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::domain::call::Stood;
use crate::domain::id::ExemptionId;
use crate::domain::name::Directory;
use crate::domain::person::Status;
use crate::domain::revocation::Owner;
use crate::domain::source::Link;

fn text() -> impl Strategy<Value = String> {
    ".{0,12}"
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_millis)
}

fn person() -> impl Strategy<Value = PersonId> {
    (text(), text()).prop_map(|(source, key)| PersonId { source, key })
}

fn target() -> impl Strategy<Value = Target> {
    (person(), text(), text(), text()).prop_flat_map(|(person, issuer, name, value)| {
        let (subject, session, token, client) = (name.clone(), name.clone(), name.clone(), name.clone());
        prop::sample::select(vec![
            Target::Person { reference: name.clone() },
            Target::DirectoryPerson { person },
            Target::Subject { issuer: issuer.clone(), subject },
            Target::Session { issuer: issuer.clone(), session },
            Target::Token { issuer: issuer.clone(), token },
            Target::Client { issuer: issuer.clone(), client },
            Target::Issuer { issuer: issuer.clone() },
            Target::Key { id: name.clone() },
            Target::Certificate { sha256: name.clone() },
            Target::LinkClaim { issuer, claim: name, value },
        ])
    })
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![Just(Shape::Block), time().prop_map(|at| Shape::CutOff { at })]
}

fn owner() -> impl Strategy<Value = Owner> {
    prop_oneof![Just(Owner::Operator), Just(Owner::Configuration), text().prop_map(Owner::Source)]
}

fn revocation() -> impl Strategy<Value = Revocation> {
    let persons = (prop::collection::vec(person(), 0..3), any::<bool>());
    let times = (time(), prop::option::of(time()));
    (target(), shape(), text(), owner(), times, persons).prop_map(
        |(target, shape, reason, owner, (effective, expires), (persons, by_rule))| {
            let actor = reason.clone();
            Revocation { id: None, target, shape, reason, owner, actor, effective, expires, persons, by_rule }
        },
    )
}

fn record() -> impl Strategy<Value = Person> {
    let attributes = prop::collection::btree_map(text(), text(), 0..3);
    let status = prop::sample::select(Status::ALL.to_vec());
    (person(), status, prop::option::of(text()), attributes, prop::collection::vec(text(), 0..3)).prop_map(
        |(id, status, email, attributes, groups)| Person {
            username: email.clone(),
            email,
            more: attributes.keys().map(|name| (name.clone(), groups.clone())).collect(),
            attributes,
            groups,
            ..Person::new(id, status)
        },
    )
}

fn ended() -> impl Strategy<Value = Ended> {
    let cause = prop::sample::select(vec![
        EndCause::Restored,
        EndCause::Expired,
        EndCause::ActiveAgain,
        EndCause::TakenOut,
        EndCause::Undone,
    ]);
    (revocation(), any::<u64>(), cause, time()).prop_map(|(of, id, cause, at)| Ended {
        revocation: RevocationId::from_number(id),
        target: of.target,
        shape: of.shape,
        expires: of.expires,
        persons: of.persons,
        began: id % 2 == 0,
        cause,
        at,
        actor: of.actor,
        reason: of.reason,
    })
}

fn event() -> impl Strategy<Value = Event> {
    let id = any::<u64>;
    let exemption = (text(), prop::collection::vec(person(), 0..3), time()).prop_map(|(reason, persons, expires)| {
        let (reference, actor) = (reason.clone(), reason.clone());
        Event::Exempted(Exemption { id: None, reference, persons, expires, actor, reason })
    });
    prop_oneof![
        revocation().prop_map(Event::Revoked),
        (id(), target(), person()).prop_map(|(id, target, person)| {
            let revocation = RevocationId::from_number(id);
            Event::Extended { revocation, target, person }
        }),
        ended().prop_map(Event::Ended),
        record().prop_map(|person| Event::Person(Arc::new(person))),
        (text(), time(), 0..3_usize).prop_map(|(source, at, people)| {
            Event::Synced { source, at, left_out: Removals { people, ..Removals::default() } }
        }),
        exemption,
        (text(), text(), text(), text()).prop_map(|(source, issuer, claim, attribute)| {
            Event::Linked {
                source,
                linking: Linking { issuer, link: vec![Link { claim, attribute }], directory: Some(Directory::Ldap) },
            }
        }),
        id().prop_map(|id| Event::ExemptionEnded {
            exemption: ExemptionId::from_number(id),
            persons: Vec::new(),
            cause: EndCause::Expired,
            actor: String::new(),
            reason: String::new(),
        }),
        (text(), id(), prop::collection::vec(person(), 0..3), time()).prop_map(|(call, id, persons, since)| {
            let (request, actor, id) = (call.clone(), call.clone(), RevocationId::from_number(id));
            let (exemption, stood) = (Some(ExemptionId::from_number(id.number())), vec![Stood { id, since, actor }]);
            Event::Answered(Answered { call, request, revocations: vec![id], stood, exemption, persons })
        }),
        (text(), text(), person()).prop_map(|(issuer, name, person)| Event::Pinned { issuer, name, person }),
        (text(), text()).prop_map(|(issuer, name)| Event::Unpinned { issuer, name, persons: Vec::new() }),
        (text(), time(), prop::option::of(text())).prop_map(|(source, at, cursor)| Event::Heartbeat {
            source,
            at,
            cursor
        }),
        (text(), time(), prop::collection::vec(text(), 0..3)).prop_map(|(source, at, missing)| {
            let (more, emptied) = (missing.clone(), missing.clone());
            let (because, unlisted) = (emptied.first().cloned(), emptied.len() == 2);
            let (memberships, all_memberships) = (1, 2);
            let held =
                HeldListing { source, at, missing, known: 3, memberships, all_memberships, emptied, because, unlisted };
            if held.missing.is_empty() {
                Event::ListingHeld(held)
            } else {
                Event::ListingHeldUpdated(HeldListingUpdate { held, missing: 1, back: more.clone(), more })
            }
        }),
        (text(), text())
            .prop_map(|(source, actor)| { Event::Released { source, cause: ReleaseCause::Confirmed, actor } }),
        (text(), 0..9_usize, time(), text()).prop_map(|(source, memberships, until, actor)| {
            let confirmed = Confirmed { memberships, groups: vec![actor.clone()], until };
            Event::MembershipsConfirmed { source, confirmed, actor }
        }),
        (text(), any::<u32>(), time(), text()).prop_map(|(source, share, until, actor)| Event::Expected {
            source,
            share,
            until,
            actor
        }),
    ]
}

proptest! {
    /// An event that does not read back would end the log there, for ever.
    #[test]
    fn every_event_reads_back_from_its_json(event in event()) {
        let json = serde_json::to_string(&event).unwrap();
        prop_assert_eq!(serde_json::from_str::<Event>(&json).map_err(|error| error.to_string()), Ok(event), "{}", json);
    }
}
