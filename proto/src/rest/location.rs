//! `GET /download` and `GET /peers`: who has a content, and who is alive.

use std::net::SocketAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::publications::Publication;
use crate::{
    index::HoldState,
    name::{PeerName, UserName},
    openapi::SocketAddress,
    peer_id::PeerId,
};

/// A peer that holds a content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Holder {
    /// Its key.
    pub peer_id: PeerId,
    /// Its name.
    pub peer_name: PeerName,
    /// Where to dial it.
    #[schema(value_type = Vec<SocketAddress>)]
    pub addresses: Vec<SocketAddr>,
    /// It has a lease now.
    pub online: bool,
    /// How much it holds.
    pub state: HoldState,
    /// When it last pinged; null when never.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_seen_at: Option<Timestamp>,
}

/// Answer of `GET /download`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LocateResponse {
    /// What the reference means.
    pub publication: Publication,
    /// Holders other than the caller that are online, best first.
    pub holders: Vec<Holder>,
    /// All known holders other than the caller.
    pub holders_total: u32,
    /// The holder that was seen last; null when there never was one.
    pub last_seen: Option<LastSeen>,
    /// A grant for reading, in the caller's name.
    pub grant: String,
}

/// Who was seen when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastSeen {
    /// The peer.
    pub peer_name: PeerName,
    /// When it last pinged.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// Answer of `GET /peers`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PeersResponse {
    /// Online first, then by name.
    pub peers: Vec<Peer>,
}

/// A peer as others see it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Peer {
    /// Its key.
    pub peer_id: PeerId,
    /// Its name.
    pub name: PeerName,
    /// The account that logged it in.
    pub user: UserName,
    /// Where to dial it.
    #[schema(value_type = Vec<SocketAddress>)]
    pub addresses: Vec<SocketAddr>,
    /// It has a lease now.
    pub online: bool,
    /// When it last pinged; null when never.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_seen_at: Option<Timestamp>,
    /// Contents that it holds and the caller may see.
    pub files: u64,
    /// Bytes that it may still store; null when unknown.
    pub free_bytes: Option<u64>,
}
