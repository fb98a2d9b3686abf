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
    let given = (request.upload, request.download);
    for (way, given) in in_order(Transfers::way(&transfer), given) {
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

/// A transfer has one way. The other one is refused, and comes first: then nothing was set.
fn in_order(
    own: Option<Way>,
    (up, down): (Option<RateLimit>, Option<RateLimit>),
) -> [(Way, Option<RateLimit>); 2] {
    let (up, down) = ((Way::Up, up), (Way::Down, down));
    match own {
        Some(Way::Up) => [down, up],
        _ => [up, down],
    }
}

const fn rate(bytes_per_second: Option<u64>) -> RateLimit {
    RateLimit { bytes_per_second }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_that_is_refused_comes_first() {
        let order = |own| in_order(own, (None, None)).map(|(way, _)| way);
        assert_eq!(order(Some(Way::Up)), [Way::Down, Way::Up]);
        assert_eq!(order(Some(Way::Down)), [Way::Up, Way::Down]);
    }
}
