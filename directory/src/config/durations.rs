//! `[liveness]` and `[session]`: how long things last, and what of that goes together.

use std::time::Duration;

use p2p_service::config::HumanDuration;
use serde::Deserialize;

/// Who counts as alive.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(try_from = "RawLiveness")]
pub struct Liveness {
    /// How often peers ping.
    pub ping_interval: Duration,
    /// How long a silent peer stays listed.
    pub lease: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLiveness {
    ping_interval: HumanDuration,
    lease: HumanDuration,
}

impl Default for RawLiveness {
    fn default() -> Self {
        Self {
            ping_interval: HumanDuration(Duration::from_secs(10)),
            lease: HumanDuration(Duration::from_secs(30)),
        }
    }
}

impl Default for Liveness {
    fn default() -> Self {
        let raw = RawLiveness::default();
        Self {
            ping_interval: raw.ping_interval.0,
            lease: raw.lease.0,
        }
    }
}

impl TryFrom<RawLiveness> for Liveness {
    type Error = &'static str;

    fn try_from(raw: RawLiveness) -> Result<Self, &'static str> {
        let (ping_interval, lease) = (raw.ping_interval.0, raw.lease.0);
        if ping_interval < Duration::from_millis(50) {
            return Err("liveness.ping_interval is at least 50ms");
        }
        if lease <= ping_interval || lease > Duration::from_secs(24 * 3600) {
            return Err("liveness.lease is longer than liveness.ping_interval and at most 1d");
        }
        Ok(Self { ping_interval, lease })
    }
}

/// How long a login lasts.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(try_from = "RawSession")]
pub struct Session {
    /// How long a session lives after a login or a renewal.
    pub lifetime: Duration,
    /// How long a peer's certificate lives.
    pub certificate_ttl: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawSession {
    lifetime: HumanDuration,
    certificate_ttl: HumanDuration,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Default for RawSession {
    fn default() -> Self {
        Self {
            lifetime: HumanDuration(DAY * 90),
            certificate_ttl: HumanDuration(DAY * 7),
        }
    }
}

impl Default for Session {
    fn default() -> Self {
        let raw = RawSession::default();
        Self {
            lifetime: raw.lifetime.0,
            certificate_ttl: raw.certificate_ttl.0,
        }
    }
}

impl TryFrom<RawSession> for Session {
    type Error = &'static str;

    fn try_from(raw: RawSession) -> Result<Self, &'static str> {
        let (lifetime, certificate_ttl) = (raw.lifetime.0, raw.certificate_ttl.0);
        // Certificates count in whole seconds.
        if certificate_ttl < Duration::from_secs(2) || certificate_ttl > DAY * 365 {
            return Err("session.certificate_ttl is at least 2s and at most 365d");
        }
        if lifetime < Duration::from_secs(2) || lifetime > DAY * 3650 {
            return Err("session.lifetime is at least 2s and at most 3650d");
        }
        Ok(Self {
            lifetime,
            certificate_ttl,
        })
    }
}
