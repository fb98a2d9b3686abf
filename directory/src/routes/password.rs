//! `POST /me/password`: the caller's account gets another password, by showing the old one. Sessions that exist stay.

use axum::{Extension, extract::State, http::StatusCode};
use p2p_proto::rest::{problem::ProblemKind, session::PasswordRequest};

use super::{Shared, admit, auth::Caller, body::JsonBody, credentials};
use crate::{
    accounts::password::check_new, problem::ApiError, rate::Source, state::ClientAddress,
    storage::NewPassword,
};

pub(super) async fn post(
    State(state): Shared,
    Caller(session): Caller,
    Extension(from): Extension<ClientAddress>,
    JsonBody(request): JsonBody<PasswordRequest>,
) -> Result<StatusCode, ApiError> {
    let (old, new) = (request.old.take(), request.new.take());
    check_new(&new).map_err(|error| ApiError::new(ProblemKind::Invalid, error.to_string()))?;
    admit(&state, Source::at(from.ip()))?;
    let name = session.user_name;
    let account = credentials::check(&state, from, name.as_str(), old).await?;
    let new = NewPassword {
        user: session.user,
        shown: Some(account.password_hash),
        hash: state.passwords.hash(new).await?,
    };
    // Meanwhile an admin may have set another one, so that whoever knows the old one has nothing of it.
    if !state.storage.set_password(new).await? {
        return Err(credentials::outdated());
    }
    tracing::info!(ACCOUNT = %name, PEER = %session.peer_name, PEER_ID = %session.peer, "{name} changed the password");
    Ok(StatusCode::NO_CONTENT)
}
