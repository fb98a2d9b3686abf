//! The control socket: gRPC over a Unix socket that only its user, or the group of the system service, may open.

use std::{
    os::unix::fs::PermissionsExt,
    pin::Pin,
    task::{Context, Poll},
};

use futures::Stream;
use p2p_proto::{MAX_GRPC_MESSAGE, v1::control_service_server::ControlServiceServer};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::rpc::ControlRpc;

/// Calls at once on one connection.
const CALLS: usize = 32;

/// Serves until `soft`, then finishes what runs.
///
/// # Errors
/// When the server fails.
pub async fn serve(listener: UnixListener, rpc: ControlRpc, soft: CancellationToken) -> anyhow::Result<()> {
    let service = ControlServiceServer::new(rpc)
        .max_decoding_message_size(MAX_GRPC_MESSAGE)
        .max_encoding_message_size(MAX_GRPC_MESSAGE);
    tonic::transport::Server::builder()
        .concurrency_limit_per_connection(CALLS)
        .max_concurrent_streams(Some(CALLS as u32))
        .add_service(service)
        .serve_with_incoming_shutdown(Connections(listener), soft.cancelled_owned())
        .await?;
    Ok(())
}

/// Accepted connections; a failed accept is logged and does not end the server.
struct Connections(UnixListener);

impl Stream for Connections {
    type Item = std::io::Result<UnixStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0
            .poll_accept(cx)
            .map(|accepted| Some(accepted.map(|(stream, _)| stream)))
    }
}

/// The mode of the sockets: open to the group for the system service, else to this user alone.
#[must_use]
pub const fn socket_mode(system: bool) -> u32 {
    if system { 0o660 } else { 0o600 }
}

/// The mode bits of a file; for logs and tests.
///
/// # Errors
/// When the file cannot be read.
pub fn mode_of(path: &std::path::Path) -> std::io::Result<u32> {
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o777)
}
