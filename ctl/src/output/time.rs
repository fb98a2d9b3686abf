//! Times as people read them. Owns no state; "now" is passed in.

use jiff::{Timestamp, tz::TimeZone};

/// The time of an RFC 3339 text; `None` for an empty one (never) or one that is no time.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// How long ago that was: `8 s`, `13 min`, `2 h`, `3 d`. A time to come is `0 s`: clocks differ.
pub(crate) fn age(then: Timestamp, now: Timestamp) -> String {
    match now.as_second().saturating_sub(then.as_second()).max(0) {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3_600 => format!("{} min", s / 60),
        s @ 3_600..86_400 => format!("{} h", s / 3_600),
        s => format!("{} d", s / 86_400),
    }
}

/// The age of an RFC 3339 text; empty when unknown.
pub(crate) fn age_of(text: &str) -> String {
    parse(text).map_or_else(String::new, |then| age(then, Timestamp::now()))
}

/// `5 min ago`, or `never`.
pub(crate) fn ago(text: &str) -> String {
    parse(text).map_or_else(
        || "never".to_owned(),
        |then| format!("{} ago", age(then, Timestamp::now())),
    )
}

/// The day, in UTC: `2027-02-19`; empty when unknown.
pub(crate) fn day(text: &str) -> String {
    parse(text).map_or_else(String::new, |time| {
        time.to_zoned(TimeZone::UTC).date().to_string()
    })
}

/// The minute, in UTC: `2027-02-19 18:04 UTC`; empty when unknown.
pub(crate) fn minute(text: &str) -> String {
    parse(text).map_or_else(String::new, |time| {
        let local = time.to_zoned(TimeZone::UTC).datetime();
        format!("{} {:02}:{:02} UTC", local.date(), local.hour(), local.minute())
    })
}

/// The time of day on this machine's clock: `18:04:12`; empty when unknown.
pub(crate) fn clock(text: &str) -> String {
    parse(text).map_or_else(String::new, |time| {
        let local = time.to_zoned(TimeZone::system()).datetime();
        format!("{:02}:{:02}:{:02}", local.hour(), local.minute(), local.second())
    })
}

/// Seconds to come, as an estimate: `12 s`, `4 min`, `2 h`, `3 d`.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        s @ 0..100 => format!("{s} s"),
        s @ 100..5_400 => format!("{} min", s.div_ceil(60)),
        s @ 5_400..172_800 => format!("{} h", s.div_ceil(3_600)),
        s => format!("{} d", s.div_ceil(86_400)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        for (then, expected) in [
            ("2026-11-21T12:00:05Z", "0 s"),
            ("2026-11-21T11:59:57Z", "3 s"),
            ("2026-11-21T11:59:00Z", "1 min"),
            ("2026-11-21T11:47:00.5Z", "13 min"),
            ("2026-11-21T09:59:00Z", "2 h"),
            ("2026-11-18T11:00:00Z", "3 d"),
        ] {
            assert_eq!(age(then.parse().unwrap(), now), expected, "{then}");
        }
    }

    #[test]
    fn days_and_minutes() {
        assert_eq!(day("2027-02-19T23:59:59Z"), "2027-02-19");
        assert_eq!(minute("2027-02-19T08:04:59.123Z"), "2027-02-19 08:04 UTC");
        assert_eq!(day(""), "");
        assert_eq!(ago(""), "never");
        assert_eq!(age_of("yesterday"), "");
    }

    #[test]
    fn spans() {
        for (seconds, expected) in [
            (0, "0 s"),
            (99, "99 s"),
            (100, "2 min"),
            (5_400, "2 h"),
            (172_800, "2 d"),
        ] {
            assert_eq!(span(seconds), expected);
        }
    }
}
