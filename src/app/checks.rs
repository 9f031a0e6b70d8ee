//! The threads that answer proxies, and do nothing else.
//!
//! Each has a runtime of its own, and a connection stays on the thread that it was given to: what one read brings is
//! answered by one write, and no check wakes another thread. (With one runtime over all threads, each answer was
//! written by itself, and a check cost half as much again.) A proxy has a connection for each of its own threads.

use std::io;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Connections that may wait for a thread to take them.
const WAITING: usize = 256;
/// How long to wait where the system has no more descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Raises the number of descriptors that this process may have to what the system allows: shells and service managers
/// give 1,024 unless asked, and a proxy has a connection for each of its threads.
pub fn take_all_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
        if let Err(error) = raised {
            tracing::warn!(error = %error, "the number of descriptors stays at {:?}", limit.current);
        }
    }
}

/// The threads. They end when this is dropped.
#[derive(Debug)]
pub struct CheckThreads {
    handles: Vec<Handle>,
    _stop: DropGuard,
}

impl CheckThreads {
    /// Starts so many.
    ///
    /// # Errors
    /// What the system said.
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

    /// Where to spawn on each.
    #[must_use]
    pub fn handles(&self) -> &[Handle] {
        &self.handles
    }
}

/// Accepts connections and hands them out in turn, to `many` takers.
pub(super) fn spread(
    listener: TcpListener,
    many: usize,
) -> (impl Future<Output = ()>, Vec<impl Stream<Item = io::Result<TcpStream>>>) {
    let (givers, takers): (Vec<_>, Vec<_>) = (0..many).map(|_| mpsc::channel(WAITING)).unzip();
    let accepting = async move {
        for giver in givers.iter().cycle() {
            let accepted = accept(&listener).await;
            // A thread that is gone takes nothing: the process ends.
            let _ = giver.send(accepted).await;
        }
    };
    // A stream belongs to the runtime in which it is made.
    let take = |taker| ReceiverStream::new(taker).map(TcpStream::from_std);
    (accepting, takers.into_iter().map(take).collect())
}

async fn accept(listener: &TcpListener) -> std::net::TcpStream {
    loop {
        match listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => return stream,
            Err(error) => {
                tracing::warn!(error = %error, "no connection could be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
