//! The bodies of the admin API, shared by its server and its client.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use jiff::Timestamp;
pub use p2p_proto::Secret;
use p2p_proto::{GroupName, PeerId, PeerName, UserName, name::BadName};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where accounts are.
pub const USERS: &str = "/admin/v1/users";

/// Where groups are.
pub const GROUPS: &str = "/admin/v1/groups";

/// Where peers are.
pub const PEERS: &str = "/admin/v1/peers";

/// Where the directory tells of itself.
pub const STATUS: &str = "/admin/v1/status";

/// Body of `POST /admin/v1/users`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddUser {
    /// Its name.
    pub name: UserName,
    /// Its password; a strong one is made when absent.
    pub password: Option<Secret>,
    /// It may administer.
    pub admin: bool,
    /// The groups that it is a member of; they exist.
    #[serde(default)]
    pub groups: Vec<GroupName>,
}

/// Body of `POST /admin/v1/users/{name}/passwd`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPassword {
    /// The password; a strong one is made when absent.
    pub password: Option<Secret>,
}

/// An account.
#[derive(Serialize, Deserialize)]
pub struct User {
    /// Its name.
    pub name: UserName,
    /// Its id.
    pub id: Uuid,
    /// It may administer.
    pub admin: bool,
    /// It cannot log in.
    pub disabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// The groups that it is a member of, by name.
    pub groups: Vec<GroupName>,
}

/// Answer of `GET /admin/v1/users`.
#[derive(Serialize, Deserialize)]
pub struct Users {
    /// By name.
    pub users: Vec<User>,
}

/// Answer where a password may have been made.
#[derive(Serialize, Deserialize)]
pub struct UserWithPassword {
    /// The account.
    #[serde(flatten)]
    pub user: User,
    /// The password, if it was made here; it is told only this once.
    pub password: Option<Secret>,
}

/// Body of `POST /admin/v1/groups`: makes the group when there is none, and these accounts its members.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddToGroup {
    /// Its name.
    pub name: GroupName,
    /// Who becomes a member; none, and the group must be new.
    pub users: Vec<UserName>,
}

/// Body of `POST /admin/v1/groups/{name}/remove`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveFromGroup {
    /// Who is no member any more.
    pub users: Vec<UserName>,
}

/// Answer of `DELETE /admin/v1/groups/{name}`.
#[derive(Serialize, Deserialize)]
pub struct RemovedGroup {
    /// Its name.
    pub name: GroupName,
    /// So many published versions of it are private now.
    pub made_private: u64,
}

/// A group.
#[derive(Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// Its members, by name.
    pub members: Vec<UserName>,
    /// Versions that are published to it.
    pub publications: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Answer of `GET /admin/v1/groups`.
#[derive(Serialize, Deserialize)]
pub struct Groups {
    /// By name.
    pub groups: Vec<Group>,
}

/// A peer's name or its id.
#[derive(Clone, Debug)]
pub enum PeerRef {
    /// The name it has now.
    Name(PeerName),
    /// Its key.
    Id(PeerId),
}

impl FromStr for PeerRef {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        // No name is as long as an id.
        text.parse()
            .map(Self::Id)
            .or_else(|_| text.parse().map(Self::Name))
    }
}

impl fmt::Display for PeerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Id(id) => id.fmt(f),
        }
    }
}

/// A peer.
#[derive(Serialize, Deserialize)]
pub struct Peer {
    /// Its key.
    pub peer_id: PeerId,
    /// Its name.
    pub name: PeerName,
    /// The account that logged it in; null when that was removed.
    pub user: Option<UserName>,
    /// Where others dial it.
    pub addresses: Vec<SocketAddr>,
    /// It has a lease now.
    pub online: bool,
    /// When it last pinged; null when never.
    pub last_seen_at: Option<Timestamp>,
    /// When its session ends; null when it has none.
    pub session_expires_at: Option<Timestamp>,
    /// When its certificate ends; null when it has no session.
    pub certificate_expires_at: Option<Timestamp>,
    /// Since when its key is revoked; null when it is not.
    pub revoked_at: Option<Timestamp>,
}

/// Answer of `GET /admin/v1/peers`.
#[derive(Serialize, Deserialize)]
pub struct Peers {
    /// Online first, then by name.
    pub peers: Vec<Peer>,
}

/// Answer of `POST /admin/v1/peers/{peer}/revoke` and `.../allow`.
#[derive(Serialize, Deserialize)]
pub struct Revoked {
    /// Its key.
    pub peer_id: PeerId,
    /// Its name.
    pub name: PeerName,
    /// It was otherwise before.
    pub changed: bool,
}

/// Answer of `GET /admin/v1/status`.
#[derive(Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
    /// Its clock.
    pub now: Timestamp,
    /// The cluster's id.
    pub cluster: Uuid,
    /// The CA's fingerprint.
    pub ca_fingerprint: String,
    /// When the CA's certificate ends.
    pub ca_expires_at: Timestamp,
    /// When the certificate ends that the API is served with; a new one is made before. Null while there is none.
    pub certificate_expires_at: Option<Timestamp>,
    /// Accounts, disabled ones too.
    pub accounts: u64,
    /// Of those, the disabled ones.
    pub accounts_disabled: u64,
    /// Groups.
    pub groups: u64,
    /// Peers with a lease.
    pub peers_online: u64,
    /// Peers that ever logged in.
    pub peers_known: u64,
    /// Revoked keys.
    pub peers_revoked: u64,
    /// Sessions that live.
    pub sessions: u64,
    /// Versions that are published.
    pub publications: u64,
    /// Holds, complete ones and parts.
    pub holds: u64,
    /// Events that are kept.
    pub events: u64,
    /// The database's file.
    pub database: PathBuf,
    /// Its bytes, with those of its log.
    pub database_bytes: u64,
    /// Bytes that are free where it is; null when unknown.
    pub free_bytes: Option<u64>,
}
