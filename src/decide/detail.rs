//! The details of findings that only a decision can make; `authenticate` gives those of the others.
//!
//! They are made after the decision, which never looks at them.

use crate::domain::credential::{CredentialOutcome, Foreign, LinkKeys, Verified};
use crate::domain::decision::Determining;
use crate::domain::detail::Detail;
use crate::domain::reason::Reason;
use crate::domain::time::{Now, Timestamp};
use crate::state::State;
use crate::state::rules::Chosen;

/// The detail behind `reason`, if there is one.
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
            Some(claimed(format!("claim `exp` passed more than the `leeway` of {leeway} ago"), credential.expires))
        }
        (Reason::NotYetValid, _, credential) => Some(not_yet(credential, now)),
        (Reason::IssuedBeforeCutoff, _, credential) => Some(match credential.issued {
            Some(issued) => claimed("claim `iat` is not after the cut-off".to_owned(), Some(issued)),
            None => Detail::new("there is no claim `iat`, so every cut-off applies"),
        }),
        (Reason::UnknownPerson, _, credential) => unknown(state, credential),
        (Reason::StaleSource, Determining::Source(source), _) => Some(Detail::new(format!(
            "source `{}` was not heard from within `max_staleness`, or never completed a listing",
            state.rules.policy.source_name(*source)
        ))),
        (Reason::NotReady, Determining::Source(source), _) => Some(Detail::new(format!(
            "source `{}` is `required` and has never completed a listing",
            state.rules.policy.source_name(*source)
        ))),
        _ => None,
    }
}

/// The issuer that a token claims and that is not configured.
pub(super) fn of_foreign(state: &State, reason: Reason, outcomes: &[CredentialOutcome]) -> Option<Detail> {
    if reason != Reason::UnknownIssuer {
        return None;
    }
    let issuers: Vec<String> = state.rules.policy.issuers.iter().map(|rules| rules.issuer.to_string()).collect();
    let detail = Detail::new(format!("claim `iss` names no configured issuer; configured are: {}", quoted(&issuers)));
    let claimed = outcomes.iter().find_map(|outcome| match outcome {
        CredentialOutcome::Foreign { what: Foreign::Jwt, claimed } => {
            Some(claimed.as_ref().and_then(|claimed| claimed.issuer.as_deref()).unwrap_or("nothing"))
        }
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
    let (owner, required) = match &chosen.service.audiences {
        Some(of_service) => (format!("service `{}`", chosen.service.name), of_service),
        None => (format!("issuer `{}`", issuer.name), credential.required_audiences.as_ref()?),
    };
    let configured = issuer.claims.audience.as_ref().map_or("aud", |name| name.as_str());
    let fits = |found: &[String]| found.iter().any(|audience| required.contains(audience));
    let (claim, found) = match &credential.beside_audiences {
        Some(beside) if fits(&credential.audiences) => ("aud", beside),
        _ => (configured, &credential.audiences),
    };
    let words = format!("claim `{claim}` holds none of the `audiences` of {owner}: {}", quoted(required));
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
    claimed(format!("claim `{claim}` is further in the future than the `leeway` of {leeway}"), time)
}

/// The claim by which somebody was looked up, for each source of the issuer.
fn unknown(state: &State, credential: &Verified) -> Option<Detail> {
    if credential.machine {
        return Some(Detail::new("no binding names this client, and `clients.unknown` is `deny`"));
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
                    "no claim that links to source `{}` has a value: {}",
                    source.name,
                    quoted(&claims)
                ));
            };
            found.push(&used.value);
            let link = source.link.get(usize::from(used.link))?;
            // The name only resembles somebody: that denies, and grants nothing.
            if state.fold.people.linked(&used.person).next().is_some() {
                return Some(format!(
                    "claim `{}` is the `{}` of somebody in source `{}` only if a non-ASCII character counts as an ASCII one; \
                     that denies and never grants: write the name in the source as tokens do",
                    link.claim, link.attribute, source.name
                ));
            }
            Some(format!(
                "nobody in source `{}` has the `{}` given in claim `{}`",
                source.name, link.attribute, link.claim
            ))
        })
        .collect();
    found.dedup();
    let detail = Detail::new(looked.join("; "));
    Some(if found.is_empty() { detail } else { detail.found(&found.join(", ")) })
}
