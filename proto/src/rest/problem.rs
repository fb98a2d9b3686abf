//! Errors of the REST API: `application/problem+json` (RFC 9457) with a stable `type`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Media type of a problem.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// `type` of a problem is this and the [`ProblemKind`]'s word.
pub const TYPE_PREFIX: &str = "urn:p2p:problem:";

/// What went wrong, as programs tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// 400: the request does not make sense.
    BadRequest,
    /// 401: the user name or password is wrong.
    BadCredentials,
    /// 401: no session, or an ended one.
    NoSession,
    /// 403: not for this account.
    Forbidden,
    /// 404: nothing visible.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// 408: the request came too slowly.
    Timeout,
    /// 409: the reference means several files; `candidates` lists them.
    Ambiguous,
    /// 409: an index delta does not follow; send all.
    IndexGap,
    /// 409: it exists and is different.
    Conflict,
    /// 409: it is the only known copy.
    LastCopy,
    /// 413: the body is too large.
    TooLarge,
    /// 422: a value is out of its bounds.
    Invalid,
    /// 426: no API level that both sides speak.
    ApiLevel,
    /// 429: too many requests; `retry_after_s`.
    TooMany,
    /// 500.
    Internal,
    /// 503: not ready, or overloaded.
    Unavailable,
}

impl ProblemKind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::BadRequest,
        Self::BadCredentials,
        Self::NoSession,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Timeout,
        Self::Ambiguous,
        Self::IndexGap,
        Self::Conflict,
        Self::LastCopy,
        Self::TooLarge,
        Self::Invalid,
        Self::ApiLevel,
        Self::TooMany,
        Self::Internal,
        Self::Unavailable,
    ];

    /// Status code, last part of `type`, and title.
    const fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::BadRequest => (400, "bad-request", "The request does not make sense"),
            Self::BadCredentials => (401, "bad-credentials", "The user name or password is wrong"),
            Self::NoSession => (401, "no-session", "Not logged in"),
            Self::Forbidden => (403, "forbidden", "Not permitted"),
            Self::NotFound => (404, "not-found", "Not found"),
            Self::MethodNotAllowed => (405, "method-not-allowed", "Method not allowed"),
            Self::Timeout => (408, "timeout", "The request came too slowly"),
            Self::Ambiguous => (409, "ambiguous", "The reference means several files"),
            Self::IndexGap => (409, "index-gap", "The delta does not follow the index"),
            Self::Conflict => (409, "conflict", "It exists and is different"),
            Self::LastCopy => (409, "last-copy", "It is the only known copy"),
            Self::TooLarge => (413, "too-large", "The body is too large"),
            Self::Invalid => (422, "invalid", "A value is out of its bounds"),
            Self::ApiLevel => (426, "api-level", "No common API level"),
            Self::TooMany => (429, "too-many", "Too many requests"),
            Self::Internal => (500, "internal", "The directory failed"),
            Self::Unavailable => (503, "unavailable", "Not ready"),
        }
    }

    /// HTTP status code.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().0
    }

    /// Last part of `type`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        self.row().1
    }

    /// A short sentence, the same for every problem of the kind.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.row().2
    }
}

/// Body of an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// [`TYPE_PREFIX`] and the kind's word.
    #[serde(rename = "type")]
    pub type_: String,
    /// The kind's title.
    pub title: String,
    /// HTTP status code.
    pub status: u16,
    /// What happened, to what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// With `bad-credentials` and `too-many`: seconds until another try makes sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    /// With `ambiguous`: references that are exact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
}

impl Problem {
    /// A problem with what happened.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            type_: format!("{TYPE_PREFIX}{}", kind.word()),
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: Some(detail.into()),
            retry_after_s: None,
            candidates: Vec::new(),
        }
    }

    /// Which kind it is; `None` for one that this build does not know.
    #[must_use]
    pub fn kind(&self) -> Option<ProblemKind> {
        let word = self.type_.strip_prefix(TYPE_PREFIX)?;
        ProblemKind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_back() {
        for kind in ProblemKind::ALL {
            let text = serde_json::to_string(&Problem::new(kind, "x")).unwrap();
            let problem: Problem = serde_json::from_str(&text).unwrap();
            assert_eq!(problem.kind(), Some(kind));
        }
    }
}
