//! Verifies the tokens of operators: the steps of a check, under the rules of the control API.
//!
//! The same functions authenticate and decide as in the mesh, on the same fold of the log. Only the rules are others (see
//! [`Policy::for_control`]), and exemptions do not count: break glass opens the mesh, not this.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::authenticators::{Authenticators, ControlRules};
use super::clock::Clock;
use super::on_demand_lookup::OnDemandLookup;
use crate::control::admission::{Identified, Operators, Rejected};
use crate::decide::decide;
use crate::domain::binding::Right;
use crate::domain::credential::{CredentialOutcome, Verified};
use crate::domain::decision::Decision;
use crate::domain::person::PersonId;
use crate::domain::policy::Policy;
use crate::domain::reason::Reason;
use crate::domain::revocation::Target;
use crate::request::Request;
use crate::state::table::Table;
use crate::state::{Published, State};

/// A call is rejected after this many reloads during it.
const ATTEMPTS: usize = 5;
/// How often a long call is checked again although nothing changed: its token may have expired.
const AGAIN: Duration = Duration::from_secs(10);

/// Verifies operators by the state in force.
pub struct LiveOperators {
    /// The state in force.
    pub published: Arc<Published>,
    /// What verifies tokens.
    pub authenticators: Arc<Authenticators>,
    /// The clock.
    pub clock: Arc<Clock>,
    /// Looks up people who are not known yet.
    pub lookup: OnDemandLookup,
}

/// What was decided about a caller.
struct Judged {
    state: State,
    /// The configuration of the mesh.
    mesh: Arc<Policy>,
    outcome: Option<CredentialOutcome>,
    decision: Decision,
}

impl LiveOperators {
    /// Decides whether a token gives a right. `None` if no token is accepted at all, or the configuration kept changing.
    async fn judge(&self, token: &str, right: Right) -> Option<Judged> {
        let value = format!("Bearer {token}");
        let request =
            Request::synthetic(right.word(), Policy::CONTROL_SERVICE, "/", [("authorization", value.as_bytes())]);
        let mut may_look_up = true;
        for _ in 0..ATTEMPTS {
            let before = self.published.snapshot();
            let Some(active) = self.authenticators.of(&before) else { continue };
            let ControlRules { rules, authenticator } = active.control.as_ref()?;
            let outcomes = authenticator.authenticate(&request, self.clock.now()).await;
            // INVARIANT: loaded after the last await, so that a revocation that came meanwhile wins (law 1).
            let published = self.published.snapshot();
            if !Arc::ptr_eq(&published.rules.policy, &active.policy) {
                continue;
            }
            let mut state = State { fold: published.fold.clone(), rules: Arc::clone(rules) };
            state.fold.exempted = Table::default();
            let now = self.clock.now();
            let decision = decide(&state, &request, &outcomes, now);
            if std::mem::take(&mut may_look_up)
                && OnDemandLookup::asks(&decision)
                && self.lookup.look_up(&decision, &state.rules.policy, now, None).await
            {
                continue;
            }
            let outcome = outcomes.first().cloned();
            return Some(Judged { state, mesh: Arc::clone(&active.policy), outcome, decision });
        }
        None
    }
}

#[async_trait]
impl Operators for LiveOperators {
    async fn admit(&self, token: &str, right: Right) -> Result<Identified, Rejected> {
        let Some(judged) = self.judge(token, right).await else {
            let why = "no token of an issuer is accepted here (`server.control.audiences`)".to_owned();
            return Err(Rejected { why, ..Rejected::default() });
        };
        let Judged { state, mesh, outcome, decision } = judged;
        let verified = match outcome {
            Some(CredentialOutcome::Verified(verified)) => verified,
            _ => return Err(Rejected { why: words(&decision), ..Rejected::default() }),
        };
        let identified = identified(&state, &verified);
        let actor = Some(identified.actor.clone());
        if let Some(audience) = of_the_mesh(&mesh, &verified) {
            let why = format!("{}: the token is also for `{audience}`, in the mesh", Reason::WrongAudience.code());
            return Err(Rejected { actor, why, lacks_right: false });
        }
        if decision.reason.allows() {
            return Ok(identified);
        }
        let lacks_right = decision.reason == Reason::NoPermission;
        Err(Rejected { actor, lacks_right, why: words(&decision) })
    }

    async fn rejected(&self, token: &str, right: Right) -> Rejected {
        let mut epochs = self.published.epochs();
        loop {
            epochs.mark_unchanged();
            if let Err(rejected) = self.admit(token, right).await {
                return rejected;
            }
            let _ = tokio::time::timeout(AGAIN, epochs.changed()).await;
        }
    }
}

/// The reason of a decision, and its detail in words.
fn words(decision: &Decision) -> String {
    match &decision.detail {
        Some(detail) => format!("{}: {}", decision.reason.code(), detail.words()),
        None => decision.reason.code().to_owned(),
    }
}

/// An audience of the mesh that this token has, too.
fn of_the_mesh<'a>(mesh: &'a Policy, verified: &Verified) -> Option<&'a String> {
    let has = |audience: &&String| {
        verified.audiences.iter().chain(verified.beside_audiences.iter().flatten()).any(|of| of == *audience)
    };
    mesh.mesh_audiences().find(has)
}

fn identified(state: &State, verified: &Verified) -> Identified {
    let linked = verified.owner.links.iter().flat_map(|link| state.fold.people.linked(&link.person));
    let mut persons: Vec<PersonId> = linked.map(|(known, _)| known.person.id.clone()).collect();
    persons.sort_unstable();
    persons.dedup();
    let issuer = || verified.issuer.to_string();
    let client = verified.client.clone().filter(|_| verified.machine);
    let client = client.map(|client| Target::Client { issuer: issuer(), client });
    let subject = verified.subject.clone().map(|subject| Target::Subject { issuer: issuer(), subject });
    let session = verified.session.clone().map(|session| Target::Session { issuer: issuer(), session });
    let token = verified.token_id.clone().map(|token| Target::Token { issuer: issuer(), token });
    let named = persons.first().map(ToString::to_string);
    let named = named.or_else(|| client.as_ref().or(subject.as_ref()).map(ToString::to_string));
    let actor = named.unwrap_or_else(|| Target::Issuer { issuer: issuer() }.to_string());
    Identified { actor, persons, targets: [client, subject, session, token].into_iter().flatten().collect() }
}
