//! The running listeners: who serves what to whom.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use tokio::runtime::Handle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tower::ServiceBuilder;

use super::check_handler::LiveCheckHandler;
use super::checks::spread;
use super::listeners::{Socket, handshakes};
use super::one_write::OneWrite;
use super::ops::serve;
use super::preface_timeout::prompt;
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

/// Serves a router on incoming connections, with TLS if there is a certificate.
macro_rules! serve_on {
    ($router:expr, $incoming:expr, $tls:expr, $stop:expr) => {
        match $tls {
            None => $router.serve_with_incoming_shutdown($incoming.map_ok(OneWrite), $stop).await,
            Some(tls) => {
                let incoming = handshakes($incoming, tls).map_ok(OneWrite);
                $router.serve_with_incoming_shutdown(incoming, $stop).await
            }
        }
    };
}

fn server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024)
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
        let router = server().layer(layer).add_service(operator.into_server()).add_service(reflection);
        serve_on!(router, incoming, tls, stop.cancelled_owned()).map_err(|error| error.to_string())
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
        let router = server().add_service(AuthorizationService::new(Arc::clone(handler))).add_service(health.clone());
        let (tls, stop) = (tls.clone(), servers.stop_token());
        servers.spawn("checks", thread, async move {
            serve_on!(router, incoming, tls, stop.cancelled_owned()).map_err(|error| error.to_string())
        });
    }
}

fn follow_certificates(servers: &mut Supervisor, on: &Handle, socket: &Socket, name: &'static str) {
    if let Some(tls) = socket.tls() {
        servers.spawn_until_stop(name, on, tls.reload_forever());
    }
}
