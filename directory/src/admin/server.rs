//! The server's side of the admin API.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{delete, get, post},
};
use p2p_proto::{UserName, rest::problem::ProblemKind};
use p2p_service::{
    accept,
    accept::{LocalLimits, SocketName},
};
use tokio::net::UnixListener;
use uuid::Uuid;

use super::types::{AddUser, Secret, SetPassword, USERS, User, UserWithPassword, Users};
use crate::{
    accounts::{password::check_new, words::new_password},
    problem::{ApiError, no_such_method, no_such_path},
    routes::body::{Answer, JsonBody, PathPart},
    serving::{Origin, Protocol, Serving},
    state,
    storage::{Account, NewUser},
};

type Shared = State<Arc<state::State>>;

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
        .route("/", get(list).post(add))
        .route("/{name}", delete(remove))
        .route("/{name}/disable", post(disable))
        .route("/{name}/enable", post(enable))
        .route("/{name}/passwd", post(passwd));
    Router::new()
        .nest(USERS, users)
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(state)
}

/// Accepts until the program stops; then takes the socket's name away.
///
/// # Errors
/// Never; the signature is that of a service task.
pub async fn accept_task(socket: (UnixListener, SocketName), serving: Serving) -> anyhow::Result<()> {
    let (listener, name) = socket;
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
    if let Err(error) = name.unlink() {
        tracing::warn!(error = %error, "the admin socket's name stays");
    }
    Ok(())
}

fn view(account: Account) -> User {
    User {
        name: account.name,
        id: account.id,
        admin: account.admin,
        disabled: account.disabled,
        created_at: account.created_at,
    }
}

fn checked_name(PathPart(name): PathPart) -> Result<UserName, ApiError> {
    name.parse()
        .map_err(|error: p2p_proto::name::BadName| ApiError::new(ProblemKind::Invalid, error.to_string()))
}

fn no_user(name: &UserName) -> ApiError {
    ApiError::new(ProblemKind::NotFound, format!("there is no account {name}"))
}

/// The hash of the password that was given, or of one that is made and told.
async fn hash(state: &state::State, given: Option<Secret>) -> Result<(String, Option<Secret>), ApiError> {
    let made = match &given {
        Some(_) => None,
        None => Some(Secret::new(&new_password()?)),
    };
    let password = given
        .as_ref()
        .or(made.as_ref())
        .map(Secret::reveal)
        .unwrap_or_default();
    check_new(&password).map_err(|error| ApiError::new(ProblemKind::Invalid, error.to_string()))?;
    Ok((state.passwords.hash(password).await?, made))
}

async fn find(state: &state::State, name: &UserName) -> Result<User, ApiError> {
    state
        .storage
        .user(name)
        .await?
        .map(view)
        .ok_or_else(|| no_user(name))
}

async fn list(State(state): Shared) -> Answer<Users> {
    let users = state.storage.users().await?.into_iter().map(view).collect();
    Ok(Json(Users { users }))
}

async fn add(State(state): Shared, JsonBody(request): JsonBody<AddUser>) -> Answer<UserWithPassword> {
    let (password_hash, password) = hash(&state, request.password).await?;
    let name = request.name;
    let user = NewUser {
        id: Uuid::new_v4(),
        name: name.clone(),
        password_hash,
        admin: request.admin,
    };
    if !state.storage.add_user(user).await? {
        return Err(ApiError::new(
            ProblemKind::Conflict,
            format!("there is an account {name} already"),
        ));
    }
    tracing::info!(account = %name, "account {name} added");
    Ok(Json(UserWithPassword {
        user: find(&state, &name).await?,
        password,
    }))
}

async fn set_disabled(state: &state::State, part: PathPart, disabled: bool) -> Answer<User> {
    let name = checked_name(part)?;
    if !state.storage.set_disabled(&name, disabled).await? {
        return Err(no_user(&name));
    }
    let done = if disabled { "disabled" } else { "enabled" };
    tracing::info!(account = %name, "account {name} {done}");
    Ok(Json(find(state, &name).await?))
}

async fn disable(State(state): Shared, name: PathPart) -> Answer<User> {
    set_disabled(&state, name, true).await
}

async fn enable(State(state): Shared, name: PathPart) -> Answer<User> {
    set_disabled(&state, name, false).await
}

async fn passwd(
    State(state): Shared,
    name: PathPart,
    JsonBody(request): JsonBody<SetPassword>,
) -> Answer<UserWithPassword> {
    let name = checked_name(name)?;
    let user = find(&state, &name).await?;
    let (password_hash, password) = hash(&state, request.password).await?;
    if !state.storage.set_password(&name, password_hash).await? {
        return Err(no_user(&name));
    }
    tracing::info!(account = %name, "password of {name} changed");
    Ok(Json(UserWithPassword { user, password }))
}

async fn remove(State(state): Shared, name: PathPart) -> Result<StatusCode, ApiError> {
    let name = checked_name(name)?;
    if !state.storage.remove_user(&name).await? {
        return Err(no_user(&name));
    }
    tracing::info!(account = %name, "account {name} removed");
    Ok(StatusCode::NO_CONTENT)
}
