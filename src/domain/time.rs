//! Time as an argument: timestamps, and whether a wall clock can be believed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, negative before it.
///
/// Written as RFC 3339 in text, as the number of milliseconds in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest time; nothing was issued at or before it.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest time: "never" for an expiry.
    pub const MAX: Self = Self(i64::MAX);

    /// The time `millis` milliseconds after the beginning of 1970.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The time `seconds` after the beginning of 1970, as in `iat` and `exp` (RFC 7519 section 2).
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the beginning of 1970.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Seconds since the beginning of 1970, as Prometheus counts them.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit into 53 bits")]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// This time plus `span`, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This time minus `span`, at least [`Timestamp::MIN`].
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The time since `earlier`; zero if it is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) if self.0 > 0 => f.write_str("never"),
            Err(_) => f.write_str("the beginning"),
        }
    }
}

/// A text that is not an RFC 3339 time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time such as 2027-01-31T09:00:00Z")]
pub struct NotATime(String);

impl FromStr for Timestamp {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        text.parse::<jiff::Timestamp>().map(|time| Self(time.as_millisecond())).map_err(|_| NotATime(text.to_owned()))
    }
}

/// What "now" means to a decision.
///
/// Two times, because setting a clock back must weaken nothing (law 6): effective and expiry times follow `steady`, the
/// times in credentials follow `wall`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The believed wall clock, for `exp`, `nbf`, `iat` and the dates of new cut-offs.
    pub wall: Timestamp,
    /// A time that never falls, not even across a restart, for effective times and expiry.
    pub steady: Timestamp,
}

impl Now {
    /// Both times the same, as on a machine whose clock never stepped.
    #[must_use]
    pub const fn at(time: Timestamp) -> Self {
        Self { wall: time, steady: time }
    }
}

/// A step of the wall clock against the monotonic one by more than this is not believed at once.
pub const STEP: Duration = Duration::from_secs(30);
/// Both clocks must have agreed for this long before a step is believed.
pub const CONFIRM: Duration = Duration::from_secs(60);

/// Decides what time it is, from two clocks that may disagree.
///
/// A step of the wall clock of more than [`STEP`] against the monotonic clock counts only after both
/// have agreed for [`CONFIRM`]; until then the time runs on by the monotonic clock (design section 2).
#[derive(Clone, Debug)]
pub struct Timekeeper {
    /// Wall minus monotonic, in milliseconds, as last believed.
    offset: i64,
    /// An offset that is being watched, and the monotonic time since when it has stood.
    candidate: Option<(i64, i64)>,
    /// The highest time ever given out or loaded from a checkpoint.
    floor: Timestamp,
    /// How often an offset began to be watched.
    steps: u64,
}

impl Timekeeper {
    /// Starts from what both clocks say (monotonic in milliseconds since any fixed point) and from the
    /// highest time of the last run, if there was one.
    #[must_use]
    pub fn start(wall: Timestamp, monotonic_ms: i64, floor: Option<Timestamp>) -> Self {
        Self { offset: wall.0.saturating_sub(monotonic_ms), candidate: None, floor: floor.unwrap_or(wall), steps: 0 }
    }

    /// The time, given what the clocks read.
    pub fn now(&mut self, wall: Timestamp, monotonic_ms: i64) -> Now {
        let seen = wall.0.saturating_sub(monotonic_ms);
        let apart = |one: i64, other: i64| one.abs_diff(other) > u64::try_from(STEP.as_millis()).unwrap_or(u64::MAX);
        if apart(seen, self.offset) {
            match self.candidate {
                Some((offset, since)) if !apart(seen, offset) => {
                    if i128::from(monotonic_ms) - i128::from(since) >= CONFIRM.as_millis().cast_signed() {
                        self.offset = seen;
                        self.candidate = None;
                    }
                }
                _ => {
                    self.candidate = Some((seen, monotonic_ms));
                    self.steps = self.steps.saturating_add(1);
                }
            }
        } else {
            // Small drifts (NTP slewing) are followed at once.
            self.offset = seen;
            self.candidate = None;
        }
        let wall = Timestamp(monotonic_ms.saturating_add(self.offset));
        self.floor = self.floor.max(wall);
        Now { wall, steady: self.floor }
    }

