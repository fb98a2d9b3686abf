//! What placing a copy goes by: every peer, and what is known of it.

use std::net::SocketAddr;

use jiff::Timestamp;
use p2p_proto::{PeerId, PeerName, UserName, rest::session::AcceptCopies};
use uuid::Uuid;

use super::Reply;

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

/// Knows where copies might go.
pub trait PlacementStore: Send + Sync {
    /// Every peer, for a copy of this publication, in random order; ten thousand at most, online ones first.
    fn places(&self, publication: Uuid) -> Reply<'_, Vec<Place>>;
}
