//! The decision: a pure function of state, request, credentials and time.
//!
//! No I/O, no await, no clock, no cache. Every credential is judged, the strictest finding wins (law 2); the
//! same inputs give the same decision, and it names its cause (law 9).

mod detail;
mod known;
mod permitted;
mod revoked;
mod verdict;

use std::sync::Arc;

use crate::domain::credential::{CredentialOutcome, Foreign, Verified};
use crate::domain::decision::{Decision, Determining};
use crate::domain::policy::{Authorization, NotOurs};
use crate::domain::reason::Reason;
use crate::domain::time::Now;
use crate::faults::{Fault, planted};
use crate::request::{Path, Request};
use crate::state::State;
use crate::state::rules::Chosen;
use permitted::{Held, OverForms};
use verdict::Verdict;

/// Decides one request.
#[must_use]
pub fn decide(state: &State, request: &Request, outcomes: &[CredentialOutcome], now: Now) -> Decision {
    let chosen = state.rules.service(&request.destination);
    let proven: Vec<&Arc<Verified>> = outcomes.iter().filter_map(as_verified).collect();
    let mut verdict = Verdict::default();
    judge_form(request, &mut verdict);
    for outcome in outcomes {
        if planted(Fault::GoodMakesUpForBad) && !proven.is_empty() && as_verified(outcome).is_none() {
            continue;
        }
        check_credential(state, &chosen, outcome, now, &mut verdict);
    }
    for credential in &proven {
        known::check(state, chosen.service, credential, now, &mut verdict);
    }
    if let Some(people) = known::mixed(state, &proven) {
        verdict.add(Reason::MixedIdentities, people, proven.first().copied());
    }
    let held: Vec<Vec<Held>> = proven.iter().map(|credential| permitted::roles(state, credential, now)).collect();
    if !verdict.denies() {
        let (reason, determining) = match grant(state, request, &chosen, outcomes, &held) {
            // Whatever the default service would grant: the route names one that there is not.
            (reason, _) if chosen.unknown_name && reason > Reason::NoPermission => {
                (Reason::NoPermission, Determining::None)
            }
            granted => granted,
        };
        if !reason.allows() || verdict.exempted.is_none() {
            verdict.add(reason, determining, None);
        } else if let Some(exemption) = verdict.exempted {
            verdict.add(Reason::Exempted, Determining::Exemption(exemption), None);
        }
    }
    let decision = conclude(state, &chosen, (&proven, &held), verdict, now);
    let detail = decision.detail.clone().or_else(|| detail::of_foreign(state, decision.reason, outcomes).map(Arc::new));
    Decision { detail, ..decision }
}

fn as_verified(outcome: &CredentialOutcome) -> Option<&Arc<Verified>> {
    match outcome {
        CredentialOutcome::Verified(credential) => Some(credential),
        CredentialOutcome::Rejected { .. } | CredentialOutcome::Foreign { .. } => None,
    }
}

/// What is wrong with the request itself, whoever sends it.
fn judge_form(request: &Request, verdict: &mut Verdict) {
    if request.malformed.is_some() || matches!(request.path, Path::Odd(_)) {
        verdict.add(Reason::MalformedRequest, Determining::None, None);
    }
}

/// What is wrong with one credential, whatever it is shown for.
fn check_credential(state: &State, chosen: &Chosen<'_>, outcome: &CredentialOutcome, now: Now, verdict: &mut Verdict) {
    match outcome {
        CredentialOutcome::Verified(credential) => {
            revoked::check(state, credential, now, verdict);
            if let Some(flaw) = credential.flaw {
                verdict.add_told(flaw, Some(credential), credential.detail.as_ref());
            }
            let found = [audience(chosen, credential), credential.dates(now)];
            for reason in found.into_iter().flatten() {
                verdict.add(reason, Determining::None, Some(credential));
            }
        }
        CredentialOutcome::Rejected { reason, detail, .. } => verdict.add_told(*reason, None, detail.as_ref()),
        CredentialOutcome::Foreign { .. } => {}
    }
}

fn audience(chosen: &Chosen<'_>, credential: &Verified) -> Option<Reason> {
    let required = chosen.service.audiences.as_ref().or(credential.required_audiences.as_ref())?;
    (!credential.is_for(required)).then_some(Reason::WrongAudience)
}

