//! The `ops` listener: metrics and health over plain HTTP. No secrets, no control.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use super::health::Readiness;
use super::metrics::Metrics;

/// Updates gauges before they are read.
pub type Refresh = Arc<dyn Fn(&Metrics) + Send + Sync>;

#[derive(Clone)]
struct Ops {
    metrics: Arc<Metrics>,
    readiness: Readiness,
    refresh: Refresh,
}

impl fmt::Debug for Ops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ops")
    }
}

/// `GET /metrics`, `/livez` and `/readyz`. `refresh` runs before each response of `/metrics`.
pub fn router(metrics: Arc<Metrics>, readiness: Readiness, refresh: Refresh) -> Router {
    Router::new()
        .route("/metrics", get(render))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(Ops { metrics, readiness, refresh })
}

async fn render(State(ops): State<Ops>) -> impl IntoResponse {
    (ops.refresh)(&ops.metrics);
    ops.metrics.set_ready(ops.readiness.missing().is_empty());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], ops.metrics.render())
}

async fn ready(State(ops): State<Ops>) -> impl IntoResponse {
    let missing = ops.readiness.missing();
    let notices: String = ops.readiness.notices().iter().map(|notice| format!("warning: {notice}\n")).collect();
    if missing.is_empty() {
        return (StatusCode::OK, format!("ok\n{notices}"));
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: waiting for {}\n{notices}", missing.join(", ")))
}
