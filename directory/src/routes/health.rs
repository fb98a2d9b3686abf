//! `GET /healthz` and `/readyz`: alive, and able to serve.

use axum::extract::State;
use p2p_proto::rest::problem::ProblemKind;

use super::Shared;
use crate::problem::ApiError;

pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

pub(super) async fn readyz(State(state): Shared) -> Result<&'static str, ApiError> {
    match state.storage.check().await {
        Ok(()) => Ok("ready\n"),
        Err(error) => {
            tracing::warn!(error = %error, "not ready");
            Err(ApiError::new(
                ProblemKind::Unavailable,
                "the database does not answer",
            ))
        }
    }
}
