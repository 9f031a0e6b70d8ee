//! Metrics of issuers and their keys, by name.

use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec};

use super::make::{Make, raise, set};
use crate::domain::time::Timestamp;

/// Metrics of issuers and their keys, by name.
#[derive(Debug)]
pub(super) struct Issuers {
    unmatched: IntGaugeVec,
    success: GaugeVec,
    keys: IntGaugeVec,
    errors: IntCounterVec,
}

impl Issuers {
    pub(super) fn new(make: &Make) -> Result<Self, prometheus::Error> {
        Ok(Self {
            unmatched: make.gauges(
                "offboard_issuer_unmatched",
                "1 while no source of an issuer matches any of its last 1000 tokens of people.",
                &["issuer"],
            )?,
            success: make.times(
                "offboard_jwks_last_success_timestamp_seconds",
                "When the keys of an issuer were last fetched; 0: never.",
                &["issuer"],
            )?,
            keys: make.gauges("offboard_jwks_keys", "Keys in use for an issuer.", &["issuer"])?,
            errors: make.counters("offboard_jwks_errors_total", "Failed fetches of an issuer's keys.", &["issuer"])?,
        })
    }

    /// Adds a configured issuer; its metrics start at 0.
    pub(super) fn add(&self, issuer: &str) {
        self.set_unmatched(issuer, false);
        self.set_keys(issuer, 0);
        self.fetched(issuer, Timestamp::from_secs(0));
        self.errors.with_label_values(&[issuer]);
    }

    /// Removes an issuer. Its errors are counted elsewhere, and start over if it returns.
    pub(super) fn remove(&self, issuer: &str) {
        let _gone = self.success.remove_label_values(&[issuer]);
        let _gone = self.errors.remove_label_values(&[issuer]);
        for gauges in [&self.unmatched, &self.keys] {
            let _gone = gauges.remove_label_values(&[issuer]);
        }
    }

    pub(super) fn set_unmatched(&self, issuer: &str, unmatched: bool) {
        set(&self.unmatched, &[issuer], usize::from(unmatched));
    }

    pub(super) fn set_keys(&self, issuer: &str, count: usize) {
        set(&self.keys, &[issuer], count);
    }

    pub(super) fn set_errors(&self, issuer: &str, count: u64) {
        raise(&self.errors.with_label_values(&[issuer]), count);
    }

    pub(super) fn fetched(&self, issuer: &str, at: Timestamp) {
        self.success.with_label_values(&[issuer]).set(at.as_secs_f64());
    }
}
