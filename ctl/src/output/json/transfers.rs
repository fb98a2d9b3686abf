//! `upload`, `download`, `fetch`: what came, and what went. Owns no state.

use std::path::Path;

use p2p_proto::{Failure, FailureKind, v1};
use serde::Serialize;

use super::Copy;

/// `p2pctl.upload/1`.
#[derive(Default, Serialize)]
pub(crate) struct Upload {
    pub(crate) files: Vec<Uploaded>,
    /// The transfers that go on; only when they are not waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transfer_ids: Option<Vec<String>>,
    /// Of several inputs those that failed, and any whose copies are fewer than asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<InputError>,
}

/// One published file.
#[derive(Serialize)]
pub(crate) struct Uploaded {
    name: String,
    hash: String,
    size: u64,
    version: u64,
    visibility: String,
    copies: Vec<Copy>,
}

impl Uploaded {
    pub(crate) fn new(publication: v1::Publication, copies: Vec<v1::Copy>) -> Self {
        Self {
            name: publication.name,
            hash: publication.hash,
            size: publication.size,
            version: publication.version,
            visibility: publication.visibility,
            copies: copies.into_iter().map(Into::into).collect(),
        }
    }
}

/// An input that failed, or only became a file here.
#[derive(Serialize)]
pub(crate) struct InputError {
    input: String,
    code: u8,
    kind: FailureKind,
    message: String,
}

impl InputError {
    pub(crate) fn new(input: &Path, failure: Failure) -> Self {
        Self {
            input: input.to_string_lossy().into_owned(),
            code: failure.kind.exit_code(),
            kind: failure.kind,
            message: failure.message,
        }
    }
}

/// `p2pctl.download/1` and `p2pctl.fetch/1`.
#[derive(Serialize)]
pub(crate) struct Download {
    name: String,
    owner: String,
    hash: String,
    size: u64,
    version: u64,
    path: Option<String>,
    skipped: bool,
    seconds: f64,
    resumed_bytes: u64,
    sources: Vec<Source>,
}

#[derive(Serialize)]
struct Source {
    peer: String,
    bytes: u64,
}

impl Download {
    /// What came, and where it lies; `path` is `None` for stdout and the store.
    pub(crate) fn done(publication: v1::Publication, path: Option<&Path>, done: v1::DownloadDone) -> Self {
        let sources = done.sources.into_iter().map(|source| Source {
            peer: source.peer,
            bytes: source.bytes,
        });
        Self {
            name: publication.name,
            owner: publication.owner,
            hash: publication.hash,
            size: publication.size,
            version: publication.version,
            path: path.map(|path| path.to_string_lossy().into_owned()),
            skipped: false,
            seconds: done.seconds,
            resumed_bytes: done.resumed_bytes,
            sources: sources.collect(),
        }
    }

    /// Nothing had to come, or the output stays as it was.
    pub(crate) fn skipped(publication: v1::Publication, path: &Path) -> Self {
        Self {
            skipped: true,
            ..Self::done(publication, Some(path), v1::DownloadDone::default())
        }
    }
}
