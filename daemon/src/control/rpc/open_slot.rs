//! `OpenSlot`: a place to pass one descriptor to.

use p2p_proto::{
    Failure, FailureKind,
    v1::{OpenSlotRequest, OpenSlotResponse, SlotPurpose},
};

use super::ControlRpc;
use crate::control::slots::Purpose;

/// A slot for this user.
pub fn open_slot(rpc: &ControlRpc, uid: u32, request: &OpenSlotRequest) -> Result<OpenSlotResponse, Failure> {
    let purpose = match request.purpose() {
        SlotPurpose::Read => Purpose::Read,
        SlotPurpose::Write => Purpose::Write,
        SlotPurpose::Unspecified => {
            return Err(Failure::new(FailureKind::Usage, "a slot needs a purpose"));
        }
    };
    let slot = rpc.slots.open(uid, purpose)?;
    let descriptor_socket = rpc.descriptor_socket.display().to_string();
    Ok(OpenSlotResponse {
        slot: slot.to_vec().into(),
        descriptor_socket,
    })
}
