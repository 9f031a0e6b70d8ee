//! Metrics of sources, by name.

use prometheus::{GaugeVec, HistogramVec, IntCounterVec, IntGaugeVec};

use super::make::{Make, set};
use crate::domain::person::Status;
use crate::domain::source::SourceErrorKind;
use crate::domain::time::Timestamp;

/// Seconds; a push is enforced in milliseconds, a poll may take minutes.
const PROPAGATION_BUCKETS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0, 300.0, 600.0];
/// Owners of revocations other than sources.
const OTHERS: [&str; 2] = ["operator", "configuration"];
/// Label of what a provider reports.
const TOLD: &str = "event";

/// The start of a propagation measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Began {
    /// The event's own time at the provider.
    Provider,
    /// Its receipt by this process.
    Receipt,
}

impl Began {
    fn word(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Receipt => "receipt",
        }
    }
}

/// Metrics of sources, by name.
#[derive(Debug)]
pub(super) struct Sources {
    propagation: HistogramVec,
    leavers: IntCounterVec,
    people: IntGaugeVec,
    success: GaugeVec,
    stale: IntGaugeVec,
    errors: IntCounterVec,
    events: IntCounterVec,
    guarded: IntGaugeVec,
}

impl Sources {
    pub(super) fn new(make: &Make) -> Result<Self, prometheus::Error> {
        let sources = Self {
            propagation: make.histograms(
                "offboard_revocation_propagation_seconds",
                "Time until a revocation was enforced in this process.",
                &["source", "from"],
                &PROPAGATION_BUCKETS,
            )?,
            leavers: make.counters(
                "offboard_leavers_total",
                "People reported suspended or gone by a source since the start.",
                &["source"],
            )?,
            people: make.gauges("offboard_people", "People known, by source and status.", &["source", "status"])?,
            success: make.times(
                "offboard_source_last_success_timestamp_seconds",
                "Time up to which all changes at a source are known; 0: never listed.",
                &["source"],
            )?,
            stale: make.gauges("offboard_source_stale", "1 while a source is past its max_staleness.", &["source"])?,
            errors: make.counters(
                "offboard_source_errors_total",
                "Failures of a source, and alarming reports from it.",
                &["source", "kind"],
            )?,
            events: make.counters(
                "offboard_source_events_total",
                "Changes reported by a provider, pushed or polled.",
                &["source", "kind"],
            )?,
            guarded: make.gauges(
                "offboard_source_guarded",
                "1 while a listing of a source is held back.",
                &["source"],
            )?,
        };
        for source in OTHERS {
            let _at_zero = sources.propagation.get_metric_with_label_values(&[source, Began::Receipt.word()])?;
        }
        Ok(sources)
    }

    /// Adds a configured source; its metrics start at 0, so that `rate` and alerts see the first increment.
    pub(super) fn add(&self, source: &str) {
        for status in Status::ALL {
            self.set_people(source, status, 0);
        }
        self.synced(source, Timestamp::from_secs(0));
        self.set_stale(source, false);
        self.set_guarded(source, false);
        for failure in SourceErrorKind::ALL {
            self.errors.with_label_values(&[source, failure.word()]);
        }
        self.events.with_label_values(&[source, TOLD]);
        self.leavers.with_label_values(&[source]);
        for from in [Began::Provider, Began::Receipt] {
            self.propagation.with_label_values(&[source, from.word()]);
        }
    }

    /// Removes a source's gauges. Its counters stay.
    pub(super) fn remove(&self, source: &str) {
        for status in Status::ALL {
            let _gone = self.people.remove_label_values(&[source, status.word()]);
        }
        let _gone = self.success.remove_label_values(&[source]);
        for gauges in [&self.stale, &self.guarded] {
            let _gone = gauges.remove_label_values(&[source]);
        }
    }

    pub(super) fn propagated(&self, source: &str, from: Began, began: Timestamp, enforced: Timestamp) {
        if began > enforced {
            self.failed(source, SourceErrorKind::Clock);
        }
        self.propagation.with_label_values(&[source, from.word()]).observe(enforced.since(began).as_secs_f64());
    }

    pub(super) fn left(&self, source: &str) {
        self.leavers.with_label_values(&[source]).inc();
    }

    pub(super) fn set_people(&self, source: &str, status: Status, count: usize) {
        set(&self.people, &[source, status.word()], count);
    }

    pub(super) fn synced(&self, source: &str, at: Timestamp) {
        self.success.with_label_values(&[source]).set(at.as_secs_f64());
    }

    pub(super) fn set_stale(&self, source: &str, stale: bool) {
        set(&self.stale, &[source], usize::from(stale));
    }

    pub(super) fn set_guarded(&self, source: &str, guarded: bool) {
        set(&self.guarded, &[source], usize::from(guarded));
    }

    pub(super) fn guarded(&self, source: &str) -> bool {
        self.guarded.with_label_values(&[source]).get() == 1
    }

    pub(super) fn failed(&self, source: &str, failure: SourceErrorKind) {
        self.errors.with_label_values(&[source, failure.word()]).inc();
    }

    pub(super) fn told(&self, source: &str, count: u64) {
        self.events.with_label_values(&[source, TOLD]).inc_by(count);
    }
}
