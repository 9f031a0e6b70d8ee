//! Who is it, and does what we know of them still count?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::revoked;
use super::verdict::Verdict;
use crate::domain::credential::Verified;
use crate::domain::decision::Determining;
use crate::domain::person::{PersonId, Status};
use crate::domain::policy::{Service, Unknown};
use crate::domain::reason::Reason;
use crate::domain::source::{SourceRules, WhenStale};
use crate::domain::time::Now;
use crate::faults::{Fault, planted};
use crate::state::State;

/// Judges whether the sources of a credential's issuer can be believed about its owner, and whether they know
/// them. Only people are asked about: a machine's own token has none.
pub(super) fn check(state: &State, service: &Service, credential: &Arc<Verified>, now: Now, verdict: &mut Verdict) {
    let people = revoked::people(state, &credential.owner);
    if credential.machine && revoked::people(state, &credential.owner).next().is_none() {
        return judge_machine(state, credential, verdict);
    }
    let nobody = revoked::owners(state, &credential.owner).next().is_none();
    let exemption = if nobody {
        None
    } else {
        people.map(|known| revoked::of_person(state, known.key, now)).reduce(|one, other| one.and(other)).flatten()
    };
    let mut all_listed = true;
    let mut any_lists = false;
    for source in sources(state, credential).filter(|source| source.supplies.people) {
        any_lists = true;
        all_listed &= state.fold.sources.contains_key(&source.name);
        let Some(reason) = staleness(state, service, source, now) else { continue };
        match exemption.filter(|_| reason == Reason::StaleSource) {
            Some(id) => verdict.exempted = Some(id),
            None => verdict.add(reason, Determining::Source(source.name.clone()), Some(credential)),
        }
    }
    // From a listing that was never completed nothing is concluded.
    if nobody && any_lists && all_listed && state.rules.policy.unknown_people == Unknown::Deny {
        verdict.add(Reason::UnknownPerson, Determining::None, Some(credential));
    }
}

fn judge_machine(state: &State, credential: &Arc<Verified>, verdict: &mut Verdict) {
    let known = credential.client_key.is_some_and(|client| state.rules.names_client(client));
    if !known && state.rules.policy.unknown_clients == Unknown::Deny {
        verdict.add(Reason::UnknownPerson, Determining::None, Some(credential));
    }
}

fn sources<'a>(state: &'a State, credential: &Verified) -> impl Iterator<Item = &'a SourceRules> {
    let indices = state.rules.sources_of(credential.issuer_index);
    indices.iter().filter_map(|index| state.rules.policy.sources.get(usize::from(*index)))
}

/// Why a source cannot be believed now, if it cannot.
fn staleness(state: &State, service: &Service, source: &SourceRules, now: Now) -> Option<Reason> {
    let when_stale = service.when_stale.unwrap_or(source.when_stale);
    let Some(synced) = state.fold.sources.get(&source.name) else {
        if planted(Fault::AbsentIsEmpty) {
            return None;
        }
        return match (source.required, when_stale) {
            (true, _) => Some(Reason::NotReady),
            (false, WhenStale::Deny) => Some(Reason::StaleSource),
            (false, WhenStale::Allow) => None,
        };
    };
    let max = service.max_staleness.unwrap_or(source.max_staleness);
    (synced.is_stale(max, now) && when_stale == WhenStale::Deny).then_some(Reason::StaleSource)
}

/// People who are named, of all to whom one request belongs.
const NAMED: usize = 10;

/// Two people on one request: two persons of one source who have not departed, or, where no source knows either, two
/// subjects of one issuer.
///
/// Names them, where a source knows them.
pub(super) fn mixed(state: &State, credentials: &[&Arc<Verified>]) -> Option<Determining> {
    let mut of_source: BTreeMap<&str, BTreeSet<&PersonId>> = BTreeMap::new();
    let mut unlinked: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    let mut mixed = None;
    for credential in credentials {
        let mut linked = false;
        for known in revoked::people(state, &credential.owner) {
            linked = true;
            // Whoever departed is denied already, and may have been called as somebody else is now.
            if known.person.status != Status::Departed {
                of_source.entry(&known.person.id.source).or_default().insert(&known.person.id);
            }
        }
        let subject = credential.subject.as_deref();
        if !linked && !credential.machine && *unlinked.entry(&credential.issuer).or_insert(subject) != subject {
            mixed = Some(Determining::None);
        }
    }
    let several = of_source.into_values().filter(|people| people.len() > 1);
    let people: Vec<PersonId> = several.flatten().take(NAMED).cloned().collect();
    if people.is_empty() { mixed } else { Some(Determining::People(people)) }
}
