//! The metrics of contract section 5, on a registry of their own.
//!
//! Labels come from closed sets: names of the configuration and words of this crate; never a person, path,
//! token or error text. What a check touches is resolved once, at the start.

use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::domain::decision::Decision;
use crate::domain::person::Status;
use crate::domain::policy::Policy;
use crate::domain::revocation::TargetKind;
use crate::domain::time::Timestamp;

use super::checks::{Check, Checks};

/// Seconds; a push is enforced in milliseconds, a provider that is polled may take minutes.
const PROPAGATION_BUCKETS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0, 300.0, 600.0];

/// A metric that could not be made: a fault of this program.
#[derive(Debug, thiserror::Error)]
#[error("set metrics up")]
pub struct MetricsError(#[from] prometheus::Error);

/// Which time a propagation is measured from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Began {
    /// The event's own time at the provider.
    Provider,
    /// Its receipt by this process.
    Receipt,
}

/// Every metric of this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    checks: Checks,
    cache_hits: IntCounter,
    cache_misses: IntCounter,
    revocations: IntGaugeVec,
    epoch: IntGauge,
    sources: Sources,
    exemptions: IntGauge,
    store_failures: IntCounter,
    unmatched: IntGaugeVec,
    jwks_success: GaugeVec,
    jwks_keys: IntGaugeVec,
    jwks_errors: IntCounterVec,
    reload_successful: IntGauge,
    reload_time: Gauge,
    audit_records: IntCounter,
    audit_waiting: IntGauge,
    audit_lost: IntCounter,
    audit_failures: IntCounter,
}

/// What is known of sources, by name.
#[derive(Debug)]
struct Sources {
    propagation: HistogramVec,
    people: IntGaugeVec,
    success: GaugeVec,
    stale: IntGaugeVec,
    errors: IntCounterVec,
    events: IntCounterVec,
    guarded: IntGaugeVec,
}

/// Makes metrics, each registered.
pub(super) struct Make(Registry);

