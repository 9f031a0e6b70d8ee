//! What is wrong now, and what somebody chose that lets more through than usual: the first lines of `offboard status`, and
//! in short of `/readyz?verbose`, which everybody may read.

use std::sync::Arc;

use tokio::sync::watch;

use super::sources as views_of_sources;
use crate::app::check_handler::LiveCheckHandler;
use crate::app::feeds::STORE_IS_GONE;
use crate::app::reload::kept_revocations;
use crate::app::sources::Sources;
use crate::app::troubles::Troubles;
use crate::control::views::{ProblemView, SourceView};
use crate::domain::event::Exemption;
use crate::domain::id::ExemptionId;
use crate::domain::policy::{Enforcement, Policy};
use crate::jose::keys::{KeyRing, KeyRings};
use crate::state::State;
use crate::telemetry::health::Readiness;

/// What readiness waits for; `/readyz` says it first.
const READINESS: &str = "readiness";

/// Finds what is wrong.
pub struct Problems {
    /// Answers checks; holds what they use.
    pub handler: Arc<LiveCheckHandler>,
    /// Keys of the issuers.
    pub rings: watch::Receiver<KeyRings>,
    /// The running sources.
    pub sources: Sources,
    /// Readiness.
    pub readiness: Readiness,
    /// Failures that last.
    pub troubles: Arc<Troubles>,
}

/// Something that is wrong. `text` names no person and no secret; `details` may name people.
fn wrong(area: impl Into<String>, text: impl Into<String>, details: Vec<String>) -> ProblemView {
    ProblemView { area: area.into(), text: text.into(), details, chosen: false }
}

/// Something that somebody chose.
fn chosen(area: impl Into<String>, text: impl Into<String>, details: Vec<String>) -> ProblemView {
    ProblemView { chosen: true, ..wrong(area, text, details) }
}

fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

impl Problems {
    /// Everything that is wrong, then everything that somebody chose.
    #[must_use]
    pub fn found(&self) -> Vec<ProblemView> {
        let state = self.handler.published.snapshot();
        let mut found = self.of_process();
        let rings = self.rings.borrow().clone();
        let unmatched = self.handler.matches.unmatched();
        for ring in rings.iter() {
            found.extend(of_keys(ring));
            let of_ring = state.rules.policy.issuers.iter().find(|issuer| issuer.name == ring.name());
            if of_ring.is_some_and(|issuer| unmatched.contains(&issuer.issuer)) {
                let text = "no source matches any of its last tokens: nobody's departure is noticed (check `link`)";
                found.push(wrong(format!("issuer {}", ring.name()), text, Vec::new()));
            }
        }
        let all = views_of_sources::views(&state, &self.sources, self.handler.clock.now());
        found.extend(all.iter().flat_map(of_source));
        found.extend(by_choice(&state));
        found
    }

    /// The same in lines that everybody may read.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let line = |problem: ProblemView| {
            let grade = if problem.chosen { "note" } else { "warning" };
            format!("{grade}: {}: {}", problem.area, problem.text)
        };
        self.found().into_iter().filter(|problem| problem.area != READINESS).map(line).collect()
    }

    /// Of the process itself: readiness, configuration, store, audit trail, clock.
    fn of_process(&self) -> Vec<ProblemView> {
        let mut found = Vec::new();
        let missing = self.readiness.missing();
        if !missing.is_empty() {
            found.push(wrong(READINESS, format!("not ready: waiting for {}", missing.join(", ")), Vec::new()));
        }
        if let Some(failure) = self.troubles.reload.lasting() {
            let errors = counted(failure.errors.len(), "error");
            let text = format!("not reloaded since {}: {errors}; the one before stays in force", failure.at);
            found.push(wrong("configuration", text, failure.errors.clone()));
        }
        let store = self.handler.published.store_state().borrow().gone.clone();
        match (store, self.troubles.store.lasting()) {
            (Some(error), _) => found.push(wrong("store", STORE_IS_GONE, vec![error])),
            (None, Some(failure)) => {
                let text = format!("cannot be written since {}: changes are refused", failure.at);
                found.push(wrong("store", text, failure.errors.clone()));
            }
            (None, None) => {}
        }
        let counts = self.handler.recorder.counts();
        if counts.failing {
            let text = format!("cannot be written; {} records wait (check space at `audit.path`)", counts.waiting);
            found.push(wrong("audit", text, Vec::new()));
        }
        if counts.lost > 0 {
            let text = format!("{} records were lost since the start", counts.lost);
            found.push(wrong("audit", text, Vec::new()));
        }
        found.extend(self.handler.clock.apart().map(of_clock));
        found
    }
}

/// `apart`: how far the wall clock is from the time in use, in milliseconds.
fn of_clock(apart: i64) -> ProblemView {
    let text = format!(
        "the wall clock stepped by {} s; monotonic time is used until both clocks agree for a minute",
        apart / 1_000
    );
    wrong("clock", text, Vec::new())
}

fn of_keys(ring: &KeyRing) -> Option<ProblemView> {
    let (area, status) = (format!("issuer {}", ring.name()), ring.status());
    match (status.keys, status.last_error) {
        (0, error) => {
            let error = error.unwrap_or_else(|| "they have not been fetched yet".to_owned());
            Some(wrong(area, "no keys: its tokens are answered `not_ready`", vec![error]))
        }
        (keys, Some(error)) => {
            let since = status.last_success.map_or("before the start".to_owned(), |at| at.to_string());
            let text = format!("its keys cannot be fetched; {} from {since} stay in use", counted(keys, "key"));
            Some(wrong(area, text, vec![error]))
        }
        (_, None) => None,
    }
}

