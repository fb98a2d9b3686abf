//! The connection to the local daemon: one Unix socket, opened once. Whoever listens at its other end is known from
//! then on, because a connection that breaks is not made again: a password or a descriptor goes to the process that was
//! checked, or nowhere.

mod group;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use nix::unistd::{Uid, User};
use p2p_proto::{Failure, FailureKind, MAX_GRPC_MESSAGE, v1::control_service_client::ControlServiceClient};
use rustix::{io::Errno, net::RecvFlags};
use tokio::{io::Interest, net::UnixStream};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

use crate::exit::words;

const SYSTEM_SOCKET: &str = "/run/p2pd/control.sock";
const DAEMON_USER: &str = "p2pd";
/// A daemon that is stopped or stuck is noticed after these two together.
const PING_EVERY: Duration = Duration::from_secs(20);
const PONG_WITHIN: Duration = Duration::from_secs(40);
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// The calls of `ControlService` over the one connection.
pub(crate) type Client = ControlServiceClient<Channel>;

/// A connected daemon.
pub(crate) struct Daemon {
    /// The calls.
    pub(crate) client: Client,
    socket: PathBuf,
    peer_uid: u32,
}

impl Daemon {
    /// The user id of the process that listens.
    pub(crate) fn peer_uid(&self) -> u32 {
        self.peer_uid
    }

    /// Refuses a daemon that runs as someone who must not get a password or a descriptor.
    pub(crate) fn check_owner(&self) -> Result<(), Failure> {
        check_owner(&self.socket, self.peer_uid)
    }

    /// What a failed call means: the daemon's own failure, or that the daemon itself went away.
    pub(crate) fn failure(&self, status: Status) -> Failure {
        // What the daemon itself says has details, and what came over the wire has no source.
        let from_transport = status.details().is_empty()
            && (std::error::Error::source(&status).is_some()
                || matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled));
        if from_transport {
            let message = format!("p2pd at {} broke off", self.socket.display());
            return Failure::new(FailureKind::DaemonUnreachable, message)
                .hint("Is it running? sudo systemctl status p2pd");
        }
        if status.code() == Code::Unimplemented {
            let message = "this p2pd does not know that command";
            return Failure::new(FailureKind::Internal, message)
                .hint("Is it as new as p2pctl? p2pctl status");
        }
        status.into()
    }
}

/// The socket that the flag or the environment names, else the user's own daemon's, else the system's.
pub(crate) fn socket_path(given: Option<&Path>) -> PathBuf {
    if let Some(path) = given.filter(|path| !path.as_os_str().is_empty()) {
        return path.to_owned();
    }
    std::env::var_os("XDG_RUNTIME_DIR")
        .filter(|folder| !folder.is_empty())
        .map(|folder| Path::new(&folder).join("p2pd/control.sock"))
        .filter(|path| path.exists())
        .unwrap_or_else(|| SYSTEM_SOCKET.into())
}

/// Connects once.
pub(crate) async fn connect(socket: &Path) -> Result<Daemon, Failure> {
    let failed = |error: io::Error| unreachable(socket, &error);
    let silent = |_| failed(io::Error::other("no answer within 10 s"));
    let stream = UnixStream::connect(socket).await.map_err(failed)?;
    let peer_uid = stream.peer_cred().map_err(failed)?.uid();
    let greeting = tokio::time::timeout(HANDSHAKE_WITHIN, greeting(&stream)).await;
    match greeting.map_err(silent)?.map_err(failed)? {
        Greeting::Welcome => {}
        Greeting::TooMany => {
            let message = format!("p2pd at {} has too many connections", socket.display());
            return Err(Failure::new(FailureKind::DaemonUnreachable, message).hint("Try again"));
        }
        Greeting::Closed => {
            let closed = failed(io::Error::other("it closed the connection"));
            return Err(closed.hint("Is it running? sudo systemctl status p2pd"));
        }
    }
    let only = Arc::new(Mutex::new(Some(stream)));
    let connector = tower::service_fn(move |_| {
        let stream = only.lock().ok().and_then(|mut only| only.take());
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        std::future::ready(stream.map(TokioIo::new).ok_or_else(gone))
    });
    let endpoint = Endpoint::from_static("http://p2pd.local")
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_WITHIN);
    let connecting = endpoint.connect_with_connector(connector);
    let channel = tokio::time::timeout(HANDSHAKE_WITHIN, connecting).await;
    let channel = channel
        .map_err(silent)?
        .map_err(|error| failed(io::Error::other(error)))?;
    let client = ControlServiceClient::new(channel)
        .max_decoding_message_size(MAX_GRPC_MESSAGE)
        .max_encoding_message_size(MAX_GRPC_MESSAGE);
    Ok(Daemon {
        client,
        socket: socket.to_owned(),
        peer_uid,
    })
}

/// How the daemon begins, before it is told anything.
enum Greeting {
    /// With its settings, or whatever else a later one begins with.
    Welcome,
    /// With a goodbye: it has no place left.
    TooMany,
    Closed,
}

/// What the daemon says first. It is left to be read: an HTTP/2 server introduces itself without being asked, and one
/// that has no place says so in the same way, with a GOAWAY frame that carries this code (RFC 9113, section 6.8).
async fn greeting(stream: &UnixStream) -> io::Result<Greeting> {
    const GOAWAY: u8 = 7;
    const ENHANCE_YOUR_CALM: [u8; 4] = [0, 0, 0, 11];
    let mut first = [0; 17];
    let peek = || Ok(rustix::net::recv(stream, &mut first, RecvFlags::PEEK)?.0);
    let heard = match stream.async_io(Interest::READABLE, peek).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
        heard => heard?,
    };
    Ok(match &first[..heard] {
        [] => Greeting::Closed,
        [_, _, _, GOAWAY, .., a, b, c, d] if [*a, *b, *c, *d] == ENHANCE_YOUR_CALM => Greeting::TooMany,
        _ => Greeting::Welcome,
    })
}

