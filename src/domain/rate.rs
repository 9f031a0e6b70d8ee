//! Rates: a burst at once, then so many a second.

use std::time::Duration;

use super::time::Timestamp;

/// What is left of a rate. Time is an argument.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    burst: u32,
    each: Duration,
    left: u32,
    since: Timestamp,
}

impl Bucket {
    /// A full one: `burst` at once, then `rate` a second, both at least 1.
    #[must_use]
    pub fn full(burst: u32, rate: u32, now: Timestamp) -> Self {
        Self { burst, each: Duration::from_secs(1) / rate.max(1), left: burst, since: now }
    }

    /// Takes one, if any is left.
    pub fn take(&mut self, now: Timestamp) -> bool {
        self.refill(now);
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        true
    }

    /// Whether nothing was taken lately.
    #[must_use]
    pub fn is_full(&mut self, now: Timestamp) -> bool {
        self.refill(now);
        self.left == self.burst
    }

    fn refill(&mut self, now: Timestamp) {
        let back = now.since(self.since).as_millis() / self.each.as_millis().max(1);
        if back > 0 {
            self.left = self.left.saturating_add(u32::try_from(back).unwrap_or(u32::MAX)).min(self.burst);
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_a_burst_and_then_a_rate() {
        let start = Timestamp::from_secs(100);
        let mut bucket = Bucket::full(20, 5, start);
        let taken = |bucket: &mut Bucket, at: Timestamp| (0..100).filter(|_| bucket.take(at)).count();
        assert_eq!(taken(&mut bucket, start), 20);
        assert_eq!(taken(&mut bucket, start.plus(Duration::from_millis(100))), 0);
        assert_eq!(taken(&mut bucket, start.plus(Duration::from_secs(1))), 5);
        assert!(!bucket.is_full(start.plus(Duration::from_secs(2))));
        assert!(bucket.is_full(start.plus(Duration::from_secs(3600))));
        assert_eq!(taken(&mut bucket, start.plus(Duration::from_secs(3600))), 20);
        assert_eq!(taken(&mut bucket, start), 0, "a clock that steps back gives nothing");
    }
}
