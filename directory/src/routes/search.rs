//! `GET /search`: the newest version of each name that the caller may see.

use axum::{Json, extract::State};
use data_encoding::BASE64URL_NOPAD;
use p2p_proto::{
    FileName, UserName,
    rest::{
        problem::ProblemKind,
        publications::{SearchHit, SearchQuery, SearchResponse},
    },
};

use super::{
    Shared,
    auth::Caller,
    body::{Answer, CheckedQuery},
};
use crate::{problem::ApiError, storage::SearchFilter};

const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1000;

/// The longest text to search for, in bytes.
const MAX_QUERY: usize = 1020;

/// The longest cursor: one of ours holds the longest names, each character escaped.
const MAX_CURSOR: usize = 4096;

pub(super) async fn get(
    State(state): Shared,
    Caller(session): Caller,
    CheckedQuery(query): CheckedQuery<SearchQuery>,
) -> Answer<SearchResponse> {
    let filter = filter(query)?;
    let page = state.storage.search(session.user, &filter).await?;
    let next_cursor = page.hits.last().filter(|_| page.more).map(cursor_after);
    Ok(Json(SearchResponse {
        files: page.hits,
        total: page.total,
        next_cursor,
    }))
}

fn filter(query: SearchQuery) -> Result<SearchFilter, ApiError> {
    let invalid = |detail: String| ApiError::new(ProblemKind::Invalid, detail);
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(invalid(format!("limit is 1 to {MAX_LIMIT}")));
    }
    if query.q.len() > MAX_QUERY {
        return Err(invalid(format!("q has at most {MAX_QUERY} bytes")));
    }
    let owner = query.owner.map(|owner| owner.parse::<UserName>()).transpose();
    let after = query
        .cursor
        .map(|cursor| read_cursor(&cursor).ok_or(()))
        .transpose();
    Ok(SearchFilter {
        folded: folded(&query.q),
        owner: owner.map_err(|error| invalid(error.to_string()))?,
        after: after.map_err(|()| invalid("cursor is none of ours".to_owned()))?,
        limit,
    })
}

/// Lower-cased as names are; what could be a name is first brought to the normal form that names have.
fn folded(text: &str) -> String {
    match text.parse::<FileName>() {
        Ok(name) => name.as_str().to_lowercase(),
        Err(_) => text.to_lowercase(),
    }
}

fn cursor_after(hit: &SearchHit) -> String {
    let place = serde_json::json!([hit.publication.name, hit.publication.owner]);
    BASE64URL_NOPAD.encode(place.to_string().as_bytes())
}

fn read_cursor(cursor: &str) -> Option<(String, String)> {
    if cursor.len() > MAX_CURSOR {
        return None;
    }
    serde_json::from_slice(&BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?).ok()
}
