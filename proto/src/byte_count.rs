//! Numbers of bytes as people write and read them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A number of bytes. Written `4.1 GiB` for people; read from `1GiB`, `20 MiB`, `1.5 GB`, `4096`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteCount(pub u64);

/// The text is no number of bytes.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{0}\" is no size; write for example 4096, 500MB, 20MiB or 1.5GiB")]
pub struct BadByteCount(String);

/// Every unit that is written, and those that disks are sold by.
const UNITS: [(&str, u64); 13] = [
    ("EiB", 1 << 60),
    ("PiB", 1 << 50),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("EB", 1_000_000_000_000_000_000),
    ("PB", 1_000_000_000_000_000),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl FromStr for ByteCount {
    type Err = BadByteCount;

    fn from_str(text: &str) -> Result<Self, BadByteCount> {
        let bad = || BadByteCount(text.to_owned());
        let trimmed = text.trim();
        let (number, scale) = UNITS
            .iter()
            .find_map(|(unit, scale)| trimmed.strip_suffix(unit).map(|rest| (rest.trim_end(), *scale)))
            .unwrap_or((trimmed, 1));
        if !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') || number.is_empty() {
            return Err(bad());
        }
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(scale).map(Self).ok_or_else(bad);
        }
        let value = number.parse::<f64>().map_err(|_| bad())? * scale as f64;
        // The most there is is written as 16.0 EiB, which is one byte more.
        if scale == 1 || !value.is_finite() || value > u64::MAX as f64 {
            return Err(bad());
        }
        Ok(Self(value as u64))
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            bytes @ 0..1024 => format!("{bytes} B"),
            bytes => {
                let mut value = bytes as f64;
                let mut unit = "B";
                for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
                    // From here on it would be written as 1024.
                    if value < 1023.5 {
                        break;
                    }
                    value /= 1024.0;
                    unit = next;
                }
                if value < 99.95 {
                    format!("{value:.1} {unit}")
                } else {
                    format!("{value:.0} {unit}")
                }
            }
        };
        f.pad(&text)
    }
}

impl Serialize for ByteCount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for ByteCount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(bytes) => Ok(Self(bytes)),
            Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("1GiB", 1 << 30),
            ("20 MiB", 20 << 20),
            ("1.5GiB", 3 << 29),
            ("500MB", 500_000_000),
            ("7B", 7),
            ("1.5 PiB", 3 << 49),
            ("2EiB", 1 << 61),
            ("16.0 EiB", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(ByteCount(bytes)), "{text}");
        }
        for bad in [
            "",
            "GiB",
            "-1",
            "1 gib",
            "1.5",
            "1.5.5GiB",
            "99999999999TiB",
            "16EiB",
            "16.1EiB",
            "inf",
            "nan",
        ] {
            assert!(bad.parse::<ByteCount>().is_err(), "{bad}");
        }
    }

    #[test]
    fn reads_what_it_writes() {
        for shift in 0..64 {
            for bytes in [1_u64 << shift, u64::MAX >> shift] {
                let text = ByteCount(bytes).to_string();
                assert_eq!(text.parse::<ByteCount>().unwrap().to_string(), text);
            }
        }
    }

    #[test]
    fn writes_what_people_read() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (4_402_341_478, "4.1 GiB"),
            (256 << 20, "256 MiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            ((1 << 20) - 512, "1.0 MiB"),
            ((1 << 20) - 513, "1023 KiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(ByteCount(bytes).to_string(), text);
        }
    }
}
