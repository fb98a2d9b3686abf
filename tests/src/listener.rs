//! A stranger in the directory's place: a TLS server that shows a CA of its own, and keeps every byte that it is told.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{JoinHandle, spawn},
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

/// A silent connection is given up after this.
const PATIENCE: Duration = Duration::from_secs(30);

/// A listening stranger.
pub struct Listener {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    accepting: JoinHandle<Vec<Vec<u8>>>,
}

impl Listener {
    /// Listens on a free loopback port.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let ended = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ended);
        let accepting = spawn(move || accept(&listener, &told));
        Self {
            address,
            ended,
            accepting,
        }
    }

    /// Where a directory would be.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Ends it; what each connection said inside TLS, to its end.
    ///
    /// # Panics
    /// When it failed.
    #[must_use]
    pub fn heard(self) -> Vec<Vec<u8>> {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the one that accepts.
        drop(TcpStream::connect(self.address));
        self.accepting.join().expect("a listener")
    }
}

fn accept(listener: &TcpListener, ended: &AtomicBool) -> Vec<Vec<u8>> {
    let (tls, pem) = identity();
    let mut connections = Vec::new();
    for stream in listener.incoming() {
        if ended.load(Ordering::SeqCst) {
            break;
        }
        let (stream, tls, pem) = (stream.expect("a connection"), Arc::clone(&tls), pem.clone());
        connections.push(spawn(move || {
            let mut heard = Vec::new();
            // A connection that breaks off has said what it said.
            let _ = converse(stream, tls, &pem, &mut heard);
            heard
        }));
    }
    let heard = connections
        .into_iter()
        .map(|one| one.join().expect("a connection"));
    heard.collect()
}

fn identity() -> (Arc<ServerConfig>, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).expect("a certificate");
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .expect("a certificate that fits its key");
    (Arc::new(config), certificate.pem())
}

/// Answers the first request with the CA, whatever it was, and listens on.
fn converse(stream: TcpStream, tls: Arc<ServerConfig>, pem: &str, heard: &mut Vec<u8>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let connection = ServerConnection::new(tls).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut answered = false;
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        heard.extend_from_slice(&buffer[..read]);
        if !answered && heard.windows(4).any(|end| end == b"\r\n\r\n") {
            answered = true;
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: application/x-pem-file\r\ncontent-length: {}\r\n\r\n{pem}",
                pem.len()
            )?;
            stream.flush()?;
        }
    }
}
