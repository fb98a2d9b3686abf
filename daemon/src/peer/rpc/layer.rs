//! `Layer`: streams the chaining values of one content.

use std::time::Duration;

use bytes::Bytes;
use p2p_proto::{
    PeerIdentity,
    v1::{LayerRequest, LayerResponse},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::refuse;
use crate::peer::access::Access;

/// Chaining values in one message: 64 KiB. A caller that does not read costs a few of them.
const VALUES: usize = 2 * 1024;

/// Bytes of a chaining value.
const VALUE_LEN: usize = 32;

/// A caller that takes no message for so long is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The values of the granted content, in order; none for a content of one group.
pub async fn answer(
    access: &Access,
    peer: &PeerIdentity,
    request: LayerRequest,
) -> Result<ReceiverStream<Result<LayerResponse, Status>>, Status> {
    let admitted = access.admit(&request.grant, peer).await.map_err(refuse)?;
    let (to_peer, stream) = mpsc::channel(1);
    let upload = access.limits().layer(peer.peer, admitted.content.hash());
    // Ends with the stream: a caller that is gone makes `send` fail.
    tokio::spawn(async move {
        let mut values = admitted.content.layer().values();
        while !values.is_empty() {
            // A limit is held by small messages: who waits hears that more is coming.
            let most = upload
                .slice()
                .map_or(VALUES, |slice| (slice / VALUE_LEN).clamp(1, VALUES));
            let (run, rest) = values.split_at(most.min(values.len()));
            values = rest;
            let run = Bytes::from(run.as_flattened().to_vec());
            tokio::select! {
                () = upload.pass(run.len()) => {}
                () = to_peer.closed() => return,
            }
            let message = if admitted.still_valid() {
                Ok(LayerResponse { values: run })
            } else {
                Err(Status::permission_denied("the grant has expired"))
            };
            let last = message.is_err();
            if !matches!(timeout(PATIENCE, to_peer.send(message)).await, Ok(Ok(()))) || last {
                return;
            }
        }
    });
    Ok(ReceiverStream::new(stream))
}
