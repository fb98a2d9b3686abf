//! The REST client. One per session: its only root of trust is the CA that was pinned at login.

mod refusals;

use std::time::Duration;

use p2p_proto::{
    Failure, FailureKind,
    rest::{
        PREFIX,
        events::{Events, MAX_EVENTS},
        index::{IndexDelta, IndexResponse},
        location::{LocateResponse, PeersResponse},
        placement::{PlaceRequest, PlaceResponse},
        problem::{Problem, ProblemKind},
        publications::{
            CopiesOf, CopiesRequest, CopiesResponse, FileInfo, Publication, PublishRequest, RefQuery,
            ReleaseRequest, SearchQuery, SearchResponse,
        },
        reports::ReportRequest,
        session::{
            Credentials, LoginRequest, LoginResponse, PasswordRequest, PingRequest, PingResponse,
            RenewRequest,
        },
    },
};
use reqwest::{Method, RequestBuilder, Response};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

pub use self::refusals::root_cause;

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 8 << 20;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// A directory, and with a token a session there. Cheap to clone; never printed.
#[derive(Clone)]
pub struct DirectoryClient {
    http: reqwest::Client,
    url: String,
    host: String,
    token: Option<String>,
}

/// What is asked of `GET /events`.
#[derive(Serialize)]
struct EventsQuery {
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Uuid>,
    limit: usize,
}

/// A refusal, in the words of the directory or of the way to it.
type Refused = Failure;

/// Why a publication was not confirmed.
#[derive(Debug)]
pub enum PublishError {
    /// The directory says no to it.
    Refused(Failure),
    /// It was not asked, or did not look at it: what was so before is so still.
    NotAsked(Failure),
    /// The answer was lost: it may have it.
    Unknown(Failure),
}

