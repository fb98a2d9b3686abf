//! The JSON that scripts read: one typed object per command, `"schema": "p2pctl.COMMAND/1"` first. Fields are only
//! ever added; what is unknown is `null`. Owns no state.

use std::path::Path;

use p2p_proto::{Failure, FailureKind, v1};
use serde::Serialize;

/// The object as one line.
pub(crate) fn text<T: Serialize>(command: &str, body: &T) -> String {
    #[derive(Serialize)]
    struct Envelope<'a, T> {
        schema: String,
        #[serde(flatten)]
        body: &'a T,
    }
    let envelope = Envelope {
        schema: format!("p2pctl.{command}/1"),
        body,
    };
    serde_json::to_string(&envelope).expect("structs of text, numbers and lists always serialise")
}

/// An empty text of the wire means "never" or "unknown".
fn known(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// `p2pctl.error/1`.
#[derive(Serialize)]
pub(crate) struct Error<'a> {
    code: u8,
    kind: FailureKind,
    message: &'a str,
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    candidates: &'a [String],
}

impl<'a> From<&'a Failure> for Error<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            code: failure.kind.exit_code(),
            kind: failure.kind,
            message: &failure.message,
            hint: failure.hint.as_deref(),
            candidates: &failure.candidates,
        }
    }
}

/// `p2pctl.whoami/1`.
#[derive(Serialize)]
pub(crate) struct Whoami {
    user: String,
    peer_id: String,
    peer_name: String,
    directory: String,
    expires_at: Option<String>,
}

impl From<v1::Session> for Whoami {
    fn from(session: v1::Session) -> Self {
        Self {
            user: session.user,
            peer_id: session.peer_id,
            peer_name: session.peer_name,
            directory: session.directory,
            expires_at: known(session.session_expires_at),
        }
    }
}

/// `p2pctl.login/1`.
#[derive(Serialize)]
pub(crate) struct Login {
    #[serde(flatten)]
    session: Whoami,
    ca_fingerprint: String,
    addresses: Vec<Reachability>,
}

#[derive(Serialize)]
struct Reachability {
    address: String,
    reachable: bool,
}

impl Login {
    pub(crate) fn new(session: v1::Session, addresses: Vec<v1::Reachability>) -> Self {
        let ca_fingerprint = session.ca_fingerprint.clone();
        let addresses = addresses.into_iter().map(|one| Reachability {
            address: one.address,
            reachable: one.reachable,
        });
        Self {
            session: session.into(),
            ca_fingerprint,
            addresses: addresses.collect(),
        }
    }
}

/// `p2pctl.logout/1`.
#[derive(Serialize)]
pub(crate) struct Logout {
    pub(crate) directory_told: bool,
}

/// `p2pctl.status/1`.
#[derive(Serialize)]
pub(crate) struct Status {
    daemon: DaemonStatus,
    session: SessionStatus,
    directory: DirectoryStatus,
    store: StoreStatus,
    transfers: TransferCounts,
    health: Vec<Health>,
}

