//! `GET /events`: what happened, as far as the caller may see it.

use axum::{Json, extract::State};
use p2p_proto::rest::{
    events::{Events, EventsQuery, MAX_EVENTS},
    problem::ProblemKind,
};

use super::{
    Shared,
    auth::Caller,
    body::{Answer, CheckedQuery},
};
use crate::problem::ApiError;

pub(super) async fn get(
    State(state): Shared,
    Caller(session): Caller,
    CheckedQuery(query): CheckedQuery<EventsQuery>,
) -> Answer<Events> {
    let limit = query.limit.unwrap_or(MAX_EVENTS);
    if !(1..=MAX_EVENTS).contains(&limit) {
        let detail = format!("limit is 1 to {MAX_EVENTS}");
        return Err(ApiError::new(ProblemKind::Invalid, detail));
    }
    Ok(Json(
        state.storage.events(session.user, query.after, limit).await?,
    ))
}
