//! How much there is.

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

/// How much there is of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The most important of it.
    pub overview: Overview,
    /// Sessions that have not ended.
    pub sessions: u64,
    /// Peers that were ever logged in, and not removed.
    pub peers: u64,
    /// Publications that were not withdrawn.
    pub publications: u64,
    /// Copies on peers.
    pub holds: u64,
    /// Events that are kept.
    pub events: u64,
}

/// Counts.
pub trait FigureStore: Send + Sync {
    /// What an operator looks at first.
    fn overview(&self) -> Reply<'_, Overview>;

    /// All of it. Takes as long as there is much.
    fn figures(&self) -> Reply<'_, Figures>;
}
