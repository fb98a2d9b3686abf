//! `Watch`: what happens, as far as the caller may hear of it.

use p2p_proto::{
    BEGINS_AFTER,
    v1::{Event, WatchRequest},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, metadata::MetadataValue};

use super::{ControlRpc, EVENTS, Events};
use crate::control::convert;

/// The events after the one with this id, until the client goes or the daemon stops. What a user may hear of is asked for
/// each event: the session may change while he watches.
pub fn watch(rpc: &ControlRpc, uid: u32, request: &WatchRequest) -> Response<Events<Event>> {
    let (events, stream) = mpsc::channel(EVENTS);
    let (rpc, mut watcher) = (rpc.clone(), rpc.bus.watch(&request.after));
    let begins_after = watcher.begins_after();
    tokio::spawn(async move {
        let soft = rpc.lifecycle.soft().clone();
        let sending = async {
            loop {
                for event in watcher.next().await {
                    let Some(event) = rpc.heard(uid, &event) else {
                        continue;
                    };
                    if events.send(Ok(convert::happened(&event))).await.is_err() {
                        return;
                    }
                }
            }
        };
        tokio::select! {
            () = sending => {}
            () = events.closed() => {}
            () = soft.cancelled() => {}
        }
    });
    let mut answer = Response::new(Box::pin(ReceiverStream::new(stream)) as Events<Event>);
    answer
        .metadata_mut()
        .insert(BEGINS_AFTER, MetadataValue::from(begins_after));
    answer
}
