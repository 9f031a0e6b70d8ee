//! The threads that answer proxies and do nothing else.
//!
//! Each thread has its own runtime, and a connection stays on its thread: all checks of one read are answered by one
//! write, and no check wakes another thread. (With one runtime for all threads, each answer was written separately, and
//! a check cost half as much again.) A proxy has a connection for each of its own threads.

use std::io;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::telemetry::logging::Lasting;

/// The most connections that wait for a thread.
const MAX_WAITING: usize = 256;
/// The pause after a failed accept, in case the system is out of descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Raises the limit on open descriptors to the maximum allowed: the default is often 1,024, and each thread of each proxy
/// has a connection.
pub fn take_all_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
        if let Err(error) = raised {
            tracing::warn!(error.message = %error, "cannot raise the limit on open descriptors; it stays at {:?}", limit.current);
        }
    }
}

/// The threads. Dropping this ends them.
#[derive(Debug)]
pub struct CheckThreads {
    handles: Vec<Handle>,
    _stop: DropGuard,
}

impl CheckThreads {
    /// Starts this many threads.
    ///
    /// # Errors
    /// If the system cannot start a thread or runtime.
    pub fn start(many: usize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let start = |_| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (handle, stop) = (runtime.handle().clone(), stop.clone());
            std::thread::Builder::new().name("check".to_owned()).spawn(move || runtime.block_on(stop.cancelled()))?;
            Ok(handle)
        };
        let handles = (0..many).map(start).collect::<io::Result<Vec<Handle>>>()?;
        Ok(Self { handles, _stop: stop.drop_guard() })
    }

    /// The runtime handle of each thread.
    #[must_use]
    pub fn handles(&self) -> &[Handle] {
        &self.handles
    }
}

/// Accepts connections and distributes them to `many` streams in turn.
pub(super) fn spread(
    listener: TcpListener,
    many: usize,
) -> (impl Future<Output = ()>, Vec<impl Stream<Item = io::Result<TcpStream>>>) {
    let (givers, takers): (Vec<_>, Vec<_>) = (0..many).map(|_| mpsc::channel(MAX_WAITING)).unzip();
    let accepting = async move {
        for giver in givers.iter().cycle() {
            let accepted = accept(&listener).await;
            // Fails only if the thread is gone, that is, while the process ends.
            let _ = giver.send(accepted).await;
        }
    };
    // A `TcpStream` belongs to the runtime in which it is made.
    let take = |taker| ReceiverStream::new(taker).map(TcpStream::from_std);
    (accepting, takers.into_iter().map(take).collect())
}

async fn accept(listener: &TcpListener) -> std::net::TcpStream {
    let mut trouble = Lasting::default();
    loop {
        match listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => return stream,
            Err(error) => {
                if trouble.is_new(&error) {
                    tracing::warn!(error.message = %error, "failed to accept a connection; trying again");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
