//! `transfers`, `wait`, `pause`, `resume`, `cancel`, `priority`: what runs, and why it stands. Owns no state.

use p2p_proto::{FailureKind, v1};
use serde::Serialize;

use super::known;

/// `p2pctl.transfers/1`.
#[derive(Serialize)]
pub(crate) struct Transfers {
    transfers: Vec<Transfer>,
}

impl From<v1::TransfersResponse> for Transfers {
    fn from(response: v1::TransfersResponse) -> Self {
        Self {
            transfers: response.transfers.into_iter().map(Into::into).collect(),
        }
    }
}

/// One transfer; by itself `p2pctl.wait/1`, `p2pctl.pause/1`, `p2pctl.resume/1`, `p2pctl.cancel/1` and
/// `p2pctl.priority/1`.
#[derive(Serialize)]
pub(crate) struct Transfer {
    id: String,
    direction: String,
    owner: Option<String>,
    name: String,
    hash: Option<String>,
    size: Option<u64>,
    done_bytes: u64,
    rate: u64,
    eta_s: Option<u64>,
    state: String,
    reason: Option<String>,
    entered_at: Option<String>,
    started_at: Option<String>,
    peers: Vec<Peer>,
    priority: String,
    limit_bytes_per_second: Option<u64>,
    /// Only with `failed`.
    error: Option<Error>,
}

#[derive(Serialize)]
struct Peer {
    peer: String,
    bytes: u64,
    silent_since: Option<String>,
}

#[derive(Serialize)]
struct Error {
    code: u8,
    kind: FailureKind,
    message: String,
    hint: Option<String>,
}

impl From<v1::Transfer> for Transfer {
    fn from(transfer: v1::Transfer) -> Self {
        let peers = transfer.peers.into_iter().map(|peer| Peer {
            peer: peer.peer,
            bytes: peer.bytes,
            silent_since: known(peer.silent_since),
        });
        Self {
            id: transfer.id,
            direction: transfer.direction,
            owner: known(transfer.owner),
            name: transfer.name,
            hash: known(transfer.hash),
            size: transfer.size,
            done_bytes: transfer.done_bytes,
            rate: transfer.rate,
            eta_s: transfer.eta_s,
            state: transfer.state,
            reason: known(transfer.reason),
            entered_at: known(transfer.entered_at),
            started_at: known(transfer.started_at),
            peers: peers.collect(),
            // A daemon that has no priorities treats all alike.
            priority: known(transfer.priority).unwrap_or_else(|| "normal".to_owned()),
            limit_bytes_per_second: transfer.limit,
            error: transfer.failure.map(Into::into),
        }
    }
}

impl From<v1::Failure> for Error {
    fn from(failure: v1::Failure) -> Self {
        let kind = FailureKind::from_word(&failure.kind);
        Self {
            code: kind.exit_code(),
            kind,
            message: failure.message,
            hint: known(failure.hint),
        }
    }
}
