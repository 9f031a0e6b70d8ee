//! Okta's rate limits: its `X-Rate-Limit-…` headers, for each group of addresses.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::time::Instant;

use crate::domain::time::Timestamp;
use crate::source::pace::{LONGEST_WAIT, UNTOLD, back_off, jittered};

/// Added to a wait whose end Okta states, as other clients wait for the same moment.
const JITTER: Duration = Duration::from_millis(500);

/// The latest limits of one group of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests allowed in a window.
    pub limit: u64,
    /// Requests left in this window.
    pub remaining: u64,
    /// When the next window starts.
    reset: Instant,
}

/// The remaining requests, by step.
#[derive(Debug, Default)]
pub struct Budget {
    rates: HashMap<&'static str, Rate>,
    /// How often in a row Okta refused because of concurrent requests.
    crowded: u32,
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// The time from the answer until the next window starts.
fn to_reset(headers: &HeaderMap, date: Option<Timestamp>) -> Option<Duration> {
    let reset = i64::try_from(number(headers, "x-rate-limit-reset")?).ok()?;
    Some(Timestamp::from_secs(reset).since(date?).min(LONGEST_WAIT))
}

impl Budget {
    /// Notes the limits in an answer to this step. It came at `date` by Okta's clock, and at `now` by ours.
    pub fn note(&mut self, step: &'static str, headers: &HeaderMap, date: Option<Timestamp>, now: Instant) {
        let rate = number(headers, "x-rate-limit-limit").zip(number(headers, "x-rate-limit-remaining"));
        if let (Some((limit, remaining)), Some(reset)) = (rate, to_reset(headers, date)) {
            // For too many concurrent requests the headers say 0 of 0, which is not a window.
            if limit > 0 {
                self.rates.insert(step, Rate { limit, remaining, reset: now + reset });
            }
        }
    }

    /// How long to wait after a refusal (429).
    pub fn refused(&mut self, headers: &HeaderMap, date: Option<Timestamp>) -> Duration {
        let crowded = ["x-rate-limit-limit", "x-rate-limit-remaining"].map(|name| number(headers, name));
        if crowded == [Some(0), Some(0)] {
            self.crowded = self.crowded.saturating_add(1);
            return back_off(self.crowded);
        }
        to_reset(headers, date).unwrap_or(UNTOLD) + jittered(JITTER)
    }

    /// A request succeeded.
    pub fn answered(&mut self) {
        self.crowded = 0;
    }

    /// How long to wait before the next request of this step, to spread the last tenth of a window until its end.
    #[must_use]
    pub fn pause(&self, step: &'static str, now: Instant) -> Option<Duration> {
        let rate = self.rates.get(step)?;
        let left = rate.reset.checked_duration_since(now).filter(|left| !left.is_zero())?;
        let low = rate.remaining.saturating_mul(10) < rate.limit;
        low.then(|| left / u32::try_from(rate.remaining.saturating_add(1)).unwrap_or(u32::MAX))
    }

    /// The step with the fewest requests left.
    #[must_use]
    pub fn scarcest(&self) -> Option<(&'static str, Rate)> {
        self.rates.iter().map(|(step, rate)| (*step, *rate)).min_by_key(|(step, rate)| (rate.limit, *step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn headers(limit: u64, remaining: u64, reset: i64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-rate-limit-limit", limit.into());
        headers.insert("x-rate-limit-remaining", remaining.into());
        headers.insert("x-rate-limit-reset", (1_700_000_000 + reset).into());
        headers
    }

    #[test]
    fn the_last_tenth_of_a_window_is_spread_over_it() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        assert_eq!(budget.pause("list users", now), None, "nothing is known yet");
        budget.note("list users", &headers(600, 60, 30), Some(NOW), now);
        assert_eq!(budget.pause("list users", now), None, "a tenth is left");
        budget.note("list users", &headers(600, 59, 30), Some(NOW), now);
        assert_eq!(budget.pause("list users", now), Some(Duration::from_millis(500)));
        assert_eq!(budget.pause("read a user", now), None, "each group of addresses has its own");
        budget.note("list users", &headers(600, 0, 30), Some(NOW), now);
        assert_eq!(budget.pause("list users", now), Some(Duration::from_secs(30)));
        assert_eq!(budget.pause("list users", now + Duration::from_secs(31)), None, "a new window has begun");
    }

    #[test]
    fn a_refusal_says_until_when_by_the_clock_of_okta() {
        let mut budget = Budget::default();
        let wait = budget.refused(&headers(600, 0, 20), Some(NOW));
        assert!(wait > Duration::from_secs(20) && wait < Duration::from_secs(21), "{wait:?}");
        let wait = budget.refused(&headers(600, 0, 1_000_000), Some(NOW));
        assert!(wait < LONGEST_WAIT + Duration::from_secs(1), "{wait:?}");
        assert!(budget.refused(&HeaderMap::new(), None) >= UNTOLD);
        assert!(budget.refused(&headers(600, 0, -5), Some(NOW)) < Duration::from_secs(1), "it is over");
    }

    #[test]
    fn too_many_at_once_is_no_window() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        let far = headers(0, 0, 60);
        budget.note("list users", &far, Some(NOW), now);
        assert_eq!(budget.pause("list users", now), None);
        let waits: Vec<Duration> = (0..4).map(|_| budget.refused(&far, Some(NOW))).collect();
        assert!(waits[0] <= Duration::from_secs(1) && waits[3] >= Duration::from_secs(4), "{waits:?}");
        budget.answered();
        assert!(budget.refused(&far, Some(NOW)) <= Duration::from_secs(1), "counted anew");
    }
}
