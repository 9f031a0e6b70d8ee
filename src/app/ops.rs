//! The running `ops` listener: HTTP/1.1 for anybody, with few and short connections.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::preface_timeout::HELLO;
use crate::telemetry::logging::Lasting;

/// Limit on connections; more wait to be accepted.
const MANY: usize = 128;
/// Connections are closed after this, whatever they do: a scrape takes milliseconds and reconnects.
const LONGEST: Duration = Duration::from_secs(60);
/// Pause when the system has no more descriptors.
const PAUSE: Duration = Duration::from_millis(50);
/// How long pending responses may take at shutdown.
const LAST: Duration = Duration::from_secs(1);

/// Serves until `stop`.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(MANY));
    let (mut connections, mut trouble) = (JoinSet::new(), Lasting::default());
    loop {
        let place = Arc::clone(&places).acquire_owned();
        let accepted = async { (place.await, listener.accept().await) };
        tokio::select! {
            () = stop.cancelled() => break,
            _ = connections.join_next(), if !connections.is_empty() => {}
            (place, accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    trouble.ended();
                    let (router, stop) = (router.clone(), stop.clone());
                    connections.spawn(async move {
                        let _place = place;
                        // Clients may leave at any time, and slow ones are disconnected.
                        let _ = timeout(LONGEST, answer(stream, router, stop)).await;
                    });
                }
                Err(error) => {
                    if trouble.is_new(&error) {
                        tracing::warn!(error.message = %error, "cannot accept a connection on `ops`; trying again");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
    let _ = timeout(LAST, async { while connections.join_next().await.is_some() {} }).await;
}

async fn answer(stream: TcpStream, router: Router, stop: CancellationToken) {
    let mut builder = Builder::new(hyper_util::rt::TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HELLO);
    let mut connection =
        std::pin::pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
