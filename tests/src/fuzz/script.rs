//! A connection whose other end has said all of it already: what comes is cut into the chunks that the input says, what is
//! sent is kept.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// More is not kept: then the connection breaks. An input that asks for much is not to take a minute.
pub const MAX_SENT: usize = 1 << 20;

/// The connection.
pub struct Script<'a> {
    comes: &'a [u8],
    /// Lengths of the chunks, one after the other and again; none for all at once.
    chunks: &'a [u8],
    chunk: usize,
    /// What was sent.
    pub sent: Vec<u8>,
}

impl<'a> Script<'a> {
    pub const fn new(comes: &'a [u8], chunks: &'a [u8]) -> Self {
        Self {
            comes,
            chunks,
            chunk: 0,
            sent: Vec::new(),
        }
    }
}

impl AsyncRead for Script<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = if self.chunks.is_empty() {
            usize::MAX
        } else {
            let length = self.chunks[self.chunk % self.chunks.len()];
            self.chunk += 1;
            usize::from(length).max(1)
        };
        let length = most.min(into.remaining()).min(self.comes.len());
        let (now, later) = self.comes.split_at(length);
        into.put_slice(now);
        self.comes = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let length = bytes.len().min(MAX_SENT - self.sent.len());
        if length == 0 && !bytes.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.sent.extend_from_slice(&bytes[..length]);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
