//! `POST /me/password`: the caller's account gets another password, by showing the old one. Sessions that exist stay.

use axum::{Extension, extract::State, http::StatusCode};
use p2p_proto::rest::{problem::ProblemKind, session::PasswordRequest};
use zeroize::Zeroizing;

use super::{Shared, admit, auth::Caller, body::JsonBody, credentials};
use crate::{accounts::password::check_new, problem::ApiError, rate::Source, state::ClientAddress};

pub(super) async fn post(
    State(state): Shared,
    Caller(session): Caller,
    Extension(from): Extension<ClientAddress>,
    JsonBody(request): JsonBody<PasswordRequest>,
) -> Result<StatusCode, ApiError> {
    let (old, new) = (Zeroizing::new(request.old), Zeroizing::new(request.new));
    check_new(&new).map_err(|error| ApiError::new(ProblemKind::Invalid, error.to_string()))?;
    admit(&state, Source::at(from.ip()))?;
    let name = session.user_name;
    credentials::check(&state, from, name.as_str(), old).await?;
    let hash = state.passwords.hash(new).await?;
    if !state.storage.set_password(&name, hash).await? {
        let detail = "the session has ended: an administrator removed the account";
        return Err(ApiError::new(ProblemKind::NoSession, detail));
    }
    tracing::info!(account = %name, peer = %session.peer_name, "{name} changed the password");
    Ok(StatusCode::NO_CONTENT)
}
