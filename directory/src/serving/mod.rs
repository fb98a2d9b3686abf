//! HTTP on one accepted connection: `axum::serve` has no limits in time, so the loop is our own. A head that is slower
//! than 10 s is answered 408, a connection without a request is closed after 75 s. What is refused is logged once per source
//! and minute ([`refusals`]). Each connection owns its state; a crash loses nothing that was answered.

mod activity;
mod refusals;

use std::{pin::Pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use p2p_proto::rest::problem::{CONTENT_TYPE, Problem, ProblemKind};
use p2p_service::lifecycle::Lifecycle;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::timeout,
};
use tower::ServiceExt;

use self::activity::{Activity, Expired, Watched};
pub use self::refusals::{Origin, Refusals};
use crate::state::ClientAddress;

/// How long a closing connection has to take its last answer.
const GOODBYE: Duration = Duration::from_secs(5);

/// How many requests one HTTP/2 connection has at once.
const MAX_STREAMS: u32 = 32;

/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// Which HTTP a connection speaks, as its ALPN said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1
    Http1,
    /// HTTP/2
    Http2,
}

/// How long a connection may take for what.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the head of a request, and for the first one to begin.
    pub head: Duration,
    /// To be without a request.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
        }
    }
}

/// What every connection is served with.
#[derive(Clone)]
pub struct Serving {
    /// Who answers.
    pub router: Router,
    /// How long things may take.
    pub limits: Limits,
    /// When to stop.
    pub lifecycle: Lifecycle,
    /// Who was refused what.
    pub refusals: Arc<Refusals>,
}

impl Serving {
    /// Serves one connection to its end.
    pub async fn connection<S>(self, stream: S, protocol: Protocol, from: Origin)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            router,
            limits,
            lifecycle,
            refusals,
        } = self;
        let activity = Activity::new(protocol, limits);
        let io = TokioIo::new(Watched::new(stream, activity.clone()));
        let service = service_fn({
            let (activity, refusals) = (activity.clone(), refusals.clone());
            move |request: Request<Incoming>| {
                let answered = answer(router.clone(), request, from, activity.clone());
                let refusals = refusals.clone();
                async move {
                    let response = answered.await;
                    refusals.answered(from, response.status());
                    Ok::<_, std::convert::Infallible>(response)
                }
            }
        });
        match protocol {
            Protocol::Http1 => {
                let mut connection = conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(None)
                    .max_buf_size(MAX_HEAD)
                    .serve_connection(io, service);
                let end = drive(Pin::new(&mut connection), &activity, &lifecycle).await;
                refusals.ended(from, &end);
                if matches!(end, End::SlowHead) {
                    tell_slow(connection.into_parts().io.into_inner().into_inner()).await;
                }
            }
            Protocol::Http2 => {
                let mut connection = conn::http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .keep_alive_interval(Duration::from_secs(20))
                    .keep_alive_timeout(Duration::from_secs(20))
                    .max_concurrent_streams(MAX_STREAMS)
                    .max_header_list_size(32 * 1024)
                    .initial_stream_window_size(1 << 18)
                    .initial_connection_window_size(1 << 20)
                    .serve_connection(io, service);
                let end = drive(Pin::new(&mut connection), &activity, &lifecycle).await;
                refusals.ended(from, &end);
            }
        }
    }
}

