//! `Transfers`, `WatchTransfers`, `Wait`, `Pause`, `Resume` and `Cancel`.

use std::{sync::Arc, time::Duration};

use p2p_proto::{
    Failure, FailureKind,
    v1::{self, TransferId, TransfersResponse},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{ControlRpc, EVENTS, Events};
use crate::{
    control::convert,
    transfer::{
        Transfers,
        progress::{Intent, State, Transfer},
    },
};

/// At most so often is a change told.
const TICK: Duration = Duration::from_millis(250);

/// Every transfer that this user may see, the oldest first.
pub fn list(rpc: &ControlRpc, uid: u32) -> TransfersResponse {
    let all = rpc.transfers.of_account();
    let seen = all.iter().filter(|transfer| rpc.sees(uid, transfer));
    TransfersResponse {
        transfers: seen.map(|transfer| convert::transfer(transfer)).collect(),
    }
}

/// The same with each change, until the client goes or the daemon stops.
pub fn watch(rpc: &ControlRpc, uid: u32) -> Events<TransfersResponse> {
    let (events, stream) = mpsc::channel(EVENTS);
    let (rpc, soft) = (rpc.clone(), rpc.lifecycle.soft().clone());
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(TICK);
        let mut last = None;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = events.closed() => return,
                () = soft.cancelled() => return,
            }
            let now = list(&rpc, uid);
            if last.as_ref() != Some(&now) {
                if events.send(Ok(now.clone())).await.is_err() {
                    return;
                }
                last = Some(now);
            }
        }
    });
    Box::pin(ReceiverStream::new(stream))
}

/// One transfer with each change, up to its end.
pub fn wait(rpc: &ControlRpc, uid: u32, request: &TransferId) -> Result<Events<v1::Transfer>, Failure> {
    let transfer = find(rpc, uid, request)?;
    let (events, stream) = mpsc::channel(EVENTS);
    tokio::spawn(async move {
        let mut progress = transfer.subscribe();
        loop {
            let ended = progress.borrow_and_update().state.is_final();
            if events.send(Ok(convert::transfer(&transfer))).await.is_err() || ended {
                return;
            }
            tokio::select! {
                changed = progress.changed() => if changed.is_err() { return },
                () = events.closed() => return,
            }
            // What happens within a tick is told once; its end at once.
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                _ = progress.wait_for(|now| now.state.is_final()) => {}
            }
        }
    });
    Ok(Box::pin(ReceiverStream::new(stream)))
}

/// Lets it stand still, and waits until it does.
pub async fn pause(rpc: &ControlRpc, uid: u32, request: &TransferId) -> Result<v1::Transfer, Failure> {
    want(rpc, (uid, request), Intent::Pause, |state| {
        matches!(state, State::Paused)
    })
    .await
}

/// Lets it go on.
pub async fn resume(rpc: &ControlRpc, uid: u32, request: &TransferId) -> Result<v1::Transfer, Failure> {
    let transfer = rpc.transfers.want(find(rpc, uid, request)?.id, Intent::Run)?;
    // One that waits looks again at once.
    rpc.transfers.look_again();
    // What is answered is remembered.
    rpc.transfers.flush().await;
    Ok(convert::transfer(&transfer))
}

/// Ends it, and waits until it has ended. While others want it too it ends for this user alone; whoever owns the session
/// ends it for all.
pub async fn cancel(rpc: &ControlRpc, uid: u32, request: &TransferId) -> Result<v1::Transfer, Failure> {
    let transfer = find(rpc, uid, request)?;
    if !rpc.sessions.is_owned_by(uid) && rpc.transfers.leave(&transfer, uid) {
        rpc.transfers.flush().await;
        return Ok(convert::transfer(&transfer));
    }
    want(rpc, (uid, request), Intent::Cancel, State::is_final).await
}

async fn want(
    rpc: &ControlRpc,
    (uid, request): (u32, &TransferId),
    intent: Intent,
    reached: impl Fn(&State) -> bool,
) -> Result<v1::Transfer, Failure> {
    let transfer = rpc.transfers.want(find(rpc, uid, request)?.id, intent)?;
    let mut progress = transfer.subscribe();
    let wait = progress.wait_for(|now| reached(&now.state) || now.state.is_final());
    // A transfer that is gone has ended.
    let _ = wait.await;
    // What is answered is remembered.
    rpc.transfers.flush().await;
    Ok(convert::transfer(&transfer))
}

/// One that this user may not see is as unknown as one that never was.
pub(super) fn find(rpc: &ControlRpc, uid: u32, request: &TransferId) -> Result<Arc<Transfer>, Failure> {
    let digits = |_| {
        Failure::new(
            FailureKind::Usage,
            format!("\"{}\" is no transfer's id", request.id),
        )
    };
    let id = request.id.parse().map_err(digits)?;
    let found = rpc.transfers.get(id)?;
    if rpc.sees(uid, &found) {
        Ok(found)
    } else {
        Err(Transfers::unknown(id))
    }
}
