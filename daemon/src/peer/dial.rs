//! Calling another peer. Its certificate must carry the DNS name of exactly the key that the directory named; the
//! address it is reached at proves nothing.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures::stream::{FuturesUnordered, StreamExt};
use hyper_util::rt::TokioIo;
use p2p_proto::{MAX_GRPC_MESSAGE, PeerId, PeerName, v1::peer_service_client::PeerServiceClient};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{io::BufReader, net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint, Uri};

use crate::identity::{certificate, session::Session};

/// How long a connection to one peer may take, TCP and TLS together.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Between the starts of two addresses of one peer (RFC 8305 calls it the connection attempt delay).
const STAGGER: Duration = Duration::from_millis(250);

/// rustls reads 4 KiB at a time from what is under it.
const READ_BUFFER: usize = 256 * 1024;

/// How many encrypted bytes may wait to be written.
const WRITE_BUFFER: usize = 1 << 20;

/// A peer to call.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its key.
    pub peer_id: PeerId,
    /// Its name, for people.
    pub name: PeerName,
    /// Where to dial it.
    pub addresses: Vec<SocketAddr>,
}

/// An encrypted stream to a verified peer.
pub type DialledStream = TlsStream<BufReader<TcpStream>>;

/// A stream for `p2p-data/1` frames.
///
/// # Errors
/// When no address answers in time, or the answer comes from another peer.
pub async fn data(session: &Session, target: &Target) -> io::Result<DialledStream> {
    connect(session, target, Arc::clone(&session.tls.data)).await
}

/// A gRPC client.
///
/// # Errors
/// As [`data`].
pub async fn words(session: &Session, target: &Target) -> io::Result<PeerServiceClient<Channel>> {
    let stream = connect(session, target, Arc::clone(&session.tls.words)).await?;
    let mut once = Some(TokioIo::new(stream));
    // The stream is encrypted already: `https` here would make tonic want to do it again.
    let connector = tower::service_fn(move |_: Uri| {
        let stream = once
            .take()
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
        async move { stream }
    });
    let channel = Endpoint::from_static("http://peer.p2p.internal")
        .timeout(Duration::from_secs(60))
        .connect_with_connector(connector)
        .await
        .map_err(io::Error::other)?;
    Ok(PeerServiceClient::new(channel)
        .max_decoding_message_size(MAX_GRPC_MESSAGE)
        .max_encoding_message_size(MAX_GRPC_MESSAGE))
}

async fn connect(session: &Session, target: &Target, tls: Arc<ClientConfig>) -> io::Result<DialledStream> {
    let dialling = async {
        let tcp = any_address(&target.addresses).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(target.peer_id.dns_name()).map_err(io::Error::other)?;
        let mut stream = TlsConnector::from(tls)
            .connect(name, BufReader::with_capacity(READ_BUFFER, tcp))
            .await?;
        stream.get_mut().1.set_buffer_limit(Some(WRITE_BUFFER));
        let other = certificate::other_end(stream.get_ref().1, session.record.cluster)?;
        if other.identity.peer == target.peer_id {
            Ok(stream)
        } else {
            Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "another peer answered",
            ))
        }
    };
    let dialled = timeout(DIAL_TIMEOUT, dialling)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))
        .flatten();
    session.dials.note(target, &dialled);
    dialled
}

/// The first address that takes a connection; each is begun a moment after the one before.
async fn any_address(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut attempts: FuturesUnordered<_> = addresses
        .iter()
        .zip(0_u32..)
        .map(|(&address, turn)| async move {
            tokio::time::sleep(STAGGER * turn).await;
            TcpStream::connect(address).await
        })
        .collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the peer has no address");
    while let Some(attempt) = attempts.next().await {
        match attempt {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