fn of_source(source: &SourceView) -> Vec<ProblemView> {
    let area = || format!("source {}", source.name);
    let mut found = Vec::new();
    if let Some(health) = &source.health
        && let Some((at, error)) = &health.trouble
    {
        let times =
            if health.failures == 1 { "once".to_owned() } else { format!("{} times in a row", health.failures) };
        found.push(wrong(area(), format!("failed {times}, last at {at}"), vec![error.clone()]));
    }
    match (source.last_heard, source.stale) {
        (None, _) => found.push(wrong(area(), "has never completed a listing", Vec::new())),
        (Some(at), true) => {
            found.push(wrong(area(), format!("stale: not heard from since {at} (`max_staleness`)"), Vec::new()));
        }
        (Some(_), false) => {}
    }
    if let Some(held) = &source.held {
        let because = held.because.iter().cloned();
        let text = match held.unlisted {
            true => format!("its listings are held back since {}", held.at),
            false => format!(
                "a listing of {} is held back: {} of {} people and {} missing",
                held.at,
                held.missing.len(),
                held.known,
                counted(held.memberships, "membership")
            ),
        };
        let remedy = format!("`offboard source show {0}`, then `confirm {0}` or `discard {0}`", source.name);
        found.push(wrong(area(), text, because.chain([remedy]).collect()));
    }
    found
}

fn by_choice(state: &State) -> Vec<ProblemView> {
    let policy = &state.rules.policy;
    let mut found = Vec::new();
    let exemptions = &state.fold.exemptions;
    if !exemptions.is_empty() {
        let details = exemptions.iter().map(|(id, exemption)| of_exemption(*id, exemption)).collect();
        found.push(chosen("exemptions", format!("{} in force", exemptions.len()), details));
    }
    let kept = kept_revocations(policy, &state.fold);
    if kept > 0 {
        let revocations = counted(kept, "revocation");
        let text = format!("{revocations} of an earlier configuration in force; `revocations: []` ends them");
        found.push(chosen("configuration", text, Vec::new()));
    }
    for service in &policy.services {
        let passes: Vec<String> = service.passes().iter().map(|setting| format!("`{setting}: pass`")).collect();
        if !passes.is_empty() {
            let text = format!("lets through what shows no credential of ours: {}", passes.join(", "));
            found.push(chosen(format!("service {}", service.name), text, Vec::new()));
        }
    }
    found.extend(observing(policy));
    found
}

/// Which services deny nobody.
fn observing(policy: &Policy) -> Option<ProblemView> {
    let observe = policy.services.iter().filter(|service| service.enforcement == Enforcement::Observe);
    let names: Vec<&str> = observe.map(|service| &*service.name).collect();
    let text = || format!("`observe`: nothing is denied to {}", names.join(", "));
    (!names.is_empty()).then(|| chosen("enforcement", text(), Vec::new()))
}

fn of_exemption(id: ExemptionId, exemption: &Exemption) -> String {
    let Exemption { reference, expires, actor, reason, .. } = exemption;
    format!("{id}: {reference} until {expires}, by {actor}: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::views::SourceHealth;
    use crate::domain::guard::HeldListing;
    use crate::domain::time::Timestamp;

    fn texts(found: &[ProblemView]) -> Vec<&str> {
        found.iter().map(|problem| problem.text.as_str()).collect()
    }

    #[test]
    fn a_source_says_each_of_its_troubles_and_their_words_only_to_operators() {
        let at = Timestamp::from_secs(0);
        let healthy = SourceView { name: "hr".into(), last_heard: Some(at), ..SourceView::default() };
        assert_eq!(of_source(&healthy), []);
        let health = SourceHealth { trouble: Some((at, "alice twice".into())), failures: 3, ..SourceHealth::default() };
        let held = HeldListing {
            source: "hr".into(),
            at,
            missing: vec!["bob".into()],
            known: 4,
            memberships: 1,
            all_memberships: 9,
            emptied: vec![],
            because: Some("a restored backup".into()),
            unlisted: false,
        };
        let ill = SourceView { health: Some(health), stale: true, held: Some(Arc::new(held)), ..healthy.clone() };
        let found = of_source(&ill);
        let expected = [
            "failed 3 times in a row, last at 1970-01-01T00:00:00.000Z",
            "stale: not heard from since 1970-01-01T00:00:00.000Z (`max_staleness`)",
            "a listing of 1970-01-01T00:00:00.000Z is held back: 1 of 4 people and 1 membership missing",
        ];
        assert_eq!(texts(&found), expected);
        assert!(found.iter().all(|problem| problem.area == "source hr" && !problem.chosen));
        assert_eq!(found[0].details, ["alice twice"]);
        assert_eq!(found[2].details[0], "a restored backup");
        let never = of_source(&SourceView { last_heard: None, stale: true, ..healthy });
        assert_eq!(texts(&never), ["has never completed a listing"]);
    }

    #[test]
    fn a_clock_that_stepped_says_how_far() {
        let found = of_clock(-300_000);
        assert_eq!(found.area, "clock");
        assert!(found.text.starts_with("the wall clock stepped by -300 s; monotonic time is used"), "{}", found.text);
    }
}
