//! Metrics of checks. A service's counters are resolved once; counting is then a look-up and an atomic addition.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::{Histogram, IntCounter, IntCounterVec};

use crate::domain::policy::Enforcement;
use crate::domain::reason::Reason;

use super::metrics::make::Make;

/// Seconds; a cached check takes tens of microseconds, one that asks a directory tens of milliseconds.
const CHECK_BUCKETS: [f64; 15] =
    [1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 1.0];
/// Reasons that exist from the start, so that `rate` and alerts see their first increment. The others appear with their
/// first use: all of them for hundreds of services would be too many series.
const FROM_THE_START: [Reason; 3] = [Reason::Allowed, Reason::RevokedPerson, Reason::NoPermission];
/// The service that counts when the service is unknown.
const DEFAULT: &str = "default";

/// Metrics of checks.
#[derive(Debug)]
pub(super) struct Checks {
    total: IntCounterVec,
    services: ArcSwap<HashMap<Arc<str>, Arc<Service>>>,
    default: Arc<Service>,
    allow: Histogram,
    deny: Histogram,
    observed_deny: Histogram,
}

/// The counters of one service, by reason.
#[derive(Debug)]
struct Service {
    enforced: [OnceLock<IntCounter>; Reason::ALL.len()],
    observed: [OnceLock<IntCounter>; Reason::ALL.len()],
}

impl Default for Service {
    fn default() -> Self {
        let none = || std::array::from_fn(|_| OnceLock::new());
        Self { enforced: none(), observed: none() }
    }
}

fn word(reason: Reason, enforcement: Enforcement) -> &'static str {
    match (reason.allows(), enforcement) {
        (true, _) => "allow",
        (false, Enforcement::Enforce) => "deny",
        (false, Enforcement::Observe) => "observed_deny",
    }
}

impl Checks {
    pub(super) fn new(make: &Make) -> Result<Self, prometheus::Error> {
        let total = make.counters(
            "offboard_checks_total",
            "Checks answered, by service, decision and reason.",
            &["service", "decision", "reason"],
        )?;
        let duration = make.histograms(
            "offboard_check_duration_seconds",
            "Time from receiving a check to answering it.",
            &["decision"],
            &CHECK_BUCKETS,
        )?;
        let checks = Self {
            total,
            services: ArcSwap::default(),
            default: Arc::default(),
            allow: duration.get_metric_with_label_values(&["allow"])?,
            deny: duration.get_metric_with_label_values(&["deny"])?,
            observed_deny: duration.get_metric_with_label_values(&["observed_deny"])?,
        };
        checks.know([DEFAULT]);
        Ok(checks)
    }

    /// Sets the configured services. Counts of others stay, as counters do.
    pub(super) fn know<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let before = self.services.load();
        let mut services = HashMap::new();
        for name in names {
            let service = match before.get(name) {
                Some(service) => Arc::clone(service),
                None if name == DEFAULT => Arc::clone(&self.default),
                None => Arc::default(),
            };
            for (reason, enforcement) in FROM_THE_START.into_iter().flat_map(|reason| {
                [Enforcement::Enforce, Enforcement::Observe].map(|enforcement| (reason, enforcement))
            }) {
                let _at_zero = self.counter(name, &service, reason, enforcement);
            }
            services.insert(Arc::from(name), service);
        }
        self.services.store(Arc::new(services));
    }

    pub(super) fn count(&self, service: &str, reason: Reason, enforcement: Enforcement, took: Duration) {
        let services = self.services.load();
        // A reload may have removed it: its few remaining checks count for `default`.
        let (name, service) = services.get_key_value(service).map_or((DEFAULT, &self.default), |(name, at)| (name, at));
        if let Some(counter) = self.counter(name, service, reason, enforcement) {
            counter.inc();
        }
        let histogram = match (reason.allows(), enforcement) {
            (true, _) => &self.allow,
            (false, Enforcement::Enforce) => &self.deny,
            (false, Enforcement::Observe) => &self.observed_deny,
        };
        histogram.observe(took.as_secs_f64());
    }

    fn counter<'a>(
        &self,
        name: &str,
        service: &'a Service,
        reason: Reason,
        enforcement: Enforcement,
    ) -> Option<&'a IntCounter> {
        let counters = match enforcement {
            Enforcement::Enforce => &service.enforced,
            Enforcement::Observe => &service.observed,
        };
        let made = || self.total.with_label_values(&[name, word(reason, enforcement), reason.code()]);
        counters.get(reason as usize).map(|counter| counter.get_or_init(made))
    }
}
