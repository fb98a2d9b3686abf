//! Peers and their leases.

use jiff::Timestamp;
use p2p_proto::{
    PeerId, PeerName,
    rest::{
        location::Peer,
        session::{DenyList, IndexState, PingRequest},
    },
};
use uuid::Uuid;

use super::{Reply, Session};

/// What a ping finds.
pub struct Pong {
    /// The peer's index as it is stored.
    pub index: Option<IndexState>,
    /// The deny-list, when the peer has another one.
    pub deny: Option<DenyList>,
    /// The last event that the caller may see.
    pub last_event: Option<Uuid>,
}

/// A lease that has ended.
pub struct EndedLease {
    /// Whose.
    pub peer: PeerId,
    /// Its name.
    pub name: PeerName,
}

/// Keeps peers.
pub trait PeerStore: Send + Sync {
    /// Renews the lease of the session's peer, unless a later login has it, or ends it when the peer is leaving; stores
    /// what the peer says of itself.
    fn ping<'a>(&'a self, session: &'a Session, ping: &'a PingRequest, until: Timestamp) -> Reply<'a, Pong>;

    /// All, online first, then by name. Of what they hold only that is counted which this account may see.
    fn peers(&self, caller: Uuid) -> Reply<'_, Vec<Peer>>;

    /// Un-lists the peers whose leases have ended since the last call.
    fn end_leases(&self) -> Reply<'_, Vec<EndedLease>>;

    /// When the next lease ends.
    fn next_lease_end(&self) -> Reply<'_, Option<Timestamp>>;
}