#[derive(Serialize)]
struct DaemonStatus {
    version: String,
    peer_id: Option<String>,
    peer_name: Option<String>,
    started_at: Option<String>,
    listen: Vec<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum SessionStatus {
    LoggedIn {
        logged_in: bool,
        user: String,
        directory: String,
        ca_fingerprint: String,
        certificate_expires_at: Option<String>,
        session_expires_at: Option<String>,
    },
    LoggedOut {
        logged_in: bool,
    },
}

#[derive(Serialize)]
struct DirectoryStatus {
    reachable: bool,
    last_ping_at: Option<String>,
    urls: Vec<String>,
}

#[derive(Serialize)]
struct StoreStatus {
    files: u64,
    bytes: u64,
    partial_files: u64,
    free_bytes: u64,
    max_bytes: Option<u64>,
}

#[derive(Serialize)]
struct TransferCounts {
    active: u32,
    queued: u32,
}

#[derive(Serialize)]
struct Health {
    level: String,
    code: String,
    message: String,
    fix: Option<String>,
}

impl From<v1::StatusResponse> for Status {
    fn from(status: v1::StatusResponse) -> Self {
        let directory = status.directory.unwrap_or_default();
        let store = status.store.unwrap_or_default();
        let health = status.health.into_iter().map(|line| Health {
            level: line.level,
            code: line.code,
            message: line.message,
            fix: known(line.fix),
        });
        Self {
            daemon: DaemonStatus {
                version: status.version,
                peer_id: known(status.peer_id),
                peer_name: known(status.peer_name),
                started_at: known(status.started_at),
                listen: status.listen,
            },
            session: status.session.into(),
            directory: DirectoryStatus {
                reachable: directory.reachable,
                last_ping_at: known(directory.last_ping_at),
                urls: directory.urls,
            },
            store: StoreStatus {
                files: store.files,
                bytes: store.bytes,
                partial_files: store.partial_files,
                free_bytes: store.free_bytes,
                max_bytes: store.max_bytes,
            },
            transfers: TransferCounts {
                active: status.active_transfers,
                queued: status.queued_transfers,
            },
            health: health.collect(),
        }
    }
}

impl From<Option<v1::Session>> for SessionStatus {
    fn from(session: Option<v1::Session>) -> Self {
        match session {
            Some(session) => Self::LoggedIn {
                logged_in: true,
                user: session.user,
                directory: session.directory,
                ca_fingerprint: session.ca_fingerprint,
                certificate_expires_at: known(session.certificate_expires_at),
                session_expires_at: known(session.session_expires_at),
            },
            None => Self::LoggedOut { logged_in: false },
        }
    }
}

/// `p2pctl.upload/1`.
#[derive(Default, Serialize)]
pub(crate) struct Upload {
    pub(crate) files: Vec<Uploaded>,
    /// Only with several inputs.
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

#[derive(Serialize)]
struct Copy {
    peer: String,
    state: String,
}

impl Uploaded {
    pub(crate) fn new(publication: v1::Publication, copies: Vec<v1::Copy>) -> Self {
        let copies = copies.into_iter().map(|copy| Copy {
            peer: copy.peer,
            state: copy.state,
        });
        Self {
            name: publication.name,
            hash: publication.hash,
            size: publication.size,
            version: publication.version,
            visibility: publication.visibility,
            copies: copies.collect(),
        }
    }
}

/// One of several inputs that failed.
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

/// `p2pctl.list/1`.
#[derive(Serialize)]
pub(crate) struct List {
    files: Vec<Held>,
}

#[derive(Serialize)]
struct Held {
    name: String,
    owner: String,
    hash: String,
    size: u64,
    version: u64,
    visibility: String,
    pinned: bool,
    state: String,
    stored_bytes: u64,
}

impl From<v1::ListResponse> for List {
    fn from(list: v1::ListResponse) -> Self {
        let files = list.files.into_iter().map(|held| {
            let publication = held.publication.unwrap_or_default();
            Held {
                name: publication.name,
                owner: publication.owner,
                hash: publication.hash,
                size: publication.size,
                version: publication.version,
                visibility: publication.visibility,
                pinned: held.pinned,
                state: held.state,
                stored_bytes: held.stored_bytes,
            }
        });
        Self {
            files: files.collect(),
        }
    }
}

/// `p2pctl.search/1`.
#[derive(Serialize)]
pub(crate) struct Search {
    files: Vec<Found>,
    total: u64,
}

#[derive(Serialize)]
struct Found {
    name: String,
    owner: String,
    hash: String,
    size: u64,
    version: u64,
    holders_online: u32,
    holders_total: u32,
    published_at: Option<String>,
}

impl From<v1::SearchResponse> for Search {
    fn from(search: v1::SearchResponse) -> Self {
        let files = search.files.into_iter().map(|found| {
            let publication = found.publication.unwrap_or_default();
            Found {
                name: publication.name,
                owner: publication.owner,
                hash: publication.hash,
                size: publication.size,
                version: publication.version,
                holders_online: found.holders_online,
                holders_total: found.holders_total,
                published_at: known(publication.published_at),
            }
        });
        Self {
            files: files.collect(),
            total: search.total,
        }
    }
}

/// `p2pctl.info/1`.
#[derive(Serialize)]
pub(crate) struct Info {
    name: String,
    owner: String,
    hash: String,
    size: u64,
    version: u64,
    visibility: String,
    versions: Vec<Version>,
    holders: Vec<Holder>,
}

#[derive(Serialize)]
struct Version {
    version: u64,
    hash: String,
    size: u64,
    visibility: String,
    published_at: Option<String>,
}

#[derive(Serialize)]
struct Holder {
    peer: String,
    online: bool,
    complete: bool,
    last_seen_at: Option<String>,
}

impl From<v1::InfoResponse> for Info {
    fn from(info: v1::InfoResponse) -> Self {
        let publication = info.publication.unwrap_or_default();
        let versions = info.versions.into_iter().map(|version| Version {
            version: version.version,
            hash: version.hash,
            size: version.size,
            visibility: version.visibility,
            published_at: known(version.published_at),
        });
        let holders = info.holders.into_iter().map(|holder| Holder {
            peer: holder.peer,
            online: holder.online,
            complete: holder.complete,
            last_seen_at: known(holder.last_seen_at),
        });
        Self {
            name: publication.name,
            owner: publication.owner,
            hash: publication.hash,
            size: publication.size,
            version: publication.version,
            visibility: publication.visibility,
            versions: versions.collect(),
            holders: holders.collect(),
        }
    }
}

/// `p2pctl.peers/1`.
#[derive(Serialize)]
pub(crate) struct Peers {
    peers: Vec<Peer>,
}

#[derive(Serialize)]
struct Peer {
    peer_id: String,
    name: String,
    user: String,
    addresses: Vec<String>,
    online: bool,
    last_seen_at: Option<String>,
    files: u64,
    free_bytes: Option<u64>,
}

impl From<v1::PeersResponse> for Peers {
    fn from(peers: v1::PeersResponse) -> Self {
        let peers = peers.peers.into_iter().map(|peer| Peer {
            peer_id: peer.peer_id,
            name: peer.name,
            user: peer.user,
            addresses: peer.addresses,
            online: peer.online,
            last_seen_at: known(peer.last_seen_at),
            files: peer.files,
            free_bytes: peer.free_bytes,
        });
        Self {
            peers: peers.collect(),
        }
    }
}

/// `p2pctl.rm/1`.
#[derive(Serialize)]
pub(crate) struct Rm {
    dropped: Vec<Named>,
    unpublished: Vec<Named>,
    freed_bytes: u64,
}

#[derive(Serialize)]
struct Named {
    name: String,
    owner: String,
    hash: String,
    size: u64,
    version: u64,
}

impl From<v1::Publication> for Named {
    fn from(publication: v1::Publication) -> Self {
        Self {
            name: publication.name,
            owner: publication.owner,
            hash: publication.hash,
            size: publication.size,
            version: publication.version,
        }
    }
}

impl From<v1::RemoveResponse> for Rm {
    fn from(removed: v1::RemoveResponse) -> Self {
        Self {
            dropped: removed.dropped.into_iter().map(Into::into).collect(),
            unpublished: removed.unpublished.into_iter().map(Into::into).collect(),
            freed_bytes: removed.freed_bytes,
        }
    }
}

#[cfg(test)]
mod tests;
