//! `GET /peers`: every peer.

use axum::{Json, extract::State};
use p2p_proto::rest::location::PeersResponse;

use super::{Shared, auth::Caller, body::Answer};

pub(super) async fn get(State(state): Shared, Caller(_): Caller) -> Answer<PeersResponse> {
    Ok(Json(PeersResponse {
        peers: state.storage.peers().await?,
    }))
}
