//! `replicate` and `verify`, and the copies in `upload`: what is durable where, and what is whole. Owns no state.

use p2p_proto::v1;
use serde::Serialize;

use super::known;

/// One copy on one peer.
#[derive(Serialize)]
pub(crate) struct Copy {
    peer: String,
    state: String,
    /// Why it failed, or what it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<v1::Copy> for Copy {
    fn from(copy: v1::Copy) -> Self {
        Self {
            peer: copy.peer,
            state: copy.state,
            reason: known(copy.reason),
        }
    }
}

/// `p2pctl.replicate/1`.
#[derive(Serialize)]
pub(crate) struct Replicate {
    name: String,
    owner: String,
    hash: String,
    size: u64,
    version: u64,
    copies: Vec<Copy>,
    wanted: u32,
}

impl From<v1::ReplicateDone> for Replicate {
    fn from(done: v1::ReplicateDone) -> Self {
        let publication = done.publication.unwrap_or_default();
        Self {
            name: publication.name,
            owner: publication.owner,
            hash: publication.hash,
            size: publication.size,
            version: publication.version,
            copies: done.copies.into_iter().map(Into::into).collect(),
            wanted: done.wanted,
        }
    }
}

/// `p2pctl.verify/1`.
#[derive(Serialize)]
pub(crate) struct Verify {
    files: u64,
    bytes: u64,
    healed: u64,
    damaged: u64,
    results: Vec<Verified>,
}

/// One content, and what was found.
#[derive(Serialize)]
pub(crate) struct Verified {
    name: String,
    owner: String,
    hash: String,
    version: u64,
    state: String,
    reason: Option<String>,
}

impl Verify {
    /// The sums, and what each came from.
    pub(crate) fn new(done: v1::VerifyDone, results: Vec<v1::VerifiedFile>) -> Self {
        Self {
            files: done.files,
            bytes: done.bytes,
            healed: done.healed,
            damaged: done.damaged,
            results: results.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<v1::VerifiedFile> for Verified {
    fn from(file: v1::VerifiedFile) -> Self {
        let publication = file.publication.unwrap_or_default();
        Self {
            name: publication.name,
            owner: publication.owner,
            hash: publication.hash,
            version: publication.version,
            state: file.state,
            reason: known(file.reason),
        }
    }
}
