//! `GET /ca`: the CA bundle, the only thing that is read before trust is made.

use axum::{extract::State, http::header, response::IntoResponse};

use super::Shared;

pub(super) async fn get(State(state): Shared) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/x-pem-file")],
        state.authority.bundle().to_owned(),
    )
}