    /// The difference of the wall clock from the believed time, in milliseconds, while a step is being watched.
    #[must_use]
    pub fn apart(&self) -> Option<i64> {
        self.candidate.map(|(seen, _)| seen.saturating_sub(self.offset))
    }

    /// How often the wall clock stepped since the start. One that is taken back within a minute counts once.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Raises the floor to a time recorded in the log.
    pub fn at_least(&mut self, witnessed: Timestamp) {
        self.floor = self.floor.max(witnessed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: i64 = 1_700_000_000_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn a_time_reads_back_what_it_wrote() {
        let time = at(1_700_000_000_123);
        assert_eq!(time.to_string(), "2023-11-14T22:13:20.123Z");
        assert_eq!(time.to_string().parse(), Ok(time));
        assert_eq!("2023-11-14T23:13:20.123+01:00".parse(), Ok(time), "an offset is a way of writing the same time");
    }

    #[test]
    fn a_small_drift_is_followed() {
        let mut keeper = Timekeeper::start(at(T0), 0, None);
        assert_eq!(keeper.now(at(T0 + 1_500), 1_000).wall, at(T0 + 1_500));
    }

    #[test]
    fn a_step_counts_only_after_a_minute_of_agreement() {
        let mut keeper = Timekeeper::start(at(T0), 0, None);
        let hour = 3_600_000;
        assert_eq!(keeper.now(at(T0 + hour), 0).wall, at(T0));
        assert_eq!(keeper.now(at(T0 + hour + 59_000), 59_000).wall, at(T0 + 59_000));
        assert_eq!(keeper.now(at(T0 + hour + 60_000), 60_000).wall, at(T0 + hour + 60_000));
    }

    #[test]
    fn a_step_that_is_taken_back_never_counted() {
        let mut keeper = Timekeeper::start(at(T0), 0, None);
        keeper.now(at(T0 - 3_600_000), 0);
        assert_eq!(keeper.now(at(T0 + 30_000), 30_000).wall, at(T0 + 30_000));
        keeper.now(at(T0 - 3_600_000 + 60_000), 60_000);
        assert_eq!(keeper.now(at(T0 - 3_600_000 + 61_000), 61_000).wall, at(T0 + 61_000));
    }

    #[test]
    fn steps_are_counted_and_shown_while_they_are_watched() {
        let mut keeper = Timekeeper::start(at(T0), 0, None);
        keeper.now(at(T0 + 20_000), 0);
        assert_eq!((keeper.steps(), keeper.apart()), (0, None), "followed at once");
        let hour = 3_600_000;
        for second in 0..60 {
            keeper.now(at(T0 + hour + second * 1_000), second * 1_000);
            assert_eq!((keeper.steps(), keeper.apart()), (1, Some(hour - 20_000)));
        }
        keeper.now(at(T0 + hour + 60_000), 60_000);
        assert_eq!((keeper.steps(), keeper.apart()), (1, None), "believed");
        keeper.now(at(T0 + 61_000), 61_000);
        assert_eq!((keeper.steps(), keeper.apart()), (2, Some(-hour)), "and back");
    }

    #[test]
    fn steady_time_never_falls_even_over_a_restart() {
        let mut keeper = Timekeeper::start(at(T0), 0, None);
        keeper.now(at(T0 - 3_600_000), 0);
        let now = keeper.now(at(T0 - 3_600_000 + 61_000), 61_000);
        assert_eq!(now.wall, at(T0 - 3_600_000 + 61_000));
        assert_eq!(now.steady, at(T0));
        let mut next = Timekeeper::start(at(T0 - 3_600_000), 0, Some(now.steady));
        assert_eq!(next.now(at(T0 - 3_600_000), 0).steady, at(T0));
    }
}
