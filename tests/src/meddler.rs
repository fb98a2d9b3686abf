//! A directory that says false things: it stands before the true one, has its key and its certificate, and puts other
//! words into its answers, byte for byte.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
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
    _runtime: Runtime,
}

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
        runtime.spawn(accept(listener, acceptor, connector, directory.port, words));
        Self {
            address,
            _runtime: runtime,
        }
    }

    /// Where to log in.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    port: u16,
    words: Words,
) {
    while let Ok((near, _)) = listener.accept().await {
        let (acceptor, connector, words) = (acceptor.clone(), connector.clone(), words.clone());
        tokio::spawn(async move {
            let Ok(near) = acceptor.accept(near).await else {
                return;
            };
            let far = TcpStream::connect(("127.0.0.1", port))
                .await
                .expect("the directory");
            let name = ServerName::try_from("127.0.0.1").expect("an address");
            let far = connector.connect(name, far).await.expect("the directory");
            let (near_in, near_out) = tokio::io::split(near);
            let (far_in, far_out) = tokio::io::split(far);
            tokio::select! {
                () = copy(near_in, far_out, None) => {}
                () = copy(far_in, near_out, Some(words)) => {}
            }
        });
    }
}

/// Copies until either side ends. An answer of a test is small: it comes in one piece.
async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, words: Option<Words>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if let Some(words) = &words {
            replace(&mut buffer[..read], words);
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
