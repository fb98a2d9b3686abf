//! `Pin`: marks what is stored here so that nothing but force lets it go, or takes the mark away.

use p2p_proto::{
    Failure, FailureKind,
    rest::publications::Publication,
    v1::{self, PinRequest},
};

use super::{ControlRpc, info};
use crate::{control::convert, store::HeldFile};

/// Marks it, or takes the mark away; both again are harmless.
pub async fn pin(rpc: &ControlRpc, request: &PinRequest) -> Result<v1::HeldFile, Failure> {
    let publication = meant(rpc, &request.r#ref).await?;
    if !rpc.store.pin(publication.id, request.pinned).await? {
        let message = format!("{} is not stored on this peer", publication.name);
        let fetch = format!("p2pctl fetch {}", request.r#ref);
        return Err(Failure::new(FailureKind::NotFound, message).hint(fetch));
    }
    match rpc.store.hold(publication.id).await? {
        Some(held) => Ok(convert::held(&held)),
        None => Err(Failure::new(
            FailureKind::NotFound,
            format!("{} was removed just now", publication.name),
        )),
    }
}

/// What is kept here may be known to the directory no more.
async fn meant(rpc: &ControlRpc, reference: &str) -> Result<Publication, Failure> {
    match info::find(rpc, reference).await {
        Err(unknown) if unknown.kind == FailureKind::NotFound => {
            rpc.transfers.locator().resolve_offline(reference, unknown).await
        }
        other => other,
    }
}

/// Why a pinned file stays.
pub fn refusal(held: &HeldFile) -> Failure {
    let file = &held.publication;
    let name = format!("{}/{}@{}", file.owner, file.name, file.version);
    let message = format!("{name} is pinned on this peer: p2pctl unpin {name}, or rm --force");
    Failure::new(FailureKind::NotPermitted, message)
}
