//! `Search`: the whole network, as far as this account may see it.

use p2p_proto::{
    Failure,
    rest::publications::SearchQuery,
    v1::{SearchRequest, SearchResponse},
};

use super::ControlRpc;
use crate::control::convert;

/// What the directory finds.
pub async fn search(rpc: &ControlRpc, request: SearchRequest) -> Result<SearchResponse, Failure> {
    let query = SearchQuery {
        q: request.query,
        owner: Some(request.owner).filter(|owner| !owner.is_empty()),
        limit: Some(request.limit).filter(|limit| *limit > 0),
        cursor: None,
    };
    let found = rpc.sessions.require()?.client.search(&query).await?;
    Ok(SearchResponse {
        files: found.files.iter().map(convert::found).collect(),
        total: found.total,
    })
}
