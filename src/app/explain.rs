//! A decision in words, step by step, for all forms of `explain`: a request, a recent decision, the configuration alone.
//!
//! Nothing is decided here: [`Story`] puts into words what `decide` returned.

mod compare;
pub mod offline;

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::audit::ring::Recent;
use crate::control::views::{Explanation, StepView};
use crate::domain::credential::{CredentialOutcome, Foreign, Verified};
use crate::domain::decision::steps::{CredentialStep, Form, Owner, RevocationStep, SourceStep};
use crate::domain::decision::{Decision, Determining};
use crate::domain::destination::{Destination, NamedBy};
use crate::domain::detail::Detail;
use crate::domain::policy::{Authorization, Enforcement};
use crate::domain::reason::Reason;
use crate::domain::source::WhenStale;
use crate::domain::time::Timestamp;
use crate::jose::keys::KeyRings;

/// What a decision is based on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// Everything that a running server knows.
    Live,
    /// The configuration alone, which knows nobody.
    ConfigurationOnly,
}

/// The answer to a question that only a running server could answer.
pub const NOT_CONSULTED: &str = "not consulted";
/// The verdict where only the configuration was asked.
pub const BY_CONFIGURATION: &str = "would be allowed by configuration only";
/// The answer to a question that the decision did not need.
const NOT_ASKED: &str = "not asked";

/// A decision to put into words.
pub struct Story<'a> {
    /// The decision, with its steps.
    pub decision: &'a Decision,
    /// When it was made.
    pub at: Timestamp,
    /// Where the request goes, if that is still known. It is only quoted.
    pub destination: Option<&'a Destination>,
    /// What the decision is based on.
    pub knowledge: Knowledge,
    /// The keys of the issuers, to name those that were expected.
    pub rings: &'a KeyRings,
}

// The questions, in order.
const WHICH: &str = "which request was it?";
const WELL_FORMED: &str = "is the request well formed?";
const SERVICE: &str = "which service is it for?";
const CREDENTIAL: &str = "which credential is shown?";
const REVOKED: &str = "is anything about it revoked?";
const WHO: &str = "who is it in the directory?";
const FRESH: &str = "how fresh is the directory?";
const ROLES: &str = "which roles does the caller hold?";
const VERDICT: &str = "verdict";

/// Explains a recent decision from what was kept of it.
#[must_use]
pub fn recalled(recent: &Recent, rings: &KeyRings) -> Explanation {
    let decision = &recent.decision;
    let asked = match &*recent.method {
        "" => "a connection".to_owned(),
        method => format!("{method} {}", recent.path),
    };
    let (epoch, configuration) = (decision.epoch, &decision.policy.hash);
    let which = step(WHICH, asked, format!("at {}, epoch {epoch}, configuration {configuration}", recent.time));
    let story = Story { decision, at: recent.time, destination: None, knowledge: Knowledge::Live, rings };
    let mut explanation = story.tell();
    explanation.steps.insert(0, which);
    Explanation { decision_id: Some(recent.id.to_string()), ..explanation }
}

/// The strictest revocation that applies to a credential of the request.
#[must_use]
pub fn strictest_revocation(decision: &Decision) -> Option<&RevocationStep> {
    let found = decision.steps.credentials.iter().filter_map(|step| step.revocation.as_ref());
    found.min_by_key(|found| found.precedence())
}

/// What determined a decision, or one of its steps, in words.
#[must_use]
pub fn cause(decision: &Decision, determining: &Determining) -> String {
    let policy = &decision.policy;
    match determining {
        Determining::None => String::new(),
        Determining::Revocation(id) => format!("revocation {id}"),
        Determining::Configured(entry) => format!("revocations at {}", policy.revocation_place(*entry)),
        Determining::Binding(binding) => format!("binding at {}", policy.binding_place(*binding)),
        Determining::Source(source) => format!("source {}", policy.source_name(*source)),
        Determining::Exemption(id) => format!("exemption {id}"),
        Determining::People(people) => {
            let people: Vec<String> = people.iter().map(ToString::to_string).collect();
            format!("it belongs to several people: {}", people.join(", "))
        }
    }
}

fn step(question: &str, answer: impl Into<String>, cause: impl Into<String>) -> StepView {
    StepView { question: question.to_owned(), answer: answer.into(), cause: cause.into(), compared: Vec::new() }
}

fn enforcement(enforcement: Enforcement) -> &'static str {
    match enforcement {
        Enforcement::Enforce => "enforce",
        Enforcement::Observe => "observe: every check is allowed",
    }
}

