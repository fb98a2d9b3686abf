//! Accounts, as the admin API changes them.

use axum::{Json, extract::State, http::StatusCode};
use p2p_proto::{UserName, rest::problem::ProblemKind};
use uuid::Uuid;

use super::{
    server::{Shared, checked},
    types::{AddUser, Secret, SetPassword, User, UserWithPassword, Users},
};
use crate::{
    accounts::{password::check_new, words::new_password},
    problem::ApiError,
    routes::body::{Answer, JsonBody, PathPart},
    state,
    storage::{Account, NewPassword, NewUser, UserAdded},
};

fn view(account: Account) -> User {
    User {
        name: account.name,
        id: account.id,
        admin: account.admin,
        disabled: account.disabled,
        created_at: account.created_at,
        groups: account.groups,
    }
}

pub(super) fn no_user(name: &UserName) -> ApiError {
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

pub(super) async fn list(State(state): Shared) -> Answer<Users> {
    let users = state.storage.users().await?.into_iter().map(view).collect();
    Ok(Json(Users { users }))
}

pub(super) async fn add(
    State(state): Shared,
    JsonBody(request): JsonBody<AddUser>,
) -> Answer<UserWithPassword> {
    let (password_hash, password) = hash(&state, request.password).await?;
    let name = request.name;
    let user = NewUser {
        id: Uuid::new_v4(),
        name: name.clone(),
        password_hash,
        admin: request.admin,
        groups: request.groups,
    };
    match state.storage.add_user(user).await? {
        UserAdded::Done => {}
        UserAdded::NameTaken => {
            let detail = format!("there is an account {name} already");
            return Err(ApiError::new(ProblemKind::Conflict, detail));
        }
        UserAdded::NoGroup(group) => {
            let detail = format!("there is no group {group}");
            return Err(ApiError::new(ProblemKind::NotFound, detail));
        }
    }
    tracing::info!(admin = true, ACCOUNT = %name, "account {name} added");
    Ok(Json(UserWithPassword {
        user: find(&state, &name).await?,
        password,
    }))
}

async fn set_disabled(state: &state::State, part: PathPart, disabled: bool) -> Answer<User> {
    let name = checked::<UserName>(part)?;
    if !state.storage.set_disabled(&name, disabled).await? {
        return Err(no_user(&name));
    }
    let done = if disabled { "disabled" } else { "enabled" };
    tracing::info!(admin = true, ACCOUNT = %name, "account {name} {done}");
    Ok(Json(find(state, &name).await?))
}

pub(super) async fn disable(State(state): Shared, name: PathPart) -> Answer<User> {
    set_disabled(&state, name, true).await
}

pub(super) async fn enable(State(state): Shared, name: PathPart) -> Answer<User> {
    set_disabled(&state, name, false).await
}

pub(super) async fn passwd(
    State(state): Shared,
    name: PathPart,
    JsonBody(request): JsonBody<SetPassword>,
) -> Answer<UserWithPassword> {
    let name = checked::<UserName>(name)?;
    let user = find(&state, &name).await?;
    let (password_hash, password) = hash(&state, request.password).await?;
    let new = NewPassword {
        user: user.id,
        shown: None,
        hash: password_hash,
    };
    if !state.storage.set_password(new).await? {
        return Err(no_user(&name));
    }
    tracing::info!(admin = true, ACCOUNT = %name, "password of {name} changed");
    Ok(Json(UserWithPassword { user, password }))
}

pub(super) async fn remove(State(state): Shared, name: PathPart) -> Result<StatusCode, ApiError> {
    let name = checked::<UserName>(name)?;
    if !state.storage.remove_user(&name).await? {
        return Err(no_user(&name));
    }
    tracing::info!(admin = true, ACCOUNT = %name, "account {name} removed");
    Ok(StatusCode::NO_CONTENT)
}
