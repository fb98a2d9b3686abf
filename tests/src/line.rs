//! One raw connection to a peer port: any TLS that a test likes, frames by hand.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use p2p_daemon::peer::frames::codec::{Frame, HEADER_LEN, Range};
use p2p_proto::{PeerId, rest::publications::Publication};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Handle,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    Peer,
    visitor::{Visitor, address_of, id_of},
};

/// A peer that says nothing and does not close for so long fails the test.
const PATIENCE: Duration = Duration::from_secs(30);

/// The first group of a content that has more than one.
pub const FIRST: Range = Range {
    request: 1,
    offset: 0,
    length: 256 * 1024,
};

/// An open connection.
pub struct Line {
    runtime: Handle,
    stream: TlsStream<TcpStream>,
}

impl Line {
    /// Dials the peer; none when the handshake fails on this side already.
    ///
    /// # Panics
    /// When there is nobody at all, or the handshake takes too long.
    #[must_use]
    pub fn dial(runtime: &Handle, tls: Arc<ClientConfig>, address: SocketAddr, peer: PeerId) -> Option<Self> {
        let name = ServerName::try_from(peer.dns_name()).expect("a DNS name");
        let stream = runtime.block_on(async {
            let tcp = TcpStream::connect(address).await.expect("a listening peer");
            let shaking = TlsConnector::from(tls).connect(name, tcp);
            timeout(PATIENCE, shaking)
                .await
                .expect("a handshake in time")
                .ok()
        })?;
        Some(Self {
            runtime: runtime.clone(),
            stream,
        })
    }

    /// The visitor dials the peer as it should.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn to(visitor: &Visitor, peer: &Peer) -> Self {
        let tls = Arc::clone(&visitor.session().tls.data);
        Self::dial(visitor.runtime(), tls, address_of(peer), id_of(peer)).expect("a handshake")
    }

    /// Shows a grant; the header that comes back, none when the peer closes instead.
    pub fn open(&mut self, grant: &str) -> Option<Frame> {
        let length = u32::try_from(grant.len()).expect("a short grant");
        let mut request = Frame::Open { length }.encode().to_vec();
        request.extend_from_slice(grant.as_bytes());
        self.ask(&request).map(|(frame, _)| frame)
    }

    /// Asks for a range; the header and the bytes that come back, none when the peer closes instead.
    pub fn read(&mut self, range: Range) -> Option<(Frame, Vec<u8>)> {
        self.ask(&Frame::Read(range).encode())
    }

    fn ask(&mut self, request: &[u8]) -> Option<(Frame, Vec<u8>)> {
        let Self { runtime, stream } = self;
        runtime.block_on(async {
            stream.write_all(request).await.ok()?;
            stream.flush().await.ok()?;
            let mut header = [0; HEADER_LEN];
            let answer = timeout(PATIENCE, stream.read_exact(&mut header)).await;
            answer.expect("an answer in time").ok()?;
            let frame = Frame::decode(&header).expect("a frame");
            let length = match frame {
                Frame::Piece(range) => range.length,
                _ => 0,
            };
            let mut bytes = vec![0; length as usize];
            let answer = timeout(PATIENCE, stream.read_exact(&mut bytes)).await;
            answer.expect("an answer in time").ok()?;
            Some((frame, bytes))
        })
    }

    /// Every byte that still comes until the peer closes.
    ///
    /// # Panics
    /// When it does not close.
    #[must_use]
    pub fn until_closed(mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        self.runtime.block_on(async {
            let closing = self.stream.read_to_end(&mut heard);
            // An error is an end as well.
            let _ = timeout(PATIENCE, closing).await.expect("the peer closes");
        });
        heard
    }

    /// Says this, and hears nothing. It must be short enough to wait on the way.
    ///
    /// # Panics
    /// When it does not fit.
    pub fn tells(&mut self, bytes: &[u8]) {
        let Self { runtime, stream } = self;
        runtime.block_on(async {
            let telling = async {
                // The peer may have closed already.
                let _ = stream.write_all(bytes).await;
                let _ = stream.flush().await;
            };
            timeout(PATIENCE, telling).await.expect("room on the way");
        });
    }

    /// Says this, whether the peer listens or not, and hears what comes until it closes.
    ///
    /// # Panics
    /// When it does not close.
    #[must_use]
    pub fn says(mut self, bytes: &[u8]) -> Vec<u8> {
        let runtime = self.runtime.clone();
        runtime.block_on(async {
            // The peer may have closed already.
            let _ = self.stream.write_all(bytes).await;
            let _ = self.stream.flush().await;
        });
        self.until_closed()
    }
}

/// The visitor opens the publication at this peer and reads the first group.
///
/// # Panics
/// When the peer does anything else than serve it.
pub fn reads(visitor: &Visitor, peer: &Peer, publication: &Publication, grant: &str) -> Vec<u8> {
    let mut line = Line::to(visitor, peer);
    let size = publication.size;
    assert_eq!(line.open(grant), Some(Frame::Opened { size }));
    let (frame, bytes) = line.read(FIRST).expect("a piece");
    assert_eq!(frame, Frame::Piece(FIRST));
    bytes
}
