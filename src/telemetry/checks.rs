//! What a check counts: resolved once, so that counting is an atomic addition.

use std::time::{Duration, Instant};

use prometheus::{Histogram, IntCounter};

use crate::domain::decision::Decision;
use crate::domain::policy::Enforcement;
use crate::domain::reason::Reason;

use super::metrics::Make;

/// Seconds; a check from the cache takes tens of microseconds, one that asks a directory tens of milliseconds.
const CHECK_BUCKETS: [f64; 15] =
    [1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 1.0];
/// What a check touches, by reason.
#[derive(Debug)]
pub(super) struct Checks {
    enforced: Vec<IntCounter>,
    observed: Vec<IntCounter>,
    allow: Histogram,
    deny: Histogram,
    observed_deny: Histogram,
}

impl Checks {
    pub(super) fn new(make: &Make) -> Result<Self, prometheus::Error> {
        let total = make.counters(
            "offboard_checks_total",
            "Checks answered, by what became of the request and why.",
            &["decision", "reason"],
        )?;
        let duration = make.histograms(
            "offboard_check_duration_seconds",
            "Time from taking a check in to answering it.",
            &["decision"],
            &CHECK_BUCKETS,
        )?;
        let of = |denied: &str| -> Result<Vec<IntCounter>, prometheus::Error> {
            let word = |reason: Reason| if reason.allows() { "allow" } else { denied };
            let child = |reason: Reason| total.get_metric_with_label_values(&[word(reason), reason.code()]);
            Reason::ALL.into_iter().map(child).collect()
        };
        Ok(Self {
            enforced: of("deny")?,
            observed: of("observed_deny")?,
            allow: duration.get_metric_with_label_values(&["allow"])?,
            deny: duration.get_metric_with_label_values(&["deny"])?,
            observed_deny: duration.get_metric_with_label_values(&["observed_deny"])?,
        })
    }

    pub(super) fn count(&self, reason: Reason, enforcement: Enforcement, took: Duration) {
        let (counters, denied) = match enforcement {
            Enforcement::Enforce => (&self.enforced, &self.deny),
            Enforcement::Observe => (&self.observed, &self.observed_deny),
        };
        if let Some(counter) = counters.get(reason as usize) {
            counter.inc();
        }
        let histogram = if reason.allows() { &self.allow } else { denied };
        histogram.observe(took.as_secs_f64());
    }
}

/// A check that is being answered. One that is dropped without an answer counts as denied, `internal`.
#[derive(Debug)]
pub struct Check<'a> {
    checks: &'a Checks,
    started: Instant,
    finished: bool,
}

impl<'a> Check<'a> {
    pub(super) fn start(checks: &'a Checks) -> Self {
        Self { checks, started: Instant::now(), finished: false }
    }

    /// It was answered so.
    pub fn finish(mut self, decision: &Decision) {
        self.answered(decision.reason, decision.enforcement);
    }

    /// It was denied before there was a decision: a message that does not decode, a deadline that is near.
    pub fn refuse(mut self, reason: Reason) {
        self.answered(reason, Enforcement::Enforce);
    }

    fn answered(&mut self, reason: Reason, enforcement: Enforcement) {
        self.finished = true;
        self.checks.count(reason, enforcement, self.started.elapsed());
    }
}

impl Drop for Check<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.answered(Reason::Internal, Enforcement::Enforce);
        }
    }
}
