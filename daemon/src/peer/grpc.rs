//! gRPC on one accepted connection, on the control socket and the peer port. tonic's own loop says nothing of a connection
//! that it cuts and leaves limits open, so the loop is our own; the services are tonic's.

use std::{
    convert::Infallible,
    error::Error,
    future::Future,
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use p2p_service::accept::Begun;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body, codegen, codegen::http, service::Routes, transport::server::Connected};

/// The bytes with which every HTTP/2 connection begins, and what a client may take to send them.
const PREFACE: (usize, Duration) = (24, Duration::from_secs(10));

/// The largest head of a request, in bytes: ours have some hundred.
const MAX_HEAD: u32 = 8 * 1024;

/// Streams that a client opened and reset before they were looked at, and streams that broke by its fault: who does more
/// of either floods, and is cut. tonic sets no limit to the second.
const MAX_RESETS: usize = 20;

/// Bytes of one call's answer that wait for a client that does not read. What more there is waits in the call itself.
const SEND_BUFFER: usize = 64 * 1024;

/// How much a client may send in advance, for one call and for all of them, in bytes.
const WINDOW: u32 = 1 << 20;

/// What one connection may do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Calls at once.
    pub calls: u32,
    /// Until the answer of a call begins.
    pub answer: Option<Duration>,
    /// A client that says nothing for so long is asked whether it lives, and has a third of that to say so.
    pub keep_alive: Option<Duration>,
    /// After this the connection takes no more calls, and ends with those that run.
    pub age: Option<Duration>,
}

/// What a client did that made its connection end.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Fault(String);

/// Serves one connection to its end; after `soft` it ends with the calls that run.
///
/// # Errors
/// When the client is at fault; one that only left is not.
pub async fn serve<S>(
    stream: S,
    routes: Routes,
    limits: Limits,
    soft: &CancellationToken,
) -> Result<(), Fault>
where
    S: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let calls = Calls {
        info: stream.connect_info(),
        routes,
        answer: limits.answer,
    };
    let stream = Begun::new(stream, PREFACE.0, PREFACE.1);
    let gone = stream.gone();
    let builder = builder(&limits);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(calls));
    let mut connection = pin!(connection);
    let finish = async {
        match limits.age {
            Some(age) => drop(timeout(age, soft.cancelled()).await),
            None => soft.cancelled().await,
        }
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = finish => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    match ended {
        Err(error) if !gone.is() && !left(innermost(&*error)) => Err(Fault(innermost(&*error).to_string())),
        _ => Ok(()),
    }
}

/// The client is not there any more, which h2 may find before the stream does.
fn left(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected
        )
    })
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new()).http2_only();
    let mut http2 = builder.http2();
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.calls)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS)
        .max_header_list_size(MAX_HEAD)
        .max_send_buf_size(SEND_BUFFER)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .keep_alive_interval(limits.keep_alive);
    if let Some(interval) = limits.keep_alive {
        http2.keep_alive_timeout(interval / 3);
    }
    builder
}

fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost
}

/// The routes, for the calls of one client.
#[derive(Clone)]
struct Calls<I> {
    info: I,
    routes: Routes,
    answer: Option<Duration>,
}

type Answer = Result<http::Response<Body>, Infallible>;

impl<I, B> tower::Service<http::Request<B>> for Calls<I>
where
    I: Clone + Send + Sync + 'static,
    B: codegen::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<codegen::StdError>,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        tower::Service::<http::Request<B>>::poll_ready(&mut self.routes, cx)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        request.extensions_mut().insert(self.info.clone());
        let answering = self.routes.call(request);
        match self.answer {
            None => Box::pin(answering),
            Some(within) => Box::pin(async move {
                let late = |_| Ok(Status::deadline_exceeded("the call took too long").into_http());
                timeout(within, answering).await.unwrap_or_else(late)
            }),
        }
    }
}
