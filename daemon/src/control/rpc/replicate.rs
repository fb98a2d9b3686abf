//! `Replicate`: places copies, and tells how far each is.

use std::time::Duration;

use p2p_proto::{
    Failure, FailureKind,
    v1::{CopiesWanted, Placing, ReplicateEvent, ReplicateRequest, replicate_event::Event},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{ControlRpc, EVENTS, Events, info};
use crate::{
    control::convert,
    transfer::place::{Replication, Wish},
};

/// At most so often is progress told.
const PROGRESS: Duration = Duration::from_millis(200);

/// What the wire's words ask for; a wish for nothing when there are none.
pub fn wish(from: Option<CopiesWanted>) -> Result<Wish, Failure> {
    let CopiesWanted { count, to } = from.unwrap_or_default();
    let wish = Wish { copies: count, to };
    wish.check()?;
    Ok(wish)
}

/// Places copies.
pub async fn replicate(
    rpc: &ControlRpc,
    uid: u32,
    request: ReplicateRequest,
) -> Result<Events<ReplicateEvent>, Failure> {
    let wish = wish(request.copies)?;
    if wish.copies == 0 && wish.to.is_empty() {
        return Err(Failure::new(FailureKind::Usage, "how many copies, or where?"));
    }
    let publication = info::find(rpc, &request.r#ref).await?;
    let session = rpc.sessions.require()?;
    let placing = rpc.transfers.replicate(publication, wish, Some(uid))?;
    let (events, stream) = mpsc::channel(EVENTS);
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(PROGRESS);
        let ended = placing.ended();
        tokio::pin!(ended);
        let last = loop {
            tokio::select! {
                ended = &mut ended => break ended,
                // A full queue drops this one: a later one says more.
                _ = tick.tick() => drop(events.try_send(Ok(placements(&placing)))),
                () = events.closed() => return,
            }
        };
        let here = &session.record.peer_name;
        let done = last.map(|placed| ReplicateEvent {
            event: Some(Event::Done(convert::placed(placed, &placing.publication, here))),
        });
        // A client that is gone hears nothing; the log says how each copy ended.
        let _ = events.send(Ok(placements(&placing))).await;
        let _ = events.send(done.map_err(Into::into)).await;
    });
    Ok(Box::pin(ReceiverStream::new(stream)))
}

fn placements(placing: &Replication) -> ReplicateEvent {
    let placements = placing.copies();
    ReplicateEvent {
        event: Some(Event::Placing(Placing {
            placements: placements.iter().map(|copy| convert::placement(copy)).collect(),
        })),
    }
}
