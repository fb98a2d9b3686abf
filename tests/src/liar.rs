//! A holder that is not to be trusted: a peer with a true certificate that says it holds a publication, and then serves
//! it in its own manner.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use p2p_daemon::{
    identity::{certificate, session::Session},
    peer::{
        frames::codec::{Frame, HEADER_LEN, Range, Reason},
        guard::Guarded,
    },
    store::LayerBuilder,
};
use p2p_proto::{
    DATA_ALPN,
    grant::Grant,
    v1::{
        HaveRequest, HaveResponse, HelloRequest, HelloResponse, LayerRequest, LayerResponse, PlaceProgress,
        PlaceRequest,
        peer_service_server::{PeerService, PeerServiceServer},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::{Stream, StreamExt, wrappers::IntervalStream};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::{
    Account, Directory,
    visitor::{Claims, Visitor},
};

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// One byte of each piece is another one.
    Corrupts,
    /// The same, and the layer is left to others.
    CorruptsWithoutLayer,
    /// Its layer is that of another content.
    WrongLayer,
    /// It closes in the middle of each piece.
    ClosesMidway,
    /// It takes requests and answers none.
    Silent,
    /// The same, and it begins to send its layer and never goes on.
    SilentLayer,
    /// It answers with bytes that are no frame.
    Garbage,
    /// It announces a piece of 4 GiB.
    Oversized,
    /// It answers with another piece than the one that was asked for.
    OtherPiece,
    /// It says that the content has another size.
    WrongSize,
    /// It answers with the right bytes, one a second.
    Trickles,
    /// The same, and its layer comes as slowly, in messages with nothing in them.
    TricklesLayer,
    /// It answers with the right bytes, a KiB a second: enough to be heard each time.
    Crawls,
    /// Its layer comes so slowly that it is just heard, a KiB every nine seconds; it answers nothing else.
    CrawlsLayer,
    /// It resets the connection whenever it is asked for a piece.
    Resets,
    /// It does not open what it says it has.
    RefusesToOpen,
    /// It gives what it has.
    TellsTheTruth,
}

/// A liar that listens.
pub struct Liar {
    visitor: Visitor,
    served: Arc<Served>,
}

struct Served {
    manner: Manner,
    content: Vec<u8>,
    claims: Claims,
    lies: AtomicU64,
    trickled: AtomicU64,
}

/// Between two bytes of one that trickles.
const DROP: Duration = Duration::from_secs(1);

/// What one that crawls gives at once.
const CRAWL: usize = 1024;

/// Between two messages of a layer that crawls.
const CRAWL_LAYER: Duration = Duration::from_secs(9);

impl Liar {
    /// Logs in, and claims to hold this publication with this content.
    ///
    /// # Panics
    /// When the directory does not take it.
    #[must_use]
    pub fn start(
        directory: &Directory,
        account: &Account,
        publication: Uuid,
        content: Vec<u8>,
        manner: Manner,
    ) -> Self {
        Self::named("liar", directory, account, publication, (content, manner))
    }

    /// The same, for one of several.
    ///
    /// # Panics
    /// When the directory does not take it.
    #[must_use]
    pub fn named(
        name: &str,
        directory: &Directory,
        account: &Account,
        publication: Uuid,
        (content, manner): (Vec<u8>, Manner),
    ) -> Self {
        let liar = Self::listens(name, directory, account, (content, manner));
        liar.visitor.keeps_pinging();
        liar.visitor.claims_to_hold(publication);
        liar
    }

    fn listens(
        name: &str,
        directory: &Directory,
        account: &Account,
        (content, manner): (Vec<u8>, Manner),
    ) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address: SocketAddr = listener.local_addr().expect("a bound socket");
        let visitor = Visitor::log_in(directory, account, name, &[address]);
        let served = Arc::new(Served {
            manner,
            content,
            claims: visitor.claims_of(),
            lies: AtomicU64::new(0),
            trickled: AtomicU64::new(0),
        });
        let (session, serving) = (Arc::clone(visitor.session()), Arc::clone(&served));
        visitor.runtime().spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            accept(listener, session, serving).await;
        });
        Self { visitor, served }
    }

    /// Logs in, and says of each copy that it is asked to make that it is made: the directory is told so too.
    ///
    /// # Panics
    /// When the directory does not take it.
    #[must_use]
    pub fn takes_copies(directory: &Directory, account: &Account, content: Vec<u8>, manner: Manner) -> Self {
        let liar = Self::listens("liar", directory, account, (content, manner));
        liar.visitor.keeps_pinging();
        liar
    }

    /// How often it lied.
    #[must_use]
    pub fn lies(&self) -> u64 {
        self.served.lies.load(Ordering::SeqCst)
    }

    /// Bytes that it gave little by little.
    #[must_use]
    pub fn trickled(&self) -> u64 {
        self.served.trickled.load(Ordering::SeqCst)
    }

    /// Its session.
    #[must_use]
    pub const fn visitor(&self) -> &Visitor {
        &self.visitor
    }
}

