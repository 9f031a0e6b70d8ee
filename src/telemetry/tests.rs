use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use tower::ServiceExt as _;

use crate::domain::person::Status;
use crate::domain::reason::Reason;
use crate::domain::time::Timestamp;

use super::health::Readiness;
use super::logging;
use super::metrics::{Began, Metrics};
use super::ops;

/// Every metric with one child at least.
fn touched() -> Metrics {
    let metrics = Metrics::new().unwrap();
    metrics.add_source("hr");
    metrics.source_synced("hr", Timestamp::from_secs(1));
    metrics.source_events("hr", "change", 1);
    metrics.set_jwks_keys("corp", 2);
    metrics.set_jwks_errors("corp", 1);
    metrics.set_issuer_unmatched("corp", true);
    metrics.jwks_fetched("corp", Timestamp::from_secs(1));
    metrics
}

/// `name type label,label`, one line for each metric.
fn listing(text: &str) -> String {
    let mut lines = BTreeSet::new();
    for line in text.lines() {
        let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) else { continue };
        let sample = text.lines().find(|line| {
            line.strip_prefix(name).is_some_and(|rest| ["{", " ", "_bucket"].iter().any(|next| rest.starts_with(next)))
        });
        let labels = sample.and_then(|line| line.split_once('{')).and_then(|(_, rest)| rest.split_once('}'));
        let names = labels.map(|(labels, _)| labels.split("\",").filter_map(|label| label.split('=').next()));
        let names: Vec<&str> = names.into_iter().flatten().filter(|name| *name != "le").collect();
        lines.insert(format!("{name} {kind} {}", names.join(",")).trim_end().to_owned());
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

#[test]
fn the_list_of_metrics_is_the_contract() {
    let found = listing(&touched().render());
    let golden = include_str!("../../tests/golden/metrics.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/metrics.txt");
        return std::fs::write(path, found).unwrap();
    }
    assert_eq!(found, golden, "tests/golden/metrics.txt must become (UPDATE_GOLDEN=1 writes it):\n{found}");
}

#[test]
fn every_metric_has_help_and_a_clean_name() {
    let text = touched().render();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
    }
}

fn value(metrics: &Metrics, sample: &str) -> f64 {
    let text = metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample}")).parse().unwrap()
}

#[test]
fn every_reason_is_there_from_the_start() {
    let metrics = Metrics::new().unwrap();
    for reason in Reason::ALL {
        let decisions: &[&str] = if reason.allows() { &["allow"] } else { &["deny", "observed_deny"] };
        for decision in decisions {
            let sample = format!("offboard_checks_total{{decision=\"{decision}\",reason=\"{}\"}}", reason.code());
            assert!(value(&metrics, &sample).abs() < f64::EPSILON);
        }
    }
}

#[test]
fn a_check_without_an_answer_counts_as_denied() {
    let metrics = Metrics::new().unwrap();
    drop(metrics.start_check());
    metrics.start_check().refuse(Reason::MalformedRequest);
    assert!(value(&metrics, "offboard_checks_total{decision=\"deny\",reason=\"internal\"}") > 0.5);
    assert!(value(&metrics, "offboard_checks_total{decision=\"deny\",reason=\"malformed_request\"}") > 0.5);
    assert!(value(&metrics, "offboard_check_duration_seconds_count{decision=\"deny\"}") > 1.5);
}

#[test]
fn a_provider_whose_clock_is_ahead_is_an_error_and_took_no_time() {
    let metrics = Metrics::new().unwrap();
    metrics.add_source("hr");
    metrics.propagated("hr", Began::Provider, Timestamp::from_secs(9), Timestamp::from_secs(5));
    assert!(value(&metrics, "offboard_source_errors_total{kind=\"clock\",source=\"hr\"}") > 0.5);
    let sum = "offboard_revocation_propagation_seconds_sum{from=\"provider\",source=\"hr\"}";
    assert!(value(&metrics, sum).abs() < f64::EPSILON);
}

#[test]
fn audit_counters_follow_the_trail() {
    let metrics = Metrics::new().unwrap();
    metrics.set_audit(3, 2, 1, 4);
    metrics.set_audit(5, 0, 1, 4);
    metrics.set_people("hr", Status::Active, 4);
    assert!((value(&metrics, "offboard_audit_records_total") - 5.0).abs() < f64::EPSILON);
    assert!((value(&metrics, "offboard_audit_lost_total") - 1.0).abs() < f64::EPSILON);
}

async fn get(readiness: &Readiness, path: &str) -> (u16, String) {
    let refresh: ops::Refresh = Arc::new(|metrics: &Metrics| metrics.set_epoch(42));
    let router = ops::router(Arc::new(touched()), readiness.clone(), refresh);
    let response = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn readiness_says_what_is_missing_and_comes_when_nothing_is() {
    let readiness = Readiness::new();
    let watch = readiness.watch();
    let replay = readiness.block("log replay");
    let sync = readiness.block("first sync of source hr");
    assert!(!*watch.borrow());
    let (status, text) = get(&readiness, "/readyz").await;
    assert_eq!((status, text.as_str()), (503, "not ready: waiting for log replay, first sync of source hr\n"));
    drop(replay);
    assert!(!*watch.borrow());
    drop(sync);
    assert!(*watch.borrow());
    assert_eq!(get(&readiness, "/readyz").await.0, 200);
    readiness.drain();
    assert!(!*watch.borrow());
    assert_eq!(get(&readiness, "/readyz").await.0, 503);
    assert_eq!(get(&readiness, "/livez").await.0, 200, "alive while it drains");
}

#[tokio::test]
async fn metrics_are_fresh_when_they_are_read() {
    let (status, text) = get(&Readiness::new(), "/metrics").await;
    assert_eq!(status, 200);
    assert!(text.contains("offboard_revocation_epoch 42"));
    assert_eq!(get(&Readiness::new(), "/debug").await.0, 404);
}

#[test]
fn a_log_filter_is_checked() {
    assert!(logging::filter(None).is_ok());
    assert!(logging::filter(Some("info,offboard::source=debug")).is_ok());
    assert!(logging::filter(Some("offboard=loud")).is_err());
}
