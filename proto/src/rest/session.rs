//! `POST /login`, `/session/renew`, `/logout`, `/ping` and `GET /me`.

use std::net::SocketAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    grant::GrantKey,
    index::IndexDigest,
    name::{PeerName, UserName},
    openapi::SocketAddress,
    peer_id::PeerId,
    secret::Secret,
};

/// The most addresses that one peer may advertise.
pub const MAX_ADDRESSES: usize = 8;

/// Body of `POST /login`. Holds the password: never printed, and wiped when it is dropped.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The account, as the person typed it.
    pub user: String,
    /// Its password; at most 1024 bytes.
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 1024)]
    pub password: Secret,
    /// What this peer wants to be called; unique in a directory.
    pub peer_name: PeerName,
    /// Certificate signing request in PEM; only its key and signature count.
    #[schema(format = "pem-csr")]
    pub csr: String,
    /// Where others dial this peer; at most [`MAX_ADDRESSES`], or as many as the directory's `[limits]` say, which is at most
    /// 64.
    #[schema(max_items = 64)]
    #[schema(value_type = Vec<SocketAddress>)]
    pub addresses: Vec<SocketAddr>,
    /// The API level of the client.
    #[schema(minimum = 1, maximum = 4294967295_u64)]
    pub api_level: u32,
}

/// Answer of `POST /login`. Holds the session's token: never printed.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct LoginResponse {
    /// Bearer token of the session, bound to this peer's key.
    pub session_token: String,
    /// The account.
    pub user: UserName,
    /// Its id.
    pub user_id: Uuid,
    /// The directory's cluster.
    pub cluster: Uuid,
    /// The id of the peer's key.
    pub peer_id: PeerId,
    /// The name it has now.
    pub peer_name: PeerName,
    /// Which of the advertised addresses the directory could dial back.
    #[schema(value_type = Vec<SocketAddress>)]
    pub answered: Vec<SocketAddr>,
    /// How often to ping, in milliseconds.
    pub ping_interval_ms: u64,
    /// How long a silent peer stays listed, in milliseconds.
    pub lease_ms: u64,
    /// The level both sides speak.
    pub api_level: u32,
    /// The credentials.
    #[serde(flatten)]
    pub credentials: Credentials,
}

/// What a session gives a peer and renews.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Credentials {
    /// The peer's certificate in PEM.
    pub certificate: String,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    pub certificate_expires_at: Timestamp,
    /// When the session ends.
    #[schema(value_type = String, format = DateTime)]
    pub session_expires_at: Timestamp,
    /// The CA bundle in PEM.
    pub ca: String,
    /// The keys that sign grants.
    pub grant_keys: Vec<GrantKey>,
}

/// Body of `POST /session/renew`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewRequest {
    /// Certificate signing request in PEM, for the key of the session.
    #[schema(format = "pem-csr")]
    pub csr: String,
    /// The API level of the client.
    #[schema(minimum = 1, maximum = 4294967295_u64)]
    pub api_level: u32,
}

/// Answer of `GET /me`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// The account.
    pub user: UserName,
    /// Its id.
    pub user_id: Uuid,
    /// The peer that asks.
    pub peer_id: PeerId,
    /// Its name.
    pub peer_name: PeerName,
    /// When the session ends.
    #[schema(value_type = String, format = DateTime)]
    pub session_expires_at: Timestamp,
}

/// What one side knows of a peer's index of holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IndexState {
    /// Random; a new one means a new index.
    pub index_id: Uuid,
    /// Rises by one with each change.
    #[schema(maximum = 9223372036854775807_u64)]
    pub seq: u64,
    /// Over all holds at this sequence.
    pub digest: IndexDigest,
}

/// Body of `POST /ping`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PingRequest {
    /// Where others dial this peer now; as many as at a login.
    #[schema(max_items = 64)]
    #[schema(value_type = Vec<SocketAddress>)]
    pub addresses: Vec<SocketAddr>,
    /// The peer's index.
    pub index: IndexState,
    /// Bytes that may still be stored here.
    #[schema(maximum = 18446744073709551615_u64)]
    pub free_bytes: u64,
    /// Contents stored here, complete ones.
    #[schema(maximum = 18446744073709551615_u64)]
    pub files: u64,
    /// Transfers that run now, as a measure of load.
    #[schema(maximum = 4294967295_u64)]
    pub active_transfers: u32,
    /// The deny-list that the peer has; 0 for none.
    #[schema(maximum = 18446744073709551615_u64)]
    pub deny_version: u64,
    /// The peer stops now: its lease ends at once, its session stays.
    #[serde(default)]
    pub leaving: bool,
    /// Whose copies may be placed here.
    #[serde(default)]
    pub accept_copies: AcceptCopies,
}

/// Who may place copies on a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AcceptCopies {
    /// Peers of the same account.
    #[default]
    Own,
    /// Every peer of the directory, for what this peer's account may see.
    Cluster,
}

/// Answer of `POST /ping`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PingResponse {
    /// The directory's clock.
    #[schema(value_type = String, format = DateTime)]
    pub now: Timestamp,
    /// The index as the directory has it; null when it has none.
    pub index: Option<IndexState>,
    /// The whole deny-list, when it is newer than the peer's.
    pub deny: Option<DenyList>,
    /// The keys that sign grants.
    pub grant_keys: Vec<GrantKey>,
    /// How often to ping, in milliseconds.
    pub ping_interval_ms: u64,
    /// How long a silent peer stays listed, in milliseconds.
    pub lease_ms: u64,
    /// The last event that the caller may see; see `GET /events`.
    #[serde(default)]
    pub last_event: Option<Uuid>,
    /// How many peers are online, the one that asks too; as of a few seconds ago.
    #[serde(default)]
    pub peers_online: Option<u64>,
}

/// Body of `POST /me/password`. Holds passwords: never printed, and wiped when it is dropped. Sessions that exist stay.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordRequest {
    /// The password now; at most 1024 bytes.
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 1024)]
    pub old: Secret,
    /// The one from now on: at least 8 characters, at most 1024 bytes.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 1024)]
    pub new: Secret,
}

/// Peers whose certificates no longer count, though they have not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DenyList {
    /// Rises with each change.
    pub version: u64,
    /// The peers.
    pub peers: Vec<PeerId>,
}
