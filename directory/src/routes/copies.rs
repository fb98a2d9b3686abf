//! `POST /copies`: how many peers have each of these files.

use axum::{Json, extract::State};
use p2p_proto::rest::{
    problem::ProblemKind,
    publications::{CopiesRequest, CopiesResponse, MAX_COUNTED},
};

use super::{
    Shared,
    auth::Caller,
    body::{Answer, JsonBody},
};
use crate::problem::ApiError;

pub(super) async fn post(
    State(state): Shared,
    Caller(session): Caller,
    JsonBody(request): JsonBody<CopiesRequest>,
) -> Answer<CopiesResponse> {
    let asked = request.publications.len();
    if asked > MAX_COUNTED {
        let detail = format!("{asked} publications; one request asks about at most {MAX_COUNTED}");
        return Err(ApiError::new(ProblemKind::Invalid, detail));
    }
    let copies = state.storage.copies(session.user, request.publications).await?;
    Ok(Json(CopiesResponse { copies }))
}
