//! The one place that turns an error into `application/problem+json` (RFC 9457).

use axum::{
    extract::OriginalUri,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use p2p_proto::rest::problem::{CONTENT_TYPE, Problem, ProblemKind};

use crate::{
    accounts::{password::PasswordError, throttle::Wait},
    ca::{CaError, issue::BadCsr},
    storage::{Ended, StorageError},
};

/// An error that the caller is told.
#[derive(Debug)]
pub struct ApiError(Box<Problem>);

impl ApiError {
    /// An error of this kind; the sentence says what happened, to what.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem::new(kind, detail)))
    }

    /// With the references that are exact.
    #[must_use]
    pub fn candidates(mut self, candidates: Vec<String>) -> Self {
        self.0.candidates = candidates;
        self
    }

    /// With the time until another try makes sense.
    #[must_use]
    pub fn retry_after(mut self, wait: Wait) -> Self {
        self.0.retry_after_s = Some(wait.seconds);
        self
    }

    /// What the caller is told.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.0
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // A problem holds strings and numbers only.
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.0.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// What is told of a failure that is ours: nothing but that it was logged.
fn internal(error: &dyn std::error::Error) -> ApiError {
    tracing::error!(error = %error, "a request failed");
    ApiError::new(ProblemKind::Internal, "the directory failed; its log says why")
}

/// What a peer is told whose session has ended; it shows that to its user.
#[must_use]
pub fn session_ended(why: Option<Ended>) -> ApiError {
    let detail = match why {
        None => "the session has ended: log in again",
        Some(Ended::Revoked) => "the session has ended: an administrator revoked this peer",
        Some(Ended::Disabled) => "the session has ended: an administrator disabled the account",
        Some(Ended::Removed) => "the session has ended: an administrator removed the account",
    };
    ApiError::new(ProblemKind::NoSession, detail)
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        if let StorageError::NoSession(why) = error {
            return session_ended(why);
        }
        if let StorageError::Database(sqlx::Error::PoolTimedOut) = error {
            tracing::warn!("the database is overloaded");
            return Self::new(ProblemKind::Unavailable, "the database is overloaded")
                .retry_after(Wait { seconds: 1 });
        }
        internal(&error)
    }
}

impl From<CaError> for ApiError {
    fn from(error: CaError) -> Self {
        internal(&error)
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => {
                Self::new(ProblemKind::Unavailable, error.to_string()).retry_after(Wait { seconds: 1 })
            }
            PasswordError::Failed => internal(&error),
        }
    }
}

impl From<BadCsr> for ApiError {
    fn from(error: BadCsr) -> Self {
        Self::new(ProblemKind::Invalid, error.to_string())
    }
}

/// For a path that there is not.
pub async fn no_such_path(OriginalUri(uri): OriginalUri) -> ApiError {
    let path: String = uri.path().chars().take(100).collect();
    ApiError::new(ProblemKind::NotFound, format!("no endpoint {path}"))
}

/// For a method that the path does not have.
pub async fn no_such_method(method: Method, OriginalUri(uri): OriginalUri) -> ApiError {
    let path: String = uri.path().chars().take(100).collect();
    ApiError::new(ProblemKind::MethodNotAllowed, format!("{path} has no {method}"))
}
