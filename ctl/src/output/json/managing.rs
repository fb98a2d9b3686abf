//! `passwd`, `limit`, `watch`, `completions`. Owns no state.

use p2p_proto::v1;
use serde::Serialize;

use super::known;

/// `p2pctl.passwd/1`.
#[derive(Serialize)]
pub(crate) struct Passwd {
    pub(crate) user: String,
}

/// `p2pctl.completions/1`.
#[derive(Serialize)]
pub(crate) struct Completions {
    pub(crate) shell: &'static str,
    pub(crate) script: String,
}

/// `p2pctl.limit/1`.
#[derive(Serialize)]
pub(crate) struct Limit {
    transfer_id: Option<String>,
    up_bytes_per_second: Option<u64>,
    down_bytes_per_second: Option<u64>,
}

impl From<v1::LimitResponse> for Limit {
    fn from(limits: v1::LimitResponse) -> Self {
        Self {
            transfer_id: known(limits.transfer_id),
            up_bytes_per_second: limits.upload.and_then(|limit| limit.bytes_per_second),
            down_bytes_per_second: limits.download.and_then(|limit| limit.bytes_per_second),
        }
    }
}

/// `p2pctl.watch/1`, one a line.
#[derive(Serialize)]
pub(crate) struct Event {
    id: String,
    at: Option<String>,
    r#type: String,
    message: String,
    file: Option<File>,
    transfer_id: Option<String>,
    peer: Option<String>,
    user: Option<String>,
    reason: Option<String>,
}

#[derive(Serialize)]
struct File {
    name: String,
    owner: String,
    hash: String,
    size: u64,
    version: u64,
    visibility: String,
}

impl From<v1::Event> for Event {
    fn from(event: v1::Event) -> Self {
        let file = event.publication.map(|publication| File {
            name: publication.name,
            owner: publication.owner,
            hash: publication.hash,
            size: publication.size,
            version: publication.version,
            visibility: publication.visibility,
        });
        Self {
            id: event.id,
            at: known(event.at),
            r#type: event.r#type,
            message: event.message,
            file,
            transfer_id: known(event.transfer_id),
            peer: known(event.peer),
            user: known(event.user),
            reason: known(event.reason),
        }
    }
}
