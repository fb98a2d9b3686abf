//! What an admin looks at first: what runs, until when its certificates last, how much there is of what, and how much room.

use axum::{Json, extract::State};

use super::{server::Shared, types::Status};
use crate::{ca::server::stored_end, routes::body::Answer, state};

/// Bytes that the file system of the state folder has left for this program.
fn free_bytes(state: &state::State) -> Option<u64> {
    let found = rustix::fs::statvfs(&state.state_dir).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

pub(super) async fn get(State(state): Shared) -> Answer<Status> {
    let figures = state.storage.figures().await?;
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: state.started_at,
        now: state.clock.now(),
        cluster: state.cluster,
        ca_fingerprint: state.authority.fingerprint().to_owned(),
        ca_expires_at: state.authority.not_after(),
        certificate_expires_at: stored_end(&state.state_dir)?,
        accounts: figures.accounts,
        accounts_disabled: figures.accounts_disabled,
        groups: figures.groups,
        peers_online: figures.peers_online,
        peers_known: figures.peers_known,
        peers_revoked: figures.peers_revoked,
        sessions: figures.sessions,
        publications: figures.publications,
        holds: figures.holds,
        events: figures.events,
        database: figures.database,
        database_bytes: figures.database_bytes,
        free_bytes: free_bytes(&state),
    }))
}
