//! `Limit`: shows and sets how fast bytes go to other peers and come from them, in all or for one transfer.

use p2p_proto::{
    Failure,
    v1::{LimitRequest, LimitResponse, RateLimit, TransferId},
};

use super::{ControlRpc, transfers};
use crate::{
    events::{Moving, What},
    transfer::{Transfers, limits::Way},
};

/// Of all: who may use the session. Of one transfer: who sees it.
pub async fn limit(rpc: &ControlRpc, uid: u32, request: LimitRequest) -> Result<LimitResponse, Failure> {
    if !request.transfer_id.is_empty() {
        return of_transfer(rpc, uid, request).await;
    }
    rpc.must_act(uid).await?;
    let limits = rpc.transfers.limits();
    let wanted = |given: Option<RateLimit>| given.map(|given| given.bytes_per_second);
    let (up, down) = (wanted(request.upload), wanted(request.download));
    if up.is_some() || down.is_some() {
        let limits = limits.clone();
        // It is written and synced.
        let set = tokio::task::spawn_blocking(move || limits.set(up, down)).await;
        set.map_err(|died| Failure::new(p2p_proto::FailureKind::Internal, died.to_string()))??;
        rpc.bus.tell(What::LimitChanged {
            upload: rpc.transfers.limits().up(),
            download: rpc.transfers.limits().down(),
            transfer: None,
        });
    }
    Ok(LimitResponse {
        upload: Some(rate(limits.up())),
        download: Some(rate(limits.down())),
        transfer_id: String::new(),
    })
}

async fn of_transfer(rpc: &ControlRpc, uid: u32, request: LimitRequest) -> Result<LimitResponse, Failure> {
    let id = TransferId {
        id: request.transfer_id,
    };
    let transfer = transfers::find(rpc, uid, &id)?;
    let asked = request.upload.is_some() || request.download.is_some();
    for (way, given) in [(Way::Up, request.upload), (Way::Down, request.download)] {
        if let Some(given) = given {
            rpc.transfers
                .set_limit(transfer.id, way, given.bytes_per_second)?;
        }
    }
    // What is answered is remembered.
    rpc.transfers.flush().await;
    let of = |way| {
        transfer
            .limit()
            .filter(|_| Transfers::way(&transfer) == Some(way))
    };
    if asked {
        rpc.bus.tell(What::LimitChanged {
            upload: of(Way::Up),
            download: of(Way::Down),
            transfer: Some(Moving::of(&transfer)),
        });
    }
    Ok(LimitResponse {
        upload: Some(rate(of(Way::Up))),
        download: Some(rate(of(Way::Down))),
        transfer_id: transfer.id.to_string(),
    })
}

const fn rate(bytes_per_second: Option<u64>) -> RateLimit {
    RateLimit { bytes_per_second }
}
