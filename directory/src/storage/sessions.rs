//! Sessions: who is logged in on which peer.

use std::net::SocketAddr;

use jiff::Timestamp;
use p2p_proto::{PeerId, PeerName, UserName};
use uuid::Uuid;

use super::Reply;

/// A session to be made.
pub struct NewSession {
    /// SHA-256 of its token.
    pub token_hash: [u8; 32],
    /// The account.
    pub user: Uuid,
    /// PHC string of the password that was shown.
    pub password_hash: String,
    /// The peer.
    pub peer: PeerId,
    /// What the peer wants to be called.
    pub peer_name: PeerName,
    /// Where others dial it.
    pub addresses: Vec<SocketAddr>,
    /// When the session ends.
    pub expires_at: Timestamp,
    /// When the peer's certificate ends.
    pub certificate_expires_at: Timestamp,
    /// When its first lease ends.
    pub lease_until: Timestamp,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogIn {
    /// The peer has a session, and this name now.
    Done(PeerName),
    /// Its key is revoked: nothing was made.
    Revoked,
    /// Since the password was looked at, the account was disabled or removed, or got another one: nothing was made.
    Refused,
}

/// Why others ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The peer's key was revoked.
    Revoked,
    /// The account was disabled.
    Disabled,
    /// The account was removed.
    Removed,
}

/// A session that lives.
#[derive(Clone)]
pub struct Session {
    /// SHA-256 of its token.
    pub token_hash: [u8; 32],
    /// The account.
    pub user: Uuid,
    /// Its name.
    pub user_name: UserName,
    /// The peer.
    pub peer: PeerId,
    /// Its name.
    pub peer_name: PeerName,
    /// Rises with each login of the peer.
    pub epoch: i64,
    /// When the session ends.
    pub expires_at: Timestamp,
    /// When the peer's certificate ends.
    pub certificate_expires_at: Timestamp,
}

/// Keeps sessions.
pub trait SessionStore: Send + Sync {
    /// Makes the session, which replaces the peer's earlier ones, and begins a lease, if the account still may log in with
    /// that password. A name that another peer has is
    /// handed over when that peer is of the same account and has no lease; else a number is appended. A peer of another
    /// account before begins with an empty index.
    fn log_in(&self, session: NewSession) -> Reply<'_, LogIn>;

    /// The session with this token hash, unless it ended or its account is disabled.
    fn session(&self, token_hash: [u8; 32]) -> Reply<'_, Option<Session>>;

    /// Why others ended the session that had this token hash, when they did so lately.
    fn why_ended(&self, token_hash: [u8; 32]) -> Reply<'_, Option<Ended>>;

    /// Sets when the session, which is still there, and the peer's certificate end.
    fn renew<'a>(
        &'a self,
        session: &'a Session,
        expires_at: Timestamp,
        certificate_expires_at: Timestamp,
    ) -> Reply<'a, ()>;

    /// Ends the session and its peer's lease.
    fn log_out<'a>(&'a self, session: &'a Session) -> Reply<'a, ()>;
}
