//! `Status` and `Whoami`.

use p2p_proto::{
    Failure,
    v1::{DirectoryStatus, StatusResponse, StoreStatus, WhoamiResponse},
};

use super::ControlRpc;
use crate::{
    control::{convert, health},
    identity::address,
};

/// Who is logged in.
pub fn whoami(rpc: &ControlRpc) -> Result<WhoamiResponse, Failure> {
    let session = rpc.sessions.require()?;
    Ok(WhoamiResponse {
        session: Some(convert::session(&session)),
    })
}

/// One screen of everything; who may not use the session sees no names in it.
pub async fn status(rpc: &ControlRpc, uid: u32) -> Result<StatusResponse, Failure> {
    let session = rpc.sessions.current();
    let usage = rpc.store.usage().await?;
    let link = rpc.link.state();
    let here = session.as_ref().map(|session| session.record.peer_name.clone());
    let peer_name = here
        .or_else(|| rpc.config.now().peer_name.clone())
        .unwrap_or_else(address::host_name);
    let urls = match &session {
        Some(session) => vec![session.record.directory.clone()],
        None => rpc
            .sessions
            .last_directory()
            .map_or_else(|| rpc.config.now().directory.urls.clone(), |url| vec![url]),
    };
    let directory = DirectoryStatus {
        urls,
        reachable: session.is_some() && link.reachable,
        last_ping_at: convert::time(link.last_ping_at),
    };
    let health = health::lines(rpc, uid, session.as_deref(), &usage).await?;
    let store = StoreStatus {
        files: usage.files,
        bytes: usage.bytes,
        partial_files: usage.partial_files,
        free_bytes: usage.free_bytes,
        max_bytes: usage.max_bytes,
        path: usage.path.display().to_string(),
    };
    Ok(StatusResponse {
        version: env!("CARGO_PKG_VERSION").into(),
        peer_id: rpc.sessions.peer_id().to_string(),
        peer_name: peer_name.to_string(),
        started_at: rpc.started_at.to_string(),
        listen: rpc.listening.iter().map(ToString::to_string).collect(),
        session: session.as_deref().map(convert::session),
        directory: Some(directory),
        store: Some(store),
        active_transfers: rpc.transfers.active(),
        queued_transfers: rpc.transfers.queued(),
        download_rate: rpc.transfers.download_rate(),
        upload_rate: rpc.sent.rate(),
        health,
    })
}
