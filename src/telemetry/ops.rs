//! The `ops` listener: metrics and health over plain HTTP. No secrets, no control.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use super::health::Readiness;
use super::metrics::Metrics;

/// Updates gauges before they are read.
pub type Refresh = Arc<dyn Fn(&Metrics) + Send + Sync>;
/// Says what is wrong, one line each, for everybody: no secrets, no people.
pub type Problems = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

#[derive(Clone)]
struct Ops {
    metrics: Arc<Metrics>,
    readiness: Readiness,
    refresh: Refresh,
    problems: Problems,
}

impl fmt::Debug for Ops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ops")
    }
}

/// `GET /metrics`, `/livez` and `/readyz`, which with `?verbose` also says what is wrong. `refresh` runs before each response
/// of `/metrics`.
pub fn router(metrics: Arc<Metrics>, readiness: Readiness, (refresh, problems): (Refresh, Problems)) -> Router {
    Router::new()
        .route("/metrics", get(render))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(Ops { metrics, readiness, refresh, problems })
}

async fn render(State(ops): State<Ops>) -> impl IntoResponse {
    (ops.refresh)(&ops.metrics);
    ops.metrics.set_ready(ops.readiness.missing().is_empty());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], ops.metrics.render())
}

async fn ready(State(ops): State<Ops>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let missing = ops.readiness.missing();
    let verbose = query.is_some_and(|query| query.split('&').any(|part| part == "verbose" || part == "verbose=true"));
    let lines = if verbose { problems(&ops) } else { notices(&ops.readiness) };
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    if missing.is_empty() {
        return (StatusCode::OK, format!("ok\n{lines}"));
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: waiting for {}\n{lines}", missing.join(", ")))
}

fn notices(readiness: &Readiness) -> Vec<String> {
    readiness.notices().iter().map(|notice| format!("warning: {notice}")).collect()
}

/// Everything that is wrong; a notice that a problem repeats is left out.
fn problems(ops: &Ops) -> Vec<String> {
    let mut lines = (ops.problems)();
    let said = |notice: &String| lines.iter().any(|line| line.ends_with(notice.trim_start_matches("warning: ")));
    let others: Vec<String> = notices(&ops.readiness).into_iter().filter(|notice| !said(notice)).collect();
    lines.extend(others);
    if lines.is_empty() {
        lines.push("nothing is wrong".to_owned());
    }
    lines
}
