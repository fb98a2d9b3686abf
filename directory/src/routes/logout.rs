//! `POST /logout`: the session ends and the peer is un-listed at once.

use axum::{extract::State, http::StatusCode};

use super::{Shared, auth::Caller};
use crate::problem::ApiError;

pub(super) async fn post(State(state): Shared, Caller(session): Caller) -> Result<StatusCode, ApiError> {
    state.storage.log_out(&session).await?;
    tracing::info!(ACCOUNT = %session.user_name, PEER = %session.peer_name, PEER_ID = %session.peer,
        "{} logged out on {}", session.user_name, session.peer_name);
    Ok(StatusCode::NO_CONTENT)
}
