//! When to ask next.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// The first pause after a failure.
const FIRST: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST: Duration = Duration::from_secs(60);
/// Failures after which the pause grows no more.
const DOUBLINGS: u32 = 6;

/// How long to wait where a provider says that we ask too often, and not for how long.
pub const UNTOLD: Duration = Duration::from_secs(30);
/// A provider that wants us to wait for longer is asked again after this all the same: its clock may be wrong.
pub const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// A number from 0 to 99 that nobody can foresee.
fn percent() -> u32 {
    u32::try_from(RandomState::new().build_hasher().finish() % 100).unwrap_or(0)
}

/// A tenth more or less, so that many replicas and sources do not ask in step.
#[must_use]
pub fn jittered(every: Duration) -> Duration {
    every * (90 + percent() / 5) / 100
}

/// The pause after so many failures in a row: doubled each time up to a minute, and shortened by up to half.
#[must_use]
pub fn back_off(failures: u32) -> Duration {
    let doubled = FIRST * 2_u32.pow(failures.saturating_sub(1).min(DOUBLINGS));
    doubled.min(LONGEST) * (50 + percent() / 2) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_and_stays_bounded() {
        for failures in 1..100 {
            let longest = (FIRST * 2_u32.pow((failures - 1).min(10))).min(LONGEST);
            for _ in 0..20 {
                let pause = back_off(failures);
                assert!(pause >= longest / 2 && pause <= longest, "{failures}: {pause:?}");
            }
        }
    }

    #[test]
    fn jitter_is_a_tenth() {
        for _ in 0..200 {
            let pause = jittered(Duration::from_secs(10));
            assert!(pause >= Duration::from_secs(9) && pause < Duration::from_secs(11), "{pause:?}");
        }
    }
}
