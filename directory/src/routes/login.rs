//! `POST /login`: an account and its password for a session and a certificate of the peer's key.

use axum::{Extension, Json, extract::State};
use p2p_proto::{
    PeerId, UserName,
    rest::{
        problem::ProblemKind,
        session::{LoginRequest, LoginResponse},
    },
};

use super::{
    Shared, admit, agree_level, auth,
    body::{Answer, JsonBody},
    check_addresses, credentials, dial, millis,
};
use crate::{
    ca::issue::ProvenKey,
    problem::ApiError,
    rate::Source,
    state::ClientAddress,
    storage::{LogIn, NewSession},
};

pub(super) async fn post(
    State(state): Shared,
    Extension(from): Extension<ClientAddress>,
    JsonBody(request): JsonBody<LoginRequest>,
) -> Answer<LoginResponse> {
    let api_level = agree_level(request.api_level)?;
    check_addresses(&state, &request.addresses)?;
    admit(&state, Source::at(from.ip()))?;
    let account = credentials::check(&state, from, &request.user, request.password.take()).await?;
    let key = ProvenKey::from_csr(&request.csr)?;
    let answered = dial::dial_back(&request.addresses).await;
    let (certificate, session_end) = state.certify(&key, account.id)?;
    let (session_token, token_hash) = auth::new_token()?;
    let session = NewSession {
        token_hash,
        user: account.id,
        password_hash: account.password_hash,
        peer: key.peer(),
        peer_name: request.peer_name,
        addresses: request.addresses,
        expires_at: session_end,
        certificate_expires_at: certificate.expires_at,
        lease_until: state.lease_until(),
    };
    let peer_name = match state.storage.log_in(session).await? {
        LogIn::Done(peer_name) => peer_name,
        LogIn::Refused => return Err(credentials::outdated()),
        LogIn::Revoked => return Err(revoked(&account.name, key.peer(), from)),
    };
    state.leases.renewed();
    tracing::info!(ACCOUNT = %account.name, PEER = %peer_name, PEER_ID = %key.peer(), from = %from.ip(),
        "{} logged in on {peer_name}", account.name);
    let liveness = state.settings().liveness;
    Ok(Json(LoginResponse {
        session_token,
        user: account.name,
        user_id: account.id,
        cluster: state.cluster,
        peer_id: key.peer(),
        peer_name,
        answered,
        ping_interval_ms: millis(liveness.ping_interval),
        lease_ms: millis(liveness.lease),
        api_level,
        credentials: state.credentials(certificate, session_end),
    }))
}

fn revoked(account: &UserName, id: PeerId, from: ClientAddress) -> ApiError {
    tracing::info!(ACCOUNT = %account, PEER = %id, PEER_ID = %id, from = %from.ip(),
        "a login with a revoked key was refused");
    let detail =
        format!("an administrator revoked this peer. To let it in: p2p-directory admin peer allow {id}");
    ApiError::new(ProblemKind::Forbidden, detail)
}
