//! Values that keys have: times, sizes, rates, what is logged. They are written the way they are read.

use std::{fmt, net::SocketAddr, str::FromStr, time::Duration};

use p2p_proto::ByteCount;
use serde::{Deserialize, Deserializer};

/// A length of time: `500ms`, `10s`, `15m`, `2h`, `90d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(pub Duration);

impl FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("\"{text}\" is no time; write for example 500ms, 10s, 15m, 2h or 90d");
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let number: u64 = text[..text.len() - unit.len()].parse().map_err(|_| bad())?;
        let milliseconds = match unit.trim() {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(bad()),
        };
        number
            .checked_mul(milliseconds)
            .map(|ms| Self(Duration::from_millis(ms)))
            .ok_or_else(bad)
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        let (divisor, unit) = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")]
            .into_iter()
            .find(|(divisor, _)| ms > 0 && ms.is_multiple_of(*divisor))
            .unwrap_or((1, "ms"));
        write!(f, "{}{unit}", ms / divisor)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A number of bytes, or `unlimited`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit(pub Option<ByteCount>);

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "unlimited" {
            return Ok(Self(None));
        }
        text.parse()
            .map(|bytes| Self(Some(bytes)))
            .map_err(serde::de::Error::custom)
    }
}

/// Reads a text by its `FromStr`, whose error is what the user is told.
macro_rules! from_text {
    ($($name:ty),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    )*};
}

from_text!(Rate, LogFilter);

/// Bytes per second, or `unlimited`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate(pub Option<ByteCount>);

impl Rate {
    /// The least that a rate may be, in bytes per second: what is slower than this nobody would call a transfer, and those
    /// at the other end would take it for one that hangs.
    pub const LEAST: ByteCount = ByteCount(16 << 10);

    /// Bytes per second; `None` for no limit.
    #[must_use]
    pub fn bytes(self) -> Option<u64> {
        self.0.map(|rate| rate.0)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "unlimited" {
            return Ok(Self(None));
        }
        // People write the unit of a rate as often as they leave it out.
        let size = text.trim_end().strip_suffix("/s").unwrap_or(text);
        match size.parse::<ByteCount>() {
            Ok(rate) if rate >= Self::LEAST => Ok(Self(Some(rate))),
            Ok(_) => Err(format!(
                "\"{text}\" is too slow: at least 16KiB, or \"unlimited\""
            )),
            Err(_) => Err(format!(
                "\"{text}\" is no rate; write for example 20MiB, or \"unlimited\""
            )),
        }
    }
}

/// What is logged: a level, or a filter in the syntax of `tracing`'s env filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// Words for a level.
    pub const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |part: &str| {
            format!(
                "\"{part}\" is no level ({}) and no TARGET=LEVEL",
                Self::LEVELS.join(", ")
            )
        };
        for part in text.split(',').map(str::trim) {
            // The library takes any word as the name of a module of which everything is logged; who writes "loud" means
            // something else.
            let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
            if !Self::LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
                return Err(bad(part));
            }
        }
        tracing_subscriber::EnvFilter::try_new(text).map_err(|_| bad(text))?;
        Ok(Self(text.to_owned()))
    }
}

/// A socket address; the empty text is none.
///
/// # Errors
/// Anything else.
pub fn address_or_nowhere<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let bad = || format!("\"{text}\" is no address; write for example 127.0.0.1:7402, or \"\" for none");
    text.parse()
        .map(Some)
        .map_err(|_| serde::de::Error::custom(bad()))
}

/// A number of bytes the way it was most likely written: in the largest unit that divides it, without a space.
#[must_use]
pub fn size_text(bytes: ByteCount) -> String {
    const UNITS: [(&str, u64); 5] = [
        ("PiB", 1 << 50),
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
    ];
    let whole = UNITS
        .into_iter()
        .find(|(_, unit)| bytes.0 > 0 && bytes.0.is_multiple_of(*unit));
    whole.map_or(format!("{}B", bytes.0), |(name, unit)| {
        format!("{}{name}", bytes.0 / unit)
    })
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.map_or("unlimited".to_owned(), size_text))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Limit(self.0).fmt(f)
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_write_them() {
        for (text, ms) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("15m", 900_000),
            ("2h", 7_200_000),
            ("90d", 7_776_000_000),
        ] {
            let parsed: HumanDuration = text.parse().unwrap();
            assert_eq!((parsed.0.as_millis(), parsed.to_string().as_str()), (ms, text));
        }
        for bad in ["", "10", "s", "-1s", "1.5h", "10 weeks", "99999999999999999d"] {
            assert!(bad.parse::<HumanDuration>().is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_as_people_write_them() {
        let rate = |text: &str| text.parse::<Rate>();
        assert_eq!(rate("unlimited").unwrap().bytes(), None);
        for text in ["20MiB", "20 MiB", "20MiB/s"] {
            assert_eq!(rate(text).unwrap().bytes(), Some(20 << 20), "{text}");
        }
        assert_eq!(rate("16KiB").unwrap().to_string(), "16KiB");
        assert!(rate("16383").unwrap_err().contains("too slow"));
        for bad in ["", "fast", "0", "-1", "off", "/s"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn filters_are_levels_by_name() {
        for good in [
            "info",
            "WARN",
            "p2p_daemon::peer=debug",
            "info,p2p_daemon=trace",
            "off",
        ] {
            assert!(good.parse::<LogFilter>().is_ok(), "{good}");
        }
        for bad in [
            "loud",
            "",
            "info,loud",
            "p2p_daemon=loud",
            "p2p_daemon",
            "==debug",
        ] {
            let error = bad.parse::<LogFilter>().unwrap_err();
            assert!(error.contains("is no level"), "{bad}: {error}");
        }
    }

    #[test]
    fn sizes_are_shown_as_they_were_written() {
        for text in ["1GiB", "8MiB", "1536MiB", "0B", "500000B"] {
            assert_eq!(size_text(text.parse().unwrap()), text);
        }
    }
}
