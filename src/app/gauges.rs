//! Gauges that are brought up to date when somebody asks for the metrics.

use std::sync::Arc;

use tokio::sync::watch;

use super::check_handler::LiveCheckHandler;
use crate::authenticate::cache::CacheCounters;
use crate::domain::person::Status;
use crate::domain::revocation::TargetKind;
use crate::domain::time::Now;
use crate::jose::keys::KeyRings;
use crate::state::State;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::ops::Refresh;

/// Brings the gauges up to date with the state in force.
pub(super) fn refresh(
    handler: Arc<LiveCheckHandler>,
    rings: watch::Receiver<KeyRings>,
    cache: Arc<CacheCounters>,
) -> Refresh {
    Arc::new(move |metrics: &Metrics| {
        let state = handler.published.load();
        metrics.know(&state.rules.policy);
        metrics.set_epoch(state.fold.epoch.position);
        for kind in TargetKind::ALL {
            metrics.set_revocations(kind, state.fold.live(kind));
        }
        sources(metrics, &state, handler.clock.now());
        metrics.set_exemptions(state.fold.exemptions.len());
        let unmatched = handler.matches.unmatched();
        for issuer in &state.rules.policy.issuers {
            metrics.set_issuer_unmatched(&issuer.name, unmatched.contains(&issuer.issuer));
        }
        signing_keys(metrics, &rings.borrow());
        metrics.set_clock_steps(handler.clock.steps());
        metrics.set_cache(cache.hits(), cache.misses());
        let counts = handler.recorder.counts();
        metrics.set_audit(counts.records, counts.waiting, counts.lost, counts.failures);
    })
}

fn sources(metrics: &Metrics, state: &State, now: Now) {
    for source in &state.rules.policy.sources {
        let counts = state.fold.people.counts().get(&source.name).copied().unwrap_or_default();
        for (status, count) in Status::ALL.into_iter().zip(counts) {
            metrics.set_people(&source.name, status, count);
        }
        let synced = state.fold.sources.get(&source.name);
        if let Some(state) = synced {
            metrics.source_synced(&source.name, state.last_heard);
        }
        let stale = synced.is_none_or(|state| state.is_stale(source.max_staleness, now));
        metrics.set_source_stale(&source.name, stale);
        let held = state.fold.feeds.get(&source.name).is_some_and(|feed| feed.held.is_some());
        metrics.set_source_guarded(&source.name, held);
    }
}

fn signing_keys(metrics: &Metrics, rings: &KeyRings) {
    for ring in rings.iter() {
        let status = ring.status();
        metrics.set_jwks_keys(ring.name(), status.keys);
        metrics.set_jwks_errors(ring.name(), status.errors);
        if let Some(at) = status.last_success {
            metrics.jwks_fetched(ring.name(), at);
        }
    }
}
