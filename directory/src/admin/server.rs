//! The server's side of the admin API.

use std::{str::FromStr, sync::Arc};

use axum::{
    Router,
    extract::State,
    routing::{delete, get, post},
};
use p2p_proto::rest::problem::ProblemKind;
use p2p_service::{
    accept,
    accept::{LocalLimits, SocketName},
};
use tokio::net::UnixListener;

use super::{
    groups, peers, status,
    types::{GROUPS, PEERS, STATUS, USERS},
    users,
};
use crate::{
    problem::{ApiError, no_such_method, no_such_path},
    routes::body::PathPart,
    serving::{Origin, Protocol, Serving},
    state,
};

pub(super) type Shared = State<Arc<state::State>>;

/// Connections at once, and of one user of this machine: a program run wild leaves some to others.
const LIMITS: LocalLimits = LocalLimits {
    name: "the admin socket",
    per_user: 16,
    total: 32,
    goodbye: b"",
};

/// The admin API.
pub fn router(state: Arc<state::State>) -> Router {
    let users = Router::new()
        .route("/", get(users::list).post(users::add))
        .route("/{name}", delete(users::remove))
        .route("/{name}/disable", post(users::disable))
        .route("/{name}/enable", post(users::enable))
        .route("/{name}/passwd", post(users::passwd));
    let groups = Router::new()
        .route("/", get(groups::list).post(groups::add))
        .route("/{name}", delete(groups::remove))
        .route("/{name}/remove", post(groups::remove_members));
    let peers = Router::new()
        .route("/", get(peers::list))
        .route("/{peer}/revoke", post(peers::revoke))
        .route("/{peer}/allow", post(peers::allow));
    Router::new()
        .nest(USERS, users)
        .nest(GROUPS, groups)
        .nest(PEERS, peers)
        .route(STATUS, get(status::get))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(state)
}

/// Accepts until the program stops; then the socket's name goes.
///
/// # Errors
/// Never; the signature is that of a service task.
pub async fn accept_task(socket: (UnixListener, SocketName), serving: Serving) -> anyhow::Result<()> {
    let (listener, _name) = socket;
    let lifecycle = serving.lifecycle.clone();
    let (soft, hard) = (lifecycle.soft().clone(), lifecycle.hard().clone());
    accept::serve_unix(listener, LIMITS, soft, move |stream, user, place| {
        let (serving, hard) = (serving.clone(), hard.clone());
        async move {
            let _place = place;
            let served = serving.connection(stream, Protocol::Http1, Origin::User(user));
            // A hard stop cuts what has not ended by itself.
            hard.run_until_cancelled(served).await;
        }
    })
    .await;
    Ok(())
}

/// A part of the path as a checked type.
pub(super) fn checked<T: FromStr<Err: ToString>>(PathPart(part): PathPart) -> Result<T, ApiError> {
    part.parse()
        .map_err(|error: T::Err| ApiError::new(ProblemKind::Invalid, error.to_string()))
}
