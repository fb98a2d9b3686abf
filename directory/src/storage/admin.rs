//! What an admin asks that no peer may: every peer with its session, and revocations.

use std::net::SocketAddr;

use jiff::Timestamp;
use p2p_proto::{PeerId, PeerName, UserName};

use super::Reply;

/// A peer, with what only an admin is told.
#[derive(Clone, Debug)]
pub struct KnownPeer {
    /// Its key.
    pub peer_id: PeerId,
    /// Its name.
    pub name: PeerName,
    /// The account that logged it in; none when that was removed.
    pub user: Option<UserName>,
    /// Where to dial it.
    pub addresses: Vec<SocketAddr>,
    /// It has a lease now.
    pub online: bool,
    /// When it last pinged; none when never.
    pub last_seen_at: Option<Timestamp>,
    /// When its session ends; none when it has none.
    pub session_expires_at: Option<Timestamp>,
    /// When its certificate ends; none when it has no session.
    pub certificate_expires_at: Option<Timestamp>,
    /// Since when its key is revoked.
    pub revoked_at: Option<Timestamp>,
}

/// What came of revoking a peer or allowing it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// This peer's key, from now on.
    Done(PeerId, PeerName),
    /// It was so before.
    Already(PeerId, PeerName),
    /// There is no such peer.
    NoPeer,
}

/// Answers admins.
pub trait AdminStore: Send + Sync {
    /// Every peer and every revoked key: online first, then by name.
    fn known_peers(&self) -> Reply<'_, Vec<KnownPeer>>;

    /// Revokes the key of the peer with this name or id: its session and lease end, it goes on the deny-list, and it cannot
    /// log in again.
    fn revoke<'a>(&'a self, peer: &'a str) -> Reply<'a, Revocation>;

    /// Lets the revoked key with this id, or that of the peer of this name, log in again. What it had before stays ended.
    fn allow<'a>(&'a self, peer: &'a str) -> Reply<'a, Revocation>;
}
