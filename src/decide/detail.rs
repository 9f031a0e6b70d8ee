//! What decided, in words, for the findings that only a decision can make: of the others `authenticate` has said it.
//!
//! Made after the decision, and never looked at by it.

use crate::domain::credential::{CredentialOutcome, Foreign, LinkKeys, Verified};
use crate::domain::decision::Determining;
use crate::domain::detail::Detail;
use crate::domain::reason::Reason;
use crate::domain::time::{Now, Timestamp};
use crate::state::State;
use crate::state::rules::Chosen;

/// What of `credential` made it end with `reason`, where one thing did.
pub(super) fn of(
    state: &State,
    chosen: &Chosen<'_>,
    (reason, determining): (Reason, &Determining),
    credential: Option<&Verified>,
    now: Now,
) -> Option<Detail> {
    match (reason, determining, credential?) {
        (Reason::WrongAudience, _, credential) => audience(state, chosen, credential),
        (Reason::Expired, _, credential) => {
            let leeway = humantime::format_duration(credential.leeway);
            Some(claimed(format!("claim `exp` is past by more than the `leeway` of {leeway}"), credential.expires))
        }
        (Reason::NotYetValid, _, credential) => Some(not_yet(credential, now)),
        (Reason::IssuedBeforeCutoff, _, credential) => Some(match credential.issued {
            Some(issued) => claimed("claim `iat` is not after the cut-off".to_owned(), Some(issued)),
            None => Detail::new("there is no claim `iat`, so that every cut-off counts as later"),
        }),
        (Reason::UnknownPerson, _, credential) => unknown(state, credential),
        (Reason::StaleSource, Determining::Source(source), _) => Some(Detail::new(format!(
            "what source `{}` said is older than `max_staleness`, or was never complete",
            state.rules.policy.source_name(*source)
        ))),
        (Reason::NotReady, Determining::Source(source), _) => Some(Detail::new(format!(
            "source `{}` is `required` and was never listed completely",
            state.rules.policy.source_name(*source)
        ))),
        _ => None,
    }
}

/// Whose a token says that it is that no configured issuer made.
pub(super) fn of_foreign(state: &State, reason: Reason, outcomes: &[CredentialOutcome]) -> Option<Detail> {
    if reason != Reason::UnknownIssuer {
        return None;
    }
    let issuers: Vec<String> = state.rules.policy.issuers.iter().map(|rules| rules.issuer.to_string()).collect();
    let detail = Detail::new(format!("claim `iss` names no configured issuer; these are: {}", quoted(&issuers)));
    let claimed = outcomes.iter().find_map(|outcome| match outcome {
        CredentialOutcome::Foreign { what: Foreign::Jwt, issuer } => Some(issuer.as_deref().unwrap_or("nothing")),
        _ => None,
    });
    Some(match claimed {
        Some(issuer) => detail.found(issuer),
        None => detail,
    })
}

fn claimed(words: String, time: Option<Timestamp>) -> Detail {
    let detail = Detail::new(words);
    match time {
        Some(time) => detail.found(&time.to_string()),
        None => detail,
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn audience(state: &State, chosen: &Chosen<'_>, credential: &Verified) -> Option<Detail> {
    let issuer = state.rules.policy.issuers.get(usize::from(credential.issuer_index))?;
    let (whose, required) = match &chosen.service.audiences {
        Some(of_service) => (format!("service `{}`", chosen.service.name), of_service),
        None => (format!("issuer `{}`", issuer.name), credential.required_audiences.as_ref()?),
    };
    let configured = issuer.claims.audience.as_ref().map_or("aud", |name| name.as_str());
    let fits = |found: &[String]| found.iter().any(|audience| required.contains(audience));
    let (claim, found) = match &credential.beside_audiences {
        Some(beside) if fits(&credential.audiences) => ("aud", beside),
        _ => (configured, &credential.audiences),
    };
    let words = format!("claim `{claim}` holds none of the `audiences` of {whose}: {}", quoted(required));
    let shown = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
    Some(Detail::new(words).found(&shown))
}

fn not_yet(credential: &Verified, now: Now) -> Detail {
    let future = now.wall.plus(credential.leeway);
    let leeway = humantime::format_duration(credential.leeway);
    let (claim, time) = match credential.not_before {
        Some(time) if time > future => ("nbf", Some(time)),
        _ => ("iat", credential.issued),
    };
    claimed(format!("claim `{claim}` lies further ahead than the `leeway` of {leeway}"), time)
}

/// By which claim somebody was looked for, in each source of the issuer.
fn unknown(state: &State, credential: &Verified) -> Option<Detail> {
    if credential.machine {
        return Some(Detail::new("no binding names this client, and `clients.unknown` says `deny`"));
    }
    let policy = &state.rules.policy;
    let sources = state.rules.sources_of(credential.issuer_index);
    let mut found: Vec<&str> = Vec::new();
    let looked: Vec<String> = sources
        .iter()
        .filter_map(|index| {
            let source = policy.sources.get(usize::from(*index))?;
            let by = |link: &&LinkKeys| link.source == *index;
            let Some(used) = credential.owner.links.iter().find(by) else {
                let claims: Vec<String> = source.link.iter().map(|link| link.claim.clone()).collect();
                return Some(format!(
                    "no claim that links to source `{}` says anything: {}",
                    source.name,
                    quoted(&claims)
                ));
            };
            found.push(&used.value);
            let link = source.link.get(usize::from(used.link))?;
            // Somebody resembles it: that denies, and gives nothing.
            if state.fold.people.linked(&used.person).next().is_some() {
                return Some(format!(
                    "claim `{}` is the `{}` of somebody in source `{}` only where another character is taken for an ASCII \
                     one, which denies and never grants: write it there as tokens do",
                    link.claim, link.attribute, source.name
                ));
            }
            Some(format!(
                "nobody in source `{}` has the `{}` that claim `{}` says",
                source.name, link.attribute, link.claim
            ))
        })
        .collect();
    found.dedup();
    let detail = Detail::new(looked.join("; "));
    Some(if found.is_empty() { detail } else { detail.found(&found.join(", ")) })
}
