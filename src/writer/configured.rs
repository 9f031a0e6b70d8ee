//! What a configuration brings about in the log: notes of its revocations, and pins of its names.

use std::collections::BTreeSet;

use super::identifiers;
use super::operator::end;
use super::plan::{Outcome, Plan};
use crate::domain::command::Refused;
use crate::domain::event::{EndCause, Event};
use crate::domain::id::RevocationId;
use crate::domain::name::Match;
use crate::domain::person::{PersonId, Status};
use crate::domain::policy::ConfiguredRevocation;
use crate::domain::revocation::{Owner, Revocation, Target, TargetKind};
use crate::domain::source::Linking;
use crate::domain::time::Now;
use crate::log::{Log, LogError};
use crate::state::State;
use crate::state::revocations::{EntryKind, OwnerKind};

/// Who acts where the configuration does.
const ACTOR: &str = "configuration";

/// Notes what stands in `revocations:` for the first time, and ends what no longer does.
pub(super) async fn note<L: Log>(plan: &mut Plan, log: &L, now: Now) -> Result<Result<Outcome, Refused>, LogError> {
    let rules = std::sync::Arc::clone(&plan.state.rules);
    let (fresh, gone) = rules.unnoted(&plan.state.fold, now);
    for entry in fresh {
        let revocation = revocation(&plan.state, entry, now);
        plan.revoke(revocation, None, now);
    }
    for id in gone {
        if let Some(revocation) = read(log, id).await? {
            let ended =
                end(id, revocation, (EndCause::TakenOut, now.wall), (ACTOR, "taken out of the configuration"), now);
            plan.add(Event::Ended(ended), now);
        }
    }
    let anew = compared_anew(plan);
    let respelt = if anew.is_empty() { Vec::new() } else { respelt(plan, log).await? };
    link(plan, now);
    for source in anew {
        identifiers::compared_anew(plan, &source, now);
    }
    for revocation in respelt {
        plan.revoke(revocation, None, now);
    }
    Ok(Ok(Outcome::default()))
}

/// The sources whose names come to be compared by another rule: an earlier version knew none, or the kind is another.
fn compared_anew(plan: &Plan) -> Vec<String> {
    let fold = &plan.state.fold;
    let anew = plan.state.rules.policy.sources.iter().filter(|source| {
        let known = fold.feeds.get(&source.name).and_then(|feed| feed.linking.as_ref());
        let people = fold.people.counts().contains_key(&source.name);
        people && known.is_some_and(|linking| linking.directory != Some(source.directory))
    });
    anew.map(|source| source.name.clone()).collect()
}

/// Cut-offs of identifiers as they were written, for the spelling under which they are looked up now: what was dead stays so
/// in every spelling. Not where somebody is there whom tokens meant by another one: they were never denied.
async fn respelt<L: Log>(plan: &Plan, log: &L) -> Result<Vec<Revocation>, LogError> {
    let cut_offs = plan.state.fold.revocations.iter().filter(|entry| {
        (entry.kind, entry.owner, entry.stand) == (TargetKind::Subject, OwnerKind::Source, EntryKind::CutOff)
    });
    let ids: BTreeSet<RevocationId> = cut_offs.map(|entry| entry.id).collect();
    let mut respelt = Vec::new();
    for id in ids {
        let Some(revocation) = read(log, id).await? else { continue };
        let targets = identifiers::respelt(&plan.state, &revocation.target);
        respelt.extend(targets.into_iter().map(|target| Revocation { target, ..revocation.clone() }));
    }
    Ok(respelt)
}

/// Notes how each source is linked, for the day on which it is taken out.
fn link(plan: &mut Plan, now: Now) {
    let policy = std::sync::Arc::clone(&plan.state.rules.policy);
    for source in &policy.sources {
        let Some(issuer) = policy.issuers.get(usize::from(source.issuer)) else { continue };
        let linking =
            Linking { issuer: issuer.issuer.to_string(), link: source.link.clone(), directory: Some(source.directory) };
        let known = plan.state.fold.feeds.get(&source.name).and_then(|feed| feed.linking.as_deref());
        if known != Some(&linking) {
            plan.add(Event::Linked { source: source.name.clone(), linking }, now);
        }
    }
}

async fn read<L: Log>(log: &L, id: RevocationId) -> Result<Option<Revocation>, LogError> {
    let found = log.revocation(id).await?;
    Ok(found.and_then(|recorded| recorded.revocation().map(|(_, revocation)| revocation.clone())))
}

/// A configured REF denies everybody whom it may mean.
fn revocation(state: &State, entry: &ConfiguredRevocation, now: Now) -> Revocation {
    let persons = match &entry.target {
        Target::Person { reference } => state.resolve(reference),
        _ => Vec::new(),
    };
    Revocation {
        id: None,
        target: state.rules.policy.canonical(&entry.target),
        shape: entry.shape,
        reason: entry.reason.clone(),
        owner: Owner::Configuration,
        actor: ACTOR.to_owned(),
        effective: entry.effective.unwrap_or(now.wall.min(now.steady)),
        expires: None,
        persons,
        by_rule: true,
    }
}

/// Pins the names of bindings that now mean somebody, and forgets the names that no binding has any more.
pub(super) fn pin(plan: &mut Plan, now: Now) {
    let rules = std::sync::Arc::clone(&plan.state.rules);
    for name in rules.names() {
        for person in unpinned(&plan.state, name) {
            plan.add(Event::Pinned { issuer: name.0.clone(), name: name.1.clone(), person }, now);
        }
    }
    let stale: Vec<(String, String)> =
        plan.state.fold.pins.keys().filter(|name| rules.of_name(name).is_empty()).cloned().collect();
    for (issuer, name) in stale {
        plan.add(Event::Unpinned { issuer, name }, now);
    }
}

/// Whom the name means in each source of its issuer that it is not pinned in yet. A name that means several
/// people of a source means nobody there.
fn unpinned(state: &State, (issuer, name): &(String, String)) -> Vec<PersonId> {
    let policy = &state.rules.policy;
    let pinned = state.fold.pins.get(&(issuer.clone(), name.clone())).map_or(&[][..], Vec::as_slice);
    let of_issuer = |source: &str| {
        policy.sources.iter().any(|rules| {
            rules.name == source
                && policy.issuers.get(usize::from(rules.issuer)).is_some_and(|rules| rules.name == *issuer)
        })
    };
    let here = |id: &PersonId| {
        state.fold.people.find(&state.fold.keyer, id).is_some_and(|known| known.person.status != Status::Departed)
    };
    let mut meant = state.meant(name);
    meant.retain(|(id, _)| of_issuer(&id.source) && here(id) && !pinned.iter().any(|other| other.source == id.source));
    meant
        .chunk_by(|(one, _), (other, _)| one.source == other.source)
        .filter_map(|of_source| match of_source {
            [(one, Match::Grants)] => Some(one.clone()),
            _ => None,
        })
        .collect()
}
