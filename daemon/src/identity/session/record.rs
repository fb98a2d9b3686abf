//! What is written of a session.

use jiff::Timestamp;
use p2p_proto::{PeerName, UserName, grant::GrantKey, rest::session::Credentials};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What is written of a session. Holds the bearer token: never printed.
#[derive(Clone, Serialize, Deserialize)]
pub struct SessionRecord {
    /// The directory's URL.
    pub directory: String,
    /// The CA that was trusted at login, in PEM.
    pub ca: String,
    /// Its fingerprint.
    pub ca_fingerprint: String,
    /// The bearer token.
    pub token: String,
    /// The account.
    pub user: UserName,
    /// Its id.
    pub user_id: Uuid,
    /// The directory's cluster.
    pub cluster: Uuid,
    /// This peer's name there.
    pub peer_name: PeerName,
    /// The certificate in PEM.
    pub certificate: String,
    /// When the certificate was given.
    pub certified_at: Timestamp,
    /// When it ends.
    pub certificate_expires_at: Timestamp,
    /// When the session ends.
    pub session_expires_at: Timestamp,
    /// The keys that grants are checked with.
    pub grant_keys: Vec<GrantKey>,
    /// How often to ping, in milliseconds.
    pub ping_interval_ms: u64,
    /// Addresses that were advertised at login and did not answer the directory.
    pub unreachable: Vec<std::net::SocketAddr>,
    /// The Unix user who logged in; 0 for the machine.
    #[serde(default)]
    pub made_by: u32,
}

impl SessionRecord {
    /// The same session with what a renewal gave.
    #[must_use]
    pub fn renewed(mut self, credentials: Credentials, now: Timestamp) -> Self {
        self.certificate = credentials.certificate;
        self.certified_at = now;
        self.certificate_expires_at = credentials.certificate_expires_at;
        self.session_expires_at = credentials.session_expires_at;
        self.grant_keys = credentials.grant_keys;
        self
    }
}
