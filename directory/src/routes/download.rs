//! `GET /download?ref=`: what a reference means, who has it and is alive, and a grant to read it there.

use axum::{Json, extract::State};
use p2p_proto::{
    index::HoldState,
    rest::{
        location::{Holder, LastSeen, LocateResponse},
        publications::RefQuery,
    },
};

use super::{
    Shared,
    auth::Caller,
    body::{Answer, CheckedQuery},
};
use crate::{resolve::resolve, storage::KnownHolder};

/// How many holders a downloader is told.
const MAX_HOLDERS: usize = 100;

pub(super) async fn get(
    State(state): Shared,
    Caller(session): Caller,
    CheckedQuery(query): CheckedQuery<RefQuery>,
) -> Answer<LocateResponse> {
    let publication = resolve(&*state.storage, &session, &query.reference).await?;
    let others: Vec<Holder> = state
        .storage
        .holders(&session, publication.id)
        .await?
        .into_iter()
        .filter(|known: &KnownHolder| !known.is_caller && known.holder.state == HoldState::Complete)
        .map(|known| known.holder)
        .collect();
    let grant = state
        .grants
        .read(state.cluster, &session, &publication, state.clock.now());
    Ok(Json(LocateResponse {
        holders_total: others.len().try_into().unwrap_or(u32::MAX),
        last_seen: last_seen(&others),
        publication,
        holders: others
            .into_iter()
            .filter(|holder| holder.online)
            .take(MAX_HOLDERS)
            .collect(),
        grant,
    }))
}

fn last_seen(holders: &[Holder]) -> Option<LastSeen> {
    let seen = |holder: &Holder| {
        Some(LastSeen {
            peer_name: holder.peer_name.clone(),
            at: holder.last_seen_at?,
        })
    };
    holders.iter().filter_map(seen).max_by_key(|seen| seen.at)
}
