//! How people point at a file: `REF` of the command line.

use std::{fmt, str::FromStr};

use crate::{
    hash::ContentHash,
    name::{FileName, UserName},
};

/// The shortest hash prefix that is tried, in hex digits.
pub const MIN_HASH_PREFIX: usize = 8;

/// One way to read a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The newest version of a name; without an owner, the caller's own before others'.
    Name {
        /// Whose.
        owner: Option<UserName>,
        /// Called what.
        name: FileName,
    },
    /// One version of a name.
    Version {
        /// Whose.
        owner: Option<UserName>,
        /// Called what.
        name: FileName,
        /// Counted from 1.
        version: u64,
    },
    /// A content.
    Hash(ContentHash),
    /// The first 8 or more lower-case hex digits of a content's hash.
    HashPrefix(String),
}

/// A reference: its readings, in the order in which they are tried; the first that is visible counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRef {
    text: String,
    readings: Vec<Reading>,
}

/// The text can point at nothing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{0}\" is no reference; write NAME, OWNER/NAME, NAME@VERSION, or 8 or more digits of a hash")]
pub struct BadRef(String);

impl FileRef {
    /// The readings, best first; never empty.
    #[must_use]
    pub fn readings(&self) -> &[Reading] {
        &self.readings
    }

    /// As the user wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn name_readings(text: &str, readings: &mut Vec<Reading>) {
    if let Some((owner, name)) = owned_name(text) {
        readings.push(Reading::Name { owner, name });
    }
    let versioned = text
        .rsplit_once('@')
        .filter(|(_, digits)| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    if let Some((rest, digits)) = versioned
        && let Ok(version) = digits.parse::<u64>()
        && version > 0
        && let Some((owner, name)) = owned_name(rest)
    {
        readings.push(Reading::Version { owner, name, version });
    }
}

fn owned_name(text: &str) -> Option<(Option<UserName>, FileName)> {
    match text.split_once('/') {
        Some((owner, name)) => Some((Some(owner.parse().ok()?), name.parse().ok()?)),
        None => Some((None, text.parse().ok()?)),
    }
}

fn hash_readings(text: &str, readings: &mut Vec<Reading>) {
    let lower = text.to_ascii_lowercase();
    if let Ok(hash) = lower.parse() {
        readings.push(Reading::Hash(hash));
    } else if (MIN_HASH_PREFIX..64).contains(&lower.len()) && lower.bytes().all(|b| b.is_ascii_hexdigit()) {
        readings.push(Reading::HashPrefix(lower));
    }
}

impl FromStr for FileRef {
    type Err = BadRef;

    fn from_str(text: &str) -> Result<Self, BadRef> {
        let mut readings = Vec::new();
        if text.len() <= 1024 {
            if let Some(name) = text.strip_prefix("name:") {
                name_readings(name, &mut readings);
            } else if let Some(hash) = text.strip_prefix("hash:") {
                hash_readings(hash, &mut readings);
            } else {
                name_readings(text, &mut readings);
                hash_readings(text, &mut readings);
            }
        }
        if readings.is_empty() {
            return Err(BadRef(text.chars().take(100).collect()));
        }
        Ok(Self {
            text: text.to_owned(),
            readings,
        })
    }
}

impl fmt::Display for FileRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(text: &str) -> Vec<Reading> {
        text.parse::<FileRef>().unwrap().readings
    }

    fn name(owner: Option<&str>, name: &str) -> Reading {
        let owner = owner.map(|o| o.parse().unwrap());
        Reading::Name {
            owner,
            name: name.parse().unwrap(),
        }
    }

    fn version(owner: Option<&str>, name: &str, version: u64) -> Reading {
        let owner = owner.map(|o| o.parse().unwrap());
        Reading::Version {
            owner,
            name: name.parse().unwrap(),
            version,
        }
    }

    #[test]
    fn a_name_comes_first() {
        assert_eq!(readings("scan.tar"), [name(None, "scan.tar")]);
        assert_eq!(readings("ana/scan.tar"), [name(Some("ana"), "scan.tar")]);
        assert_eq!(readings("a@2"), [name(None, "a@2"), version(None, "a", 2)]);
        assert_eq!(
            readings("ana/a@b@12"),
            [name(Some("ana"), "a@b@12"), version(Some("ana"), "a@b", 12)]
        );
        assert_eq!(readings("a@x"), [name(None, "a@x")]);
        assert_eq!(readings("a@0"), [name(None, "a@0")]);
    }

    #[test]
    fn hashes_and_prefixes() {
        let hash = ContentHash::of(b"x");
        let text = hash.to_string();
        assert_eq!(readings(&text), [name(None, &text), Reading::Hash(hash)]);
        assert_eq!(readings(&format!("hash:{text}")), [Reading::Hash(hash)]);
        assert_eq!(
            readings("hash:DEADBEEF"),
            [Reading::HashPrefix("deadbeef".into())]
        );
        assert_eq!(readings("deadbee"), [name(None, "deadbee")]);
        assert_eq!(readings("name:deadbeef"), [name(None, "deadbeef")]);
    }

    #[test]
    fn refuses_what_points_nowhere() {
        for bad in [
            "",
            "a/b/c",
            "../x",
            "hash:zz",
            "hash:dead",
            "name:",
            "Ana/x",
            &"x".repeat(2000),
        ] {
            assert!(bad.parse::<FileRef>().is_err(), "{bad}");
        }
    }
}
