//! What placing a copy goes by: every peer, and what is known of it.

use std::net::SocketAddr;

use jiff::Timestamp;
use p2p_proto::{PeerId, PeerName, UserName, rest::session::AcceptCopies};
use uuid::Uuid;

use super::{KnownHolder, Reply, Session};

/// A peer on which a copy might be placed.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its key.
    pub peer_id: PeerId,
    /// Its name.
    pub peer_name: PeerName,
    /// Where to dial it.
    pub addresses: Vec<SocketAddr>,
    /// The account that logged it in.
    pub user: UserName,
    /// Whose copies it takes.
    pub accepts: AcceptCopies,
    /// Bytes that it may still store; none when it never said.
    pub free_bytes: Option<u64>,
    /// Transfers that run there.
    pub active_transfers: u32,
    /// Its account may see the publication.
    pub sees: bool,
    /// It has a lease now.
    pub online: bool,
    /// It is on the deny-list.
    pub denied: bool,
    /// When its certificate ends; none when it has no session.
    pub certificate_expires_at: Option<Timestamp>,
    /// It says that it holds all of the publication.
    pub holds_all: bool,
    /// So many accounts say that what it holds is not the content.
    pub reports: u32,
}

/// Where copies might go and where they are, at one moment: who finishes a copy meanwhile is in one of the two.
pub struct Places {
    /// Who holds the publication, as [`HoldStore::holders`](super::HoldStore::holders) says it.
    pub holders: Vec<KnownHolder>,
    /// Every peer, in random order; ten thousand at most, online ones first.
    pub peers: Vec<Place>,
}

/// Knows where copies might go.
pub trait PlacementStore: Send + Sync {
    /// For a copy of this publication.
    fn places<'a>(&'a self, session: &'a Session, publication: Uuid) -> Reply<'a, Places>;
}
