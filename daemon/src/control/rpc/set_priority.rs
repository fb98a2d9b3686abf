//! `SetPriority`: which of the transfers that wait for a turn begins first.

use p2p_proto::{
    Failure,
    v1::{self, SetPriorityRequest, TransferId},
};

use super::{ControlRpc, transfers};
use crate::control::convert;

/// Who sees the transfer may.
pub async fn set_priority(
    rpc: &ControlRpc,
    uid: u32,
    request: SetPriorityRequest,
) -> Result<v1::Transfer, Failure> {
    let priority = request.priority.parse()?;
    let transfer = transfers::find(rpc, uid, &TransferId { id: request.id })?;
    rpc.transfers.set_priority(transfer.id, priority)?;
    // What is answered is remembered.
    rpc.transfers.flush().await;
    Ok(convert::transfer(&transfer))
}
