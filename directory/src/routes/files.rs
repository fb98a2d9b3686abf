//! `GET /files?ref=` and `GET /files/{hash}`: everything about one file.

use axum::{Json, extract::State};
use p2p_proto::{
    ContentHash,
    rest::{
        problem::ProblemKind,
        publications::{FileInfo, Publication, RefQuery},
    },
};

use super::{
    Shared,
    auth::Caller,
    body::{Answer, CheckedQuery, PathPart},
};
use crate::{
    problem::ApiError,
    resolve::{resolve, resolve_hash},
    state,
    storage::Session,
};

pub(super) async fn get(
    State(state): Shared,
    Caller(session): Caller,
    CheckedQuery(query): CheckedQuery<RefQuery>,
) -> Answer<FileInfo> {
    let publication = resolve(&*state.storage, &session, &query.reference).await?;
    info(&state, &session, publication).await
}

pub(super) async fn get_hash(
    State(state): Shared,
    Caller(session): Caller,
    PathPart(hash): PathPart,
) -> Answer<FileInfo> {
    let hash: ContentHash = hash.parse().map_err(|error: p2p_proto::hash::BadHash| {
        ApiError::new(ProblemKind::BadRequest, error.to_string())
    })?;
    let publication = resolve_hash(&*state.storage, &session, &hash).await?;
    info(&state, &session, publication).await
}

async fn info(state: &state::State, session: &Session, publication: Publication) -> Answer<FileInfo> {
    let versions = state.storage.versions(session.user, &publication).await?;
    let holders = state.storage.holders(session, publication.id).await?;
    let holders = holders.into_iter().map(|known| known.holder).collect();
    Ok(Json(FileInfo {
        publication,
        versions,
        holders,
    }))
}