/// A reason and its detail; what a caller sent is marked as claimed.
fn with_detail(reason: Reason, detail: Option<&Detail>) -> String {
    detail.map_or_else(|| reason.code().to_owned(), |detail| format!("{}: {}", reason.code(), detail.full()))
}

fn verified(credential: &Verified, finding: Option<Reason>) -> StepView {
    let (kind, client) = (credential.kind.word(), credential.client.as_ref().filter(|_| credential.machine));
    let owner = credential.subject.as_ref().or(client).map_or("nobody", String::as_str);
    let cause = match finding {
        None => "verified".to_owned(),
        Some(reason) if credential.flaw == Some(reason) => with_detail(reason, credential.detail.as_deref()),
        Some(reason) => reason.code().to_owned(),
    };
    step(CREDENTIAL, format!("{kind} of {owner} by {}", credential.issuer), cause)
}

fn credential(found: &CredentialStep) -> StepView {
    match &found.outcome {
        CredentialOutcome::Verified(credential) => verified(credential, found.finding),
        CredentialOutcome::Rejected { kind, reason, detail, .. } => {
            step(CREDENTIAL, format!("{}, not verified", kind.word()), with_detail(*reason, detail.as_deref()))
        }
        CredentialOutcome::Foreign { what: Foreign::Jwt, .. } => {
            step(CREDENTIAL, "a token of an issuer that is not configured", "")
        }
        CredentialOutcome::Foreign { what: Foreign::Other, .. } => {
            step(CREDENTIAL, "something that no configured scheme claims", "")
        }
    }
}

