//! A decision in words, step by step: for `explain`, on a running server and from the configuration alone.

pub mod recalled;

use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use crate::authenticate::Authenticator;
use crate::authenticate::cache::CacheCounters;
use crate::control::views::{Explanation, StepView};
use crate::decide::decide;
use crate::domain::credential::{CredentialOutcome, Foreign, Verified};
use crate::domain::decision::{Decision, Determining};
use crate::domain::destination::Destination;
use crate::domain::detail::Detail;
use crate::domain::key::Keyer;
use crate::domain::policy::{Authorization, Enforcement, Policy, Unknown};
use crate::domain::reason::Reason;
use crate::domain::source::{SourceRules, WhenStale};
use crate::domain::time::Now;
use crate::jose::fetch::Fetcher;
use crate::jose::keys::KeyRings;
use crate::request::{Path, Request};
use crate::state::State;
use crate::state::fold::Fold;
use crate::state::rules::Rules;

/// Whether what is live was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// A running server's.
    Live,
    /// The configuration's only: nobody who left is known.
    ConfigurationOnly,
}

/// What is said where nothing live was asked.
pub const NOT_CONSULTED: &str = "not consulted";
/// The verdict where only the configuration was asked.
pub const BY_CONFIGURATION: &str = "would be allowed by configuration only";

/// Everything that a decision was made from.
pub struct Story<'a> {
    /// The state that it was made on.
    pub state: &'a State,
    /// What was asked.
    pub request: &'a Request,
    /// What was shown.
    pub outcomes: &'a [CredentialOutcome],
    /// When.
    pub now: Now,
    /// What came of it.
    pub decision: &'a Decision,
    /// What was asked of.
    pub knowledge: Knowledge,
}

// The questions, in the order in which a decision asks them.
const WELL_FORMED: &str = "is the request well formed?";
const SERVICE: &str = "which service is it for?";
const CREDENTIAL: &str = "which credential is shown?";
const REVOKED: &str = "is anything about it revoked?";
const WHO: &str = "who is it in the directory?";
const FRESH: &str = "how fresh is the directory?";
const ROLES: &str = "which roles does the caller hold?";
const VERDICT: &str = "verdict";

fn step(question: &str, answer: impl Into<String>, cause: impl Into<String>) -> StepView {
    StepView { question: question.to_owned(), answer: answer.into(), cause: cause.into() }
}

/// What determined a decision, in words.
#[must_use]
pub fn cause(determining: &Determining) -> String {
    match determining {
        Determining::None => String::new(),
        Determining::Revocation(id) => format!("revocation {id}"),
        Determining::Configured(place) => format!("revocations at {place}"),
        Determining::Binding(place) => format!("binding at {place}"),
        Determining::Source(name) => format!("source {name}"),
        Determining::Exemption(id) => format!("exemption {id}"),
        Determining::People(people) => {
            let people: Vec<String> = people.iter().map(ToString::to_string).collect();
            format!("it belongs to several people: {}", people.join(", "))
        }
    }
}

/// What told which service a request is for, in fixed words.
#[must_use]
pub fn named_by(destination: &Destination) -> &'static str {
    match destination {
        Destination { extension: Some(_), .. } => "the route names it",
        Destination { principal: Some(_), .. } => "the destination's principal",
        Destination { host: Some(_), .. } => "the host",
        _ => "nothing names one",
    }
}

fn enforcement(enforcement: Enforcement) -> &'static str {
    match enforcement {
        Enforcement::Enforce => "enforce",
        Enforcement::Observe => "observe: every check is allowed",
    }
}

/// A reason and what is behind it; what a caller sent is marked as claimed.
fn told(reason: Reason, detail: Option<&Detail>) -> String {
    detail.map_or_else(|| reason.code().to_owned(), |detail| format!("{}: {}", reason.code(), detail.told()))
}

/// The reason of a decision, what determined it, and what is behind it.
fn because(decision: &Decision) -> String {
    let parts = [cause(&decision.determining), decision.detail.as_ref().map_or(String::new(), |detail| detail.told())];
    let behind: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    match behind.as_slice() {
        [] => decision.reason.code().to_owned(),
        behind => format!("{}: {}", decision.reason.code(), behind.join(": ")),
    }
}

fn proven(credential: &Verified, now: Now) -> StepView {
    let (kind, client) = (credential.kind.word(), credential.client.as_ref().filter(|_| credential.machine));
    let whose = credential.subject.as_ref().or(client).map_or("nobody", String::as_str);
    let cause = match (credential.flaw, credential.dates(now)) {
        (None, None) => "its proof holds".to_owned(),
        (Some(flaw), dates) if dates.is_none_or(|dates| flaw < dates) => told(flaw, credential.detail.as_deref()),
        (flaw, dates) => dates.or(flaw).map_or(String::new(), |reason| reason.code().to_owned()),
    };
    step(CREDENTIAL, format!("{kind} of {whose} by {}", credential.issuer), cause)
}

