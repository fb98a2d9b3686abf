//! `POST /ping`: the heartbeat that renews the lease and tells both sides whether they agree.

use axum::{Json, extract::State};
use p2p_proto::rest::{
    problem::ProblemKind,
    session::{PingRequest, PingResponse},
};

use super::{
    Shared,
    auth::Caller,
    body::{Answer, JsonBody},
    check_addresses, millis,
};
use crate::problem::ApiError;

pub(super) async fn post(
    State(state): Shared,
    Caller(session): Caller,
    JsonBody(request): JsonBody<PingRequest>,
) -> Answer<PingResponse> {
    check_addresses(&state, &request.addresses)?;
    if i64::try_from(request.index.seq).is_err() {
        return Err(ApiError::new(
            ProblemKind::Invalid,
            "index.seq is at most 2^63 - 1",
        ));
    }
    let pong = state
        .storage
        .ping(&session, &request, state.lease_until())
        .await?;
    if request.leaving {
        tracing::info!(ACCOUNT = %session.user_name, PEER = %session.peer_name, PEER_ID = %session.peer,
             "{} stops", session.peer_name);
    } else {
        state.leases.renewed();
    }
    let liveness = state.settings().liveness;
    Ok(Json(PingResponse {
        now: state.clock.now(),
        index: pong.index,
        deny: pong.deny,
        grant_keys: state.grants.keys(),
        ping_interval_ms: millis(liveness.ping_interval),
        lease_ms: millis(liveness.lease),
        last_event: pong.last_event,
        peers_online: crate::metrics::peers_online(),
    }))
}
