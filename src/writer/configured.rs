//! What follows from the configuration in the log: notes of its revocations, links of its sources and pins of its
//! names.

use std::collections::BTreeSet;

use super::identifiers;
use super::operator::end;
use super::plan::{Outcome, Plan};
use crate::domain::command::{Command, Refused};
use crate::domain::event::{ConfigurationRole, EndCause, Event, EventFormat};
use crate::domain::id::RevocationId;
use crate::domain::name::Match;
use crate::domain::person::{PersonId, Status};
use crate::domain::policy::ConfiguredRevocation;
use crate::domain::revocation::{Owner, Revocation, Target, TargetKind};
use crate::domain::source::Linking;
use crate::domain::time::Now;
use crate::log::{Log, LogError};
use crate::state::State;
use crate::state::fold::PinName;
use crate::state::revocations::{EntryKind, OwnerKind};

/// The actor of what follows from the configuration.
const ACTOR: &str = "configuration";

/// Whether a command notes what follows from the configuration in force. If the log refused that, the next tick tries
/// again: an entry that is later removed from `revocations:` leaves a cut-off only if it was noted (law 7).
pub(super) fn notes(command: &Command) -> bool {
    matches!(command, Command::Configure(_) | Command::NotedElsewhere(_) | Command::Tick)
}

/// Notes new entries of `revocations:`, and ends the notes of removed ones.
///
/// A note that another process's configuration still has (`elsewhere`) is not ended.
pub(super) async fn note<L: Log>(
    plan: &mut Plan,
    log: &L,
    elsewhere: &BTreeSet<String>,
    now: Now,
) -> Result<Result<Outcome, Refused>, LogError> {
    if !has_role(plan, now) {
        return Ok(Ok(Outcome::default()));
    }
    let rules = std::sync::Arc::clone(&plan.state.rules);
    let (fresh, gone) = rules.unnoted(&plan.state.fold, now);
    for entry in fresh {
        let revocation = revocation(&plan.state, entry, now);
        plan.revoke(revocation, None, now);
    }
    let kept: BTreeSet<RevocationId> =
        elsewhere.iter().filter_map(|note| plan.state.fold.noted.get(note)).copied().collect();
    for id in gone.into_iter().filter(|id| !kept.contains(id)) {
        if let Some(revocation) = read(log, id).await? {
            let ended =
                end(id, revocation, (EndCause::TakenOut, now.wall), (ACTOR, "removed from the configuration"), now);
            plan.end(ended, now);
        }
    }
    let changed = rules_changed(plan);
    let respelled = if changed.is_empty() { Vec::new() } else { respelled(plan, log).await? };
    link(plan, now);
    for source in changed {
        identifiers::yield_names(plan, &source, now);
    }
    for revocation in respelled {
        plan.revoke(revocation, None, now);
    }
    Ok(Ok(Outcome::default()))
}

/// Whether this process holds the configuration role. The only process of an installation takes it here.
fn has_role(plan: &mut Plan, now: Now) -> bool {
    // With the first format there is only one process.
    if plan.identity.format < EventFormat::Two || is_holder(plan) {
        return true;
    }
    if plan.identity.alone {
        take_role(plan, now);
    }
    plan.identity.alone
}

fn is_holder(plan: &Plan) -> bool {
    plan.state.fold.configuration_role.as_ref().is_some_and(|role| *role.process == *plan.identity.process)
}

/// Plans that this process takes the role, unless it holds it.
pub(super) fn take_role(plan: &mut Plan, now: Now) -> Outcome {
    if !is_holder(plan) {
        let term = plan.state.fold.configuration_role.as_ref().map_or(0, |role| role.term) + 1;
        let process = plan.identity.process.to_string();
        plan.add(Event::ConfigurationRole(ConfigurationRole { process, term }), now);
    }
    Outcome::default()
}

/// The sources whose names are compared by another rule than before: an earlier version knew none, or the kind of the
/// source changed.
fn rules_changed(plan: &Plan) -> Vec<String> {
    let fold = &plan.state.fold;
    let changed = plan.state.rules.policy.sources.iter().filter(|source| {
        let known = fold.feeds.get(&source.name).and_then(|feed| feed.linking.as_ref());
        let people = fold.people.counts().contains_key(&source.name);
        people && known.is_some_and(|linking| linking.directory != Some(source.directory))
    });
    changed.map(|source| source.name.clone()).collect()
}

/// Repeats cut-offs of identifiers for the spelling under which they are looked up now, so that old credentials stay
/// denied in every spelling. Leaves out identifiers of present people who use another spelling: they were never denied.
async fn respelled<L: Log>(plan: &Plan, log: &L) -> Result<Vec<Revocation>, LogError> {
    let cut_offs = plan.state.fold.revocations.iter().filter(|entry| {
        (entry.kind, entry.owner, entry.effect) == (TargetKind::Subject, OwnerKind::Source, EntryKind::CutOff)
    });
    let ids: BTreeSet<RevocationId> = cut_offs.map(|entry| entry.id).collect();
    let mut respelled = Vec::new();
    for id in ids {
        let Some(revocation) = read(log, id).await? else { continue };
        let targets = identifiers::respelled(&plan.state, &revocation.target);
        respelled.extend(targets.into_iter().map(|target| Revocation { target, ..revocation.clone() }));
    }
    Ok(respelled)
}

/// Logs how each source is linked, which still counts after it is removed.
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

/// The revocation of an entry. A configured REF denies everybody who may be meant.
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

/// Pins names in bindings that now resolve to a person, and unpins names that no binding has any more.
pub(super) fn pin(plan: &mut Plan, now: Now) {
    let rules = std::sync::Arc::clone(&plan.state.rules);
    let new: Vec<(PinName, PersonId)> = rules
        .names()
        .flat_map(|name| unpinned(&plan.state, name).into_iter().map(move |person| (name.clone(), person)))
        .collect();
    let stale: Vec<PinName> =
        plan.state.fold.pins.keys().filter(|name| rules.of_name(name).is_empty()).cloned().collect();
    if (new.is_empty() && stale.is_empty()) || !has_role(plan, now) {
        return;
    }
    for ((issuer, name), person) in new {
        plan.add(Event::Pinned { issuer, name, person }, now);
    }
    for pin_name in stale {
        let persons = plan.state.fold.pins.get(&pin_name).cloned().unwrap_or_default();
        let (issuer, name) = pin_name;
        plan.add(Event::Unpinned { issuer, name, persons }, now);
    }
}

/// The persons to pin a name to: one for each source of its issuer in which it is not pinned yet. A name that matches
/// several people of a source means nobody there.
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
