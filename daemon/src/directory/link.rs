//! How well the directory can be reached, and what it last said that all connections must know: its deny-list.
//!
//! In memory only; a restart begins with "not reached yet".

use std::{collections::HashSet, sync::Arc};

use jiff::Timestamp;
use p2p_proto::{PeerId, rest::session::DenyList};
use tokio::sync::watch;

/// The directory's side of the world, as of the last ping.
#[derive(Clone, Debug, Default)]
pub struct LinkState {
    /// The last ping was answered.
    pub reachable: bool,
    /// The last ping failed; false too before the first one.
    pub failing: bool,
    /// When a ping was last answered.
    pub last_ping_at: Option<Timestamp>,
    /// The directory's clock minus ours, in seconds.
    pub skew_s: i64,
    /// Version of the deny-list.
    pub deny_version: u64,
    /// Peers whose certificates no longer count.
    pub denied: Arc<HashSet<PeerId>>,
}

/// Shared by everything that depends on the directory.
#[derive(Clone, Debug, Default)]
pub struct Link(watch::Sender<LinkState>);

impl Link {
    /// As of the last ping.
    #[must_use]
    pub fn state(&self) -> LinkState {
        self.0.borrow().clone()
    }

    /// Follows the changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<LinkState> {
        self.0.subscribe()
    }

    /// A ping was answered. True when the one before was not.
    pub fn answered(&self, directory_clock: Timestamp, deny: Option<DenyList>) -> bool {
        let now = Timestamp::now();
        let mut back = false;
        self.0.send_modify(|state| {
            back = !state.reachable;
            state.reachable = true;
            state.failing = false;
            state.last_ping_at = Some(now);
            state.skew_s = directory_clock.as_second() - now.as_second();
            if let Some(deny) = deny {
                state.deny_version = deny.version;
                state.denied = Arc::new(deny.peers.into_iter().collect());
            }
        });
        back
    }

    /// A ping failed. True when the one before did not.
    pub fn failed(&self) -> bool {
        let mut lost = false;
        self.0.send_modify(|state| {
            lost = state.reachable;
            state.reachable = false;
            state.failing = true;
        });
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_not_asked_yet_is_neither_reachable_nor_failing() {
        let link = Link::default();
        assert!(!link.state().reachable && !link.state().failing);
        assert!(link.answered(Timestamp::now(), None));
        assert!(link.state().reachable && !link.state().failing);
        assert!(link.failed());
        assert!(!link.failed());
        assert!(!link.state().reachable && link.state().failing);
        assert!(link.answered(Timestamp::now(), None));
        assert!(!link.state().failing);
    }
}
