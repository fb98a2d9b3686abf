//! Values that must be right before anything begins: what is wrong in them is told with file and line.

use std::{fmt, str::FromStr};

use p2p_proto::{PeerName, UserName};
use serde::{Deserialize, Deserializer, de::Error};

use crate::identity::directory_url::DirectoryUrl;

/// `sha256:` and 64 hex digits: the fingerprint of a directory's CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(String);

impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.to_ascii_lowercase();
        match text.strip_prefix("sha256:") {
            Some(hex) if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()) => Ok(Self(text)),
            _ => Err(format!(
                "\"{text}\" is no fingerprint; write sha256: and 64 hex digits, as p2p-directory ca-fingerprint prints"
            )),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The empty text is none.
fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(Error::custom)
}

pub(super) fn fingerprint<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Fingerprint>, D::Error> {
    optional(deserializer)
}

pub(super) fn peer_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PeerName>, D::Error> {
    optional(deserializer)
}

pub(super) fn user<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UserName>, D::Error> {
    optional(deserializer)
}

/// Directories as people write them.
pub(super) fn directories<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let urls = Vec::<String>::deserialize(deserializer)?;
    for url in &urls {
        DirectoryUrl::parse(url).map_err(|failure| D::Error::custom(failure.message))?;
    }
    Ok(urls)
}

/// `HOST` or `HOST:PORT`. Whether a name can be resolved is seen when it is.
pub(super) fn hosts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let hosts = Vec::<String>::deserialize(deserializer)?;
    let odd = |c: char| c.is_whitespace() || c.is_control() || "/@?#\\\"'".contains(c);
    match hosts.iter().find(|host| host.is_empty() || host.contains(odd)) {
        Some(bad) => Err(D::Error::custom(format!("\"{bad}\" is no HOST or HOST:PORT"))),
        None => Ok(hosts),
    }
}
