//! What a credential was measured by, and what it showed, side by side.
//!
//! Nothing is decided by this: it repeats, for people, what was compared. What an unverified token says is marked as
//! claimed.

use std::borrow::Cow;
use std::time::Duration;

use crate::control::views::ComparisonView;
use crate::domain::claimed::Claimed;
use crate::domain::credential::{CredentialOutcome, Verified};
use crate::domain::decision::Decision;
use crate::domain::detail::escaped;
use crate::domain::time::Timestamp;
use crate::jose::keys::KeyRings;

const NONE: &str = "none";

/// What a token says of itself, fit to be shown.
struct Shown<'a> {
    issuer: Option<Cow<'a, str>>,
    key_id: Option<Cow<'a, str>>,
    audiences: Vec<Cow<'a, str>>,
    issued: Option<Timestamp>,
    not_before: Option<Timestamp>,
    expires: Option<Timestamp>,
    verified: bool,
}

impl<'a> Shown<'a> {
    fn of(outcome: &'a CredentialOutcome, required: Option<&[String]>) -> Option<Self> {
        match outcome {
            CredentialOutcome::Verified(credential) => Some(Self::verified(credential, required)),
            CredentialOutcome::Rejected { claimed, .. } | CredentialOutcome::Foreign { claimed, .. } => {
                claimed.as_deref().map(Self::claimed)
            }
        }
    }

    fn verified(credential: &'a Verified, required: Option<&[String]>) -> Self {
        // Beside another claim, `aud` has to fit as well.
        let misfit = |audiences: &&Vec<String>| required.is_some_and(|required| !fits(audiences.iter(), required));
        let audiences = credential.beside_audiences.as_ref().filter(misfit).unwrap_or(&credential.audiences);
        Self {
            issuer: Some(escaped(&credential.issuer).into()),
            key_id: credential.key_id.as_deref().map(|id| escaped(id).into()),
            audiences: audiences.iter().map(|audience| escaped(audience).into()).collect(),
            issued: credential.issued,
            not_before: credential.not_before,
            expires: credential.expires,
            verified: true,
        }
    }

    fn claimed(claimed: &'a Claimed) -> Self {
        let text = |text: &'a Option<Box<str>>| text.as_deref().map(Cow::Borrowed);
        Self {
            issuer: text(&claimed.issuer),
            key_id: text(&claimed.key_id),
            audiences: claimed.audiences.iter().map(|audience| Cow::Borrowed(&**audience)).collect(),
            issued: claimed.issued,
            not_before: claimed.not_before,
            expires: claimed.expires,
            verified: false,
        }
    }
}

fn fits<T: AsRef<str>>(mut found: impl Iterator<Item = T>, required: &[String]) -> bool {
    found.any(|audience| required.iter().any(|one| one == audience.as_ref()))
}

fn list<T: AsRef<str>>(names: &[T]) -> String {
    if names.is_empty() { NONE.to_owned() } else { names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ") }
}

/// The issuer that a token names, verified or not.
fn issuer_of(outcome: &CredentialOutcome) -> Option<&str> {
    match outcome {
        CredentialOutcome::Verified(credential) => Some(&credential.issuer),
        CredentialOutcome::Rejected { claimed, .. } | CredentialOutcome::Foreign { claimed, .. } => {
            claimed.as_ref()?.issuer.as_deref()
        }
    }
}

/// Compares one credential of a decision that was made at this time; `rings` are the keys of the issuers now.
pub(super) fn compared(
    decision: &Decision,
    outcome: &CredentialOutcome,
    (at, rings): (Timestamp, &KeyRings),
) -> Vec<ComparisonView> {
    let policy = &decision.policy;
    let rules = policy.issuers.iter().find(|rules| issuer_of(outcome) == Some(&*rules.issuer));
    let service = policy.services.iter().find(|service| service.name == decision.service);
    let required = service.and_then(|service| service.audiences.as_deref());
    let required = required.or_else(|| rules.and_then(|rules| rules.audiences.as_deref()));
    let Some(shown) = Shown::of(outcome, required) else { return Vec::new() };
    let mut compared = Vec::new();
    let mut compare = |what, expected, found, fits| {
        compared.push(ComparisonView { what, expected, found, fits, claimed: !shown.verified });
    };
    let text = |text: &Option<Cow<'_, str>>| text.as_deref().unwrap_or(NONE).to_owned();
    let Some(rules) = rules else {
        let configured: Vec<&str> = policy.issuers.iter().map(|rules| &*rules.issuer).collect();
        compare("issuer", list(&configured), text(&shown.issuer), false);
        return compared;
    };
    compare("issuer", rules.issuer.to_string(), text(&shown.issuer), true);
    let ring = rings.iter().find(|ring| ring.name() == rules.name);
    if let Some(keys) = ring.and_then(|ring| ring.keys()) {
        let known = shown.key_id.as_deref().is_none_or(|id| keys.knows(id));
        compare("key id", list(&keys.key_ids()), text(&shown.key_id), shown.verified || known);
    }
    let fitting = required.is_none_or(|required| fits(shown.audiences.iter(), required));
    compare("audience", required.map_or("any".to_owned(), list), list(&shown.audiences), fitting);
    for (what, expected, found, fits) in times(&shown, at, rules.leeway) {
        compare(what, expected, found, fits);
    }
    compared
}

/// The times of a token against the clock of the decision.
fn times(shown: &Shown<'_>, at: Timestamp, leeway: Duration) -> Vec<(&'static str, String, String, bool)> {
    let (latest, earliest) = (at.plus(leeway), at.minus(leeway));
    let told = humantime::format_duration(leeway);
    let mut times = Vec::new();
    for (what, time) in [("issued", shown.issued), ("not before", shown.not_before)] {
        if let Some(time) = time {
            let expected = format!("at most {told} ahead of the clock, {at}");
            times.push((what, expected, from_clock(time, at), time <= latest));
        }
    }
    let expected = format!("at most {told} behind the clock, {at}");
    let found = shown.expires.map_or(NONE.to_owned(), |time| from_clock(time, at));
    times.push(("expires", expected, found, shown.expires.is_some_and(|time| time > earliest)));
    times
}

/// A time, and how far it is from the clock.
fn from_clock(time: Timestamp, at: Timestamp) -> String {
    let span = |span: Duration| humantime::format_duration(Duration::from_secs(span.as_secs())).to_string();
    if time > at {
        format!("{time}, {} ahead of the clock", span(time.since(at)))
    } else {
        format!("{time}, {} behind the clock", span(at.since(time)))
    }
}
