//! A connection that ends when its peer's right to it ends: at the end of its certificate, when the directory denies it,
//! when this daemon logs out, or when it stops.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::server::Connected;

use crate::{
    directory::link::Link,
    identity::{certificate::CertifiedPeer, session::Sessions},
};

/// Ready when this peer's right to a connection is over; the reason is for the log.
pub async fn until_over(
    peer: CertifiedPeer,
    sessions: &Sessions,
    link: &Link,
    hard: CancellationToken,
) -> &'static str {
    let left = peer.not_after.saturating_sub(Timestamp::now().as_second());
    let certificate_ends = tokio::time::sleep(Duration::from_secs(u64::try_from(left).unwrap_or(0)));
    let mut session = sessions.subscribe();
    let mut link = link.subscribe();
    let logged_out = session.wait_for(|session| {
        session
            .as_ref()
            .is_none_or(|session| session.record.cluster != peer.identity.cluster)
    });
    let denied = link.wait_for(|state| state.denied.contains(&peer.identity.peer));
    tokio::select! {
        () = certificate_ends => "its certificate ended",
        _ = logged_out => "this peer logged out",
        _ = denied => "the directory denied it",
        () = hard.cancelled() => "this peer stops",
    }
}

/// A stream that reads as ended and fails to write once `over` is ready.
pub struct Guarded<S> {
    stream: S,
    peer: CertifiedPeer,
    over: Pin<Box<dyn Future<Output = &'static str> + Send>>,
    ended: bool,
    _open: Option<DropGuard>,
}

impl<S> Guarded<S> {
    /// Guards a stream. `open` is dropped with it.
    pub fn new(
        stream: S,
        peer: CertifiedPeer,
        over: impl Future<Output = &'static str> + Send + 'static,
        open: Option<DropGuard>,
    ) -> Self {
        Self {
            stream,
            peer,
            over: Box::pin(over),
            ended: false,
            _open: open,
        }
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.ended
            && let Poll::Ready(reason) = self.over.as_mut().poll(cx)
        {
            tracing::debug!(PEER = %self.peer.identity.peer, PEER_ID = %self.peer.identity.peer, "connection closed: {reason}");
            self.ended = true;
        }
        if self.ended {
            Err(io::ErrorKind::ConnectionAborted.into())
        } else {
            Ok(())
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S> Connected for Guarded<S> {
    type ConnectInfo = CertifiedPeer;

    fn connect_info(&self) -> CertifiedPeer {
        self.peer
    }
}