fn revoked(decision: &Decision) -> StepView {
    match &decision.determining {
        found @ (Determining::Revocation(_) | Determining::Configured(_)) => step(REVOKED, "yes", cause(found)),
        Determining::Exemption(id) => step(REVOKED, "yes, but glass is broken for them", format!("exemption {id}")),
        _ => step(REVOKED, "no", format!("epoch {}", decision.epoch)),
    }
}

impl Story<'_> {
    /// Tells it.
    #[must_use]
    pub fn tell(&self) -> Explanation {
        let mut steps = vec![self.form(), self.service()];
        steps.extend(self.outcomes.iter().map(|outcome| self.credential(outcome)));
        if self.outcomes.is_empty() {
            steps.push(step(CREDENTIAL, "none", ""));
        }
        steps.push(self.revocations());
        steps.extend(self.people());
        steps.push(self.roles());
        steps.push(self.verdict());
        Explanation {
            allowed: self.decision.reason.allows(),
            reason: self.decision.reason.code().to_owned(),
            steps,
            service: self.decision.service.to_string(),
            person: self.decision.person.clone(),
            epoch: self.decision.epoch,
            decision_id: None,
        }
    }

    fn form(&self) -> StepView {
        match (&self.request.malformed, &self.request.path) {
            (Some(why), _) => step(WELL_FORMED, "no", *why),
            (None, Path::Odd(why)) => step(WELL_FORMED, "its path cannot be trusted", *why),
            (None, Path::Forms(forms)) if forms.len() > 1 => {
                step(WELL_FORMED, format!("yes; its path may be taken for {}", forms.join(" or ")), "")
            }
            (None, Path::Forms(_)) => step(WELL_FORMED, "yes", ""),
        }
    }

    fn service(&self) -> StepView {
        let chosen = self.state.rules.service(&self.request.destination);
        let destination = &self.request.destination;
        let by = match (&destination.extension, &destination.principal, &destination.host) {
            (Some(name), _, _) if chosen.unknown_name => format!("the route names `{name}`, which is not configured"),
            (Some(_), _, _) => "the route names it".to_owned(),
            (None, Some(principal), _) => format!("destination principal {principal}"),
            (None, None, Some(host)) => format!("host {host}"),
            (None, None, None) => "nothing names one".to_owned(),
        };
        step(SERVICE, format!("{} ({})", chosen.service.name, enforcement(chosen.service.enforcement)), by)
    }

    fn credential(&self, outcome: &CredentialOutcome) -> StepView {
        match outcome {
            CredentialOutcome::Verified(credential) => proven(credential, self.now),
            CredentialOutcome::Rejected { kind, reason, detail, .. } => {
                step(CREDENTIAL, format!("{}, not proven", kind.word()), told(*reason, detail.as_deref()))
            }
            CredentialOutcome::Foreign { what: Foreign::Jwt, .. } => {
                step(CREDENTIAL, "a token of an issuer that is not configured", "")
            }
            CredentialOutcome::Foreign { what: Foreign::Other, .. } => {
                step(CREDENTIAL, "something that no configured scheme claims", "")
            }
        }
    }

    fn revocations(&self) -> StepView {
        if self.knowledge == Knowledge::ConfigurationOnly
            && !matches!(self.decision.determining, Determining::Configured(_))
        {
            return step(REVOKED, NOT_CONSULTED, "");
        }
        revoked(self.decision)
    }

    fn proven(&self) -> impl Iterator<Item = &Arc<Verified>> {
        self.outcomes.iter().filter_map(|outcome| match outcome {
            CredentialOutcome::Verified(credential) => Some(credential),
            CredentialOutcome::Rejected { .. } | CredentialOutcome::Foreign { .. } => None,
        })
    }

    fn people(&self) -> Vec<StepView> {
        if self.knowledge == Knowledge::ConfigurationOnly {
            return vec![step(WHO, NOT_CONSULTED, ""), step(FRESH, NOT_CONSULTED, "")];
        }
        let who = self.decision.person.as_ref().and_then(|id| self.state.fold.people.find(&self.state.fold.keyer, id));
        let answer = match who {
            Some(known) => format!("{}, {}", known.person.id, known.person.status.word()),
            None if self.proven().any(|credential| credential.machine) => "a machine's own token".to_owned(),
            None => "nobody whom a source knows".to_owned(),
        };
        let mut steps = vec![step(WHO, answer, "")];
        let mut issuers: Vec<u16> = self.proven().map(|credential| credential.issuer_index).collect();
        issuers.dedup();
        for index in issuers.iter().flat_map(|issuer| self.state.rules.sources_of(*issuer)) {
            let Some(source) = self.state.rules.policy.sources.get(usize::from(*index)) else { continue };
            steps.push(step(FRESH, self.age(source), format!("source {}", source.name)));
        }
        steps
    }

    /// How old what is known of a source is, and what follows from that for this service.
    fn age(&self, source: &SourceRules) -> String {
        let service = self.state.rules.service(&self.request.destination).service;
        let then = match service.when_stale.unwrap_or(source.when_stale) {
            WhenStale::Allow => "goes on",
            WhenStale::Deny => "denies",
        };
        let Some(synced) = self.state.fold.sources.get(&source.name) else {
            return format!("never synced; {}", if source.required { "not ready" } else { then });
        };
        let max = service.max_staleness.unwrap_or(source.max_staleness);
        let span = |since| humantime::format_duration(Duration::from_secs(self.now.wall.since(since).as_secs()));
        let (heard, listed) = (span(synced.last_heard), span(synced.last_synced));
        let stale = if synced.is_stale(max, self.now) { "stale" } else { "fresh" };
        let max = humantime::format_duration(max);
        format!("{stale}: heard {heard} ago, listed {listed} ago; stale after {max}, then {} {then}", service.name)
    }

    fn roles(&self) -> StepView {
        let chosen = self.state.rules.service(&self.request.destination);
        if chosen.service.authorization == Authorization::None {
            return step(ROLES, "not asked: `authorization: none`", "");
        }
        let names: Vec<&str> = self.decision.roles.iter().map(AsRef::as_ref).collect();
        let answer = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        step(ROLES, answer, "")
    }

    fn verdict(&self) -> StepView {
        let answer = match (self.decision.reason.allows(), self.knowledge) {
            (true, Knowledge::Live) => "allowed".to_owned(),
            (true, Knowledge::ConfigurationOnly) => BY_CONFIGURATION.to_owned(),
            (false, _) => format!("denied with {}", self.decision.reason.status()),
        };
        step(VERDICT, answer, because(self.decision))
    }
}

