//! `POST /upload`: which peers shall keep copies of a publication.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{location::Holder, publications::Publication};
use crate::{
    name::PeerName,
    openapi::{PeerPattern, SocketAddress},
    peer_id::PeerId,
};

/// The most copies that can be asked for.
pub const MAX_COPIES: u32 = 64;

/// The most patterns in one request, and the most characters of one.
pub const MAX_PATTERNS: usize = 64;
/// The most characters of a pattern.
pub const MAX_PATTERN: usize = 128;

/// The most peers that are excluded.
pub const MAX_EXCLUDED: usize = 1024;

/// Body of `POST /upload`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceRequest {
    /// What shall be copied; the caller can see it.
    pub publication: Uuid,
    /// Copies in all, those that online peers hold already counted; at most [`MAX_COPIES`]. 0 with `to`.
    #[serde(default)]
    #[schema(maximum = 64)]
    pub copies: u32,
    /// Peers by name or id, or patterns of names with `*` and `?`: a copy on each that fits. At most [`MAX_PATTERNS`].
    #[serde(default)]
    #[schema(value_type = Vec<PeerPattern>, max_items = 64)]
    pub to: Vec<String>,
    /// Peers that failed already, or are not wanted; at most [`MAX_EXCLUDED`].
    #[serde(default)]
    #[schema(max_items = 1024)]
    pub exclude: Vec<PeerId>,
}

/// Answer of `POST /upload`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PlaceResponse {
    /// What shall be copied.
    pub publication: Publication,
    /// Who holds all of it and is online, the caller too.
    pub holders: Vec<Holder>,
    /// How many more copies it takes; with `to`, the number of `targets`.
    pub needed: u32,
    /// Where to place them, best first: with `copies`, up to some more than needed, as a reserve.
    pub targets: Vec<Target>,
    /// Peers that fit `to` and cannot take a copy, and why, as it reads after the peer's name: "is offline", "has 1.2 GiB
    /// free", "accepts copies of its own account only".
    pub refused: Vec<Refused>,
}

/// A peer that shall keep a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Target {
    /// Its key.
    pub peer_id: PeerId,
    /// Its name.
    pub peer_name: PeerName,
    /// Where to dial it.
    #[schema(value_type = Vec<SocketAddress>)]
    pub addresses: Vec<SocketAddr>,
    /// A grant to replicate in its name.
    pub grant: String,
}

/// A peer that was named and cannot take a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refused {
    /// Its name.
    pub peer_name: PeerName,
    /// Why not.
    pub reason: String,
}
