//! Who is it, and is what we know about them fresh enough?

use super::revoked;
use super::verdict::Verdict;
use crate::domain::credential::Verified;
use crate::domain::decision::Determining;
use crate::domain::decision::steps::{SourceAge, SourceStep};
use crate::domain::few::Few;
use crate::domain::person::{PersonId, Status};
use crate::domain::policy::{Service, Unknown};
use crate::domain::reason::Reason;
use crate::domain::source::{SourceRules, WhenStale};
use crate::domain::time::Now;
use crate::faults::{Fault, planted};
use crate::state::State;

/// Checks whether the sources of a credential's issuer are fresh enough, and whether they know its owner. They are asked
/// about people only: a machine's own token has none.
pub(super) fn check(
    state: &State,
    service: &Service,
    (index, credential): (usize, &Verified),
    now: Now,
    verdict: &mut Verdict,
) {
    let people = revoked::people(state, &credential.owner);
    if credential.machine && revoked::people(state, &credential.owner).next().is_none() {
        return check_machine(state, (index, credential), verdict);
    }
    let nobody = revoked::owners(state, &credential.owner).next().is_none();
    let exemption = if nobody {
        None
    } else {
        people.map(|known| revoked::of_person(state, known.key, now)).reduce(|one, other| one.and(other)).flatten()
    };
    let mut all_listed = true;
    let mut any_lists = false;
    for (id, source) in sources(state, credential).filter(|(_, source)| source.supplies.people) {
        any_lists = true;
        all_listed &= state.fold.sources.contains_key(&source.name);
        let step = freshness(state, service, (id, source), now);
        verdict.note_source(step);
        let Some(reason) = step.finding else { continue };
        match exemption.filter(|_| reason == Reason::StaleSource) {
            Some(id) => verdict.exempted = Some(id),
            None => verdict.add(reason, Determining::Source(id), Some(index)),
        }
    }
    // Nothing follows from a source that never completed a listing (law 3).
    if nobody && any_lists && all_listed && state.rules.policy.unknown_people == Unknown::Deny {
        verdict.add(Reason::UnknownPerson, Determining::None, Some(index));
    }
}

fn check_machine(state: &State, (index, credential): (usize, &Verified), verdict: &mut Verdict) {
    let known = credential.client_key.is_some_and(|client| state.rules.names_client(client));
    if !known && state.rules.policy.unknown_clients == Unknown::Deny {
        verdict.add(Reason::UnknownPerson, Determining::None, Some(index));
    }
}

fn sources<'a>(state: &'a State, credential: &Verified) -> impl Iterator<Item = (u16, &'a SourceRules)> {
    let indices = state.rules.sources_of(credential.issuer_index).iter();
    indices.filter_map(|index| Some((*index, state.rules.policy.sources.get(usize::from(*index))?)))
}

/// How fresh a source is, and the reason of its denial if it is not fresh enough.
fn freshness(state: &State, service: &Service, (id, source): (u16, &SourceRules), now: Now) -> SourceStep {
    let when_stale = service.when_stale.unwrap_or(source.when_stale);
    let max_staleness = service.max_staleness.unwrap_or(source.max_staleness);
    let age = state.fold.sources.get(&source.name).map(|synced| SourceAge {
        heard: synced.last_heard,
        listed: synced.last_synced,
        stale: synced.is_stale(max_staleness, now),
    });
    let finding = match (age, when_stale) {
        (None, _) if planted(Fault::AbsentIsEmpty) => None,
        (None, _) if source.required => Some(Reason::NotReady),
        (None, WhenStale::Deny) | (Some(SourceAge { stale: true, .. }), WhenStale::Deny) => Some(Reason::StaleSource),
        _ => None,
    };
    SourceStep { source: id, age, max_staleness, when_stale, finding }
}

/// The most people that are named of all who match one request.
const MAX_NAMED: usize = 10;

/// Finds two people on one request: two persons of one source who have not departed or, if no source knows them, two
/// subjects of one issuer. Names them if a source knows them.
pub(super) fn mixed<'a>(state: &State, credentials: impl Iterator<Item = &'a Verified>) -> Option<Determining> {
    let mut people: Few<&PersonId> = Few::default();
    // By issuer: the subject of its first credential.
    let mut unlinked: Vec<(&str, Option<&str>)> = Vec::new();
    let mut mixed = None;
    for credential in credentials {
        let mut linked = false;
        for known in revoked::people(state, &credential.owner) {
            linked = true;
            // Whoever departed is denied anyway, and somebody else may have the name now.
            if known.person.status != Status::Departed {
                people.push(&known.person.id);
            }
        }
        if linked || credential.machine {
            continue;
        }
        let subject = credential.subject.as_deref();
        match unlinked.iter().find(|(issuer, _)| *issuer == &*credential.issuer) {
            Some((_, first)) if *first != subject => mixed = Some(Determining::None),
            Some(_) => {}
            None => unlinked.push((&credential.issuer, subject)),
        }
    }
    if people.len() < 2 {
        return mixed;
    }
    let mut people = people.to_vec();
    people.sort_unstable();
    people.dedup();
    let several = people.chunk_by(|one, other| one.source == other.source).filter(|people| people.len() > 1);
    let people: Vec<PersonId> = several.flatten().take(MAX_NAMED).map(|person| PersonId::clone(person)).collect();
    if people.is_empty() { mixed } else { Some(Determining::People(people)) }
}
