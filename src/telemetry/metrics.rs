//! The metrics of contract section 5, on their own registry.
//!
//! Labels come from closed sets: configured names and words of this crate; never a person, path, token or error text. Each
//! label value exists from the start, at 0, except for most reasons of checks, so that `rate` and alerts see the first
//! increment. Series used by checks are resolved once.

pub(super) mod make;

mod issuers;
mod sources;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use prometheus::process_collector::ProcessCollector;
use prometheus::{Gauge, IntCounter, IntGauge, IntGaugeVec, Registry, TextEncoder};

use self::issuers::Issuers;
use self::make::{Make, raise, set, whole};
use self::sources::Sources;
use super::checks::Checks;
use crate::domain::decision::Decision;
use crate::domain::person::Status;
use crate::domain::policy::{Enforcement, Policy};
use crate::domain::revocation::TargetKind;
use crate::domain::source::SourceErrorKind;
use crate::domain::time::Timestamp;

pub use self::sources::Began;

/// A metric could not be created: a bug.
#[derive(Debug, thiserror::Error)]
#[error("set metrics up")]
pub struct MetricsError(#[from] prometheus::Error);

/// All metrics of this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    known: Mutex<Known>,
    checks: Checks,
    enforcement: IntGaugeVec,
    sources: Sources,
    issuers: Issuers,
    ready: IntGauge,
    cache_hits: IntCounter,
    cache_misses: IntCounter,
    revocations: IntGaugeVec,
    epoch: IntGauge,
    exemptions: IntGauge,
    bootstrap_uses: IntCounter,
    undone: IntCounter,
    store_failures: IntCounter,
    clock_steps: IntCounter,
    reload_successful: IntGauge,
    reload_time: Gauge,
    audit_records: IntCounter,
    audit_waiting: IntGauge,
    audit_lost: IntCounter,
    audit_failures: IntCounter,
}

/// The names in the configuration in force.
#[derive(Debug, Default)]
struct Known {
    services: BTreeSet<String>,
    sources: BTreeSet<String>,
    issuers: BTreeSet<String>,
}

/// Adds new names and removes old ones.
fn follow(known: &mut BTreeSet<String>, now: BTreeSet<String>, add: impl Fn(&str), remove: impl Fn(&str)) {
    now.difference(known).for_each(|name| add(name));
    known.difference(&now).for_each(|name| remove(name));
    *known = now;
}

