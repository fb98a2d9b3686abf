//! `Peers`: every peer that this account may see.

use p2p_proto::{Failure, v1::PeersResponse};

use super::ControlRpc;
use crate::control::convert;

/// What the directory lists.
pub async fn peers(rpc: &ControlRpc) -> Result<PeersResponse, Failure> {
    let listed = rpc.sessions.require()?.client.peers().await?;
    Ok(PeersResponse {
        peers: listed.peers.iter().map(convert::peer).collect(),
    })
}