async fn answer(
    router: Router,
    mut request: Request<Incoming>,
    from: Origin,
    activity: Activity,
) -> axum::response::Response {
    let _busy = activity.begin_request();
    if let Origin::Address(from) = from {
        request.extensions_mut().insert(ClientAddress(from));
    }
    tracing::debug!(method = %request.method(), path = request.uri().path(), "request");
    match router.oneshot(request.map(Body::new)).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// How a connection ended.
enum End {
    /// As connections do.
    Over,
    /// It broke off, or what came was no HTTP.
    Broken(hyper::Error),
    /// With a head that was too slow; nobody was told yet.
    SlowHead,
}

/// What the two kinds of connection have in common.
trait Connection: Future<Output = Result<(), hyper::Error>> {
    fn finish(self: Pin<&mut Self>);
}

impl<I, S> Connection for conn::http1::Connection<I, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Connection for conn::http2::Connection<I, S, TokioExecutor>
where
    S: hyper::service::HttpService<Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send + 'static,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

async fn drive<C: Connection>(
    mut connection: Pin<&mut C>,
    activity: &Activity,
    lifecycle: &Lifecycle,
) -> End {
    tokio::select! {
        ended = connection.as_mut() => return End::from(ended),
        () = lifecycle.hard().cancelled() => return End::Over,
        // What runs is finished, for as long as the program drains.
        () = lifecycle.soft().cancelled() => {
            connection.as_mut().finish();
            tokio::select! {
                ended = connection.as_mut() => return End::from(ended),
                () = lifecycle.hard().cancelled() => return End::Over,
            }
        }
        expired = activity.expired() => {
            if expired == Expired::Head {
                return End::SlowHead;
            }
        }
    }
    connection.as_mut().finish();
    timeout(GOODBYE, connection.as_mut())
        .await
        .map_or(End::Over, End::from)
}

impl From<Result<(), hyper::Error>> for End {
    fn from(ended: Result<(), hyper::Error>) -> Self {
        ended.map_or_else(Self::Broken, |()| Self::Over)
    }
}

/// The answer for a head that took too long: hyper would only close.
async fn tell_slow<S: AsyncWrite + Unpin>(mut stream: S) {
    let problem = Problem::new(ProblemKind::Timeout, "the request's head came too slowly");
    let body = serde_json::to_string(&problem).unwrap_or_default();
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 408 Request Timeout\r\ncontent-type: {CONTENT_TYPE}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    );
    let told = timeout(GOODBYE, async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    });
    if let Ok(Err(error)) = told.await {
        tracing::debug!(error = %error, "a slow client is gone");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use super::*;

    /// A client's end of a connection that is served with limits which end at once, or almost never.
    fn connect(head: Duration, idle: Duration) -> (DuplexStream, Lifecycle) {
        let (client, server) = duplex(64 * 1024);
        let lifecycle = Lifecycle::new();
        let router = Router::new().route("/", axum::routing::get(|| async { "hello" }));
        let serving = Serving {
            router,
            limits: Limits { head, idle },
            lifecycle: lifecycle.clone(),
            refusals: Arc::default(),
        };
        tokio::spawn(serving.connection(server, Protocol::Http1, Origin::User(0)));
        (client, lifecycle)
    }

    async fn rest_of(mut client: DuplexStream) -> String {
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        text
    }

    const SOON: Duration = Duration::from_millis(50);
    const LATE: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_slow_head_is_told_so() {
        let (mut client, _lifecycle) = connect(SOON, LATE);
        client.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
        let answer = rest_of(client).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(
            answer.contains(CONTENT_TYPE) && answer.contains("urn:p2p:problem:timeout"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn an_idle_connection_is_closed_without_a_word() {
        let (mut client, _lifecycle) = connect(LATE, SOON);
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let answer = rest_of(client).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("hello"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn a_slow_second_head_is_told_so() {
        let (mut client, _lifecycle) = connect(SOON, LATE);
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut first = vec![0; 4096];
        let length = client.read(&mut first).await.unwrap();
        assert!(first[..length].starts_with(b"HTTP/1.1 200 "));
        client.write_all(b"GET").await.unwrap();
        assert!(rest_of(client).await.contains("HTTP/1.1 408 "));
    }

    #[tokio::test]
    async fn a_stop_closes_what_is_idle() {
        let (mut client, lifecycle) = connect(LATE, LATE);
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut first = vec![0; 4096];
        assert!(client.read(&mut first).await.unwrap() > 0);
        lifecycle.stop();
        rest_of(client).await;
    }
}