impl DirectoryClient {
    /// A client that trusts only this CA (PEM).
    ///
    /// # Errors
    /// When the CA cannot be read.
    pub fn new(url: &str, ca: &str, token: Option<&str>) -> Result<Self, Failure> {
        let internal = |error: reqwest::Error| Failure::new(FailureKind::Internal, root_cause(&error));
        let roots = reqwest::Certificate::from_pem_bundle(ca.as_bytes()).map_err(internal)?;
        let http = reqwest::Client::builder()
            .tls_certs_only(roots)
            .tls_version_min(reqwest::tls::Version::TLS_1_3)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .build()
            .map_err(internal)?;
        let rest = url.trim_start_matches("https://");
        let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host).to_owned();
        Ok(Self {
            http,
            url: format!("{url}{PREFIX}"),
            host,
            token: token.map(str::to_owned),
        })
    }

    /// The directory's host, as messages name it.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// `POST /login`.
    ///
    /// # Errors
    /// `CredentialsRefused` with the time until the next try; as every call here: `Unreachable`, `NotLoggedIn`.
    pub async fn login(&self, body: LoginRequest) -> Result<LoginResponse, Refused> {
        self.send(Method::POST, "/login", |r| r.json(&body)).await
    }

    /// `POST /session/renew`.
    ///
    /// # Errors
    /// See [`Self::login`].
    pub async fn renew(&self, body: RenewRequest) -> Result<Credentials, Refused> {
        self.send(Method::POST, "/session/renew", |r| r.json(&body)).await
    }

    /// `POST /me/password`.
    ///
    /// # Errors
    /// `CredentialsRefused` when the password is not the one now, `Usage` for a new one that is not taken; see
    /// [`Self::login`].
    pub async fn change_password(&self, body: PasswordRequest) -> Result<(), Refused> {
        let request = self.request(Method::POST, "/me/password").json(&body);
        let response = request.send().await.map_err(|error| self.away(&error))?;
        if response.status().is_success() {
            return Ok(());
        }
        let problem = self.problem(response).await?;
        let refused = match problem.kind() {
            Some(ProblemKind::BadCredentials) => "refused the old password",
            Some(ProblemKind::TooMany) => "has had too many wrong passwords",
            _ => return Err(self.refusal(problem)),
        };
        let next = problem
            .retry_after_s
            .map(|seconds| format!(". Next try in {seconds} s."));
        let message = format!("{} {refused}{}", self.host, next.unwrap_or_default());
        Err(Failure::new(FailureKind::CredentialsRefused, message))
    }

    /// `POST /logout`.
    ///
    /// # Errors
    /// See [`Self::login`].
    pub async fn logout(&self) -> Result<(), Refused> {
        self.answer(Method::POST, "/logout", |r| r).await.map(drop)
    }

    /// `POST /ping`.
    ///
    /// # Errors
    /// See [`Self::login`].
    pub async fn ping(&self, body: &PingRequest) -> Result<PingResponse, Refused> {
        self.send(Method::POST, "/ping", |r| r.json(body)).await
    }

    /// `POST /publications`. The same id again is harmless.
    ///
    /// # Errors
    /// See [`Self::login`]; and whether the directory may have it all the same.
    pub async fn publish(&self, body: &PublishRequest) -> Result<Publication, PublishError> {
        use PublishError::{NotAsked, Refused, Unknown};
        let request = self.request(Method::POST, "/publications").json(body);
        let response = request.send().await.map_err(|error| match error.is_connect() {
            true => NotAsked(self.away(&error)),
            false => Unknown(self.away(&error)),
        })?;
        if response.status().is_success() {
            return self.body(response).await.map_err(Unknown);
        }
        match self.problem(response).await {
            Ok(problem) => Err(match problem.kind() {
                Some(
                    ProblemKind::NoSession
                    | ProblemKind::TooMany
                    | ProblemKind::Unavailable
                    | ProblemKind::Timeout
                    | ProblemKind::ApiLevel,
                ) => NotAsked(self.refusal(problem)),
                // What failed over there may have failed after it was written.
                None | Some(ProblemKind::Internal) => Unknown(self.refusal(problem)),
                Some(_) => Refused(self.refusal(problem)),
            }),
            // Of somebody between.
            Err(strange) => Err(Unknown(strange)),
        }
    }

    /// `DELETE /publications/{id}`.
    ///
    /// # Errors
    /// See [`Self::login`].
    pub async fn withdraw(&self, id: Uuid) -> Result<(), Refused> {
        self.answer(Method::DELETE, &format!("/publications/{id}"), |r| r)
            .await
            .map(drop)
    }

    /// `POST /publications/{id}/release`: false when this peer's copy is the last one that is known.
    ///
    /// # Errors
    /// See [`Self::login`].
    pub async fn release(&self, id: Uuid, even_last: bool) -> Result<bool, Refused> {
        let request = self.request(Method::POST, &format!("/publications/{id}/release"));
        let response = request.json(&ReleaseRequest { even_last }).send().await;
        let response = response.map_err(|error| self.away(&error))?;
        if response.status().is_success() {
            return Ok(true);
        }
        let problem = self.problem(response).await?;
        if problem.kind() == Some(ProblemKind::LastCopy) {
            Ok(false)
        } else {
            Err(self.refusal(problem))
        }
    }

    /// `POST /index`; `None` when the delta does not follow what the directory has: send all.
    ///
    /// # Errors
    /// See [`Self::login`].
    pub async fn index(&self, body: &IndexDelta) -> Result<Option<IndexResponse>, Refused> {
        let request = self.request(Method::POST, "/index").json(body);
        let response = request.send().await.map_err(|error| self.away(&error))?;
        if response.status().is_success() {
            return self.body(response).await.map(Some);
        }
        let problem = self.problem(response).await?;
        if problem.kind() == Some(ProblemKind::IndexGap) {
            Ok(None)
        } else {
            Err(self.refusal(problem))
        }
    }

    /// `GET /download?ref=`.
    ///
    /// # Errors
    /// `NotFound`, `Ambiguous` with candidates; see [`Self::login`].
    pub async fn locate(&self, reference: &str) -> Result<LocateResponse, Refused> {
        self.get(
            "/download",
            &RefQuery {
                reference: reference.to_owned(),
            },
        )
        .await
    }

    /// `GET /files?ref=`.
    ///
    /// # Errors
    /// See [`Self::locate`].
    pub async fn info(&self, reference: &str) -> Result<FileInfo, Refused> {
        self.get(
            "/files",
            &RefQuery {
                reference: reference.to_owned(),
            },
        )
        .await
    }

    /// `POST /copies`, of at most [`MAX_COUNTED`](p2p_proto::rest::publications::MAX_COUNTED).
    ///
    /// # Errors
    /// See [`Self::login`].
    pub async fn copies(&self, publications: &[Uuid]) -> Result<Vec<CopiesOf>, Refused> {
        let publications = publications.to_vec();
        let body = CopiesRequest { publications };
        let answer: CopiesResponse = self.send(Method::POST, "/copies", |r| r.json(&body)).await?;
        Ok(answer.copies)
    }

    /// `GET /search`.
    ///
    /// # Errors
    /// See [`Self::login`].
    pub async fn search(&self, query: &SearchQuery) -> Result<SearchResponse, Refused> {
        self.get("/search", query).await
    }

    /// `GET /peers`.
    ///
    /// # Errors
    /// See [`Self::login`].
    pub async fn peers(&self) -> Result<PeersResponse, Refused> {
        self.send(Method::GET, "/peers", |r| r).await
    }

    /// `POST /upload`.
    ///
    /// # Errors
    /// `NotFound` for a file or peer that the caller cannot see; see [`Self::login`].
    pub async fn place(&self, body: &PlaceRequest) -> Result<PlaceResponse, Refused> {
        self.send(Method::POST, "/upload", |r| r.json(body)).await
    }

    /// `POST /reports`.
    ///
    /// # Errors
    /// See [`Self::login`].
    pub async fn report(&self, body: &ReportRequest) -> Result<(), Refused> {
        self.answer(Method::POST, "/reports", |r| r.json(body))
            .await
            .map(drop)
    }

    /// `GET /events`: what happened after this event, the oldest first; without one only where to begin.
    ///
    /// # Errors
    /// See [`Self::login`].
    pub async fn events(&self, after: Option<Uuid>) -> Result<Events, Refused> {
        let limit = MAX_EVENTS;
        self.get("/events", &EventsQuery { after, limit }).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<T, Refused> {
        self.send(Method::GET, path, |r| r.query(query)).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<T, Refused> {
        let response = self.answer(method, path, fill).await?;
        self.body(response).await
    }

    async fn answer(
        &self,
        method: Method,
        path: &str,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, Refused> {
        let request = fill(self.request(method, path));
        let response = request.send().await.map_err(|error| self.away(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let problem = self.problem(response).await?;
        Err(self.refusal(problem))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn body<T: DeserializeOwned>(&self, response: Response) -> Result<T, Refused> {
        let bytes = bounded_body(response, MAX_ANSWER)
            .await
            .map_err(|error| self.unreachable(&format!("broke off: {error}")))?;
        serde_json::from_slice(&bytes)
            .map_err(|error| self.unreachable(&format!("gave a strange answer: {error}")))
    }

    async fn problem(&self, response: Response) -> Result<Problem, Refused> {
        let status = response.status();
        match self.body::<Problem>(response).await {
            Ok(problem) => Ok(problem),
            Err(_) => Err(self.unreachable(&format!("answered {status}"))),
        }
    }
}

/// The whole body, or an error when it is larger than `limit` bytes.
///
/// # Errors
/// What broke off, as text.
pub async fn bounded_body(mut response: Response, limit: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| root_cause(&error))? {
        if body.len() + chunk.len() > limit {
            return Err(format!("more than {limit} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