/// A request as people describe it.
#[derive(Clone, PartialEq, Eq)]
pub struct Asked {
    /// HTTP method.
    pub method: String,
    /// Host.
    pub host: String,
    /// Path, with its query.
    pub path: String,
    /// Headers; they may hold credentials.
    pub headers: Vec<(String, String)>,
}

impl Asked {
    /// As a proxy would send it.
    #[must_use]
    pub fn request(&self) -> Request {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        Request::synthetic(&self.method, &self.host, &self.path, headers)
    }
}

/// Nobody is known, so nobody can be unknown, and no source stale; which claims a source links by still counts.
fn knowing_nobody(mut policy: Policy) -> Policy {
    for source in &mut policy.sources {
        (source.required, source.when_stale) = (false, WhenStale::Allow);
    }
    for service in &mut policy.services {
        service.when_stale = None;
    }
    Policy { unknown_people: Unknown::Allow, ..policy }
}

/// Decides by a configuration alone, with the issuers' keys fetched now; and notes on what could not be had.
///
/// # Errors
/// Why nothing could be fetched at all.
pub async fn by_configuration(policy: Policy, asked: &Asked) -> Result<(Explanation, Vec<String>), String> {
    let policy = Arc::new(knowing_nobody(policy));
    let fetcher = Fetcher::new();
    let (fresh, _kept) = tokio::sync::mpsc::channel(64);
    let rings = KeyRings::build(&policy.issuers, &KeyRings::default(), &fetcher, &fresh, |_, _| None);
    let now = Clock::start(None).now();
    let mut notes = Vec::new();
    for ring in rings.iter() {
        if let Err(error) = ring.refresh(now).await {
            notes.push(format!("no keys of issuer {}: {error}", ring.name()));
        }
    }
    let keyer = Keyer::new([0; 16]);
    let rules = Arc::new(Rules::new(Arc::clone(&policy), 1, &keyer));
    let state = State { fold: Fold::empty(keyer.clone(), 0), rules };
    let authenticator = Authenticator::new(policy, keyer, rings, Arc::new(CacheCounters::default()));
    let request = asked.request();
    let outcomes = authenticator.authenticate(&request, now).await;
    let decision = decide(&state, &request, &outcomes, now);
    let knowledge = Knowledge::ConfigurationOnly;
    let story = Story { state: &state, request: &request, outcomes: &outcomes, now, decision: &decision, knowledge };
    Ok((story.tell(), notes))
}
