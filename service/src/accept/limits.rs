//! How long and how many an accept loop for TLS allows.

use std::time::Duration;

/// Bounds of an accept loop.
#[derive(Clone, Copy, Debug)]
pub struct AcceptLimits {
    /// What a TLS handshake may take.
    pub handshake: Duration,
    /// Connections from one address; an IPv6 address is its /64.
    pub per_address: usize,
    /// Connections in all.
    pub total: usize,
}

impl Default for AcceptLimits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            per_address: 64,
            total: 1024,
        }
    }
}