async fn accept(listener: TcpListener, session: Arc<Session>, served: Arc<Served>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (session, served) = (Arc::clone(&session), Arc::clone(&served));
        tokio::spawn(async move {
            // The directory dials it without TLS, and readers leave when they have heard enough.
            let _ = connection(stream, &session, served).await;
        });
    }
}

async fn connection(stream: TcpStream, session: &Session, served: Arc<Served>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let tls = TlsAcceptor::from(Arc::clone(&session.tls.server));
    let stream = tls.accept(stream).await?;
    if stream.get_ref().1.alpn_protocol() == Some(DATA_ALPN) {
        return frames(stream, &served).await;
    }
    let peer = certificate::other_end(stream.get_ref().1, session.record.cluster)?;
    let stream = Guarded::new(stream, peer, std::future::pending(), None);
    let only = tokio_stream::once(Ok::<_, io::Error>(stream)).chain(tokio_stream::pending());
    tonic::transport::Server::builder()
        .add_service(PeerServiceServer::new(Words(served)))
        .serve_with_incoming(only)
        .await
        .map_err(io::Error::other)
}

async fn frames(mut stream: TlsStream<TcpStream>, served: &Served) -> io::Result<()> {
    loop {
        let mut header = [0; HEADER_LEN];
        stream.read_exact(&mut header).await?;
        match Frame::decode(&header).map_err(io::Error::other)? {
            Frame::Open { length } => {
                stream.read_exact(&mut vec![0; length as usize]).await?;
                if served.manner == Manner::RefusesToOpen {
                    served.lies.fetch_add(1, Ordering::SeqCst);
                    let reason = Reason::NotHeld;
                    stream
                        .write_all(&Frame::Refused { request: 0, reason }.encode())
                        .await?;
                    stream.flush().await?;
                    continue;
                }
                let mut size = served.content.len() as u64;
                if served.manner == Manner::WrongSize {
                    served.lies.fetch_add(1, Ordering::SeqCst);
                    size += 1;
                }
                stream.write_all(&Frame::Opened { size }.encode()).await?;
            }
            Frame::Read(range) => {
                let whole = served.answer(range);
                served.lies.fetch_add(1, Ordering::SeqCst);
                match served.manner {
                    Manner::Silent | Manner::SilentLayer | Manner::CrawlsLayer => continue,
                    Manner::Trickles | Manner::TricklesLayer => {
                        trickle(&mut stream, served, &whole, 1).await?;
                        continue;
                    }
                    Manner::Crawls => {
                        trickle(&mut stream, served, &whole, CRAWL).await?;
                        continue;
                    }
                    // Closed with its bytes unsent, TCP tells the other side so at once.
                    Manner::Resets => return stream.get_ref().0.set_zero_linger(),
                    _ => {}
                }
                stream.write_all(&whole).await?;
                if served.manner == Manner::ClosesMidway {
                    return stream.shutdown().await;
                }
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        stream.flush().await?;
    }
}

/// Says all of it, slowly.
async fn trickle(
    stream: &mut TlsStream<TcpStream>,
    served: &Served,
    whole: &[u8],
    at_once: usize,
) -> io::Result<()> {
    let mut tick = tokio::time::interval(DROP);
    for bytes in whole.chunks(at_once) {
        tick.tick().await;
        stream.write_all(bytes).await?;
        stream.flush().await?;
        served.trickled.fetch_add(bytes.len() as u64, Ordering::SeqCst);
    }
    Ok(())
}

impl Served {
    /// Header and bytes, in its manner.
    fn answer(&self, range: Range) -> Vec<u8> {
        let mut bytes = self.content[range.offset as usize..range.end() as usize].to_vec();
        let mut sent = range;
        match self.manner {
            Manner::Corrupts | Manner::CorruptsWithoutLayer => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
            Manner::ClosesMidway => bytes.truncate(bytes.len() / 2),
            Manner::Garbage => return crate::data::bytes(4711, 4096),
            Manner::Oversized => sent.length = u32::MAX,
            Manner::OtherPiece => sent.offset = if range.offset == 0 { 1 << 20 } else { 0 },
            Manner::Silent
            | Manner::SilentLayer
            | Manner::WrongLayer
            | Manner::WrongSize
            | Manner::Trickles
            | Manner::TricklesLayer
            | Manner::Crawls
            | Manner::CrawlsLayer
            | Manner::Resets
            | Manner::RefusesToOpen
            | Manner::TellsTheTruth => {}
        }
        let mut whole = Frame::Piece(sent).encode().to_vec();
        whole.extend_from_slice(&bytes);
        whole
    }
}

struct Words(Arc<Served>);

/// The publication that a grant names, believed unread.
fn granted(token: &str) -> Uuid {
    let payload = token.split('.').nth(1).expect("a token of three parts");
    let payload = BASE64URL_NOPAD.decode(payload.as_bytes()).expect("base64");
    let grant: Grant = serde_json::from_slice(&payload).expect("a grant");
    grant.publication
}

#[tonic::async_trait]
impl PeerService for Words {
    type LayerStream = Pin<Box<dyn Stream<Item = Result<LayerResponse, Status>> + Send>>;
    type ReplicateStream = Pin<Box<dyn Stream<Item = Result<PlaceProgress, Status>> + Send>>;

    /// It says that it has made the copy, and has not. Who believes the directory hears the same there.
    async fn replicate(
        &self,
        asked: Request<PlaceRequest>,
    ) -> Result<Response<Self::ReplicateStream>, Status> {
        self.0.claims.claim(granted(&asked.get_ref().grant)).await;
        let done = PlaceProgress {
            state: "done".into(),
            ..PlaceProgress::default()
        };
        Ok(Response::new(Box::pin(tokio_stream::iter([Ok(done)]))))
    }

    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloResponse>, Status> {
        let version = request.into_inner().versions.into_iter().max().unwrap_or(1);
        Ok(Response::new(HelloResponse {
            version,
            features: Vec::new(),
            max_piece_bytes: 1 << 20,
        }))
    }

    async fn have(&self, _: Request<HaveRequest>) -> Result<Response<HaveResponse>, Status> {
        let size = self.0.content.len() as u64;
        Ok(Response::new(HaveResponse { size, complete: true }))
    }

    async fn layer(&self, _: Request<LayerRequest>) -> Result<Response<Self::LayerStream>, Status> {
        if self.0.manner == Manner::CorruptsWithoutLayer {
            return Err(Status::unavailable("not now"));
        }
        let mut layer = LayerBuilder::new();
        layer.push(&self.0.content);
        let mut values = layer.finish().values().concat();
        if self.0.manner == Manner::WrongLayer {
            values[0] ^= 1;
            self.0.lies.fetch_add(1, Ordering::SeqCst);
        }
        if self.0.manner == Manner::SilentLayer {
            self.0.lies.fetch_add(1, Ordering::SeqCst);
            return Ok(Response::new(Box::pin(tokio_stream::pending())));
        }
        if self.0.manner == Manner::TricklesLayer {
            self.0.lies.fetch_add(1, Ordering::SeqCst);
            let ticks = IntervalStream::new(tokio::time::interval(DROP));
            return Ok(Response::new(Box::pin(
                ticks.map(|_| Ok(LayerResponse { values: Bytes::new() })),
            )));
        }
        if self.0.manner == Manner::CrawlsLayer {
            self.0.lies.fetch_add(1, Ordering::SeqCst);
            let mut runs: Vec<Vec<u8>> = values.chunks(CRAWL).map(<[u8]>::to_vec).collect();
            runs.reverse();
            let ticks = IntervalStream::new(tokio::time::interval(CRAWL_LAYER));
            let served = Arc::clone(&self.0);
            let crawling = ticks.map_while(move |_| {
                let run = runs.pop()?;
                served.trickled.fetch_add(run.len() as u64, Ordering::SeqCst);
                Some(Ok(LayerResponse { values: run.into() }))
            });
            return Ok(Response::new(Box::pin(crawling)));
        }
        let values = Bytes::from(values);
        let only = tokio_stream::once(Ok(LayerResponse { values }));
        Ok(Response::new(Box::pin(only)))
    }
}
