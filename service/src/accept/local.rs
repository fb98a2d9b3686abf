//! The accept loop for Unix sockets. One user cannot take every place from the others.

use std::{future::Future, io, time::Duration};

use tokio::net::{UnixListener, UnixStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::gate::{Gate, Place};
use crate::once::OncePerMinute;

/// Pause after an accept that failed for want of something, such as descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Bounds of an accept loop.
#[derive(Clone, Copy, Debug)]
pub struct LocalLimits {
    /// What the socket is called in the log.
    pub name: &'static str,
    /// Connections of one user.
    pub per_user: usize,
    /// Connections in all.
    pub total: usize,
    /// What one too many hears before it is closed, in the socket's own protocol; a few bytes, or none.
    pub goodbye: &'static [u8],
}

/// Accepts until `soft`, and runs `handler` for each connection with its user and its place, which the handler keeps for as
/// long as it costs something. Returns when every handler has ended.
pub async fn serve_unix<H, F>(
    listener: UnixListener,
    limits: LocalLimits,
    soft: CancellationToken,
    handler: H,
) where
    H: Fn(UnixStream, u32, Place<u32>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let LocalLimits { name, .. } = limits;
    let gate = Gate::new(limits.per_user, limits.total);
    let said = OncePerMinute::default();
    let handlers = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted.and_then(|(stream, _)| {
                let uid = stream.peer_cred()?.uid();
                Ok((stream, uid))
            }),
            () = soft.cancelled() => break,
        };
        match accepted {
            Ok((stream, uid)) => match gate.enter(uid) {
                Some(place) => drop(handlers.spawn(handler(stream, uid, place))),
                None => {
                    // A buffer that nobody has written to has room; whoever has gone already need not hear it.
                    let _ = stream.try_write(limits.goodbye);
                    if let Some(more) = said.say(uid) {
                        tracing::info!("too many connections of user {uid} at {name}: closed{more}");
                    }
                }
            },
            Err(error) if theirs(&error) => {}
            Err(error) => {
                // Nobody's fault and nobody's in particular: the key is a user that cannot exist.
                if said.may_say(u32::MAX) {
                    tracing::warn!("{name} cannot accept: {error}");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    handlers.close();
    handlers.wait().await;
}

/// The client was gone again before it was accepted.
fn theirs(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected
    )
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::accept::bind_unix;

    #[tokio::test]
    async fn the_cap_holds_and_frees_and_a_stop_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let listener = bind_unix(&path, 0o600, None).unwrap();
        let soft = CancellationToken::new();
        let limits = LocalLimits {
            name: "x",
            per_user: 2,
            total: 8,
            goodbye: b"full",
        };
        let serving = tokio::spawn(serve_unix(
            listener,
            limits,
            soft.clone(),
            |mut stream, _, place| async move {
                let _place = place;
                let mut byte = [0];
                while stream.read_exact(&mut byte).await.is_ok() && stream.write_all(&byte).await.is_ok() {}
            },
        ));
        let path = &path;
        let connect = || async move {
            let mut stream = UnixStream::connect(path).await?;
            stream.write_all(b"x").await?;
            match stream.read_u8().await? {
                b'x' => Ok(stream),
                _ => Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
            }
        };
        let first = connect().await.unwrap();
        let second = connect().await.unwrap();
        let mut heard = Vec::new();
        let mut refused = UnixStream::connect(path).await.unwrap();
        refused.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"full");
        drop(first);
        // The place is free as soon as the server has seen the end.
        let third = loop {
            if let Ok(stream) = connect().await {
                break stream;
            }
            tokio::task::yield_now().await;
        };
        soft.cancel();
        drop((second, third));
        serving.await.unwrap();
        assert!(connect().await.is_err());
    }
}
