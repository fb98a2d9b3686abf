//! Connections that are slow, many, or say what is no request, on the API and on the admin socket. Each is refused and told
//! in the log once, and then the directory answers as before.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use axum::http::Method as AdminMethod;
use p2p_directory::{
    admin::types::{USERS, Users},
    app::Bounds,
    config::Limits,
};
use reqwest::Method;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::task::spawn_blocking;

use crate::{
    log::Log,
    support::{Directory, eventually},
};

/// A test that would wait for ever for an answer fails instead.
const PATIENCE: Duration = Duration::from_secs(60);

/// What takes half a second is slow.
fn impatient() -> Bounds {
    let mut bounds = Bounds::default();
    bounds.accept.handshake = Duration::from_millis(500);
    bounds.http.head = Duration::from_millis(500);
    bounds
}

async fn start(bounds: Bounds) -> Directory {
    Directory::bounded(&["ana"], Limits::default(), bounds).await
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Whatever comes until the other side closes.
fn rest_of(mut stream: impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    // A reset is an end as well.
    match stream.read_to_end(&mut all) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("it was not closed"),
        _ => all,
    }
}

/// Says this over TLS, and gives the answer.
async fn say(directory: &Directory, protocol: &'static [u8], words: impl Into<Vec<u8>>) -> String {
    let (address, words) = (directory.address, words.into());
    let ca = directory.state.authority.bundle().to_owned();
    let answer = spawn_blocking(move || {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap())
            .unwrap();
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(client, connect(address));
        // The other side may have closed already.
        if stream.write_all(&words).is_ok() {
            let _ = stream.flush();
        }
        rest_of(stream)
    });
    String::from_utf8_lossy(&answer.await.unwrap()).into_owned()
}

/// Says this on the admin socket, and gives the answer.
async fn say_admin(socket: PathBuf, words: impl Into<Vec<u8>>) -> String {
    let words = words.into();
    let answer = spawn_blocking(move || {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(&words);
        rest_of(stream)
    });
    String::from_utf8_lossy(&answer.await.unwrap()).into_owned()
}

/// As much of a head without an end as the server reads, so that nothing is left unread when it closes.
fn endless(begin: &str) -> String {
    let filling = "x".repeat((1 << 16) - begin.len());
    [begin, &filling].concat()
}

async fn answers(directory: &Directory) -> bool {
    let health = directory.request(Method::GET, "/healthz").send().await;
    let admin = directory.admin.call::<Users>(AdminMethod::GET, USERS).await;
    health.is_ok_and(|health| health.status().is_success()) && admin.is_ok()
}

#[test]
fn the_bounds_are_those_that_are_promised() {
    let bounds = Bounds::default();
    assert_eq!(bounds.accept.handshake, Duration::from_secs(10));
    assert_eq!(bounds.accept.per_address, 64);
    assert_eq!(bounds.http.head, Duration::from_secs(10));
    let limits = Limits::default();
    assert_eq!((limits.index_changes, limits.addresses_per_peer), (1000, 8));
    assert_eq!(
        (limits.holds_per_peer, limits.publications_per_account),
        (1_000_000, 100_000)
    );
}

#[tokio::test]
async fn a_slow_head_gets_408() {
    let log = Log::listen();
    let directory = start(impatient()).await;
    for _ in 0..3 {
        let answer = say(&directory, b"http/1.1", "GET /healthz HTTP/1.1\r\nhost:").await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("urn:p2p:problem:timeout"), "{answer}");
    }
    let silent = say(&directory, b"http/1.1", "").await;
    assert!(silent.starts_with("HTTP/1.1 408 "), "{silent}");
    let http2 = say(&directory, b"h2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(!http2.contains("HTTP/1.1"), "{http2}");
    assert!(answers(&directory).await);
    eventually(async || log.count("too slowly") > 0).await;
    assert_eq!(log.count("too slowly"), 1, "{}", log.text());
}

#[tokio::test]
async fn a_slow_handshake_is_closed() {
    let directory = start(impatient()).await;
    for words in [b"".as_slice(), &[22, 3, 1, 0, 200, 1]] {
        let address = directory.address;
        let left = spawn_blocking(move || {
            let mut stream = connect(address);
            stream.write_all(words).unwrap();
            rest_of(stream)
        });
        assert_eq!(left.await.unwrap(), b"");
    }
    assert!(answers(&directory).await);
}

