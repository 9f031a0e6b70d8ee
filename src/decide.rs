//! The decision: a pure function of state, request, credentials and time.
//!
//! No I/O, no await, no clock, no cache. Every credential is checked, and the strictest finding wins (law 2). The same
//! inputs give the same decision, and it names its cause (law 9). It comes with its steps, which `explain` puts into words:
//! nothing derives them a second time.

mod detail;
mod known;
mod permitted;
mod revoked;
pub mod roles;
mod verdict;

use std::sync::Arc;

use crate::domain::credential::{CredentialOutcome, Foreign, Verified};
use crate::domain::decision::steps::{CredentialStep, Form, Owner, Steps};
use crate::domain::decision::{Decision, Determining, HeldRole};
use crate::domain::destination::NamedBy;
use crate::domain::few::Few;
use crate::domain::policy::{Authorization, NotOurs};
use crate::domain::reason::Reason;
use crate::domain::time::Now;
use crate::faults::{Fault, planted};
use crate::request::{Path, Request};
use crate::state::State;
use crate::state::people::Known;
use crate::state::rules::Chosen;
use permitted::OverForms;
use verdict::Verdict;

/// Decides one request.
#[must_use]
pub fn decide(state: &State, request: &Request, outcomes: &[CredentialOutcome], now: Now) -> Decision {
    let chosen = state.rules.service(&request.destination);
    let credentials = outcomes.iter().cloned().map(CredentialStep::from).collect();
    let steps = Steps { form: form(request), named_by: chosen.by, credentials, ..Steps::default() };
    let mut verdict = Verdict::new(steps);
    check_form(&mut verdict);
    for (index, outcome) in outcomes.iter().enumerate() {
        if planted(Fault::GoodMakesUpForBad) && as_verified(outcome).is_none() && verified(outcomes).next().is_some() {
            continue;
        }
        check_credential(state, &chosen, (index, outcome), now, &mut verdict);
    }
    for credential in verified(outcomes) {
        known::check(state, chosen.service, credential, now, &mut verdict);
    }
    let first = verified(outcomes).next().map(|(index, _)| index);
    if let Some(people) = known::mixed(state, verified(outcomes).map(|(_, credential)| credential)) {
        verdict.add(Reason::MixedIdentities, people, first);
    }
    let of_credential = |(_, credential)| roles::of_credential(state, credential, now);
    let held: Few<Vec<HeldRole>> = verified(outcomes).map(of_credential).collect();
    if !verdict.denies() {
        let (reason, determining) = match grant(state, request, &chosen, outcomes, &held) {
            // The route names a service that does not exist: nothing that the default service grants applies.
            (reason, _) if chosen.by == NamedBy::UnknownRoute && reason > Reason::NoPermission => {
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
    conclude(state, &chosen, (outcomes, held), verdict, now)
}

/// The names of the roles that would permit a request for the service with this index: for advice, not for decisions.
#[must_use]
pub fn roles_that_permit<'a>(state: &'a State, request: &Request, service: u16) -> Vec<&'a str> {
    let roles = permitted::roles(state, request, service);
    roles.into_iter().map(|role| state.rules.policy.role_name(role)).collect()
}

fn as_verified(outcome: &CredentialOutcome) -> Option<&Verified> {
    match outcome {
        CredentialOutcome::Verified(credential) => Some(credential),
        CredentialOutcome::Rejected { .. } | CredentialOutcome::Foreign { .. } => None,
    }
}

/// The verified credentials, each with its index among all.
fn verified(outcomes: &[CredentialOutcome]) -> impl Iterator<Item = (usize, &Verified)> {
    outcomes.iter().enumerate().filter_map(|(index, outcome)| Some((index, as_verified(outcome)?)))
}

/// Whether a request is well formed.
#[must_use]
pub fn form(request: &Request) -> Form {
    match (request.malformed, &request.path) {
        (Some(why), _) => Form::Malformed(why),
        (None, Path::Odd(why)) => Form::OddPath(why),
        (None, Path::Forms(forms)) if forms.len() > 1 => Form::SeveralPaths(forms.to_vec()),
        (None, Path::Forms(_)) => Form::WellFormed,
    }
}

fn check_form(verdict: &mut Verdict) {
    if matches!(verdict.steps.form, Form::Malformed(_) | Form::OddPath(_)) {
        verdict.add(Reason::MalformedRequest, Determining::None, None);
    }
}

/// Checks one credential, apart from what it may do.
fn check_credential(
    state: &State,
    chosen: &Chosen<'_>,
    (index, outcome): (usize, &CredentialOutcome),
    now: Now,
    verdict: &mut Verdict,
) {
    match outcome {
        CredentialOutcome::Verified(credential) => {
            revoked::check(state, (index, credential), now, verdict);
            if let Some(flaw) = credential.flaw {
                verdict.add_flaw(flaw, index, credential.detail.as_ref());
            }
            let found = [audience(chosen, credential), credential.dates(now)];
            for reason in found.into_iter().flatten() {
                verdict.add_flaw(reason, index, None);
            }
        }
        CredentialOutcome::Rejected { reason, detail, .. } => verdict.add_rejection(*reason, detail.as_ref()),
        CredentialOutcome::Foreign { .. } => {}
    }
}

fn audience(chosen: &Chosen<'_>, credential: &Verified) -> Option<Reason> {
    let required = chosen.service.audiences.as_ref().or(credential.required_audiences.as_ref())?;
    (!credential.is_for(required)).then_some(Reason::WrongAudience)
}

/// What a request may do that nothing speaks against.
fn grant(
    state: &State,
    request: &Request,
    chosen: &Chosen<'_>,
    outcomes: &[CredentialOutcome],
    held: &[Vec<HeldRole>],
) -> (Reason, Determining) {
    // Each credential must be permitted by itself: one adds no rights to another (law 2).
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

fn grant_verified(state: &State, request: &Request, chosen: &Chosen<'_>, held: &[HeldRole]) -> (Reason, Determining) {
    if chosen.service.authorization == Authorization::None {
        return (Reason::Allowed, Determining::None);
    }
    let by_roles = permitted::by_roles(state, request, chosen.index, held);
    let public = || permitted::is_public(state, request, chosen.index);
    match by_roles {
        OverForms::All(binding) => (Reason::Allowed, binding.map_or(Determining::None, Determining::Binding)),
        OverForms::Mixed | OverForms::None if public() => (Reason::Public, Determining::None),
        OverForms::Mixed => (Reason::AmbiguousPath, Determining::None),
        OverForms::None => (Reason::NoPermission, Determining::None),
    }
}

fn conclude(
    state: &State,
    chosen: &Chosen<'_>,
    (outcomes, held): (&[CredentialOutcome], Few<Vec<HeldRole>>),
    verdict: Verdict,
    now: Now,
) -> Decision {
    let notable = verdict.notable || verdict.exempted.is_some();
    let (worst, steps) = verdict.into_parts();
    let reason = worst.as_ref().map_or(Reason::Internal, |worst| worst.reason);
    let (determining, about, told) =
        worst.map_or((Determining::None, None, None), |worst| (worst.determining, worst.credential, worst.detail));
    let credential = about.and_then(|index| as_verified(outcomes.get(index)?));
    let detail = told
        .or_else(|| detail::of(state, chosen, (reason, &determining), credential, now).map(Arc::new))
        .or_else(|| detail::of_foreign(state, reason, outcomes).map(Arc::new));
    let about = about.or_else(|| verified(outcomes).next().map(|(index, _)| index));
    let credential = about.and_then(|index| as_verified(outcomes.get(index)?));
    let known = credential.and_then(|credential| owner(state, credential, reason));
    let owner = match (known, credential) {
        (Some(known), _) => Owner::Person(known.person.status),
        (None, Some(credential)) if credential.machine => Owner::Machine,
        (None, Some(_)) => Owner::Unknown,
        (None, None) => Owner::NotAsked,
    };
    let steps = Steps { owner, ..steps };
    Decision {
        detail,
        determining,
        credential: about,
        person: known.map(|known| Arc::clone(&known.person)),
        roles: held_by_all(held),
        notable,
        ..Decision::new(reason, Arc::clone(&state.rules.policy), chosen.service, state.fold.epoch, steps)
    }
}

/// The person to whom a credential belongs.
fn owner<'a>(state: &'a State, credential: &'a Verified, reason: Reason) -> Option<&'a Known> {
    let owner = &credential.owner;
    // A person whom it only resembles is named in denials, but never to a service.
    let resembles = || revoked::people(state, owner).next().filter(|_| !reason.allows());
    revoked::owners(state, owner).next().or_else(resembles)
}

/// The roles that every credential holds, with the bindings of the first.
fn held_by_all(held: Few<Vec<HeldRole>>) -> Vec<HeldRole> {
    let mut held = match held {
        Few::One(roles) => return roles,
        Few::Many(held) => held.into_iter(),
    };
    let mut roles = held.next().unwrap_or_default();
    for other in held {
        roles.retain(|one| other.iter().any(|held| held.role == one.role));
    }
    roles
}
