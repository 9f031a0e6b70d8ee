//! The calls of one connection, answered while it is polled, and the time of its last poll.
//!
//! A task for each call would cost an allocation more, and a place in a list and in a queue; and all calls of one read
//! would be kept until the last of them is read. Nearly every call is answered by its first poll, so it is polled where it
//! is accepted, and kept only if it has to wait.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::FutureExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::rt::{Executor, Sleep, Timer};
use hyper_util::rt::TokioTimer;

/// What hyper does for one call. A panic ends only the call that it is in.
type Call = Pin<Box<dyn Future<Output = Result<(), Box<dyn Any + Send>>> + Send>>;

/// Takes the calls that a connection accepts, and answers those that need not wait.
#[derive(Clone, Default)]
pub(super) struct Accepted(Arc<Mutex<Vec<Call>>>);

impl<F: Future<Output = ()> + Send + Unpin + 'static> Executor<F> for Accepted {
    fn execute(&self, mut call: F) {
        let first = || Pin::new(&mut call).poll(&mut Context::from_waker(Waker::noop()));
        if let Ok(Poll::Pending) = catch_unwind(AssertUnwindSafe(first)) {
            let call = Box::pin(AssertUnwindSafe(call).catch_unwind());
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        }
    }
}

/// The calls of a connection that wait.
#[derive(Default)]
pub(super) struct Calls {
    accepted: Accepted,
    waiting: FuturesUnordered<Call>,
}

impl Calls {
    /// Where the connection puts all of its calls.
    pub(super) fn accepted(&self) -> Accepted {
        self.accepted.clone()
    }

    /// Goes on with those that wait. To be called each time after the connection was polled.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) {
        self.waiting.extend(self.accepted.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..));
        while let Poll::Ready(Some(_)) = self.waiting.poll_next_unpin(context) {}
    }
}

/// The clock of a connection, which is read once each time that the connection is polled: `hyper` asks it several times for
/// each call, to know when the proxy was last heard.
#[derive(Clone)]
pub(super) struct PollClock {
    started: Instant,
    /// Nanoseconds from then to the last poll.
    polled: Arc<AtomicU64>,
}

impl PollClock {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), polled: Arc::default() }
    }

    /// To be called before each poll of the connection.
    pub(super) fn read(&self) {
        let since = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.polled.store(since, Ordering::Relaxed);
    }
}

impl Timer for PollClock {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        TokioTimer::new().sleep(duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        TokioTimer::new().sleep_until(deadline)
    }

    fn now(&self) -> Instant {
        self.started + Duration::from_nanos(self.polled.load(Ordering::Relaxed))
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        TokioTimer::new().reset(sleep, deadline);
    }
}