#[tokio::test]
async fn one_address_has_sixty_four_connections() {
    let log = Log::listen();
    let directory = start(Bounds::default()).await;
    let address = directory.address;
    let mut held = spawn_blocking(move || {
        let mut held: Vec<TcpStream> = (0..70).map(|_| connect(address)).collect();
        assert_eq!(rest_of(held.pop().unwrap()), b"");
        held
    })
    .await
    .unwrap();
    held[0].set_nonblocking(true).unwrap();
    let still = held[0].read(&mut [0]).unwrap_err();
    assert_eq!(still.kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(
        log.count("too many connections from 127.0.0.1"),
        1,
        "{}",
        log.text()
    );
    drop(held);
    eventually(async || answers(&directory).await).await;
}

#[tokio::test]
async fn what_is_no_tls_is_closed() {
    let directory = start(Bounds::default()).await;
    let address = directory.address;
    for words in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), &[0xff; 4096]] {
        let left = spawn_blocking(move || {
            let mut stream = connect(address);
            let _ = stream.write_all(words);
            rest_of(stream)
        });
        let left = left.await.unwrap();
        assert!(!left.starts_with(b"HTTP"), "{left:?}");
    }
    // A protocol that is spoken elsewhere.
    assert_eq!(say(&directory, b"p2p-data/1", "GET / HTTP/1.1\r\n\r\n").await, "");
    assert!(answers(&directory).await);
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let log = Log::listen();
    let directory = start(Bounds::default()).await;
    let many_headers = "a: b\r\n".repeat(200);
    for (words, status) in [
        ("\x00\x01\x02\x03 nonsense\r\n\r\n".to_owned(), "400"),
        ("GET /healthz HTTP/3.0\r\nhost: x\r\n\r\n".to_owned(), "400"),
        ("GET /healthz SPDY/1\r\nhost: x\r\n\r\n".to_owned(), "400"),
        ("GET /healthz HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), "400"),
        (endless("GET / HTTP/1.1\r\na: "), "431"),
        (endless("GET /"), "431"),
        (format!("GET / HTTP/1.1\r\n{many_headers}\r\n"), "431"),
    ] {
        let answer = say(&directory, b"http/1.1", words.clone()).await;
        let shown: String = words.chars().take(40).collect();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{shown}: {answer}"
        );
    }
    let http2 = say(&directory, b"h2", "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(!http2.contains("200"), "{http2}");
    let after_preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &[0xff; 64]].concat();
    say(&directory, b"h2", after_preface).await;
    assert!(answers(&directory).await);
    assert_eq!(log.count("what came is not HTTP"), 1, "{}", log.text());
}

#[tokio::test]
async fn refusals_are_told_once() {
    let log = Log::listen();
    let directory = start(Bounds::default()).await;
    for _ in 0..5 {
        let request = directory
            .request(Method::POST, "/api/v1/login")
            .body(vec![b' '; (1 << 20) + 1]);
        assert_eq!(request.send().await.unwrap().status(), 413);
        let nonsense = directory.request(Method::POST, "/api/v1/login").body("{");
        assert_eq!(nonsense.send().await.unwrap().status(), 400);
    }
    assert_eq!(log.count("127.0.0.1: 413"), 1, "{}", log.text());
    assert_eq!(log.count("127.0.0.1: 400"), 1, "{}", log.text());
    // What is part of the work is no news.
    directory.request(Method::GET, "/nothing").send().await.unwrap();
    assert_eq!(log.count(": 404"), 0);
}

#[tokio::test]
async fn the_admin_socket_has_the_same_bounds() {
    let log = Log::listen();
    let directory = start(impatient()).await;
    let socket = directory.config.admin_socket();
    let post = |length: usize| {
        let head = format!(
            "POST {USERS} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        [head.into_bytes(), vec![b' '; length]].concat()
    };
    let unknown = r#"{"name":"bob","admin":false,"colour":"red"}"#;
    let unknown = format!(
        "POST {USERS} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{unknown}",
        unknown.len()
    );
    for (words, status) in [
        (post((1 << 20) + 1), "413"),
        (post(1 << 20), "400"),
        (unknown.into_bytes(), "422"),
        (b"GET / HTTP/1.1\r\nhost:".to_vec(), "408"),
        (Vec::new(), "408"),
        (b"\x00\x01 nonsense\r\n\r\n".to_vec(), "400"),
        (b"GET / HTTP/4.0\r\n\r\n".to_vec(), "400"),
        (endless("GET / HTTP/1.1\r\na: ").into_bytes(), "431"),
    ] {
        let shown = String::from_utf8_lossy(&words[..words.len().min(40)]).into_owned();
        for _ in 0..2 {
            let answer = say_admin(socket.clone(), words.clone()).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{shown}: {answer}"
            );
        }
    }
    assert!(answers(&directory).await);
    for told in [": 413", "too slowly", "what came is not HTTP"] {
        eventually(async || log.count(told) > 0).await;
        assert_eq!(log.count(told), 1, "{}", log.text());
    }
}

#[tokio::test]
async fn the_admin_socket_has_so_many_connections() {
    let log = Log::listen();
    let directory = start(Bounds::default()).await;
    let socket = directory.config.admin_socket();
    let held = spawn_blocking(move || {
        let mut held: Vec<UnixStream> = (0..40).map(|_| UnixStream::connect(&socket).unwrap()).collect();
        assert_eq!(rest_of(held.pop().unwrap()), b"");
        held
    });
    let held = held.await.unwrap();
    assert_eq!(log.count("at the admin socket: closed"), 1, "{}", log.text());
    drop(held);
    eventually(async || answers(&directory).await).await;
}
