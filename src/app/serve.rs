//! From bound to stopped.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::Serialize;
use tokio::runtime::Handle;

use super::parts::Parts;
use super::tasks::{Tasks, Threads};

/// Where it listens.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Addresses {
    message: &'static str,
    /// Proxies.
    pub authz: SocketAddr,
    /// Operators.
    pub control: SocketAddr,
    /// Metrics and probes.
    pub ops: SocketAddr,
}

/// The service, bound and not yet serving.
pub struct Bound {
    parts: Parts,
}

impl Bound {
    pub(super) fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        let sockets = &self.parts.sockets;
        Addresses {
            message: "listening",
            authz: sockets.authz.address,
            control: sockets.control.address,
            ops: sockets.ops.address,
        }
    }

    /// The hash of the configuration that it starts with.
    #[must_use]
    pub fn configuration(&self) -> &str {
        &self.parts.base.policy.hash
    }

    /// Serves until `stop`, then drains. `checks` are the threads that answer proxies and do nothing else;
    /// everything else runs on `work`.
    ///
    /// # Errors
    /// The first task that ended though nobody had asked it to.
    pub async fn run(self, checks: &[Handle], work: &Handle, stop: impl Future<Output = ()>) -> Result<(), String> {
        let (drain, readiness) = (self.parts.base.settings.server.drain, self.parts.ready.readiness.clone());
        let (recorder, clock) = (self.parts.base.recorder.clone(), Arc::clone(&self.parts.base.clock));
        let mut tasks = Tasks::start(self.parts, Threads { checks, work }).await;
        let ended = tokio::select! {
            () = stop => None,
            ended = tasks.first_end() => Some(ended),
        };
        readiness.drain();
        tracing::info!("draining");
        // Whoever sends us requests sees first that we are no longer ready.
        if ended.is_none() {
            tokio::time::sleep(drain / 10).await;
        }
        tasks.stop(drain, async { recorder.close(clock.now()).await }).await;
        ended.map_or(Ok(()), |ended| Err(ended.to_string()))
    }
}
