//! The only place that reads clocks.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::domain::time::{Now, Timekeeper, Timestamp};

/// How often the wall clock is compared with the monotonic one.
pub const COMPARE: Duration = Duration::from_secs(1);

/// Tells the time, to the whole process. Reading takes no lock.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    keeper: Mutex<Timekeeper>,
    /// Believed wall clock minus monotonic, in milliseconds.
    offset: AtomicI64,
    /// The latest time given out.
    floor: AtomicI64,
}

#[expect(clippy::disallowed_methods, reason = "this is the place")]
fn wall() -> Timestamp {
    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => millis(since),
        Err(before) => -millis(before.duration()),
    })
}

impl Clock {
    /// A clock that never shows less than `floor`: the latest time of the last run and of the log.
    #[must_use]
    pub fn start(floor: Option<Timestamp>) -> Arc<Self> {
        let clock = Self {
            started: Instant::now(),
            keeper: Mutex::new(Timekeeper::start(wall(), 0, floor)),
            offset: AtomicI64::new(wall().as_millis()),
            floor: AtomicI64::new(floor.map_or(i64::MIN, Timestamp::as_millis)),
        };
        clock.compare();
        Arc::new(clock)
    }

    fn monotonic(&self, at: Instant) -> i64 {
        i64::try_from(at.saturating_duration_since(self.started).as_millis()).unwrap_or(i64::MAX)
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Now {
        self.at(Instant::now())
    }

    /// The time of an instant that was read just now.
    #[must_use]
    pub fn at(&self, instant: Instant) -> Now {
        let wall = self.monotonic(instant).saturating_add(self.offset.load(Ordering::Acquire));
        // The floor seldom rises within a millisecond: looking first keeps its cache line shared.
        let floor = self.floor.load(Ordering::Acquire);
        let floor = if floor < wall { self.floor.fetch_max(wall, Ordering::AcqRel).max(wall) } else { floor };
        Now { wall: Timestamp::from_millis(wall), steady: Timestamp::from_millis(floor) }
    }

    /// How often the wall clock stepped since the start.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner).steps()
    }

    /// The difference of the wall clock from the time in use, in milliseconds, while a step of it is not believed.
    #[must_use]
    pub fn apart(&self) -> Option<i64> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner).apart()
    }

    /// Compares the clocks, and logs steps of the wall clock. Called every [`COMPARE`].
    pub fn compare(&self) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let monotonic = self.monotonic(Instant::now());
        let (steps, before) = (keeper.steps(), keeper.apart());
        let now = keeper.now(wall(), monotonic);
        match (before, keeper.apart()) {
            (_, Some(apart)) if keeper.steps() != steps => tracing::error!(
                clock.apart = apart / 1_000,
                "wall clock stepped by {} s; using monotonic time until both clocks agree for a minute",
                apart / 1_000
            ),
            (Some(_), None) => tracing::warn!("clocks agree again, at {}", now.wall),
            _ => {}
        }
        self.offset.store(now.wall.as_millis().saturating_sub(monotonic), Ordering::Release);
        self.floor.fetch_max(now.steady.as_millis(), Ordering::AcqRel);
    }
}
