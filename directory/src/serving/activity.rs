//! What a connection is doing, and when it has been doing it for too long.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{Limits, Protocol};

/// What a connection is doing. After a head comes a request, after the last request idleness, and in HTTP/1 after
/// idleness the first byte of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Head { since: Instant },
    Busy { requests: usize },
    Idle { since: Instant },
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    Head,
    Idle,
}

/// The phase of one connection.
#[derive(Clone)]
pub(super) struct Activity {
    phase: Arc<watch::Sender<Phase>>,
    protocol: Protocol,
    limits: Limits,
}

impl Activity {
    pub(super) fn new(protocol: Protocol, limits: Limits) -> Self {
        // HTTP/2's frames are not told apart here: its first request has the time of a head, a later one that of an idle
        // connection.
        let phase = Phase::Head {
            since: Instant::now(),
        };
        Self {
            phase: Arc::new(watch::Sender::new(phase)),
            protocol,
            limits,
        }
    }

    /// A request is being answered until this is dropped.
    pub(super) fn begin_request(&self) -> Busy {
        self.phase.send_modify(|phase| {
            let requests = if let Phase::Busy { requests } = *phase {
                requests + 1
            } else {
                1
            };
            *phase = Phase::Busy { requests };
        });
        Busy(self.clone())
    }

    fn end_request(&self) {
        self.phase.send_modify(|phase| {
            *phase = match *phase {
                Phase::Busy { requests } if requests > 1 => Phase::Busy {
                    requests: requests - 1,
                },
                _ => Phase::Idle {
                    since: Instant::now(),
                },
            };
        });
    }

    fn bytes_came(&self) {
        let http1 = self.protocol == Protocol::Http1;
        self.phase.send_if_modified(|phase| {
            let begins = http1 && matches!(phase, Phase::Idle { .. });
            if begins {
                *phase = Phase::Head {
                    since: Instant::now(),
                };
            }
            begins
        });
    }

    /// Ends when a phase has taken too long.
    pub(super) async fn expired(&self) -> Expired {
        let mut phases = self.phase.subscribe();
        loop {
            let phase = *phases.borrow_and_update();
            let (end, expired) = match phase {
                Phase::Head { since } => (Some(since + self.limits.head), Expired::Head),
                Phase::Idle { since } => (Some(since + self.limits.idle), Expired::Idle),
                Phase::Busy { .. } => (None, Expired::Idle),
            };
            tokio::select! {
                // The sender lives as long as self.
                _ = phases.changed() => {}
                () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => return expired,
            }
        }
    }
}

/// A request that is being answered.
pub(super) struct Busy(Activity);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.end_request();
    }
}

/// A stream that tells when bytes come.
pub(super) struct Watched<S> {
    stream: S,
    activity: Activity,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, activity: Activity) -> Self {
        Self { stream, activity }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.bytes_came();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
