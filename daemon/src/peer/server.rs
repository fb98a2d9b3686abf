//! The peer port. Every connection is mutual TLS with certificates of the session's CA; ALPN chooses the protocol, and a
//! connection without one is closed. Nothing is sent before the other end is known.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use p2p_proto::{DATA_ALPN, GRPC_ALPN, MAX_GRPC_MESSAGE, v1::peer_service_server::PeerServiceServer};
use p2p_service::{
    accept::{self, AcceptLimits},
    lifecycle::Lifecycle,
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_rustls::server::TlsStream;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;

use super::{
    access::Access,
    frames::sender,
    guard,
    guard::Guarded,
    rpc::{Copies, PeerRpc},
};
use crate::{
    directory::link::Link,
    identity::{certificate, certificate::CertifiedPeer, session::Sessions},
    meter::Meter,
};

type PeerStream = Guarded<TlsStream<tokio::net::TcpStream>>;

/// gRPC connections that wait for the server.
const BACKLOG: usize = 32;

/// Calls at once on one gRPC connection.
const CALLS: usize = 16;

/// What the port needs to answer.
#[derive(Clone)]
pub struct PeerPort {
    /// Whose certificate is shown.
    pub sessions: Arc<Sessions>,
    /// The deny-list.
    pub link: Link,
    /// Checks grants.
    pub access: Access,
    /// Takes copies.
    pub copies: Copies,
    /// Counts what is sent.
    pub sent: Meter,
}

impl PeerPort {
    /// Starts serving on these listeners.
    pub fn spawn(self, listeners: Vec<TcpListener>, lifecycle: &Lifecycle) {
        let (to_grpc, connections) = mpsc::channel(BACKLOG);
        lifecycle.spawn(
            "peer gRPC",
            serve_grpc(self.rpc(), connections, lifecycle.soft().clone()),
        );
        let tls = self.sessions.server_tls();
        let life = lifecycle.clone();
        let handler = move |stream, address| {
            let port = self.clone();
            let to_grpc = to_grpc.clone();
            let life = life.clone();
            async move { port.connection(stream, address, to_grpc, &life).await }
        };
        let serving = accept::serve_tls(
            listeners,
            tls,
            AcceptLimits::default(),
            lifecycle.clone(),
            handler,
        );
        lifecycle.spawn("peer port", serving);
    }

    fn rpc(&self) -> PeerRpc {
        PeerRpc::new(self.access.clone(), self.copies.clone())
    }

    async fn connection(
        self,
        stream: TlsStream<tokio::net::TcpStream>,
        address: SocketAddr,
        to_grpc: mpsc::Sender<PeerStream>,
        lifecycle: &Lifecycle,
    ) {
        let Some(peer) = self.known(&stream, address) else {
            return;
        };
        let alpn = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        let closed = CancellationToken::new();
        let open = closed.clone().drop_guard();
        let (sessions, link, hard) = (
            Arc::clone(&self.sessions),
            self.link.clone(),
            lifecycle.hard().clone(),
        );
        let over = async move { guard::until_over(peer, &sessions, &link, hard).await };
        let stream = Guarded::new(stream, peer, over, Some(open));
        match alpn.as_deref() {
            Some(DATA_ALPN) => {
                if let Err(error) = sender::serve(stream, &peer.identity, &self.access, &self.sent).await {
                    tracing::debug!(PEER = %peer.identity.peer, "data connection ended: {error}");
                }
            }
            Some(GRPC_ALPN) => {
                // The connection counts against its address until gRPC has dropped it.
                if to_grpc.send(stream).await.is_ok() {
                    closed.cancelled().await;
                }
            }
            _ => tracing::debug!(%address, "a connection without a protocol was closed"),
        }
    }

    fn known(&self, stream: &TlsStream<tokio::net::TcpStream>, address: SocketAddr) -> Option<CertifiedPeer> {
        let session = self.sessions.current()?;
        match certificate::other_end(stream.get_ref().1, session.record.cluster) {
            Ok(peer) => Some(peer),
            Err(error) => {
                tracing::warn!(%address, "a connection was refused: {error}");
                None
            }
        }
    }
}

async fn serve_grpc(
    rpc: PeerRpc,
    connections: mpsc::Receiver<PeerStream>,
    soft: CancellationToken,
) -> anyhow::Result<()> {
    let service = PeerServiceServer::new(rpc)
        .max_decoding_message_size(MAX_GRPC_MESSAGE)
        .max_encoding_message_size(MAX_GRPC_MESSAGE);
    let incoming = ReceiverStream::new(connections).map(Ok::<_, std::io::Error>);
    tonic::transport::Server::builder()
        .concurrency_limit_per_connection(CALLS)
        .max_concurrent_streams(Some(CALLS as u32))
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .add_service(service)
        .serve_with_incoming_shutdown(incoming, soft.cancelled_owned())
        .await?;
    Ok(())
}
