//! `[limits]`: what others may have here, so that one of them cannot take it all.

use p2p_proto::rest::{index::MAX_CHANGES, session::MAX_ADDRESSES};
use serde::Deserialize;

/// Bounds on others.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "RawLimits")]
pub struct Limits {
    /// Publications of one account.
    pub publications_per_account: u64,
    /// Holds of one peer.
    pub holds_per_peer: u64,
    /// Changes in one `POST /index`. p2pd sends runs of 1,000.
    pub index_changes: usize,
    /// Addresses that a peer advertises.
    pub addresses_per_peer: usize,
    /// Reports of one account that count.
    pub reports_per_account: u64,
    /// Requests of one peer in a second, and ten times as many at once.
    pub requests_per_second: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLimits {
    publications_per_account: u64,
    holds_per_peer: u64,
    index_changes: u64,
    addresses_per_peer: u64,
    reports_per_account: u64,
    requests_per_second: u64,
}

impl Default for RawLimits {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            publications_per_account: limits.publications_per_account,
            holds_per_peer: limits.holds_per_peer,
            index_changes: MAX_CHANGES as u64,
            addresses_per_peer: MAX_ADDRESSES as u64,
            reports_per_account: limits.reports_per_account,
            requests_per_second: limits.requests_per_second.into(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            publications_per_account: 100_000,
            holds_per_peer: 1_000_000,
            index_changes: MAX_CHANGES,
            addresses_per_peer: MAX_ADDRESSES,
            reports_per_account: 10_000,
            requests_per_second: 500,
        }
    }
}

/// The value, when it is from 1 to `most`.
fn within<T: TryFrom<u64>>(key: &str, value: u64, most: u64) -> Result<T, String> {
    let bad = || format!("limits.{key} is 1 to {most}");
    if !(1..=most).contains(&value) {
        return Err(bad());
    }
    value.try_into().map_err(|_| bad())
}

impl TryFrom<RawLimits> for Limits {
    type Error = String;

    fn try_from(raw: RawLimits) -> Result<Self, String> {
        const MANY: u64 = 1_000_000_000;
        Ok(Self {
            publications_per_account: within("publications_per_account", raw.publications_per_account, MANY)?,
            holds_per_peer: within("holds_per_peer", raw.holds_per_peer, MANY)?,
            // One transaction, during which nobody else writes.
            index_changes: within("index_changes", raw.index_changes, 50_000)?,
            // Each is dialled at a login.
            addresses_per_peer: within("addresses_per_peer", raw.addresses_per_peer, 64)?,
            reports_per_account: within("reports_per_account", raw.reports_per_account, MANY)?,
            requests_per_second: within("requests_per_second", raw.requests_per_second, 1_000_000)?,
        })
    }
}
