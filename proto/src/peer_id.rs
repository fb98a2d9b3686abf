//! Who a peer is: the hash of its key, and how a certificate says so.
//!
//! A peer's certificate carries two names: the DNS name that a dialler verifies (webpki does not match URI names), and
//! the URI that says which cluster and which account certified the key. Never a host name or an address.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::hash::decode_hex32;

const DNS_SUFFIX: &str = ".peer.p2p.internal";
const URI_SCHEME: &str = "p2p://";

/// SHA-256 of the peer's DER SubjectPublicKeyInfo; written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PeerId([u8; 32]);

/// The text is not 64 lower-case hex digits.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a peer id is 64 lower-case hex digits")]
pub struct BadPeerId;

impl PeerId {
    /// The id of the key with this DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn of_spki(der: &[u8]) -> Self {
        Self(sha256(der))
    }

    /// The raw 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The DNS name in this peer's certificate: the id in base32, lower case, without padding.
    #[must_use]
    pub fn dns_name(&self) -> String {
        let label = data_encoding::BASE32_NOPAD.encode(&self.0).to_lowercase();
        format!("{label}{DNS_SUFFIX}")
    }

    /// The first 8 digits, for log lines and tables.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

impl FromStr for PeerId {
    type Err = BadPeerId;

    fn from_str(text: &str) -> Result<Self, BadPeerId> {
        decode_hex32(text).map(Self).ok_or(BadPeerId)
    }
}

impl TryFrom<String> for PeerId {
    type Error = BadPeerId;

    fn try_from(text: String) -> Result<Self, BadPeerId> {
        text.parse()
    }
}

impl From<PeerId> for String {
    fn from(id: PeerId) -> Self {
        id.to_string()
    }
}

impl From<[u8; 32]> for PeerId {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who a certificate says that a peer is; the URI `p2p://<cluster uuid>/<user uuid>/<peer id>` in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerIdentity {
    /// The directory's cluster.
    pub cluster: Uuid,
    /// The account that logged the peer in.
    pub user: Uuid,
    /// The peer's key.
    pub peer: PeerId,
}

/// The text is not a peer's URI.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a peer's URI is p2p://<cluster uuid>/<user uuid>/<peer id>")]
pub struct BadIdentity;

impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{URI_SCHEME}{}/{}/{}", self.cluster, self.user, self.peer)
    }
}

impl FromStr for PeerIdentity {
    type Err = BadIdentity;

    fn from_str(text: &str) -> Result<Self, BadIdentity> {
        let rest = text.strip_prefix(URI_SCHEME).ok_or(BadIdentity)?;
        let mut parts = rest.split('/');
        let mut next = || parts.next().ok_or(BadIdentity);
        let cluster = next()?.parse().map_err(|_| BadIdentity)?;
        let user = next()?.parse().map_err(|_| BadIdentity)?;
        let peer = next()?.parse().map_err(|_| BadIdentity)?;
        let identity = Self { cluster, user, peer };
        // One spelling only: UUIDs have several.
        (identity.to_string() == text)
            .then_some(identity)
            .ok_or(BadIdentity)
    }
}

/// SHA-256, by ring.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    out
}

/// How a CA's fingerprint is written: `sha256:` and the SHA-256 of its DER SubjectPublicKeyInfo in hex.
#[must_use]
pub fn ca_fingerprint(spki_der: &[u8]) -> String {
    format!("sha256:{}", data_encoding::HEXLOWER.encode(&sha256(spki_der)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dns_label_fits_a_dns_label() {
        let name = PeerId::of_spki(b"key").dns_name();
        let (label, suffix) = name.split_at(52);
        assert!(
            label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        );
        assert_eq!(suffix, DNS_SUFFIX);
    }

    #[test]
    fn an_identity_has_one_spelling() {
        let identity = PeerIdentity {
            cluster: Uuid::from_u128(1),
            user: Uuid::from_u128(2),
            peer: PeerId::of_spki(b"key"),
        };
        let text = identity.to_string();
        assert_eq!(text.parse(), Ok(identity));
        for bad in [
            text.replace("p2p:", "spiffe:"),
            text.to_uppercase(),
            format!("{text}/"),
            text.replace("-0000-", "0000"),
        ] {
            assert_eq!(bad.parse::<PeerIdentity>(), Err(BadIdentity), "{bad}");
        }
    }
}
