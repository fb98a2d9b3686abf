//! `Layer`: streams the chaining values of one content.

use bytes::Bytes;
use p2p_proto::{
    PeerIdentity,
    v1::{LayerRequest, LayerResponse},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::refuse;
use crate::peer::access::Access;

/// Chaining values in one message: 1 MiB.
const VALUES: usize = 32 * 1024;

/// The values of the granted content, in order; none for a content of one group.
pub async fn answer(
    access: &Access,
    peer: &PeerIdentity,
    request: LayerRequest,
) -> Result<ReceiverStream<Result<LayerResponse, Status>>, Status> {
    let admitted = access.admit(&request.grant, peer).await.map_err(refuse)?;
    let (to_peer, stream) = mpsc::channel(2);
    // Ends with the stream: a caller that is gone makes `send` fail, a silent one is cut by its connection's keep-alive.
    tokio::spawn(async move {
        for run in admitted.content.layer().values().chunks(VALUES) {
            let values: Vec<u8> = run.iter().flatten().copied().collect();
            if to_peer
                .send(Ok(LayerResponse {
                    values: Bytes::from(values),
                }))
                .await
                .is_err()
            {
                return;
            }
        }
    });
    Ok(ReceiverStream::new(stream))
}
