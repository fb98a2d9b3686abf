//! `POST /session/renew`: a fresh certificate for the session's key, also after the old one has ended.

use axum::{Json, extract::State};
use p2p_proto::rest::{
    problem::ProblemKind,
    session::{Credentials, RenewRequest},
};

use super::{
    Shared, agree_level,
    auth::Caller,
    body::{Answer, JsonBody},
};
use crate::{ca::issue::ProvenKey, problem::ApiError};

pub(super) async fn post(
    State(state): Shared,
    Caller(session): Caller,
    JsonBody(request): JsonBody<RenewRequest>,
) -> Answer<Credentials> {
    agree_level(request.api_level)?;
    let key = ProvenKey::from_csr(&request.csr)?;
    if key.peer() != session.peer {
        return Err(ApiError::new(
            ProblemKind::Forbidden,
            "the session is bound to another key",
        ));
    }
    let (certificate, session_end) = state.certify(&key, session.user)?;
    state
        .storage
        .renew(&session, session_end, certificate.expires_at)
        .await?;
    tracing::debug!(ACCOUNT = %session.user_name, PEER = %session.peer_name, PEER_ID = %session.peer, "certificate renewed");
    Ok(Json(state.credentials(certificate, session_end)))
}
