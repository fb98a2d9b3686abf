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

/// Every transfer, the oldest first.
pub fn list(transfers: &Transfers) -> TransfersResponse {
    TransfersResponse {
        transfers: transfers
            .of_account()
            .iter()
            .map(|transfer| convert::transfer(transfer))
            .collect(),
    }
}

/// The same with each change, until the client goes or the daemon stops.
pub fn watch(rpc: &ControlRpc) -> Events<TransfersResponse> {
    let (events, stream) = mpsc::channel(EVENTS);
    let (transfers, soft) = (rpc.transfers.clone(), rpc.lifecycle.soft().clone());
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(TICK);
        let mut last = None;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = events.closed() => return,
                () = soft.cancelled() => return,
            }
            let now = list(&transfers);
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
pub fn wait(rpc: &ControlRpc, request: &TransferId) -> Result<Events<v1::Transfer>, Failure> {
    let transfer = find(rpc, request)?;
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
pub async fn pause(rpc: &ControlRpc, request: &TransferId) -> Result<v1::Transfer, Failure> {
    want(rpc, request, Intent::Pause, |state| {
        matches!(state, State::Paused)
    })
    .await
}

/// Lets it go on.
pub fn resume(rpc: &ControlRpc, request: &TransferId) -> Result<v1::Transfer, Failure> {
    let transfer = rpc.transfers.want(number(request)?, Intent::Run)?;
    // One that waits looks again at once.
    rpc.transfers.look_again();
    Ok(convert::transfer(&transfer))
}

/// Ends it, and waits until it has ended.
pub async fn cancel(rpc: &ControlRpc, request: &TransferId) -> Result<v1::Transfer, Failure> {
    want(rpc, request, Intent::Cancel, State::is_final).await
}

async fn want(
    rpc: &ControlRpc,
    request: &TransferId,
    intent: Intent,
    reached: impl Fn(&State) -> bool,
) -> Result<v1::Transfer, Failure> {
    let transfer = rpc.transfers.want(number(request)?, intent)?;
    let mut progress = transfer.subscribe();
    let wait = progress.wait_for(|now| reached(&now.state) || now.state.is_final());
    // A transfer that is gone has ended.
    let _ = wait.await;
    // What is answered is remembered.
    rpc.transfers.flush().await;
    Ok(convert::transfer(&transfer))
}

fn find(rpc: &ControlRpc, request: &TransferId) -> Result<Arc<Transfer>, Failure> {
    rpc.transfers.get(number(request)?)
}

fn number(request: &TransferId) -> Result<u64, Failure> {
    let digits = |_| {
        Failure::new(
            FailureKind::Usage,
            format!("\"{}\" is no transfer's id", request.id),
        )
    };
    request.id.parse().map_err(digits)
}
