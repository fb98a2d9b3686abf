//! Peers, as an admin sees and revokes them.

use axum::{Json, extract::State};
use p2p_proto::rest::problem::ProblemKind;

use super::{
    server::{Shared, checked},
    types::{PeerRef, Peers, Revoked},
};
use crate::{
    admin::types::Peer,
    problem::ApiError,
    routes::body::{Answer, PathPart},
    storage::{KnownPeer, Revocation},
};

fn view(peer: KnownPeer) -> Peer {
    Peer {
        peer_id: peer.peer_id,
        name: peer.name,
        user: peer.user,
        addresses: peer.addresses,
        online: peer.online,
        last_seen_at: peer.last_seen_at,
        session_expires_at: peer.session_expires_at,
        certificate_expires_at: peer.certificate_expires_at,
        revoked_at: peer.revoked_at,
    }
}

pub(super) async fn list(State(state): Shared) -> Answer<Peers> {
    let peers = state.storage.known_peers().await?.into_iter().map(view).collect();
    Ok(Json(Peers { peers }))
}

fn outcome(peer: &PeerRef, revocation: Revocation, done: &str) -> Answer<Revoked> {
    let (changed, peer_id, name) = match revocation {
        Revocation::Done(id, name) => (true, id, name),
        Revocation::Already(id, name) => (false, id, name),
        Revocation::NoPeer => {
            let detail = format!("there is no peer {peer}");
            return Err(ApiError::new(ProblemKind::NotFound, detail));
        }
    };
    if changed {
        tracing::info!(admin = true, PEER = %name, PEER_ID = %peer_id, "peer {name} {done}");
    }
    Ok(Json(Revoked {
        peer_id,
        name,
        changed,
    }))
}

pub(super) async fn revoke(State(state): Shared, peer: PathPart) -> Answer<Revoked> {
    let peer: PeerRef = checked(peer)?;
    outcome(&peer, state.storage.revoke(&peer.to_string()).await?, "revoked")
}

pub(super) async fn allow(State(state): Shared, peer: PathPart) -> Answer<Revoked> {
    let peer: PeerRef = checked(peer)?;
    outcome(
        &peer,
        state.storage.allow(&peer.to_string()).await?,
        "allowed again",
    )
}
