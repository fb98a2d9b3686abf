//! A directory that says false things, or nothing: it stands before the true one, has its key and its certificate, puts
//! other words into its answers, byte for byte, and loses answers.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
};

use p2p_daemon::identity::certificate::certificates;
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, ServerName, pem::PemObject},
    version::TLS13,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::{Directory, forge};

/// A false directory.
pub struct Meddler {
    address: SocketAddr,
    losses: Losses,
    _runtime: Runtime,
}

/// Requests whose answers are lost: how they begin, and how many are still to come.
type Losses = Arc<Mutex<(&'static str, u32)>>;

/// Replaces the first by the second, of the same length, so many times.
#[derive(Clone)]
struct Words {
    said: &'static [u8],
    told: &'static [u8],
    left: Arc<AtomicU32>,
}

impl Meddler {
    /// Listens; in every answer of the directory `said` becomes `told`, which has as many bytes.
    ///
    /// # Panics
    /// When it has not, or the directory's key cannot be read.
    #[must_use]
    pub fn start(directory: &Directory, said: &'static str, told: &'static str) -> Self {
        Self::with(directory, said, told, u32::MAX)
    }

    /// The same, and only the first time.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn once(directory: &Directory, said: &'static str, told: &'static str) -> Self {
        Self::with(directory, said, told, 1)
    }

    fn with(directory: &Directory, said: &'static str, told: &'static str, times: u32) -> Self {
        assert_eq!(said.len(), told.len());
        p2p_service::tls::install_crypto_provider();
        let read = |name| fs::read_to_string(directory.state().join(name)).expect("a file of the directory");
        let key = PrivateKeyDer::from_pem_slice(read("server.key").as_bytes()).expect("a key");
        let chain = certificates(&read("server.pem")).expect("a certificate");
        let mut server = ServerConfig::builder_with_provider(p2p_service::tls::crypto_provider())
            .with_protocol_versions(&[&TLS13])
            .expect("TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate that fits its key");
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let connector = TlsConnector::from(forge::tls(&read("ca.pem"), None, &[b"http/1.1"]));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let words = Words {
            said: said.as_bytes(),
            told: told.as_bytes(),
            left: Arc::new(AtomicU32::new(times)),
        };
        let losses = Losses::default();
        let way = Way {
            acceptor,
            connector,
            port: directory.port,
            words,
            losses: Arc::clone(&losses),
        };
        runtime.spawn(accept(listener, way));
        Self {
            address,
            losses,
            _runtime: runtime,
        }
    }

    /// The directory takes the next `count` requests that begin so, and nobody hears its answers.
    ///
    /// # Panics
    /// Never: nobody panics with the lock.
    pub fn loses(&self, begin: &'static str, count: u32) {
        *self.losses.lock().expect("nobody panics with it") = (begin, count);
    }

    /// How many of them have not come yet.
    ///
    /// # Panics
    /// Never: nobody panics with the lock.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.losses.lock().expect("nobody panics with it").1
    }

    /// Where to log in.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

#[derive(Clone)]
struct Way {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    port: u16,
    words: Words,
    losses: Losses,
}

async fn accept(listener: TcpListener, way: Way) {
    while let Ok((near, _)) = listener.accept().await {
        let way = way.clone();
        tokio::spawn(async move {
            let Ok(near) = way.acceptor.accept(near).await else {
                return;
            };
            let far = TcpStream::connect(("127.0.0.1", way.port)).await;
            let Ok(far) = far else { return };
            let name = ServerName::try_from("127.0.0.1").expect("an address");
            let far = way.connector.connect(name, far).await.expect("the directory");
            let (near_in, near_out) = tokio::io::split(near);
            let (far_in, far_out) = tokio::io::split(far);
            // The answer to the request that is on its way is to be lost.
            let lost = AtomicBool::new(false);
            let asks = |bytes: &mut [u8]| {
                if takes_one(&way.losses, bytes) {
                    lost.store(true, SeqCst);
                }
                true
            };
            let answers = |bytes: &mut [u8]| {
                replace(bytes, &way.words);
                !lost.load(SeqCst)
            };
            tokio::select! {
                () = copy(near_in, far_out, asks) => {}
                () = copy(far_in, near_out, answers) => {}
            }
        });
    }
}

/// This request is one of those.
fn takes_one(losses: &Losses, request: &[u8]) -> bool {
    let mut losses = losses.lock().expect("nobody panics with it");
    let (begin, left) = &mut *losses;
    let takes = *left > 0 && request.starts_with(begin.as_bytes());
    *left -= u32::from(takes);
    takes
}

/// Copies until either side ends, or `passes` says no. What a test asks and hears is small: it comes in one piece.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    passes: impl Fn(&mut [u8]) -> bool,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if !passes(&mut buffer[..read]) {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
}

fn replace(bytes: &mut [u8], Words { said, told, left }: &Words) {
    let mut at = 0;
    let once_more = || {
        left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1))
            .is_ok()
    };
    while at + said.len() <= bytes.len() {
        if &bytes[at..at + said.len()] == *said && once_more() {
            bytes[at..at + said.len()].copy_from_slice(told);
        }
        at += 1;
    }
}