/// The sentence for a socket that cannot be reached.
fn unreachable(socket: &Path, error: &io::Error) -> Failure {
    let message = format!("cannot reach p2pd at {}: {}", socket.display(), words(error));
    let failure = Failure::new(FailureKind::DaemonUnreachable, message);
    match Errno::from_io_error(error) {
        Some(Errno::ACCESS) => failure.hint(group::membership(socket)),
        Some(Errno::NOENT | Errno::CONNREFUSED) => failure.hint("Is it running? sudo systemctl start p2pd"),
        _ => failure,
    }
}

/// Refuses a socket whose listener is neither this user, nor root, nor the user `p2pd`. The socket's path is for the
/// sentence.
pub(crate) fn check_owner(socket: &Path, uid: u32) -> Result<(), Failure> {
    let uid = Uid::from_raw(uid);
    if uid == Uid::effective() || uid.is_root() {
        return Ok(());
    }
    let daemon = User::from_name(DAEMON_USER).ok().flatten();
    if daemon.is_some_and(|user| user.uid == uid) {
        return Ok(());
    }
    let who = User::from_uid(uid)
        .ok()
        .flatten()
        .map_or_else(|| format!("user id {uid}"), |user| user.name);
    let message = format!(
        "{} is served by {who}, not by p2pd, root or {}. Nothing was sent",
        socket.display(),
        unix_user()
    );
    Err(Failure::new(FailureKind::IdentityMismatch, message).hint("To use another socket: --socket PATH"))
}

/// The name of the Unix user who runs this, or the number.
pub(crate) fn unix_user() -> String {
    let uid = Uid::effective();
    User::from_uid(uid)
        .ok()
        .flatten()
        .map_or_else(|| uid.to_string(), |user| user.name)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixListener,
    };

    use super::*;
    use crate::exit::sentence;

    #[tokio::test]
    async fn a_missing_socket_has_its_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let failure = connect(&socket).await.err().unwrap();
        assert_eq!(failure.kind.exit_code(), 3);
        assert_eq!(
            sentence(&failure),
            format!(
                "p2pctl: cannot reach p2pd at {}: no such file. Is it running? sudo systemctl start p2pd",
                socket.display()
            )
        );
    }

    #[tokio::test]
    async fn a_stale_socket_has_its_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        drop(UnixListener::bind(&socket).unwrap());
        let failure = connect(&socket).await.err().unwrap();
        assert_eq!(
            sentence(&failure),
            format!(
                "p2pctl: cannot reach p2pd at {}: connection refused. Is it running? sudo systemctl start p2pd",
                socket.display()
            )
        );
    }

    /// What a connection to one who says this and closes comes to.
    async fn told(goodbye: &[u8]) -> (String, String) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let closing = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(goodbye).await.unwrap();
        };
        let (failure, ()) = tokio::join!(connect(&socket), closing);
        let failure = failure.err().unwrap();
        assert_eq!(failure.kind.exit_code(), 3);
        (sentence(&failure), socket.display().to_string())
    }

    #[tokio::test]
    async fn a_daemon_without_a_place_says_so() {
        let (said, socket) = told(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11]).await;
        assert_eq!(
            said,
            format!("p2pctl: p2pd at {socket} has too many connections. Try again")
        );
    }

    #[tokio::test]
    async fn a_daemon_that_closes_at_once_has_its_sentence() {
        let (said, socket) = told(b"").await;
        assert_eq!(
            said,
            format!(
                "p2pctl: cannot reach p2pd at {socket}: it closed the connection. Is it running? sudo systemctl status \
                 p2pd"
            )
        );
    }

    #[test]
    fn a_closed_socket_has_its_sentence() {
        let failure = unreachable(Path::new("/run/p2pd/control.sock"), &Errno::ACCESS.into());
        let user = unix_user();
        assert_eq!(
            sentence(&failure),
            format!(
                "p2pctl: cannot reach p2pd at /run/p2pd/control.sock: permission denied. {user} is not in group \
                 p2pd: sudo usermod -aG p2pd {user}, then log in again (or: newgrp p2pd)"
            )
        );
    }

    #[tokio::test]
    async fn a_connection_is_made_once_and_its_owner_known() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let accepting = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // Settings that change nothing; and when the other side has begun as well, it is over.
            stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
            stream.read_exact(&mut [0; 24]).await.unwrap();
            drop(stream);
            listener
        });
        let mut daemon = connect(&socket).await.unwrap();
        assert_eq!(daemon.peer_uid(), Uid::effective().as_raw());
        daemon.check_owner().unwrap();
        let listener = accepting.await.unwrap();
        let status = daemon
            .client
            .status(p2p_proto::v1::StatusRequest {})
            .await
            .unwrap_err();
        assert_eq!(daemon.failure(status).kind, FailureKind::DaemonUnreachable);
        // Nobody knocked a second time.
        let again = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(again.is_err());
    }

    #[test]
    fn a_stranger_gets_nothing() {
        let stranger = 65_533;
        let failure = check_owner(Path::new("/s"), stranger).unwrap_err();
        assert_eq!(failure.kind, FailureKind::IdentityMismatch);
        assert!(
            failure.message.starts_with("/s is served by "),
            "{}",
            failure.message
        );
        check_owner(Path::new("/s"), 0).unwrap();
        check_owner(Path::new("/s"), Uid::effective().as_raw()).unwrap();
    }
}
