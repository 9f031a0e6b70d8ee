//! Times as people read them: in the caller's zone, in UTC, and how long until then.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::domain::time::Timestamp;

/// A time in the caller's zone and in UTC: `2026-12-01 17:00:00 CET (+01:00) = 2026-12-01T16:00:00.000Z`.
pub(super) fn zoned(time: Timestamp) -> String {
    in_zone(time, TimeZone::system())
}

fn in_zone(time: Timestamp, zone: TimeZone) -> String {
    let Ok(instant) = jiff::Timestamp::from_millisecond(time.as_millis()) else { return time.to_string() };
    let local = instant.to_zoned_datetime(zone);
    if local.offset().is_zero() {
        return time.to_string();
    }
    format!("{} = {time}", local.strftime("%Y-%m-%d %H:%M:%S %Z (%:z)"))
}

/// A time that is still to come, in both zones and with how long that is; `None`: it has passed.
pub(super) fn ahead(text: &str, now: Timestamp) -> Option<String> {
    let time: Timestamp = text.parse().ok()?;
    (time > now).then(|| format!("{}, in {}", zoned(time), span(time.since(now))))
}

/// A span as exactly as its length deserves.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let rounded = match seconds {
        0..3_600 => seconds.max(1),
        3_600..172_800 => seconds / 60 * 60,
        _ => seconds / 3_600 * 3_600,
    };
    humantime::format_duration(Duration::from_secs(rounded)).to_string()
}

/// The current time as a timestamp with the offset of the caller's zone: what to write for a local time.
pub(super) fn example() -> String {
    written(now(), TimeZone::system())
}

fn written(time: Timestamp, zone: TimeZone) -> String {
    let Ok(instant) = jiff::Timestamp::from_millisecond(time.as_millis()) else { return time.to_string() };
    instant.to_zoned_datetime(zone).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// The current time, as this command's machine has it.
pub(super) fn now() -> Timestamp {
    crate::app::clock::Clock::start(None).now().wall
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_the_zone_of_whoever_asks_and_in_utc() {
        let time = "2026-12-01T16:00:00Z".parse().unwrap();
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(in_zone(time, berlin), "2026-12-01 17:00:00 CET (+01:00) = 2026-12-01T16:00:00.000Z");
        assert_eq!(in_zone(time, TimeZone::UTC), "2026-12-01T16:00:00.000Z");
        assert_eq!(in_zone(Timestamp::MAX, TimeZone::UTC), "never");
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(written(time, berlin), "2026-12-01T17:00:00+01:00");
    }

    #[test]
    fn how_long_it_is_until_then_is_told_as_exactly_as_it_matters() {
        let now = Timestamp::from_secs(1_700_000_000);
        let of = |seconds: u64| ahead(&now.plus(Duration::from_secs(seconds)).to_string(), now);
        for (seconds, told) in [(59, "in 59s"), (11_530, "in 3h 12m"), (200_000, "in 2days 7h")] {
            assert!(of(seconds).unwrap().ends_with(told), "{:?}", of(seconds));
        }
        assert_eq!(of(0), None);
    }
}