impl Metrics {
    /// All metrics, at 0 where the labels are known.
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
        let audit_help = "Audit records that should have been kept but were lost. Must stay 0.";
        let reload_help = "Time of the last successful configuration reload.";
        Ok(Self {
            known: Mutex::default(),
            checks: Checks::new(&make)?,
            enforcement: make.gauges(
                "offboard_service_enforcement",
                "1 if denials of a service are enforced, 0 if they are only counted.",
                &["service"],
            )?,
            sources: Sources::new(&make)?,
            issuers: Issuers::new(&make)?,
            ready: make.gauge("offboard_ready", "1 while /readyz reports ready.")?,
            cache_hits: cache.get_metric_with_label_values(&["hit"])?,
            cache_misses: cache.get_metric_with_label_values(&["miss"])?,
            revocations,
            epoch: make.gauge("offboard_revocation_epoch", "Position in the log up to which this process enforces.")?,
            exemptions: make.gauge("offboard_exemptions", "Break-glass exemptions in force.")?,
            bootstrap_uses: make.counter(
                "offboard_control_bootstrap_uses_total",
                "Calls with the emergency credential (bootstrap token), including refused ones.",
            )?,
            undone: make.counter(
                "offboard_revocations_undone_total",
                "Revocations of operators that were taken back as mistakes, with the cut-offs that they left.",
            )?,
            store_failures: make.counter(
                "offboard_store_failures_total",
                "Times that the store accepted no writes, or was no longer where it was opened. Must stay 0.",
            )?,
            clock_steps: make.counter(
                "offboard_clock_steps_total",
                "Times that the wall clock stepped more than 30 s away from this process's time.",
            )?,
            reload_successful: make.gauge(
                "offboard_config_last_reload_successful",
                "1 if the configuration in force is the one in the files.",
            )?,
            reload_time: make.time("offboard_config_last_reload_success_timestamp_seconds", reload_help)?,
            audit_records: make.counter("offboard_audit_records_total", "Audit records written.")?,
            audit_waiting: make.gauge("offboard_audit_queue_depth", "Audit messages waiting for the writer.")?,
            audit_lost: make.counter("offboard_audit_lost_total", audit_help)?,
            audit_failures: make.counter("offboard_audit_failures_total", "Failed operations on the audit disk.")?,
            registry: make.0,
        })
    }

    /// All metrics in the text format 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        // Fails only for a metric without a name or value; there is none.
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    /// Counts a check with this outcome, answered after `took`.
    pub fn answered(&self, decision: &Decision, took: std::time::Duration) {
        self.checks.count(&decision.service, decision.reason, decision.enforcement, took);
    }

    /// Follows the policy in force: new names appear, at 0; gauges of removed names disappear.
    pub fn know(&self, policy: &Policy) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let services = policy.services.iter().map(|service| service.name.to_string()).collect();
        if known.services != services {
            self.checks.know(services.iter().map(String::as_str));
        }
        let gone = |service: &str| drop(self.enforcement.remove_label_values(&[service]));
        follow(&mut known.services, services, |_| (), gone);
        for service in &policy.services {
            let enforces = service.enforcement == Enforcement::Enforce;
            set(&self.enforcement, &[&service.name], usize::from(enforces));
        }
        let sources = policy.sources.iter().map(|source| source.name.clone()).collect();
        follow(&mut known.sources, sources, |name| self.sources.add(name), |name| self.sources.remove(name));
        let issuers = policy.issuers.iter().map(|issuer| issuer.name.clone()).collect();
        follow(&mut known.issuers, issuers, |name| self.issuers.add(name), |name| self.issuers.remove(name));
    }

    /// Whether a listing of the source is held back.
    #[must_use]
    pub fn source_guarded(&self, source: &str) -> bool {
        self.sources.guarded(source)
    }

    /// Sets whether the process is ready.
    pub fn set_ready(&self, ready: bool) {
        self.ready.set(i64::from(ready));
    }

    /// Sets the hits and misses of the verified-token cache since the start.
    pub fn set_cache(&self, hits: u64, misses: u64) {
        raise(&self.cache_hits, hits);
        raise(&self.cache_misses, misses);
    }

    /// Sets the number of live revocations of this kind of target.
    pub fn set_revocations(&self, kind: TargetKind, count: usize) {
        set(&self.revocations, &[kind.word()], count);
    }

    /// Sets the position up to which the log is enforced.
    pub fn set_epoch(&self, position: u64) {
        self.epoch.set(whole(position));
    }

    /// Counts an enforced revocation. Negative times count as 0 and as [`SourceErrorKind::Clock`].
    pub fn propagated(&self, source: &str, from: Began, began: Timestamp, enforced: Timestamp) {
        self.sources.propagated(source, from, began, enforced);
    }

    /// Counts somebody newly reported suspended or gone by this source.
    pub fn left(&self, source: &str) {
        self.sources.left(source);
    }

    /// Sets the number of this source's people with this status.
    pub fn set_people(&self, source: &str, status: Status, count: usize) {
        self.sources.set_people(source, status, count);
    }

    /// Sets the time up to which all changes at this source are known.
    pub fn source_synced(&self, source: &str, at: Timestamp) {
        self.sources.synced(source, at);
    }

    /// Sets whether this source is past its `max_staleness`.
    pub fn set_source_stale(&self, source: &str, stale: bool) {
        self.sources.set_stale(source, stale);
    }

    /// Sets whether a listing of this source is held back.
    pub fn set_source_guarded(&self, source: &str, guarded: bool) {
        self.sources.set_guarded(source, guarded);
    }

    /// Counts a failure of this source, or an alarming report from it.
    pub fn source_error(&self, source: &str, failure: SourceErrorKind) {
        self.sources.failed(source, failure);
    }

    /// Counts changes reported by the provider.
    pub fn source_events(&self, source: &str, count: u64) {
        self.sources.told(source, count);
    }

    /// Sets the number of exemptions in force.
    pub fn set_exemptions(&self, count: usize) {
        self.exemptions.set(whole(count));
    }

    /// Sets whether no source of this issuer matches any of its last tokens.
    pub fn set_issuer_unmatched(&self, issuer: &str, unmatched: bool) {
        self.issuers.set_unmatched(issuer, unmatched);
    }

    /// Counts a use of the bootstrap token.
    pub fn bootstrap_used(&self) {
        self.bootstrap_uses.inc();
    }

    /// Counts a revocation that was undone.
    pub fn undone(&self) {
        self.undone.inc();
    }

    /// Counts a failure of the store.
    pub fn store_failed(&self) {
        self.store_failures.inc();
    }

    /// Sets how often the wall clock stepped since the start.
    pub fn set_clock_steps(&self, count: u64) {
        raise(&self.clock_steps, count);
    }

    /// Sets the number of this issuer's keys in use.
    pub fn set_jwks_keys(&self, issuer: &str, count: usize) {
        self.issuers.set_keys(issuer, count);
    }

    /// Sets the number of failed fetches of this issuer's keys since the start.
    pub fn set_jwks_errors(&self, issuer: &str, count: u64) {
        self.issuers.set_errors(issuer, count);
    }

    /// Sets when this issuer's keys were fetched.
    pub fn jwks_fetched(&self, issuer: &str, at: Timestamp) {
        self.issuers.fetched(issuer, at);
    }

    /// Records that a configuration came into force at this time; `None`: one was rejected.
    pub fn reloaded(&self, at: Option<Timestamp>) {
        self.reload_successful.set(i64::from(at.is_some()));
        if let Some(at) = at {
            self.reload_time.set(at.as_secs_f64());
        }
    }

    /// Sets the state of the audit trail: records written and lost since the start, waiting messages, failed disk
    /// operations.
    pub fn set_audit(&self, records: u64, waiting: u64, lost: u64, failures: u64) {
        raise(&self.audit_failures, failures);
        raise(&self.audit_records, records);
        raise(&self.audit_lost, lost);
        self.audit_waiting.set(whole(waiting));
    }
}
