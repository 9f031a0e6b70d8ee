//! A recent decision in words: the steps of [`super::Story`], from what was kept of it.
//!
//! What was not kept is never made up from what is known now: it says "not kept", or names the time.

use super::{
    CREDENTIAL, FRESH, REVOKED, ROLES, SERVICE, VERDICT, WELL_FORMED, WHO, because, enforcement, proven, revoked, step,
    told,
};
use crate::audit::ring::Recent;
use crate::control::views::{Explanation, StepView};
use crate::domain::decision::{Decision, Determining};
use crate::domain::policy::Authorization;
use crate::domain::reason::Reason;
use crate::domain::time::Now;
use crate::state::State;

/// Refused before anything else was looked at.
const NOT_ASKED: &str = "not asked";

/// Tells a recent decision; `state` is today's, for what is said of today.
#[must_use]
pub fn tell(state: &State, recent: &Recent) -> Explanation {
    let decision = &recent.decision;
    let asked = match recent.method.as_str() {
        "" => "a connection".to_owned(),
        method => format!("{method} {}", recent.path),
    };
    let request = step(
        "which request was it?",
        asked,
        format!("at {}, epoch {}, configuration {}", recent.time, decision.epoch, decision.configuration),
    );
    let told = Recalled { state, recent, decision };
    let mut steps = vec![request, told.form(), told.service(), told.credential(), told.revocations()];
    steps.extend([told.person(), told.freshness(), told.roles(), told.verdict()]);
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

struct Recalled<'a> {
    state: &'a State,
    recent: &'a Recent,
    decision: &'a Decision,
}

impl Recalled<'_> {
    /// Nothing behind the form was looked at, or was kept.
    fn ended_early(&self) -> bool {
        matches!(self.decision.reason, Reason::MalformedRequest | Reason::Internal)
    }

    /// The configuration that it was made by is the one in force.
    fn same_configuration(&self) -> bool {
        self.state.rules.policy.hash == self.decision.configuration
    }

    fn form(&self) -> StepView {
        match (self.recent.form.malformed, self.recent.form.odd_path) {
            (Some(why), _) => step(WELL_FORMED, "no", why),
            (None, Some(why)) => step(WELL_FORMED, "its path cannot be trusted", why),
            (None, None) => match self.decision.reason {
                Reason::MalformedRequest => step(WELL_FORMED, "no", "it cannot be decoded"),
                _ => step(WELL_FORMED, "yes", ""),
            },
        }
    }

    fn service(&self) -> StepView {
        let answer = format!("{} ({})", self.decision.service, enforcement(self.decision.enforcement));
        step(SERVICE, answer, self.recent.form.named_by)
    }

    fn credential(&self) -> StepView {
        let reason = self.decision.reason;
        if let Some(credential) = &self.decision.credential {
            return proven(credential, Now::at(self.recent.time));
        }
        match reason {
            _ if self.ended_early() => step(CREDENTIAL, NOT_ASKED, ""),
            Reason::UnknownIssuer => step(CREDENTIAL, "a token of an issuer that is not configured", ""),
            Reason::PassedForeignCredentials => step(CREDENTIAL, "something that is not ours", ""),
            Reason::NoCredentials | Reason::Public | Reason::Preflight | Reason::PassedWithoutCredentials => {
                step(CREDENTIAL, "none that a configured scheme claims", "")
            }
            reason => step(CREDENTIAL, "one that is not proven", told(reason, self.decision.detail.as_deref())),
        }
    }

    fn revocations(&self) -> StepView {
        match self.decision.determining {
            Determining::None if self.ended_early() => step(REVOKED, NOT_ASKED, ""),
            _ => revoked(self.decision),
        }
    }

    fn person(&self) -> StepView {
        let Some(id) = &self.decision.person else {
            return match &self.decision.credential {
                None => step(WHO, NOT_ASKED, "no proven credential"),
                Some(credential) if credential.machine => step(WHO, "a machine's own token", ""),
                Some(_) => step(WHO, "nobody whom a source knew", ""),
            };
        };
        let today = self.state.fold.people.find(&self.state.fold.keyer, id);
        let today = today.map_or("unknown today", |known| known.person.status.word());
        step(WHO, format!("{id}, {today} as of now"), "")
    }

    fn freshness(&self) -> StepView {
        match (&self.decision.determining, self.decision.reason) {
            (Determining::Source(name), Reason::NotReady) => step(FRESH, "never synced", format!("source {name}")),
            (Determining::Source(name), _) => step(FRESH, "too old", format!("source {name}")),
            _ if self.decision.credential.is_none() => step(FRESH, NOT_ASKED, "no proven credential"),
            _ => step(FRESH, "it refused nothing for its age", ""),
        }
    }

    fn roles(&self) -> StepView {
        let services = &self.state.rules.policy.services;
        let service = services.iter().find(|service| service.name == self.decision.service);
        let asked = service.is_none_or(|service| service.authorization == Authorization::Roles);
        if self.same_configuration() && !asked {
            return step(ROLES, "not asked: `authorization: none`", "");
        }
        let names: Vec<&str> = self.decision.roles.iter().map(AsRef::as_ref).collect();
        step(ROLES, if names.is_empty() { "none".to_owned() } else { names.join(", ") }, "")
    }

    fn verdict(&self) -> StepView {
        let answer = match (self.decision.reason.allows(), self.decision.lets_through()) {
            (true, _) => "allowed".to_owned(),
            (false, true) => {
                format!("would have been denied with {}, and was let through", self.decision.reason.status())
            }
            (false, false) => format!("denied with {}", self.decision.reason.status()),
        };
        step(VERDICT, answer, because(self.decision))
    }
}
