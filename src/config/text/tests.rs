//! What each format takes and what it refuses.

use super::*;

#[test]
fn texts_are_read_strictly() {
    let good = [
        (Format::Duration, "90d"),
        (Format::Duration, "1h 30m"),
        (Format::DurationOrZero, "0s"),
        (Format::Share, "12.5%"),
        (Format::TokenSize, "1KiB"),
        (Format::TokenSize, "20 kB"),
        (Format::TokenSize, "524288B"),
        (Format::Host, "*.payments.svc.cluster.local"),
        (Format::Host, "[::1]"),
        (Format::Principal, "spiffe://cluster.local/ns/payments/sa/*"),
        (Format::Principal, "spiffe://cluster.local/ns/pay*/sa/x"),
        (Format::Decisions, "sampled(0.01)"),
        (Format::Time, "2027-01-01T00:00:00+02:00"),
    ];
    for (format, text) in good {
        assert_eq!(format.check(text), Ok(()), "{text}");
    }
    let bad = [
        (Format::Duration, "10"),
        (Format::Duration, "0"),
        (Format::Duration, "0s"),
        (Format::Duration, "-5m"),
        (Format::Duration, "99999999999999999999y"),
        (Format::Share, "101%"),
        (Format::TokenSize, "16384"),
        (Format::TokenSize, "16K"),
        (Format::TokenSize, "KiB"),
        (Format::TokenSize, "1.5KiB"),
        (Format::TokenSize, "1023B"),
        (Format::TokenSize, "1MiB"),
        (Format::TokenSize, "99999999999999999999MiB"),
        (Format::Share, "NaN%"),
        (Format::Host, "*"),
        (Format::Host, "a.*.b"),
        (Format::Host, "a:80"),
        (Format::Host, "a."),
        (Format::Principal, "cluster.local/ns/a"),
        (Format::Principal, "spiffe://*/ns/a"),
        (Format::Principal, "spiffe://td/a*b"),
        (Format::Principal, "spiffe://td/*/*"),
        (Format::Url, "https://user:word@idp"),
        (Format::Url, "ftp://idp"),
        (Format::Header, ":path"),
        (Format::Header, "Host"),
        (Format::Algorithm, "HS256"),
        (Format::Algorithm, "none"),
        (Format::Decisions, "sampled(2)"),
        (Format::Time, "2027-01-01"),
    ];
    for (format, text) in bad {
        assert!(format.check(text).is_err(), "{text}");
    }
}
