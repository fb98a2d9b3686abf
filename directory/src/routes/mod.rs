//! The REST API, one file per resource. A handler checks, calls the storage and answers; what it may answer are the
//! types of `p2p_proto::rest`.

mod auth;
pub(crate) mod body;
mod ca;
mod copies;
mod credentials;
mod dial;
mod download;
mod events;
mod files;
mod health;
mod index;
mod login;
mod logout;
mod me;
mod openapi;
mod password;
mod peers;
mod ping;
mod publications;
mod release;
mod renew;
mod reports;
mod search;
mod upload;

use std::sync::Arc;

use axum::{
    Router,
    routing::{delete, get, post},
};
use p2p_proto::{API_LEVEL, rest::PREFIX, rest::problem::ProblemKind};

use crate::{
    accounts::throttle::Wait,
    problem::{ApiError, no_such_method, no_such_path},
    rate::{Pace, Source},
    state::State,
};

type Shared = axum::extract::State<Arc<State>>;

/// The whole API.
pub fn router(state: Arc<State>) -> Router {
    let service = || {
        Router::new()
            .route("/healthz", get(health::healthz))
            .route("/readyz", get(health::readyz))
            .route("/openapi.json", get(openapi::get))
    };
    let api = Router::new()
        .route("/ca", get(ca::get))
        .route("/login", post(login::post))
        .route("/session/renew", post(renew::post))
        .route("/logout", post(logout::post))
        .route("/me", get(me::get))
        .route("/me/password", post(password::post))
        .route("/ping", post(ping::post))
        .route("/publications", post(publications::post))
        .route("/publications/{id}", delete(publications::delete))
        .route("/publications/{id}/release", post(release::post))
        .route("/index", post(index::post))
        .route("/copies", post(copies::post))
        .route("/search", get(search::get))
        .route("/files", get(files::get))
        .route("/files/{hash}", get(files::get_hash))
        .route("/download", get(download::get))
        .route("/upload", post(upload::post))
        .route("/reports", post(reports::post))
        .route("/peers", get(peers::get))
        .route("/events", get(events::get))
        .merge(service());
    Router::new()
        .nest(PREFIX, api)
        .merge(service())
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
fn check_addresses(state: &State, addresses: &[std::net::SocketAddr]) -> Result<(), ApiError> {
    let most = state.settings().limits.addresses_per_peer;
    if addresses.len() > most {
        let detail = format!("{} addresses; a peer has at most {most}", addresses.len());
        return Err(ApiError::new(ProblemKind::Invalid, detail));
    }
    Ok(())
}

/// Refuses what comes too often.
fn too_many(what: &str, wait: Wait) -> ApiError {
    let detail = format!("too many {what}. Next try in {} s", wait.seconds);
    ApiError::new(ProblemKind::TooMany, detail).retry_after(wait)
}

/// Counts one more request of this source, unless it is one too many.
fn admit(state: &State, source: Source) -> Result<(), ApiError> {
    let pace = Pace::per_second(state.settings().limits.requests_per_second);
    let admitted = state.requests.admit(source, pace, state.clock.now());
    admitted.map_err(|wait| too_many("requests", wait))
}

/// Milliseconds, as the API tells times to wait.
fn millis(duration: std::time::Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
