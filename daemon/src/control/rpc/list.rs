//! `List`: what this peer holds.

use p2p_proto::{Failure, v1::ListResponse};

use super::ControlRpc;
use crate::control::convert;

/// By name.
pub async fn list(rpc: &ControlRpc) -> Result<ListResponse, Failure> {
    let mut held = rpc.store.holds().await?;
    held.sort_by(|a, b| {
        let key = |file: &crate::store::HeldFile| {
            (
                file.publication.name.clone(),
                file.publication.owner.clone(),
                file.publication.version,
            )
        };
        key(a).cmp(&key(b))
    });
    Ok(ListResponse {
        files: held.iter().map(convert::held).collect(),
    })
}
