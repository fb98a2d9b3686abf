//! The accept loop for TLS. Its limits hold before any byte of an application is read.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    gate::{Gate, source},
    limits::AcceptLimits,
};
use crate::{lifecycle::Lifecycle, metrics, once::OncePerMinute};

/// Pause after an accept that failed for want of something, such as descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the soft stop, and runs `handler` for each connection whose handshake is done. `tls` may change while
/// running; while it is `None` connections are closed at once.
///
/// # Errors
/// None; the signature is that of a service task.
pub async fn serve_tls<H, F>(
    listeners: Vec<TcpListener>,
    tls: watch::Receiver<Option<Arc<ServerConfig>>>,
    limits: AcceptLimits,
    lifecycle: Lifecycle,
    handler: H,
) -> anyhow::Result<()>
where
    H: Fn(TlsStream<TcpStream>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let gate = Gate::new(limits.per_address, limits.total);
    let said = Arc::new(OncePerMinute::default());
    let mut accepting: FuturesUnordered<_> = listeners.into_iter().map(accept).collect();
    loop {
        let (listener, accepted) = tokio::select! {
            Some(next) = accepting.next() => next,
            () = lifecycle.soft().cancelled() => return Ok(()),
            else => return Ok(()),
        };
        accepting.push(accept(listener));
        let Some((stream, from)) = accepted else {
            continue;
        };
        // An IPv4 peer of an IPv6 listener is the same peer.
        let address = SocketAddr::new(from.ip().to_canonical(), from.port());
        let source = source(address.ip());
        let Some(place) = gate.enter(source) else {
            metrics::TOO_MANY.up();
            if let Some(more) = said.say((source, Trouble::TooMany)) {
                tracing::info!("too many connections from {}: closed{more}", address.ip());
            }
            continue;
        };
        let Some(config) = tls.borrow().clone() else {
            continue;
        };
        let (handler, said) = (handler.clone(), Arc::clone(&said));
        lifecycle.spawn_request(async move {
            let (_place, _here) = (place, metrics::CONNECTIONS.enter());
            let error = match timeout(limits.handshake, handshake(config, stream)).await {
                Ok(Ok(stream)) => return handler(stream, address).await,
                Ok(Err(error)) => error,
                Err(_) => io::Error::new(io::ErrorKind::TimedOut, "it took too long"),
            };
            // Who only looks whether the port is open, and leaves, has done nothing wrong.
            let wrong = [io::ErrorKind::InvalidData, io::ErrorKind::TimedOut].contains(&error.kind());
            if wrong {
                metrics::HANDSHAKES_FAILED.up();
            }
            match wrong.then(|| said.say((source, Trouble::Handshake))).flatten() {
                Some(more) => tracing::info!("handshake with {address} failed: {error}{more}"),
                None => tracing::debug!("handshake with {address}: {error}"),
            }
        });
    }
}

/// What is said of a source once a minute.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Trouble {
    TooMany,
    Handshake,
}

type Accepted = (TcpListener, Option<(TcpStream, SocketAddr)>);

async fn accept(listener: TcpListener) -> Accepted {
    match listener.accept().await {
        Ok(accepted) => (listener, Some(accepted)),
        Err(error) => {
            let theirs = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset];
            if !theirs.contains(&error.kind()) {
                tracing::warn!("cannot accept: {error}");
                tokio::time::sleep(PAUSE).await;
            }
            (listener, None)
        }
    }
}

async fn handshake(config: Arc<ServerConfig>, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    stream.set_nodelay(true)?;
    TlsAcceptor::from(config).accept(stream).await
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::lifecycle::Signals;
    use crate::{accept::bind, tls::crypto_provider};

    struct Server {
        address: SocketAddr,
        client: TlsConnector,
        tls: watch::Sender<Option<Arc<ServerConfig>>>,
        life: Lifecycle,
    }

    /// Echoes one byte, then waits for the client to go.
    fn server(limits: AcceptLimits) -> Server {
        let made = rcgen::generate_simple_self_signed(vec!["test".to_owned()]).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(crypto_provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client = rustls::ClientConfig::builder_with_provider(crypto_provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let listeners = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let tls = watch::Sender::new(Some(Arc::new(config)));
        let life = Lifecycle::new();
        let handler = |mut stream: TlsStream<TcpStream>, _| async move {
            let mut byte = [0];
            while stream.read_exact(&mut byte).await.is_ok() {
                stream.write_all(&byte).await.unwrap();
            }
        };
        life.spawn(
            "accept",
            serve_tls(listeners, tls.subscribe(), limits, life.clone(), handler),
        );
        Server {
            address,
            client: TlsConnector::from(Arc::new(client)),
            tls,
            life,
        }
    }

    impl Server {
        async fn connect(&self) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
            let tcp = TcpStream::connect(self.address).await?;
            let name = ServerName::try_from("test").unwrap();
            let mut stream = self.client.connect(name, tcp).await?;
            stream.write_all(b"x").await?;
            stream.read_exact(&mut [0]).await?;
            Ok(stream)
        }
    }

    #[tokio::test]
    async fn the_cap_per_address_holds_and_frees() {
        let server = server(AcceptLimits {
            per_address: 2,
            ..AcceptLimits::default()
        });
        let first = server.connect().await.unwrap();
        let _second = server.connect().await.unwrap();
        assert!(server.connect().await.is_err());
        drop(first);
        // The place is free as soon as the server has seen the end.
        while server.connect().await.is_err() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_silent_handshake_is_closed() {
        let server = server(AcceptLimits {
            handshake: Duration::from_millis(50),
            ..AcceptLimits::default()
        });
        let mut silent = TcpStream::connect(server.address).await.unwrap();
        assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn without_a_certificate_nothing_is_answered() {
        let server = server(AcceptLimits::default());
        server.tls.send_replace(None);
        assert!(server.connect().await.is_err());
    }

    #[tokio::test]
    async fn a_stop_ends_the_loop() {
        let server = server(AcceptLimits::default());
        let _open = server.connect().await.unwrap();
        server.life.stop();
        let signals = Signals::catch().unwrap();
        server
            .life
            .run(signals, Duration::from_millis(10), || ())
            .await
            .unwrap();
        assert!(TcpStream::connect(server.address).await.is_err());
    }
}
