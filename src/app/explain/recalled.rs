//! A decision that was made some seconds ago, told from what was kept of it.

use super::{cause, step};
use crate::audit::ring::Recent;
use crate::control::views::{Explanation, StepView};
use crate::domain::decision::{Decision, Determining};
use crate::domain::policy::Enforcement;

/// Tells it. The request's headers and the state of then are gone; what the decision holds of them is not.
#[must_use]
pub fn tell(recent: &Recent) -> Explanation {
    let decision = &recent.decision;
    let asked = match (recent.method.as_str(), recent.path.as_str()) {
        ("", _) => "a connection".to_owned(),
        (method, path) => format!("{method} {path}"),
    };
    let as_of = format!("epoch {}, configuration {}", decision.epoch, decision.configuration);
    let enforcement = match decision.enforcement {
        Enforcement::Enforce => "enforce",
        Enforcement::Observe => "observe: every check is allowed",
    };
    let person = decision.person.as_ref().map_or("nobody whom a source knows".to_owned(), ToString::to_string);
    let steps = vec![
        step("what was asked?", asked, format!("at {}", recent.time)),
        step("which service is it for?", format!("{} ({enforcement})", decision.service), ""),
        credential(decision),
        revocations(decision),
        step("who is it in the directory?", person, ""),
        step("which roles does the caller hold?", names(decision), ""),
        step("on what was it judged?", as_of, ""),
        verdict(decision),
    ];
    Explanation {
        allowed: decision.reason.allows(),
        reason: decision.reason.code().to_owned(),
        steps,
        service: decision.service.to_string(),
        person: decision.person.clone(),
        epoch: decision.epoch,
        decision_id: Some(recent.id.to_string()),
    }
}

fn credential(decision: &Decision) -> StepView {
    let question = "which credential is it about?";
    match decision.credential.as_deref() {
        None => step(question, "none that was proven", ""),
        Some(credential) => {
            let whose = credential.subject.as_deref().unwrap_or("nobody");
            let client = credential.client.as_ref().map_or(String::new(), |client| format!("client {client}"));
            step(question, format!("{} of {whose} by {}", credential.kind.word(), credential.issuer), client)
        }
    }
}

fn revocations(decision: &Decision) -> StepView {
    let question = "is anything about it revoked?";
    match &decision.determining {
        found @ (Determining::Revocation(_) | Determining::Configured(_)) => step(question, "yes", cause(found)),
        found @ Determining::Exemption(_) => step(question, "yes, but glass is broken for them", cause(found)),
        _ => step(question, "no", ""),
    }
}

fn names(decision: &Decision) -> String {
    let names: Vec<&str> = decision.roles.iter().map(AsRef::as_ref).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn verdict(decision: &Decision) -> StepView {
    let answer = match decision.reason.allows() {
        true => "allowed".to_owned(),
        false => format!("denied with {}", decision.reason.status()),
    };
    let (because, reason) = (cause(&decision.determining), decision.reason.code());
    step("verdict", answer, if because.is_empty() { reason.to_owned() } else { format!("{reason}: {because}") })
}
