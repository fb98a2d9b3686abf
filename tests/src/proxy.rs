//! The network between two peers, in the hands of a test: a TCP proxy that records, holds back, spoils a byte, and cuts.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::{Builder, Runtime},
    sync::watch,
};

const BUFFER: usize = 16 * 1024;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the one who dialled to the peer behind the proxy.
    In,
    /// From the peer behind the proxy to the one who dialled.
    Out,
}

/// A proxy in front of one peer.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

struct Shared {
    target: AtomicU16,
    recorded: Mutex<Option<Vec<u8>>>,
    flip: Mutex<Option<(Way, u64)>>,
    passed_in: AtomicU64,
    passed_out: AtomicU64,
    /// Bytes that each connection may bring out.
    gate: watch::Sender<u64>,
    cuts: watch::Sender<u64>,
}

impl Proxy {
    /// Listens on a free loopback port; nothing is behind it yet.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn start() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a free port");
        let shared = Arc::new(Shared {
            target: AtomicU16::new(0),
            recorded: Mutex::new(None),
            flip: Mutex::new(None),
            passed_in: AtomicU64::new(0),
            passed_out: AtomicU64::new(0),
            gate: watch::Sender::new(u64::MAX),
            cuts: watch::Sender::new(0),
        });
        let address = listener.local_addr().expect("a bound socket");
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            _runtime: runtime,
        }
    }

    /// The lines of configuration that make others dial the proxy.
    #[must_use]
    pub fn advertised(&self) -> String {
        format!("[peer]\nadvertise = [\"{}\"]\n", self.address)
    }

    /// As a directory's address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Puts the peer behind it.
    pub fn leads_to(&self, port: u16) {
        self.shared.target.store(port, Ordering::SeqCst);
    }

    /// Records from now on.
    pub fn record(&self) {
        *lock(&self.shared.recorded) = Some(Vec::new());
    }

    /// What went through in either direction since then.
    #[must_use]
    pub fn recorded(&self) -> Vec<u8> {
        lock(&self.shared.recorded).clone().unwrap_or_default()
    }

    /// Spoils one byte: the one after `after` more bytes that way, over all connections.
    pub fn spoil(&self, way: Way, after: u64) {
        let at = self.shared.passed(way).load(Ordering::SeqCst) + after;
        *lock(&self.shared.flip) = Some((way, at));
    }

    /// The byte was spoiled.
    #[must_use]
    pub fn spoiled(&self) -> bool {
        lock(&self.shared.flip).is_none()
    }

    /// Each connection brings out at most so many bytes, until this is changed.
    pub fn gate(&self, bytes: u64) {
        self.shared.gate.send_replace(bytes);
    }

    /// Bytes that were brought out of all connections.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.shared.passed_out.load(Ordering::SeqCst)
    }

    /// Closes every connection.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Shared {
    fn passed(&self, way: Way) -> &AtomicU64 {
        match way {
            Way::In => &self.passed_in,
            Way::Out => &self.passed_out,
        }
    }

    /// Counts, records and spoils.
    fn passes(&self, way: Way, bytes: &mut [u8]) {
        let begin = self.passed(way).fetch_add(bytes.len() as u64, Ordering::SeqCst);
        let mut flip = lock(&self.flip);
        if let Some((its_way, at)) = *flip
            && its_way == way
            && let Some(byte) = at
                .checked_sub(begin)
                .and_then(|index| bytes.get_mut(usize::try_from(index).ok()?))
        {
            *byte ^= 0x40;
            *flip = None;
        }
        if let Some(recorded) = lock(&self.recorded).as_mut() {
            recorded.extend_from_slice(bytes);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, Arc::clone(&shared)));
    }
}

async fn connection(near: TcpStream, shared: Arc<Shared>) {
    let mut cuts = shared.cuts.subscribe();
    let target = shared.target.load(Ordering::SeqCst);
    let Ok(far) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::select! {
        () = copy(Way::In, near_in, far_out, &shared) => {}
        () = copy(Way::Out, far_in, near_out, &shared) => {}
        _ = cuts.changed() => {}
    }
}

/// Ends with the first error or end, which closes both directions: neither protocol half-closes.
async fn copy(way: Way, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared) {
    let mut gate = shared.gate.subscribe();
    let mut buffer = [0; BUFFER];
    let mut brought = 0;
    loop {
        let mut room = BUFFER as u64;
        if way == Way::Out {
            let Ok(limit) = gate.wait_for(|limit| *limit > brought).await else {
                return;
            };
            room = room.min(*limit - brought);
        }
        match from.read(&mut buffer[..room as usize]).await {
            Ok(0) | Err(_) => return,
            Ok(read) => {
                brought += read as u64;
                shared.passes(way, &mut buffer[..read]);
                if to.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}