impl Story<'_> {
    /// The explanation.
    #[must_use]
    pub fn tell(&self) -> Explanation {
        let decision = self.decision;
        let mut steps = vec![self.form(), self.service()];
        match (decision.steps.ended_early, &*decision.steps.credentials) {
            (Some(_), _) => steps.push(step(CREDENTIAL, NOT_ASKED, "")),
            (None, []) => steps.push(step(CREDENTIAL, "none", "")),
            (None, shown) => steps.extend(shown.iter().map(|shown| self.credential(shown))),
        }
        steps.extend([self.revocations(), self.owner()]);
        steps.extend(self.freshness());
        steps.extend([self.roles(), self.verdict()]);
        Explanation {
            allowed: decision.reason.allows(),
            reason: decision.reason.code().to_owned(),
            steps,
            service: decision.service.to_string(),
            person: decision.person_id().cloned(),
            epoch: decision.epoch,
            decision_id: None,
            now: self.at,
        }
    }

    fn credential(&self, shown: &CredentialStep) -> StepView {
        let compared = compare::compared(self.decision, &shown.outcome, (self.at, self.rings));
        StepView { compared, ..credential(shown) }
    }

    fn form(&self) -> StepView {
        match &self.decision.steps.form {
            Form::WellFormed => step(WELL_FORMED, "yes", ""),
            Form::SeveralPaths(paths) => {
                step(WELL_FORMED, format!("yes; its path may be read as {}", paths.join(" or ")), "")
            }
            Form::OddPath(why) => step(WELL_FORMED, "its path cannot be trusted", *why),
            Form::Malformed(why) => step(WELL_FORMED, "no", *why),
        }
    }

    fn service(&self) -> StepView {
        let quoted = |text: fn(&Destination) -> Option<&String>| self.destination.and_then(text);
        let by = match self.decision.steps.named_by {
            NamedBy::Nothing => "nothing names one".to_owned(),
            NamedBy::Route => "the route names it".to_owned(),
            NamedBy::UnknownRoute => match quoted(|destination| destination.extension.as_ref()) {
                Some(name) => format!("the route names `{name}`, which is not configured"),
                None => "the route names one that is not configured".to_owned(),
            },
            NamedBy::Principal => match quoted(|destination| destination.principal.as_ref()) {
                Some(principal) => format!("destination principal {principal}"),
                None => "the destination's principal".to_owned(),
            },
            NamedBy::Host => match quoted(|destination| destination.host.as_ref()) {
                Some(host) => format!("host {host}"),
                None => "the host".to_owned(),
            },
        };
        step(SERVICE, format!("{} ({})", self.decision.service, enforcement(self.decision.enforcement)), by)
    }

    fn revocations(&self) -> StepView {
        let found = strictest_revocation(self.decision);
        let configured = found.is_some_and(|found| matches!(found.revocation, Determining::Configured(_)));
        if self.knowledge == Knowledge::ConfigurationOnly && !configured {
            return step(REVOKED, NOT_CONSULTED, "");
        }
        match found {
            Some(found) => {
                let revocation = cause(self.decision, &found.revocation);
                match found.exemption {
                    None => step(REVOKED, "yes", revocation),
                    Some(id) => step(REVOKED, "yes, but exempted", format!("exemption {id} lifts {revocation}")),
                }
            }
            None if self.decision.steps.owner == Owner::NotAsked => self.without_credential(REVOKED),
            None => step(REVOKED, "no", format!("epoch {}", self.decision.epoch)),
        }
    }

    /// The answer to a question that needs a verified credential.
    fn without_credential(&self, question: &str) -> StepView {
        let why = self.decision.steps.ended_early.map_or("no verified credential", |_| "");
        step(question, NOT_ASKED, why)
    }

    fn owner(&self) -> StepView {
        if self.knowledge == Knowledge::ConfigurationOnly {
            return step(WHO, NOT_CONSULTED, "");
        }
        match (self.decision.steps.owner, self.decision.person_id()) {
            (Owner::Person(status), Some(id)) => step(WHO, format!("{id}, {}", status.word()), ""),
            (Owner::Machine, _) => step(WHO, "a machine, by its own token", ""),
            (Owner::NotAsked, _) => self.without_credential(WHO),
            (Owner::Person(_) | Owner::Unknown, _) => step(WHO, "unknown to every source", ""),
        }
    }

    fn freshness(&self) -> Vec<StepView> {
        let steps = &self.decision.steps;
        if self.knowledge == Knowledge::ConfigurationOnly {
            return vec![step(FRESH, NOT_CONSULTED, "")];
        }
        match (&*steps.sources, steps.owner) {
            ([], Owner::NotAsked) => vec![self.without_credential(FRESH)],
            ([], Owner::Machine) => vec![step(FRESH, NOT_ASKED, "a machine's own token")],
            ([], _) => vec![step(FRESH, NOT_ASKED, "no source lists the people of this issuer")],
            (sources, _) => sources.iter().map(|source| self.age(source)).collect(),
        }
    }

    /// How old the data of a source was, and what that means for this service.
    fn age(&self, source: &SourceStep) -> StepView {
        let then = match source.when_stale {
            WhenStale::Allow => "allows",
            WhenStale::Deny => "denies",
        };
        let answer = match source.age {
            None if source.finding == Some(Reason::NotReady) => "never synced; not ready".to_owned(),
            None => format!("never synced; {} {then}", self.decision.service),
            Some(age) => {
                let ago = |then| humantime::format_duration(Duration::from_secs(self.at.since(then).as_secs()));
                let (heard, listed) = (ago(age.heard), ago(age.listed));
                let stale = if age.stale { "stale" } else { "fresh" };
                let max = humantime::format_duration(source.max_staleness);
                let service = &self.decision.service;
                format!("{stale}: heard {heard} ago, listed {listed} ago; stale after {max}, then {service} {then}")
            }
        };
        step(FRESH, answer, format!("source {}", self.decision.policy.source_name(source.source)))
    }

    fn roles(&self) -> StepView {
        let decision = self.decision;
        let service = decision.policy.services.iter().find(|service| service.name == decision.service);
        if service.is_some_and(|service| service.authorization == Authorization::None) {
            return step(ROLES, NOT_ASKED, "`authorization: none`");
        }
        if decision.steps.ended_early.is_some() {
            return step(ROLES, NOT_ASKED, "");
        }
        let names: Vec<&str> = decision.role_names().collect();
        let places: Vec<&str> = decision.roles.iter().map(|held| decision.policy.binding_place(held.binding)).collect();
        match names.as_slice() {
            [] => step(ROLES, "none", ""),
            [name] => step(ROLES, *name, format!("binding at {}", places.join(", "))),
            names => step(ROLES, names.join(", "), format!("bindings at {}", places.join(", "))),
        }
    }

    fn verdict(&self) -> StepView {
        let status = self.decision.reason.status();
        let answer = match (self.decision.reason.allows(), self.knowledge, self.decision.enforcement) {
            (true, Knowledge::Live, _) => "allowed".to_owned(),
            (true, Knowledge::ConfigurationOnly, _) => BY_CONFIGURATION.to_owned(),
            (false, _, Enforcement::Enforce) => format!("denied with {status}"),
            (false, _, Enforcement::Observe) => {
                format!("would be denied with {status}; allowed, as the service observes")
            }
        };
        step(VERDICT, answer, self.because())
    }

    /// The reason, what determined it, and its detail.
    fn because(&self) -> String {
        let decision = self.decision;
        let detail = decision.detail.as_ref().map_or(String::new(), |detail| detail.full());
        let early = decision.steps.ended_early.unwrap_or_default().to_owned();
        let parts = [decision.reason.code().to_owned(), cause(decision, &decision.determining), detail, early];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
    }
}
