//! `GET /metrics` over plain HTTP/1.1, for a collector in a network that is trusted to read numbers. Few connections at
//! once, fewer from one address, each for one request and a few seconds. Owns nothing.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, net::TcpStream, sync::Semaphore, time::timeout};

use super::page;
use crate::{
    accept::{self, Gate},
    lifecycle::Lifecycle,
};

/// Collectors at once; more wait to be accepted.
const MOST: usize = 8;

/// Of them from one address; one more is closed at once.
const PER_ADDRESS: usize = 2;

/// What the head of a request may take.
const HEAD: Duration = Duration::from_secs(5);

/// What a connection may take.
const WHOLE: Duration = Duration::from_secs(15);

/// The largest head, in bytes.
const MAX_HEAD: usize = 8 * 1024;

/// Pause after an accept that failed for want of something, such as descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Binds `[metrics] listen`; nothing where it is off.
///
/// # Errors
/// When the address cannot be had.
pub fn bind_metrics(listen: Option<SocketAddr>) -> io::Result<Option<TcpListener>> {
    let bound = accept::bind(listen.as_slice()).map_err(|error| {
        let message = format!("metrics.listen: {error}");
        io::Error::new(error.kind(), message)
    });
    Ok(bound?.pop())
}

/// Serves what `render` gives until the soft stop.
///
/// # Errors
/// None; the signature is that of a service task.
pub async fn serve_metrics<R, F>(listener: TcpListener, render: R, lifecycle: Lifecycle) -> anyhow::Result<()>
where
    R: Fn() -> F + Clone + Send + Sync + 'static,
    F: Future<Output = String> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(MOST));
    let sources = Gate::new(PER_ADDRESS, MOST);
    let soft = lifecycle.soft().clone();
    let accepting = async {
        loop {
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, from)) => {
                    let Some(entered) = sources.enter(accept::source(from.ip())) else {
                        continue;
                    };
                    let render = render.clone();
                    lifecycle.spawn_request(async move {
                        let _places = (entered, place);
                        // A collector that is too slow comes again.
                        let _ = timeout(WHOLE, connection(stream, render)).await;
                    });
                }
                Err(error) => {
                    tracing::debug!("metrics cannot accept: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    };
    soft.run_until_cancelled(accepting).await;
    Ok(())
}

async fn connection<R, F>(stream: TcpStream, render: R)
where
    R: Fn() -> F + Clone + Send + Sync + 'static,
    F: Future<Output = String> + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let render = render.clone();
        async move { Ok::<_, Infallible>(answer(&request, render).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!("a collector's connection broke off: {error}");
    }
}

async fn answer<R, F>(request: &Request<Incoming>, render: R) -> Response<Full<Bytes>>
where
    R: Fn() -> F,
    F: Future<Output = String>,
{
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, render().await),
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, "GET only\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "see /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(page::CONTENT_TYPE));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn ask(address: SocketAddr, head: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn one_page_and_nothing_else() {
        assert!(bind_metrics(None).unwrap().is_none());
        let listener = bind_metrics(Some("127.0.0.1:0".parse().unwrap()))
            .unwrap()
            .unwrap();
        let address = listener.local_addr().unwrap();
        let lifecycle = Lifecycle::new();
        let render = || async { "x_up 1\n".to_owned() };
        lifecycle.spawn("metrics", serve_metrics(listener, render, lifecycle.clone()));
        let page = ask(address, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(
            page.starts_with("HTTP/1.1 200 ") && page.contains("version=0.0.4") && page.ends_with("x_up 1\n"),
            "{page}"
        );
        let other = ask(address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(other.starts_with("HTTP/1.1 404 "), "{other}");
        let post = ask(
            address,
            "POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
        )
        .await;
        assert!(post.starts_with("HTTP/1.1 405 "), "{post}");
        // One address has two places, and another one its own.
        let silent = [
            TcpStream::connect(address).await.unwrap(),
            TcpStream::connect(address).await.unwrap(),
        ];
        let mut third = TcpStream::connect(address).await.unwrap();
        let closed = timeout(HEAD / 2, third.read_u8()).await;
        assert!(closed.expect("it is closed at once").is_err());
        let other = tokio::net::TcpSocket::new_v4().unwrap();
        other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut other = other.connect(address).await.unwrap();
        other
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut text = String::new();
        other.read_to_string(&mut text).await.unwrap();
        assert!(text.ends_with("x_up 1\n"), "{text}");
        drop(silent);
        lifecycle.stop();
        lifecycle.tracker().close();
        lifecycle.tracker().wait().await;
        assert!(TcpStream::connect(address).await.is_err());
    }
}
