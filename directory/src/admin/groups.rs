//! Groups, as the admin API changes them.

use axum::{Json, extract::State, http::StatusCode};
use p2p_proto::{GroupName, rest::problem::ProblemKind};

use super::{
    server::{Shared, checked},
    types::{AddToGroup, Group, Groups, RemoveFromGroup, RemovedGroup},
    users::no_user,
};
use crate::{
    problem::ApiError,
    routes::body::{Answer, JsonBody, PathPart},
    storage::{self, GroupChange},
};

fn view(group: storage::Group) -> Group {
    Group {
        name: group.name,
        members: group.members,
        publications: group.publications,
        created_at: group.created_at,
    }
}

fn no_group(name: GroupName) -> ApiError {
    ApiError::new(ProblemKind::NotFound, format!("there is no group {name}"))
}

fn outcome(name: GroupName, change: GroupChange) -> Result<(), ApiError> {
    match change {
        GroupChange::Done => Ok(()),
        GroupChange::NoGroup => Err(no_group(name)),
        GroupChange::Exists => {
            let detail = format!("there is a group {name} already");
            Err(ApiError::new(ProblemKind::Conflict, detail))
        }
        GroupChange::NoUser(user) => Err(no_user(&user)),
        GroupChange::NoMember(user) => {
            let detail = format!("{user} is no member of {name}");
            Err(ApiError::new(ProblemKind::NotFound, detail))
        }
    }
}

pub(super) async fn list(State(state): Shared) -> Answer<Groups> {
    let groups = state.storage.groups().await?.into_iter().map(view).collect();
    Ok(Json(Groups { groups }))
}

pub(super) async fn add(
    State(state): Shared,
    JsonBody(request): JsonBody<AddToGroup>,
) -> Result<StatusCode, ApiError> {
    let (name, users) = (request.name, request.users);
    outcome(name, state.storage.add_to_group(name, &users).await?)?;
    tracing::info!(admin = true, GROUP = %name, members = users.len(), "members added to group {name}");
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove_members(
    State(state): Shared,
    name: PathPart,
    JsonBody(request): JsonBody<RemoveFromGroup>,
) -> Result<StatusCode, ApiError> {
    let name = checked(name)?;
    outcome(name, state.storage.remove_from_group(name, &request.users).await?)?;
    tracing::info!(admin = true, GROUP = %name, members = request.users.len(), "members removed from group {name}");
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove(State(state): Shared, name: PathPart) -> Answer<RemovedGroup> {
    let name = checked(name)?;
    let removed = state.storage.remove_group(name).await?;
    let made_private = removed.ok_or_else(|| no_group(name))?;
    tracing::info!(admin = true, GROUP = %name, made_private, "group {name} removed");
    Ok(Json(RemovedGroup { name, made_private }))
}
