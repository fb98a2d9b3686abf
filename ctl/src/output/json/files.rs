//! `list`, `search`, `info`, `rm`, `peers`: what is where. Owns no state.

use p2p_proto::v1;
use serde::Serialize;

use super::known;

/// `p2pctl.list/1`.
#[derive(Serialize)]
pub(crate) struct List {
    files: Vec<Listed>,
}

/// One file in a list.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    file: Held,
    copies_known: Option<u32>,
}

/// One file that is stored here; by itself `p2pctl.pin/1` and `p2pctl.unpin/1`.
#[derive(Serialize)]
pub(crate) struct Held {
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
        Self {
            files: list.files.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<v1::HeldFile> for Listed {
    fn from(held: v1::HeldFile) -> Self {
        Self {
            copies_known: held.copies_known,
            file: held.into(),
        }
    }
}

impl From<v1::HeldFile> for Held {
    fn from(held: v1::HeldFile) -> Self {
        let publication = held.publication.unwrap_or_default();
        Self {
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
