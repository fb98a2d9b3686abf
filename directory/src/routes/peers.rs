//! `GET /peers`: every peer, with what the caller may see of it.

use axum::{Json, extract::State};
use p2p_proto::rest::location::PeersResponse;

use super::{Shared, auth::Caller, body::Answer};

pub(super) async fn get(State(state): Shared, Caller(session): Caller) -> Answer<PeersResponse> {
    Ok(Json(PeersResponse {
        peers: state.storage.peers(session.user).await?,
    }))
}
