//! A stream that must begin: whoever connects and then says too little for too long is cut, before he has cost anything
//! but his place.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// Fails to read with `TimedOut` when the first bytes did not come in time; afterwards it is the stream.
pub struct Begun<S> {
    stream: S,
    /// How many of the first bytes are missing, and until when they may be.
    awaited: Option<(usize, Pin<Box<Sleep>>)>,
    gone: Gone,
}

/// Whether the other end left, or the stream below failed. What fails else, the other end did wrong while it was there.
#[derive(Clone, Debug, Default)]
pub struct Gone(Arc<AtomicBool>);

impl Gone {
    /// It is.
    #[must_use]
    pub fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn note<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if matches!(polled, Poll::Ready(Err(_))) {
            self.0.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl<S> Begun<S> {
    /// The stream's first `bytes` bytes must come within this time.
    pub fn new(stream: S, bytes: usize, within: Duration) -> Self {
        Self {
            stream,
            awaited: Some((bytes, Box::pin(sleep(within)))),
            gone: Gone::default(),
        }
    }

    /// Tells when the other end has left; for whoever gives the stream away.
    pub fn gone(&self) -> Gone {
        self.gone.clone()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let read = this.gone.note(Pin::new(&mut this.stream).poll_read(cx, buf));
        if matches!(read, Poll::Ready(Ok(()))) && buf.filled().len() == before {
            this.gone.0.store(true, Ordering::Relaxed);
        }
        if let Some((missing, end)) = &mut this.awaited {
            let came = buf.filled().len() - before;
            if came >= *missing {
                this.awaited = None;
            } else {
                *missing -= came;
                // What came is handed on first.
                if read.is_pending() && end.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "it never began to speak",
                    )));
                }
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.gone.note(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.gone.note(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.gone.note(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn who_says_too_little_is_cut() {
        for said in ["", "ab"] {
            let (mut client, server) = duplex(64);
            let mut server = Begun::new(server, 3, Duration::from_millis(20));
            client.write_all(said.as_bytes()).await.unwrap();
            let mut heard = Vec::new();
            let error = server.read_to_end(&mut heard).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert_eq!(heard, said.as_bytes());
        }
    }

    #[tokio::test]
    async fn who_began_may_be_silent() {
        let (mut client, server) = duplex(64);
        let mut server = Begun::new(server, 3, Duration::from_secs(3600));
        for byte in b"abc" {
            assert!(server.awaited.is_some());
            client.write_all(&[*byte]).await.unwrap();
            assert_eq!(server.read_u8().await.unwrap(), *byte);
        }
        assert!(server.awaited.is_none());
    }
}
