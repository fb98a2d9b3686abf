//! `GET /me`: who the caller is.

use axum::Json;
use p2p_proto::rest::session::Me;

use super::{auth::Caller, body::Answer};

pub(super) async fn get(Caller(session): Caller) -> Answer<Me> {
    Ok(Json(Me {
        user: session.user_name,
        user_id: session.user,
        peer_id: session.peer,
        peer_name: session.peer_name,
        session_expires_at: session.expires_at,
    }))
}
