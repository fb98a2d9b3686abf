//! The peer port. Every connection is mutual TLS with certificates of the session's CA; ALPN chooses the protocol, and a
//! connection without one is closed. Nothing is sent before the other end is known. A peer has so many connections and no
//! more, wherever it dials from, and what is refused is said once per source and minute.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use p2p_proto::{DATA_ALPN, GRPC_ALPN, MAX_GRPC_MESSAGE, PeerId, v1::peer_service_server::PeerServiceServer};
use p2p_service::{
    accept::{self, AcceptLimits, Gate},
    lifecycle::Lifecycle,
    once::OncePerMinute,
};
use tokio::net::TcpListener;
use tokio_rustls::server::TlsStream;
use tonic::service::Routes;

use super::{
    access::Access,
    frames::sender,
    grpc::{self, Limits},
    guard,
    guard::Guarded,
    rpc::{Copies, PeerRpc},
};
use crate::{
    directory::link::Link,
    identity::{certificate, certificate::CertifiedPeer, session::Sessions},
    meter::Meter,
    metrics,
};

/// Connections of one peer: two for bytes and one for words in each of its downloads from here, several at once, and some
/// that are still ending. A peer that reads nothing costs a task and a buffer for each.
const PER_PEER: usize = 24;

/// The largest request of a peer: a grant and a few words, in bytes.
const MAX_REQUEST: usize = 64 * 1024;

/// What one gRPC connection may do. An hour's age ends those that nobody uses; calls that run are not cut.
const LIMITS: Limits = Limits {
    calls: 16,
    answer: Some(Duration::from_secs(60)),
    keep_alive: Some(Duration::from_secs(30)),
    age: Some(Duration::from_secs(3600)),
};

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

/// What all connections of the port have in common.
#[derive(Clone)]
struct Shared {
    port: PeerPort,
    routes: Routes,
    gate: Gate<PeerId>,
    said: Arc<Said>,
    lifecycle: Lifecycle,
}

/// What was said in the last minute of whom.
#[derive(Default)]
pub struct Said {
    of_addresses: OncePerMinute<IpAddr>,
    of_peers: OncePerMinute<(PeerId, Trouble)>,
}

/// What is said of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Trouble {
    /// It has too many connections.
    TooMany,
    /// Its connection was cut for what it did.
    Cut,
    /// Its right to a connection is over.
    Over,
    /// It showed grants that do not count.
    Grant,
}

impl Said {
    /// True when nothing of that kind was said of this peer for a minute.
    pub(super) fn may_say(&self, peer: PeerId, trouble: Trouble) -> bool {
        self.of_peers.may_say((peer, trouble))
    }
}

impl PeerPort {
    /// Starts serving on these listeners.
    pub fn spawn(self, listeners: Vec<TcpListener>, lifecycle: &Lifecycle) {
        let service = PeerServiceServer::new(PeerRpc::new(self.access.clone(), self.copies.clone()))
            .max_decoding_message_size(MAX_REQUEST)
            .max_encoding_message_size(MAX_GRPC_MESSAGE);
        let tls = self.sessions.server_tls();
        let shared = Shared {
            port: self,
            routes: Routes::new(service).prepare(),
            gate: Gate::new(PER_PEER, AcceptLimits::default().total),
            said: Arc::default(),
            lifecycle: lifecycle.clone(),
        };
        let handler = move |stream, address| {
            let shared = shared.clone();
            async move { shared.connection(stream, address).await }
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
}

impl Shared {
    async fn connection(self, stream: TlsStream<tokio::net::TcpStream>, address: SocketAddr) {
        let Some(peer) = self.known(&stream, address) else {
            return;
        };
        let id = peer.identity.peer;
        let Some(_place) = self.gate.enter(id) else {
            metrics::PEERS_TOO_MANY.up();
            if self.said.may_say(id, Trouble::TooMany) {
                tracing::info!(PEER = %id, PEER_ID = %id, "too many connections of peer {}: closed", id.short());
            }
            return;
        };
        let alpn = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        let stream = Guarded::new(stream, peer, self.over(peer), None);
        match alpn.as_deref() {
            Some(DATA_ALPN) => {
                let port = &self.port;
                let served =
                    sender::serve(stream, &peer.identity, &port.access, &port.sent, &self.said).await;
                if let Err(error) = served {
                    let wrong = [std::io::ErrorKind::InvalidData, std::io::ErrorKind::TimedOut];
                    self.cut(id, &error, wrong.contains(&error.kind()));
                }
            }
            Some(GRPC_ALPN) => {
                let soft = self.lifecycle.soft();
                if let Err(fault) = grpc::serve(stream, self.routes.clone(), LIMITS, soft).await {
                    self.cut(id, &fault, true);
                }
            }
            _ => self.refuse(address, &"it speaks no protocol of ours"),
        }
    }

    /// Ready when this peer's right to a connection is over.
    fn over(&self, peer: CertifiedPeer) -> impl Future<Output = &'static str> + Send + 'static {
        let (sessions, link) = (Arc::clone(&self.port.sessions), self.port.link.clone());
        let (hard, said) = (self.lifecycle.hard().clone(), Arc::clone(&self.said));
        async move {
            let reason = guard::until_over(peer, &sessions, &link, hard).await;
            let id = peer.identity.peer;
            if said.may_say(id, Trouble::Over) {
                tracing::info!(PEER = %id, PEER_ID = %id, "connection of peer {} closed: {reason}", id.short());
            }
            reason
        }
    }

    fn known(&self, stream: &TlsStream<tokio::net::TcpStream>, address: SocketAddr) -> Option<CertifiedPeer> {
        let session = self.port.sessions.current()?;
        match certificate::other_end(stream.get_ref().1, session.record.cluster) {
            Ok(peer) => Some(peer),
            Err(error) => {
                self.refuse(address, &error);
                None
            }
        }
    }

    fn refuse(&self, address: SocketAddr, why: &dyn std::fmt::Display) {
        metrics::PEERS_REFUSED.up();
        if self.said.of_addresses.may_say(accept::source(address.ip())) {
            tracing::info!(%address, "a connection was refused: {why}");
        }
    }

    fn cut(&self, peer: PeerId, why: &dyn std::fmt::Display, wrong: bool) {
        if wrong && self.said.may_say(peer, Trouble::Cut) {
            tracing::info!(PEER = %peer, PEER_ID = %peer, "a connection of peer {} was cut: {why}", peer.short());
        } else {
            tracing::debug!(PEER = %peer, PEER_ID = %peer, "a connection ended: {why}");
        }
    }
}
