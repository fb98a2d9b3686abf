//! The REST API, one file per resource. A handler checks, calls the storage and answers; what it may answer are the
//! types of `p2p_proto::rest`.

mod auth;
pub(crate) mod body;
mod ca;
mod dial;
mod download;
mod files;
mod health;
mod index;
mod login;
mod logout;
mod me;
mod peers;
mod ping;
mod publications;
mod renew;
mod search;

use std::sync::Arc;

use axum::{
    Router,
    routing::{delete, get, post},
};
use p2p_proto::{API_LEVEL, rest::PREFIX, rest::problem::ProblemKind};

use crate::{
    problem::{ApiError, no_such_method, no_such_path},
    state::State,
};

type Shared = axum::extract::State<Arc<State>>;

/// The whole API.
pub fn router(state: Arc<State>) -> Router {
    let health = || {
        Router::new()
            .route("/healthz", get(health::healthz))
            .route("/readyz", get(health::readyz))
    };
    let api = Router::new()
        .route("/ca", get(ca::get))
        .route("/login", post(login::post))
        .route("/session/renew", post(renew::post))
        .route("/logout", post(logout::post))
        .route("/me", get(me::get))
        .route("/ping", post(ping::post))
        .route("/publications", post(publications::post))
        .route("/publications/{id}", delete(publications::delete))
        .route("/index", post(index::post))
        .route("/search", get(search::get))
        .route("/files", get(files::get))
        .route("/files/{hash}", get(files::get_hash))
        .route("/download", get(download::get))
        .route("/peers", get(peers::get))
        .merge(health());
    Router::new()
        .nest(PREFIX, api)
        .merge(health())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(state)
}

/// The API level that both sides speak.
fn agree_level(theirs: u32) -> Result<u32, ApiError> {
    if theirs == 0 {
        let detail = format!("API level 0 is none; this directory speaks 1 to {API_LEVEL}");
        return Err(ApiError::new(ProblemKind::ApiLevel, detail));
    }
    Ok(theirs.min(API_LEVEL))
}

/// A peer advertises a few addresses, not many.
fn check_addresses(addresses: &[std::net::SocketAddr]) -> Result<(), ApiError> {
    use p2p_proto::rest::session::MAX_ADDRESSES;
    if addresses.len() > MAX_ADDRESSES {
        let detail = format!(
            "{} addresses; a peer has at most {MAX_ADDRESSES}",
            addresses.len()
        );
        return Err(ApiError::new(ProblemKind::Invalid, detail));
    }
    Ok(())
}

/// Milliseconds, as the API tells times to wait.
fn millis(duration: std::time::Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