impl Make {
    fn add<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        made: Result<C, prometheus::Error>,
    ) -> Result<C, prometheus::Error> {
        let made = made?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::new(name, help))
    }

    pub(super) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.add(IntGauge::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn times(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
        self.add(GaugeVec::new(Opts::new(name, help), labels))
    }

    pub(super) fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, prometheus::Error> {
        self.add(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
    }
}

impl Sources {
    fn new(make: &Make) -> Result<Self, prometheus::Error> {
        Ok(Self {
            propagation: make.histograms(
                "offboard_revocation_propagation_seconds",
                "Time until a change was enforced in this process.",
                &["source", "from"],
                &PROPAGATION_BUCKETS,
            )?,
            people: make.gauges("offboard_people", "People known, by source and status.", &["source", "status"])?,
            success: make.times(
                "offboard_source_last_success_timestamp_seconds",
                "When the last full sync of a source succeeded.",
                &["source"],
            )?,
            stale: make.gauges("offboard_source_stale", "1 while a source is past its max_staleness.", &["source"])?,
            errors: make.counters("offboard_source_errors_total", "Failures of a source.", &["source", "kind"])?,
            events: make.counters("offboard_source_events_total", "Changes from a source.", &["source", "kind"])?,
            guarded: make.gauges(
                "offboard_source_guarded",
                "1 while a listing of a source is held back.",
                &["source"],
            )?,
        })
    }
}

impl Metrics {
    /// All of them, at 0 where the labels are known.
    ///
    /// # Errors
    /// [`MetricsError`] if two metrics clash, which a test rules out.
    pub fn new() -> Result<Self, MetricsError> {
        let make = Make(Registry::new());
        make.0.register(Box::new(ProcessCollector::for_self()))?;
        let build =
            make.gauges("offboard_build_info", "Always 1; the labels say which build this is.", &["version"])?;
        build.get_metric_with_label_values(&[env!("CARGO_PKG_VERSION")])?.set(1);
        let cache =
            make.counters("offboard_token_cache_total", "Look-ups in the verified-token cache.", &["result"])?;
        let revocations = make.gauges("offboard_revocations", "Live revocations, by kind of target.", &["target"])?;
        for kind in TargetKind::ALL {
            revocations.get_metric_with_label_values(&[kind.word()])?;
        }
        let audit_help = "Audit records that were to be kept and were not. Must stay 0.";
        Ok(Self {
            checks: Checks::new(&make)?,
            sources: Sources::new(&make)?,
            cache_hits: cache.get_metric_with_label_values(&["hit"])?,
            cache_misses: cache.get_metric_with_label_values(&["miss"])?,
            revocations,
            epoch: make.gauge("offboard_revocation_epoch", "Position in the log up to which this process enforces.")?,
            exemptions: make.gauge("offboard_exemptions", "Break-glass exemptions in force.")?,
            store_failures: make.counter(
                "offboard_store_failures_total",
                "Times that the store took nothing, or was not where it was opened. Must stay 0.",
            )?,
            unmatched: make.gauges(
                "offboard_issuer_unmatched",
                "1 while no source of an issuer knows any owner of its last 1000 tokens that are not a machine's.",
                &["issuer"],
            )?,
            jwks_success: make.times(
                "offboard_jwks_last_success_timestamp_seconds",
                "When the keys of an issuer were last fetched.",
                &["issuer"],
            )?,
            jwks_keys: make.gauges("offboard_jwks_keys", "Keys in use for an issuer.", &["issuer"])?,
            jwks_errors: make.counters(
                "offboard_jwks_errors_total",
                "Fetches of the keys of an issuer that failed.",
                &["issuer"],
            )?,
            reload_successful: make.gauge(
                "offboard_config_last_reload_successful",
                "1 if the configuration in force is the one in the files.",
            )?,
            reload_time: make.add(Gauge::new(
                "offboard_config_last_reload_success_timestamp_seconds",
                "When a configuration last came into force.",
            ))?,
            audit_records: make.counter("offboard_audit_records_total", "Audit records written.")?,
            audit_waiting: make.gauge("offboard_audit_queue_depth", "Audit messages that wait for the writer.")?,
            audit_lost: make.counter("offboard_audit_lost_total", audit_help)?,
            audit_failures: make.counter("offboard_audit_failures_total", "Times that the audit disk refused.")?,
            registry: make.0,
        })
    }

    /// All metrics in the text format 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        // Fails only for a metric without a name or value, and there is none.
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    /// A check was answered so, `took` after it came in.
    pub fn answered(&self, decision: &Decision, took: std::time::Duration) {
        self.checks.count(decision.reason, decision.enforcement, took);
    }

    /// Makes the series of everything that the policy names, so that they read 0 and not absent.
    pub fn know(&self, policy: &Policy) {
        for source in &policy.sources {
            self.add_source(&source.name);
        }
    }

    /// Whether a listing of the source is held back.
    #[must_use]
    pub fn source_guarded(&self, source: &str) -> bool {
        self.sources.guarded.with_label_values(&[source]).get() == 1
    }

    /// A check begins.
    #[must_use = "a check that is dropped counts as denied"]
    pub fn start_check(&self) -> Check<'_> {
        Check::start(&self.checks)
    }

    /// What the verified-token cache had, and had not, since the start.
    pub fn set_cache(&self, hits: u64, misses: u64) {
        self.cache_hits.inc_by(hits.saturating_sub(self.cache_hits.get()));
        self.cache_misses.inc_by(misses.saturating_sub(self.cache_misses.get()));
    }

    /// So many live revocations of this kind of target stand.
    pub fn set_revocations(&self, kind: TargetKind, count: usize) {
        set(&self.revocations, &[kind.word()], count);
    }

    /// The log is enforced up to here.
    pub fn set_epoch(&self, position: u64) {
        self.epoch.set(whole(position));
    }

    /// A change of this source was enforced after so long. A negative time counts as 0, and as an error of kind
    /// `clock`.
    pub fn propagated(&self, source: &str, from: Began, began: Timestamp, enforced: Timestamp) {
        if began > enforced {
            self.source_error(source, "clock");
        }
        let from = match from {
            Began::Provider => "provider",
            Began::Receipt => "receipt",
        };
        if let Ok(histogram) = self.sources.propagation.get_metric_with_label_values(&[source, from]) {
            histogram.observe(enforced.since(began).as_secs_f64());
        }
    }

    /// So many people of this source have this status.
    pub fn set_people(&self, source: &str, status: Status, count: usize) {
        set(&self.sources.people, &[source, status.word()], count);
    }

    /// A source was configured: what is known of it begins at 0, so that `rate` and alerts see the first change.
    pub fn add_source(&self, source: &str) {
        for status in [Status::Active, Status::Suspended, Status::Departed] {
            self.set_people(source, status, 0);
        }
        self.set_source_stale(source, false);
        self.set_source_guarded(source, false);
        let _at_zero = self.sources.errors.get_metric_with_label_values(&[source, "clock"]);
        for from in ["provider", "receipt"] {
            let _at_zero = self.sources.propagation.get_metric_with_label_values(&[source, from]);
        }
    }

    /// A full sync of this source succeeded.
    pub fn source_synced(&self, source: &str, at: Timestamp) {
        if let Ok(gauge) = self.sources.success.get_metric_with_label_values(&[source]) {
            gauge.set(at.as_secs_f64());
        }
    }

    /// Whether this source is past its `max_staleness`.
    pub fn set_source_stale(&self, source: &str, stale: bool) {
        set(&self.sources.stale, &[source], usize::from(stale));
    }

    /// Whether a listing of this source is held back.
    pub fn set_source_guarded(&self, source: &str, guarded: bool) {
        set(&self.sources.guarded, &[source], usize::from(guarded));
    }

    /// This source failed; `kind` is a word of the program, never an error text.
    pub fn source_error(&self, source: &str, kind: &'static str) {
        if let Ok(counter) = self.sources.errors.get_metric_with_label_values(&[source, kind]) {
            counter.inc();
        }
    }

    /// This source reported so many changes of a kind.
    pub fn source_events(&self, source: &str, kind: &'static str, count: u64) {
        if let Ok(counter) = self.sources.events.get_metric_with_label_values(&[source, kind]) {
            counter.inc_by(count);
        }
    }

    /// So many exemptions are in force.
    pub fn set_exemptions(&self, count: usize) {
        self.exemptions.set(whole(count));
    }

    /// Whether no source of this issuer knows any owner of its last tokens.
    pub fn set_issuer_unmatched(&self, issuer: &str, unmatched: bool) {
        set(&self.unmatched, &[issuer], usize::from(unmatched));
    }

    /// The store took nothing.
    pub fn store_failed(&self) {
        self.store_failures.inc();
    }

    /// So many keys of this issuer are in use.
    pub fn set_jwks_keys(&self, issuer: &str, count: usize) {
        set(&self.jwks_keys, &[issuer], count);
    }

    /// So many fetches of the keys of this issuer have failed since the start.
    pub fn set_jwks_errors(&self, issuer: &str, count: u64) {
        if let Ok(counter) = self.jwks_errors.get_metric_with_label_values(&[issuer]) {
            counter.inc_by(count.saturating_sub(counter.get()));
        }
    }

    /// The keys of this issuer were fetched.
    pub fn jwks_fetched(&self, issuer: &str, at: Timestamp) {
        if let Ok(gauge) = self.jwks_success.get_metric_with_label_values(&[issuer]) {
            gauge.set(at.as_secs_f64());
        }
    }

    /// A configuration came into force at this time; `None`: one was refused.
    pub fn reloaded(&self, at: Option<Timestamp>) {
        self.reload_successful.set(i64::from(at.is_some()));
        if let Some(at) = at {
            self.reload_time.set(at.as_secs_f64());
        }
    }

    /// How the audit trail stands: records written and lost since the start, messages that wait, and how often the disk
    /// refused.
    pub fn set_audit(&self, records: u64, waiting: u64, lost: u64, failures: u64) {
        self.audit_failures.inc_by(failures.saturating_sub(self.audit_failures.get()));
        self.audit_records.inc_by(records.saturating_sub(self.audit_records.get()));
        self.audit_lost.inc_by(lost.saturating_sub(self.audit_lost.get()));
        self.audit_waiting.set(whole(waiting));
    }
}

fn whole<N: TryInto<i64>>(count: N) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

fn set(gauges: &IntGaugeVec, labels: &[&str], count: usize) {
    if let Ok(gauge) = gauges.get_metric_with_label_values(labels) {
        gauge.set(whole(count));
    }
}