/// Nothing speaks against it: what speaks for it?
fn grant(
    state: &State,
    request: &Request,
    chosen: &Chosen<'_>,
    outcomes: &[CredentialOutcome],
    held: &[Vec<Held>],
) -> (Reason, Determining) {
    // Each credential must be permitted by itself: a second one adds no right to the first (law 2).
    let each = held.iter().map(|held| grant_verified(state, request, chosen, held));
    if let Some(strictest) = each.min_by_key(|(reason, _)| *reason) {
        return strictest;
    }
    let foreign = outcomes.iter().filter_map(as_foreign).min();
    let public = permitted::is_public(state, request, chosen.index);
    let reason = match foreign {
        Some(_) if chosen.service.foreign_credentials == NotOurs::Pass => Reason::PassedForeignCredentials,
        Some(Foreign::Jwt) => Reason::UnknownIssuer,
        _ if public => Reason::Public,
        Some(Foreign::Other) => Reason::NoCredentials,
        None if request.is_preflight() && chosen.service.preflight == NotOurs::Pass => Reason::Preflight,
        None if chosen.service.no_credentials == NotOurs::Pass => Reason::PassedWithoutCredentials,
        None => Reason::NoCredentials,
    };
    (reason, Determining::None)
}

fn as_foreign(outcome: &CredentialOutcome) -> Option<Foreign> {
    match outcome {
        CredentialOutcome::Foreign { what, .. } => Some(*what),
        CredentialOutcome::Verified(_) | CredentialOutcome::Rejected { .. } => None,
    }
}

fn grant_verified(state: &State, request: &Request, chosen: &Chosen<'_>, held: &[Held]) -> (Reason, Determining) {
    if chosen.service.authorization == Authorization::None {
        return (Reason::Allowed, Determining::None);
    }
    let by_roles = permitted::by_roles(state, request, chosen.index, held);
    let public = || permitted::is_public(state, request, chosen.index);
    match by_roles {
        OverForms::All(binding) => (Reason::Allowed, binding.map_or(Determining::None, |index| place(state, index))),
        OverForms::Mixed | OverForms::None if public() => (Reason::Public, Determining::None),
        OverForms::Mixed => (Reason::AmbiguousPath, Determining::None),
        OverForms::None => (Reason::NoPermission, Determining::None),
    }
}

fn place(state: &State, binding: u32) -> Determining {
    let found = usize::try_from(binding).ok().and_then(|index| state.rules.policy.bindings.get(index));
    Determining::Binding(found.map(|binding| binding.place.clone()).unwrap_or_default())
}

fn conclude(
    state: &State,
    chosen: &Chosen<'_>,
    (proven, held): (&[&Arc<Verified>], &[Vec<Held>]),
    verdict: Verdict,
    now: Now,
) -> Decision {
    let notable = verdict.notable || verdict.exempted.is_some();
    let worst = verdict.into_worst();
    let reason = worst.as_ref().map_or(Reason::Internal, |worst| worst.reason);
    let (determining, credential, told) =
        worst.map_or((Determining::None, None, None), |worst| (worst.determining, worst.credential, worst.detail));
    let cause = (reason, &determining);
    let detail = told.or_else(|| detail::of(state, chosen, cause, credential.as_deref(), now).map(Arc::new));
    let credential = credential.or_else(|| proven.first().map(|first| Arc::clone(first)));
    let person = credential.as_deref().and_then(|credential| {
        let owner = &credential.owner;
        // Whom it only resembles is named where it is refused, and never to a service.
        let resembles = || revoked::people(state, owner).next().filter(|_| !reason.allows());
        let known = revoked::owners(state, owner).next().or_else(resembles)?;
        Some(known.person.id.clone())
    });
    let (first, others) = held.split_first().map_or((&[][..], held), |(first, others)| (first, others));
    let everywhere = |role: u16| others.iter().all(|other| other.iter().any(|held| held.role == role));
    let shared: Vec<Held> = first.iter().filter(|held| everywhere(held.role)).copied().collect();
    Decision {
        reason,
        detail,
        determining,
        service: Arc::clone(&chosen.service.name),
        enforcement: chosen.service.enforcement,
        credential,
        person,
        roles: permitted::names(state, &shared),
        notable,
        epoch: state.fold.epoch,
        configuration: Arc::clone(&state.rules.policy.hash),
    }
}
