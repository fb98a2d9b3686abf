//! How much there is.

use std::path::PathBuf;

use super::Reply;

/// What an operator looks at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// Accounts.
    pub accounts: u64,
    /// Peers whose lease lasts.
    pub peers_online: u64,
    /// Names that are published.
    pub files: u64,
}

/// How many there are of what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
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
    /// Names that are published now.
    pub files: u64,
    /// Versions that are published now.
    pub publications: u64,
    /// Holds, complete ones and parts.
    pub holds: u64,
    /// Events that are kept.
    pub events: u64,
    /// Bytes of the database, with what waits in its log.
    pub database_bytes: u64,
    /// Where it is.
    pub database: PathBuf,
}

/// Counts.
pub trait FigureStore: Send + Sync {
    /// What an operator looks at first.
    fn overview(&self) -> Reply<'_, Overview>;

    /// All of it. Takes as long as there is much.
    fn figures(&self) -> Reply<'_, Figures>;
}
