//! The command's side of the admin API: HTTP over the Unix socket, by hyperlocal.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::{
    body::Bytes,
    http::{Method, Request, header},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use hyperlocal::UnixConnector;
use p2p_proto::{
    Failure, FailureKind,
    rest::problem::{Problem, ProblemKind},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The largest answer, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// Talks to the directory on this machine.
pub struct AdminClient {
    socket: PathBuf,
    client: Client<UnixConnector, Full<Bytes>>,
}

impl AdminClient {
    /// A client of this socket.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        // hyperlocal wants an absolute path.
        let socket = std::path::absolute(socket).unwrap_or_else(|_| socket.to_owned());
        Self {
            socket,
            client: Client::builder(TokioExecutor::new()).build(UnixConnector),
        }
    }

    /// Asks without a body.
    ///
    /// # Errors
    /// When the directory cannot be reached or refuses.
    pub async fn call<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, Failure> {
        let answer = self.exchange(method, path, Bytes::new()).await?;
        read(&answer)
    }

    /// Asks with a body.
    ///
    /// # Errors
    /// When the directory cannot be reached or refuses.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| internal(&error))?;
        let answer = self.exchange(Method::POST, path, body.into()).await?;
        read(&answer)
    }

    /// Asks with a body, for nothing but that it is done.
    ///
    /// # Errors
    /// When the directory cannot be reached or refuses.
    pub async fn tell(&self, path: &str, body: &impl Serialize) -> Result<(), Failure> {
        let body = serde_json::to_vec(body).map_err(|error| internal(&error))?;
        self.exchange(Method::POST, path, body.into()).await.map(drop)
    }

    /// Deletes.
    ///
    /// # Errors
    /// When the directory cannot be reached or refuses.
    pub async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.exchange(Method::DELETE, path, Bytes::new()).await.map(drop)
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(hyper::Uri::from(hyperlocal::Uri::new(&self.socket, path)))
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| internal(&error))?;
        let answered = timeout(PATIENCE, async {
            let response = self
                .client
                .request(request)
                .await
                .map_err(|error| self.unreachable(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(|error| Failure::new(FailureKind::Unreachable, error.to_string()))?;
            Ok::<_, Failure>((status, body.to_bytes()))
        });
        let late = |_| Failure::new(FailureKind::TimedOut, "the directory did not answer within 60 s");
        let (status, body) = answered.await.map_err(late)??;
        if status.is_success() {
            Ok(body)
        } else {
            Err(refused(status.as_u16(), &body))
        }
    }

    fn unreachable(&self, error: &(dyn Error + 'static)) -> Failure {
        let socket = self.socket.display();
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        let kind = loop {
            match cause {
                None => break None,
                Some(this) => match this.downcast_ref::<io::Error>() {
                    Some(error) => break Some(error.kind()),
                    None => cause = this.source(),
                },
            }
        };
        let (what, hint) = match kind {
            Some(io::ErrorKind::NotFound) => (
                "no such file. Is it running?".to_owned(),
                "sudo systemctl start p2p-directory",
            ),
            Some(io::ErrorKind::ConnectionRefused) => (
                "nobody listens. Is it running?".to_owned(),
                "sudo systemctl start p2p-directory",
            ),
            Some(io::ErrorKind::PermissionDenied) => (
                "permission denied. Try".to_owned(),
                "sudo p2p-directory admin ...",
            ),
            _ => (error.to_string(), "journalctl -u p2p-directory"),
        };
        let message = format!("cannot reach p2p-directory at {socket}: {what}");
        Failure::new(FailureKind::DaemonUnreachable, message).hint(hint)
    }
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| internal(&error))
}

fn internal(error: &dyn Error) -> Failure {
    Failure::new(FailureKind::Internal, error.to_string())
}

fn refused(status: u16, body: &[u8]) -> Failure {
    let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
        return Failure::new(FailureKind::Internal, format!("the directory answered {status}"));
    };
    let kind = match problem.kind() {
        Some(ProblemKind::NotFound) => FailureKind::NotFound,
        Some(ProblemKind::Invalid | ProblemKind::BadRequest) => FailureKind::Usage,
        Some(ProblemKind::Unavailable) => FailureKind::Unreachable,
        _ => FailureKind::Internal,
    };
    Failure::new(kind, problem.detail.unwrap_or(problem.title))
}
