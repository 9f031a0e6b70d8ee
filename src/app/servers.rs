//! The running listeners: who serves what to whom.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;
use tonic::transport::Server;
use tower::ServiceBuilder;

use super::check_handler::LiveCheckHandler;
use super::checks::spread;
use super::listeners::{Socket, handshakes};
use super::ops::serve;
use super::preface_timeout::prompt;
use super::serve_checks::{self, CONNECTION_WINDOW, ChecksFirst, KEEP_ALIVE, KEEP_ALIVE_TIMEOUT, STREAM_WINDOW};
use super::supervisor::Supervisor;
use crate::control::guard::CallGuard;
use crate::control::proto::DESCRIPTORS;
use crate::control::service::Operator;
use crate::envoy::ext_authz::AuthorizationService;
use crate::telemetry::health::Readiness;

/// Health checks of the check service use this name.
const CHECKS: &str = "envoy.service.auth.v3.Authorization";

/// Limit on connections of operators.
const OPERATORS: usize = 128;
/// Limit on connections of proxies per thread. Each carries any number of checks: this suits a mesh of a thousand proxies
/// with eight threads each.
const PROXIES: usize = 8_192;

pub(super) fn serve_ops(servers: &mut Supervisor, on: &Handle, socket: Socket, router: axum::Router) {
    let stop = servers.stop_token();
    // Never with TLS: nothing on it is secret.
    let (_, listener) = socket.into_parts();
    servers.spawn("listener.ops", on, async move {
        serve(listener, router, stop).await;
        Ok(())
    });
}

fn server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_TIMEOUT))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
}

pub(super) fn serve_control(
    servers: &mut Supervisor,
    on: &Handle,
    socket: Socket,
    guard: CallGuard,
    operator: Operator,
) {
    let stop = servers.stop_token();
    follow_certificates(servers, on, &socket, "tls.control");
    let (tls, listener) = socket.into_parts();
    let incoming = prompt(TcpListenerStream::new(listener), OPERATORS);
    servers.spawn("listener.control", on, async move {
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .build_v1()
            .map_err(|error| error.to_string())?;
        let layer = ServiceBuilder::new().layer(guard).into_inner();
        let router =
            server().layer(layer).add_service(operator.until(stop.clone()).into_server()).add_service(reflection);
        let stop = stop.cancelled_owned();
        let served = match tls {
            None => router.serve_with_incoming_shutdown(incoming, stop).await,
            Some(tls) => router.serve_with_incoming_shutdown(handshakes(incoming, tls), stop).await,
        };
        served.map_err(|error| error.to_string())
    });
}

pub(super) fn serve_authz(
    servers: &mut Supervisor,
    (checks, work): (&[Handle], &Handle),
    socket: Socket,
    handler: &Arc<LiveCheckHandler>,
    readiness: Readiness,
) {
    let (reporter, health) = tonic_health::server::health_reporter();
    follow_certificates(servers, work, &socket, "tls.authz");
    servers.spawn_until_stop("health", work, async move {
        let mut ready = readiness.watch();
        loop {
            let serving = match *ready.borrow_and_update() {
                true => tonic_health::ServingStatus::Serving,
                false => tonic_health::ServingStatus::NotServing,
            };
            reporter.set_service_status("", serving).await;
            reporter.set_service_status(CHECKS, serving).await;
            if ready.changed().await.is_err() {
                return;
            }
        }
    });
    let (tls, listener) = socket.into_parts();
    let (accepting, shares) = spread(listener, checks.len());
    servers.spawn_until_stop("listener.authz", work, accepting);
    for (thread, incoming) in checks.iter().zip(shares) {
        let incoming = prompt(incoming, PROXIES);
        let checks = AuthorizationService::new(Arc::clone(handler));
        let service = ChecksFirst::new(checks, Routes::new(health.clone()));
        let (tls, stop) = (tls.clone(), servers.stop_token());
        servers.spawn("checks", thread, async move {
            match tls {
                None => serve_checks::serve(service, incoming, stop).await,
                Some(tls) => serve_checks::serve(service, handshakes(incoming, tls), stop).await,
            }
            Ok(())
        });
    }
}

fn follow_certificates(servers: &mut Supervisor, on: &Handle, socket: &Socket, name: &'static str) {
    if let Some(tls) = socket.tls() {
        servers.spawn_until_stop(name, on, tls.reload_forever());
    }
}
