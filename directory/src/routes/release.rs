//! `POST /publications/{id}/release`: may this peer's copy go? Asked and answered in one transaction, so that of the holders
//! that want to drop theirs at the same moment one keeps it.

use axum::{extract::State, http::StatusCode};
use p2p_proto::rest::{problem::ProblemKind, publications::ReleaseRequest};
use uuid::Uuid;

use super::{
    Shared,
    auth::Caller,
    body::{JsonBody, PathPart},
};
use crate::{problem::ApiError, resolve::not_found, storage::Released};

pub(super) async fn post(
    State(state): Shared,
    Caller(session): Caller,
    PathPart(id): PathPart,
    JsonBody(request): JsonBody<ReleaseRequest>,
) -> Result<StatusCode, ApiError> {
    let released = match id.parse::<Uuid>() {
        Ok(id) => state.storage.release(&session, id, request.even_last).await?,
        Err(_) => Released::NotVisible,
    };
    match released {
        Released::Yes => Ok(StatusCode::NO_CONTENT),
        Released::Last => Err(ApiError::new(
            ProblemKind::LastCopy,
            "no other peer is known to keep a copy",
        )),
        Released::NotVisible => Err(not_found(&session, &format!("id:{id}"))),
    }
}
