use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use tower::ServiceExt as _;

use crate::corp;
use crate::domain::decision::Decision;
use crate::domain::decision::steps::Steps;
use crate::domain::event::Epoch;
use crate::domain::person::Status;
use crate::domain::policy::{Enforcement, Policy, Service};
use crate::domain::reason::Reason;
use crate::domain::source::SourceErrorKind;
use crate::domain::time::Timestamp;

use super::health::Readiness;
use super::logging;
use super::metrics::{Began, Metrics};
use super::ops;

/// The metrics of a policy with services `default`, `payments` and `docs`, sources and issuers of the tests' company.
fn touched() -> Metrics {
    let metrics = Metrics::new().unwrap();
    metrics.know(&policy());
    metrics
}

fn policy() -> Policy {
    let mut policy = corp::policy();
    let mut docs = policy.services.last().unwrap().clone();
    docs.name = "docs".into();
    docs.enforcement = Enforcement::Observe;
    policy.services.push(docs);
    policy
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

fn decision(service: &str, reason: Reason, enforcement: Enforcement) -> Decision {
    let service = Service { enforcement, ..corp::service(service) };
    let epoch = Epoch { generation: 1, position: 1 };
    Decision::new(reason, Arc::new(corp::policy()), &service, epoch, Steps::default())
}

#[test]
fn each_service_counts_its_own_checks_from_0() {
    let metrics = touched();
    let sample = |service: &str, decision: &str, reason: &str| {
        format!("offboard_checks_total{{decision=\"{decision}\",reason=\"{reason}\",service=\"{service}\"}}")
    };
    for service in policy().services {
        for decision in ["deny", "observed_deny"] {
            for reason in ["revoked_person", "no_permission"] {
                assert!(value(&metrics, &sample(&service.name, decision, reason)).abs() < f64::EPSILON);
            }
        }
        assert!(value(&metrics, &sample(&service.name, "allow", "allowed")).abs() < f64::EPSILON);
    }
    assert!(!metrics.render().contains("bad_signature"), "with its first use");

    let took = Duration::from_micros(30);
    metrics.answered(&decision("docs", Reason::BadSignature, Enforcement::Observe), took);
    metrics.answered(&decision("docs", Reason::Allowed, Enforcement::Observe), took);
    metrics.answered(&decision("default", Reason::BadSignature, Enforcement::Enforce), took);
    for (sample, expected) in [
        (sample("docs", "observed_deny", "bad_signature"), 1.0),
        (sample("docs", "allow", "allowed"), 1.0),
        (sample("default", "deny", "bad_signature"), 1.0),
        ("offboard_check_duration_seconds_count{decision=\"observed_deny\"}".to_owned(), 1.0),
        ("offboard_check_duration_seconds_bucket{decision=\"deny\",le=\"0.00005\"}".to_owned(), 1.0),
    ] {
        assert!((value(&metrics, &sample) - expected).abs() < f64::EPSILON, "{sample}");
    }
}

/// Labels are a closed set: what a caller names is never one of them.
#[test]
fn a_service_that_is_not_configured_counts_as_default() {
    let metrics = touched();
    metrics.answered(&decision("whatever", Reason::NoPermission, Enforcement::Enforce), Duration::ZERO);
    let sample = "offboard_checks_total{decision=\"deny\",reason=\"no_permission\",service=\"default\"}";
    assert!((value(&metrics, sample) - 1.0).abs() < f64::EPSILON);
    assert!(!metrics.render().contains("whatever"));
}

#[test]
fn a_reload_takes_away_what_is_configured_no_longer_and_keeps_what_was_counted() {
    let metrics = touched();
    let (before, mut after) = (policy(), policy());
    let source = before.sources[0].name.clone();
    metrics.answered(&decision("docs", Reason::Allowed, Enforcement::Enforce), Duration::ZERO);
    metrics.source_error(&source, SourceErrorKind::Unreachable);
    metrics.set_people(&source, Status::Active, 7);
    metrics.set_source_stale(&source, true);
    let docs = "offboard_service_enforcement{service=\"docs\"}";
    assert!(value(&metrics, docs).abs() < f64::EPSILON, "it observes");
    metrics.know(&before);
    assert!((value(&metrics, &format!("offboard_source_stale{{source=\"{source}\"}}")) - 1.0).abs() < f64::EPSILON);

    after.services.pop();
    after.services[0].enforcement = Enforcement::Observe;
    after.sources.clear();
    after.issuers.clear();
    metrics.know(&after);
    let text = metrics.render();
    for gone in ["offboard_people{", "offboard_source_stale{", "offboard_source_guarded{", "offboard_jwks_keys{"] {
        assert!(!text.contains(gone), "{gone}");
    }
    assert!(!text.contains(docs) && !text.contains("last_success_timestamp_seconds{"));
    assert!(value(&metrics, "offboard_service_enforcement{service=\"default\"}").abs() < f64::EPSILON);
    let counted = "offboard_checks_total{decision=\"allow\",reason=\"allowed\",service=\"docs\"}";
    assert!((value(&metrics, counted) - 1.0).abs() < f64::EPSILON);

    metrics.know(&before);
    assert!((value(&metrics, counted) - 1.0).abs() < f64::EPSILON, "nothing is counted anew");
    assert!(value(&metrics, docs).abs() < f64::EPSILON);
}

#[test]
fn errors_of_an_issuer_that_comes_back_are_counted_from_0() {
    let metrics = Metrics::new().unwrap();
    let (with, mut without) = (policy(), policy());
    without.issuers.clear();
    let issuer = &with.issuers[0].name;
    metrics.know(&with);
    metrics.set_jwks_errors(issuer, 5);
    metrics.know(&without);
    metrics.know(&with);
    metrics.set_jwks_errors(issuer, 1);
    let errors = format!("offboard_jwks_errors_total{{issuer=\"{issuer}\"}}");
    assert!((value(&metrics, &errors) - 1.0).abs() < f64::EPSILON);
}

#[test]
fn a_provider_whose_clock_is_ahead_is_an_error_and_took_no_time() {
    let metrics = Metrics::new().unwrap();
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
    told(readiness, path, &[]).await
}

/// The same where this is wrong.
async fn told(readiness: &Readiness, path: &str, problems: &'static [&'static str]) -> (u16, String) {
    let refresh: ops::Refresh = Arc::new(|metrics: &Metrics| metrics.set_epoch(42));
    let problems: ops::Problems = Arc::new(|| problems.iter().map(|&line| line.to_owned()).collect());
    let router = ops::router(Arc::new(touched()), readiness.clone(), (refresh, problems));
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
async fn readiness_says_what_is_wrong_to_whoever_asks_for_all() {
    let readiness = Readiness::new();
    let line = |text: &str| format!("ok\n{text}\n");
    assert_eq!(get(&readiness, "/readyz?verbose").await, (200, line("nothing is wrong")));
    let wrong = &["warning: store: it was moved", "note: exemptions: 1 in force"];
    assert_eq!(told(&readiness, "/readyz", wrong).await, (200, "ok\n".to_owned()), "short as ever");
    let notice = readiness.note("it was moved");
    assert_eq!(told(&readiness, "/readyz", wrong).await.1, line("warning: it was moved"));
    for query in ["verbose", "verbose=true", "a&verbose"] {
        let (status, text) = told(&readiness, &format!("/readyz?{query}"), wrong).await;
        assert_eq!((status, text), (200, line(&wrong.join("\n"))), "once: {query}");
    }
    assert_eq!(get(&readiness, "/readyz?verbose").await.1, line("warning: it was moved"));
    drop(notice);
    let _replay = readiness.block("log replay");
    let (status, text) = told(&readiness, "/readyz?verbose", wrong).await;
    assert_eq!((status, text), (503, format!("not ready: waiting for log replay\n{}\n", wrong.join("\n"))));
}

#[tokio::test]
async fn metrics_are_fresh_when_they_are_read() {
    let (status, text) = get(&Readiness::new(), "/metrics").await;
    assert_eq!(status, 200);
    assert!(text.contains("offboard_revocation_epoch 42") && text.contains("offboard_ready 1"));
    let readiness = Readiness::new();
    let _replay = readiness.block("log replay");
    assert!(get(&readiness, "/metrics").await.1.contains("offboard_ready 0"));
    assert_eq!(get(&Readiness::new(), "/debug").await.0, 404);
}

#[test]
fn a_log_filter_is_checked() {
    assert!(logging::filter(None).is_ok());
    assert!(logging::filter(Some("info,offboard::source=debug")).is_ok());
    assert!(logging::filter(Some("offboard=loud")).is_err());
}
