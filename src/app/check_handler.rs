//! The check flow in one place: authenticate, load the state, decide, record.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::alarms::Mixed;
use super::authenticators::Authenticators;
use super::clock::Clock;
use super::matches::Matches;
use super::observed::Observed;
use super::on_demand_lookup::OnDemandLookup;
use super::seen_credentials::SeenCredentials;
use crate::audit::entry::Facts;
use crate::audit::sink::Recorder;
use crate::decide::{self, decide};
use crate::domain::credential::CredentialOutcome;
use crate::domain::decision::Decision;
use crate::domain::decision::steps::{Form, Steps};
use crate::domain::destination::NamedBy;
use crate::domain::few::Few;
use crate::domain::person::PersonId;
use crate::domain::source::SourceErrorKind;
use crate::domain::time::Now;
use crate::envoy::{Answered, CheckFailure, CheckHandler, CheckOutcome};
use crate::faults::{Fault, planted};
use crate::request::{Path, Request};
use crate::state::{Published, State};
use crate::telemetry::logging::fields::{DETAIL, REASON, SERVICE};
use crate::telemetry::metrics::Metrics;

/// Checks requests against everything that is known now.
pub struct LiveCheckHandler {
    /// The state in force.
    pub published: Arc<Published>,
    /// Verifies credentials.
    pub authenticators: Arc<Authenticators>,
    /// The clock.
    pub clock: Arc<Clock>,
    /// Records decisions.
    pub recorder: Recorder,
    /// Counts decisions.
    pub metrics: Arc<Metrics>,
    /// Looks up people who are not known yet.
    pub lookup: OnDemandLookup,
    /// Reports credentials that belong to several people.
    pub mixed: Mixed,
    /// Counts which people credentials match.
    pub matches: Matches,
    /// Remembers which credentials are in use.
    pub seen: SeenCredentials,
    /// Counts what services that observe would have refused.
    pub observed: Observed,
}

/// A check gives up after this many reloads during it. Reloads come once a second at most, and a check takes microseconds.
const ATTEMPTS: usize = 5;

impl LiveCheckHandler {
    /// The credentials of a request, with the configuration in force. `None` if that kept changing meanwhile.
    pub async fn authenticate(&self, request: &Request) -> Option<Few<CredentialOutcome>> {
        for _ in 0..ATTEMPTS {
            if let Some(active) = self.authenticators.of(&self.published.snapshot()) {
                return Some(active.authenticator.authenticate(request, self.clock.now()).await);
            }
        }
        None
    }

    /// Decides a request that arrived then, by `due`, for checks and `explain`. `None` if the configuration kept changing
    /// meanwhile.
    pub async fn decide(
        &self,
        request: &Request,
        arrived: Now,
        due: Option<Instant>,
    ) -> Option<(Arc<State>, Now, Decision)> {
        let mut may_look_up = true;
        for _ in 0..ATTEMPTS {
            let before = planted(Fault::StateBeforeAwait).then(|| self.published.snapshot());
            let active = self.authenticators.of(&self.published.load());
            let Some(active) = active else { continue };
            let outcomes = active.authenticator.authenticate(request, arrived).await;
            // INVARIANT: loaded after the last await, so that a revocation that came meanwhile wins (law 1); and the time
            // is read after that, so that nothing in the state is still to come.
            let state = before.unwrap_or_else(|| self.published.snapshot());
            if Arc::ptr_eq(&state.rules.policy, &active.policy) || planted(Fault::JudgedByOldRules) {
                let now = self.clock.now();
                let decision = decide(&state, request, &outcomes, now);
                // Somebody was found: decide again, on a state that knows them.
                let rules = &state.rules.policy;
                if std::mem::take(&mut may_look_up) && OnDemandLookup::asks(&decision) {
                    // On the heap, because it is rare and every check would have to carry room for it.
                    if Box::pin(self.lookup.look_up(&decision, rules, now, due)).await {
                        continue;
                    }
                }
                self.matches.saw(&state, &outcomes);
                return Some((state, now, decision));
            }
        }
        None
    }
}

impl CheckHandler for LiveCheckHandler {
    async fn check(&self, request: &Request, arrived: Instant, due: Option<Instant>) -> CheckOutcome {
        match self.decide(request, self.clock.at(arrived.into_std()), due).await {
            Some((_, _, decision)) => {
                CheckOutcome { decision: Arc::new(decision), decision_id: self.recorder.draw_id() }
            }
            None => self.failed(CheckFailure::Late, Some(request)),
        }
    }

    fn failed(&self, failure: CheckFailure, request: Option<&Request>) -> CheckOutcome {
        let state = self.published.load();
        let nowhere = Request::default();
        let chosen = state.rules.service(&request.unwrap_or(&nowhere).destination);
        // An unreadable message names no service: the strictest service applies.
        let enforcement = match request {
            Some(_) => chosen.service.enforcement,
            None => state.rules.strictest_enforcement(),
        };
        let steps = steps(failure, request, chosen.by);
        let policy = Arc::clone(&state.rules.policy);
        let decision = Decision::new(failure.reason(), policy, chosen.service, state.fold.epoch, steps);
        let decision = Arc::new(Decision { enforcement, ..decision });
        CheckOutcome { decision, decision_id: self.recorder.draw_id() }
    }

    fn answered(&self, answered: Answered<'_>) {
        let outcome = answered.outcome;
        if let Some(detail) = &outcome.decision.detail {
            tracing::debug!({ REASON } = outcome.decision.reason.code(), { DETAIL } = detail.words(),
                { SERVICE } = &*outcome.decision.service, decision.id = %outcome.decision_id, "check denied, or would be if enforced");
        }
        self.metrics.answered(&outcome.decision, answered.at.saturating_duration_since(answered.arrived));
        if let Some(people) = self.mixed.raised(&outcome.decision) {
            self.report_mixed(people);
        }
        let path = answered.request.map_or("", |request| match &request.path {
            Path::Forms(forms) => forms.first().map_or("", String::as_str),
            Path::Odd(_) => "",
        });
        let time = self.clock.at(answered.at.into_std()).wall;
        self.seen.saw(&outcome.decision, time);
        let facts = Facts {
            id: outcome.decision_id,
            time,
            method: answered.request.map_or("", |request| &*request.method),
            path,
            address: answered.request.and_then(|request| request.address),
        };
        self.observed.saw(&outcome.decision, answered.request, &facts);
        self.recorder.decision(&outcome.decision, facts);
    }
}

impl LiveCheckHandler {
    /// Reports people whom their source does not tell apart; their credential is denied everywhere.
    fn report_mixed(&self, people: &[PersonId]) {
        for source in people.iter().map(|person| &person.source).collect::<BTreeSet<_>>() {
            self.metrics.source_error(source, SourceErrorKind::MixedIdentities);
        }
        let names = people.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        tracing::error!(
            people = names,
            "a credential matches several people and is denied: {names}; remove what they share from all but one of them in \
             their source, or `link` by another attribute"
        );
    }
}

/// The steps of a check that failed.
fn steps(failure: CheckFailure, request: Option<&Request>, named_by: NamedBy) -> Steps {
    let form = request.map(decide::form).unwrap_or_default();
    let (form, ended_early) = match failure {
        CheckFailure::Undecodable(why) => (Form::Malformed(why), "the message cannot be decoded"),
        CheckFailure::Late => (form, "no decision was made in time"),
        CheckFailure::Panicked => (form, "the check panicked; the log has the panic"),
    };
    Steps { form, named_by, ended_early: Some(ended_early), ..Steps::default() }
}
