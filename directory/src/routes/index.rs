//! `POST /index`: what changed in a peer's holds.

use axum::{Json, extract::State};
use p2p_proto::rest::{
    index::{IndexDelta, IndexResponse},
    problem::ProblemKind,
};

use super::{
    Shared,
    auth::Caller,
    body::{Answer, JsonBody, MAX_INDEX_BODY},
};
use crate::{problem::ApiError, storage::IndexOutcome};

pub(super) async fn post(
    State(state): Shared,
    Caller(session): Caller,
    JsonBody(delta): JsonBody<IndexDelta, MAX_INDEX_BODY>,
) -> Answer<IndexResponse> {
    let limits = state.settings().limits;
    check(&delta, limits.index_changes)?;
    let most = limits.holds_per_peer;
    match state.storage.apply_index(&session, &delta, most).await? {
        IndexOutcome::Applied { index, unknown } => Ok(Json(IndexResponse { index, unknown })),
        IndexOutcome::Gap => {
            let detail = format!(
                "the delta after {} does not follow the stored index: send all",
                delta.after_seq
            );
            Err(ApiError::new(ProblemKind::IndexGap, detail))
        }
        IndexOutcome::TooMany => Err(ApiError::new(
            ProblemKind::Invalid,
            format!("a peer has at most {most} holds"),
        )),
    }
}

fn check(delta: &IndexDelta, most: usize) -> Result<(), ApiError> {
    let count = delta.changes.len();
    if count > most {
        let detail = format!("{count} changes; a delta has at most {most}");
        return Err(ApiError::new(ProblemKind::Invalid, detail));
    }
    let follows = delta.after_seq.checked_add(count as u64) == Some(delta.seq);
    if !follows || i64::try_from(delta.seq).is_err() {
        return Err(ApiError::new(
            ProblemKind::Invalid,
            "seq is after_seq and the number of changes",
        ));
    }
    Ok(())
}
