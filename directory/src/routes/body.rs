//! Bodies, queries and path parts as checked types. A body has a limit and a time, whoever sends it.

use std::time::Duration;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, header, request::Parts},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use p2p_proto::rest::problem::ProblemKind;
use serde::de::DeserializeOwned;

use crate::problem::ApiError;

/// The largest body, in bytes.
pub const MAX_BODY: usize = 1 << 20;

/// The largest body of `POST /index`, in bytes.
pub const MAX_INDEX_BODY: usize = 8 << 20;

/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(30);

/// How much of a body that is too large is still read and thrown away, so that its sender sees the answer rather than a
/// broken connection; in bytes.
const DRAIN: usize = 16 << 20;

/// A body in JSON of at most `LIMIT` bytes.
pub struct JsonBody<T, const LIMIT: usize = MAX_BODY>(pub T);

impl<S: Send + Sync, T: DeserializeOwned, const LIMIT: usize> FromRequest<S> for JsonBody<T, LIMIT> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = tokio::time::timeout(BODY_TIME, read(&parts.headers, body, LIMIT))
            .await
            .map_err(|_| ApiError::new(ProblemKind::Timeout, "the body took longer than 30 s"))??;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| bad_json(&error))
    }
}

async fn read(headers: &HeaderMap, mut body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let too_large = || {
        let mib = limit >> 20;
        ApiError::new(
            ProblemKind::TooLarge,
            format!("the body is larger than {mib} MiB"),
        )
    };
    if announced.is_some_and(|length| length > limit as u64) {
        if !headers.contains_key(header::EXPECT) {
            drain(&mut body).await;
        }
        return Err(too_large());
    }
    match Limited::new(&mut body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            drain(&mut body).await;
            Err(too_large())
        }
        Err(_) => Err(ApiError::new(ProblemKind::BadRequest, "the body broke off")),
    }
}

async fn drain(body: &mut Body) {
    let mut left = DRAIN;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => break,
        }
    }
}

fn bad_json(error: &serde_json::Error) -> ApiError {
    let kind = match error.classify() {
        serde_json::error::Category::Data => ProblemKind::Invalid,
        _ => ProblemKind::BadRequest,
    };
    ApiError::new(kind, format!("the body is not what is expected: {error}"))
}

/// The query of a request.
pub struct CheckedQuery<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for CheckedQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::from_request_parts(parts, state).await;
        query
            .map(|Query(query)| Self(query))
            .map_err(|error| ApiError::new(ProblemKind::BadRequest, error.body_text()))
    }
}

/// A part of the path, not yet checked.
pub struct PathPart(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathPart {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(part)| Self(part))
            .map_err(|error| ApiError::new(ProblemKind::BadRequest, error.body_text()))
    }
}

/// What a handler gives.
pub type Answer<T> = Result<Json<T>, ApiError>;
