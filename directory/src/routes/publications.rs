//! `POST /publications` and `DELETE /publications/{id}`: an owner publishes and withdraws.

use axum::{Json, extract::State, http::StatusCode};
use p2p_proto::rest::{
    problem::ProblemKind,
    publications::{Publication, PublishRequest},
};
use uuid::Uuid;

use super::{
    Shared,
    auth::Caller,
    body::{Answer, JsonBody, PathPart},
};
use crate::{problem::ApiError, resolve::not_found, storage::Published};

/// The largest size that is stored, in bytes.
const MAX_SIZE: u64 = i64::MAX as u64;

pub(super) async fn post(
    State(state): Shared,
    Caller(session): Caller,
    JsonBody(request): JsonBody<PublishRequest>,
) -> Answer<Publication> {
    let conflict = |detail: String| Err(ApiError::new(ProblemKind::Conflict, detail));
    if request.size > MAX_SIZE {
        return Err(ApiError::new(
            ProblemKind::Invalid,
            "size is at most 2^63 - 1 bytes",
        ));
    }
    if request.id.is_nil() {
        return Err(ApiError::new(
            ProblemKind::Invalid,
            "id is a UUID made for this publication",
        ));
    }
    let most = state.settings().limits.publications_per_account;
    match state.storage.publish(&session, &request, most).await? {
        Published::As(publication) => {
            tracing::info!(ACCOUNT = %session.user_name, PEER = %session.peer_name, PEER_ID = %session.peer, CONTENT_HASH = %publication.hash,
                "{}/{}@{} is published", publication.owner, publication.name, publication.version);
            Ok(Json(publication))
        }
        Published::IdTaken => conflict(format!("{} is the id of another publication", request.id)),
        Published::Withdrawn => conflict(format!("{} was withdrawn; publish under a new id", request.id)),
        Published::OtherSize(size) => conflict(format!(
            "{} is published with this hash and {size} bytes",
            request.name
        )),
        Published::NoGroup(group) => {
            let detail = format!("no group \"{group}\" has {} as a member", session.user_name);
            Err(ApiError::new(ProblemKind::NotFound, detail))
        }
        Published::TooMany => {
            let detail = format!(
                "{} has {most} publications, the most there may be",
                session.user_name
            );
            Err(ApiError::new(ProblemKind::Invalid, detail))
        }
    }
}

pub(super) async fn delete(
    State(state): Shared,
    Caller(session): Caller,
    PathPart(id): PathPart,
) -> Result<StatusCode, ApiError> {
    let withdrawn = match id.parse::<Uuid>() {
        Ok(id) => state.storage.withdraw(&session, id).await?,
        Err(_) => None,
    };
    let Some(publication) = withdrawn else {
        return Err(not_found(&session, &format!("id:{id}")));
    };
    tracing::info!(ACCOUNT = %session.user_name, PEER = %session.peer_name, PEER_ID = %session.peer, CONTENT_HASH = %publication.hash,
        "{}/{}@{} is withdrawn", publication.owner, publication.name, publication.version);
    Ok(StatusCode::NO_CONTENT)
}
