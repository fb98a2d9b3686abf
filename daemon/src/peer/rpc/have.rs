//! `Have`: what this peer has of one content.

use p2p_proto::{
    PeerIdentity,
    v1::{HaveRequest, HaveResponse},
};
use tonic::Status;

use super::refuse;
use crate::peer::access::Access;

/// Size and state of the granted content.
pub async fn answer(
    access: &Access,
    peer: &PeerIdentity,
    request: HaveRequest,
) -> Result<HaveResponse, Status> {
    let admitted = access.admit(&request.grant, peer).await.map_err(refuse)?;
    Ok(HaveResponse {
        size: admitted.content.size(),
        complete: true,
    })
}
