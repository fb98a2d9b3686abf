//! How well the directory can be reached, and what it last said that all connections must know: its deny-list.
//!
//! How it can be reached is in memory; a restart begins with "not reached yet". The deny-list is in
//! `state_dir/denied.json` (mode 0600) too, since whoever was denied shall stay out also when this peer starts anew while
//! the directory is away. The file is replaced whole and synced, so a crash leaves the list before or after, never between.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use p2p_proto::{Failure, FailureKind, PeerId, rest::session::DenyList};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

use crate::identity::key::write_private;

/// The directory's side of the world, as of the last ping.
#[derive(Clone, Debug, Default)]
pub struct LinkState {
    /// The last ping was answered.
    pub reachable: bool,
    /// The last ping failed; false too before the first one.
    pub failing: bool,
    /// Why it failed, or what that ping was for: a certificate.
    pub why: Option<String>,
    /// When a ping was last answered.
    pub last_ping_at: Option<Timestamp>,
    /// The directory's clock minus ours, in seconds.
    pub skew_s: i64,
    /// How many peers are online, this one too, as the directory said last.
    pub peers_online: Option<u64>,
    /// Peers whose certificates no longer count.
    pub denied: Arc<HashSet<PeerId>>,
    /// Whose list that is, and which.
    known: Option<Version>,
}

/// A deny-list's version is one of its cluster's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Version {
    cluster: Uuid,
    version: u64,
}

/// What is written.
#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(flatten)]
    known: Version,
    peers: Vec<PeerId>,
}

/// Shared by everything that depends on the directory.
#[derive(Clone, Debug, Default)]
pub struct Link {
    state: watch::Sender<LinkState>,
    /// Where the deny-list is kept, and which one is there.
    file: Option<Arc<(PathBuf, Mutex<Option<Version>>)>>,
}

impl Link {
    /// With the deny-list that was kept in this folder.
    ///
    /// # Errors
    /// When the file cannot be read or understood: whom it names is not known then, and nobody is served.
    pub fn load(state_dir: &Path) -> Result<Self, Failure> {
        let path = state_dir.join("denied.json");
        let failure = |error: &dyn std::fmt::Display| {
            Failure::new(FailureKind::Internal, format!("{}: {error}", path.display()))
        };
        let written: Option<Written> = match fs::read(&path) {
            Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(|error| failure(&error))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failure(&error)),
        };
        let known = written.as_ref().map(|written| written.known);
        let denied = written.into_iter().flat_map(|written| written.peers);
        let state = LinkState {
            denied: Arc::new(denied.collect()),
            known,
            ..LinkState::default()
        };
        Ok(Self {
            state: watch::Sender::new(state),
            file: Some(Arc::new((path, Mutex::new(known)))),
        })
    }

    /// As of the last ping.
    #[must_use]
    pub fn state(&self) -> LinkState {
        self.state.borrow().clone()
    }

    /// Follows the changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<LinkState> {
        self.state.subscribe()
    }

    /// The version of this cluster's deny-list that is known here; 0 before any.
    #[must_use]
    pub fn deny_version(&self, cluster: Uuid) -> u64 {
        let known = self.state.borrow().known;
        let of_cluster = known.filter(|known| known.cluster == cluster);
        of_cluster.map_or(0, |known| known.version)
    }

    /// A ping to this cluster's directory was answered. True when the one before was not.
    pub fn answered(&self, cluster: Uuid, directory_clock: Timestamp, deny: Option<DenyList>) -> bool {
        let now = Timestamp::now();
        let mut back = false;
        self.state.send_modify(|state| {
            back = !state.reachable;
            state.reachable = true;
            state.failing = false;
            state.why = None;
            state.last_ping_at = Some(now);
            state.skew_s = directory_clock.as_second() - now.as_second();
            if let Some(deny) = deny {
                let version = deny.version;
                state.known = Some(Version { cluster, version });
                state.denied = Arc::new(deny.peers.into_iter().collect());
            } else if state.known.is_some_and(|known| known.cluster != cluster) {
                // It has none yet; those whom another one denied are not its peers.
                state.known = Some(Version { cluster, version: 0 });
                state.denied = Arc::default();
            }
        });
        self.keep();
        back
    }

    /// So many peers are online; `None` when the directory does not say.
    pub fn peers_online(&self, online: Option<u64>) {
        self.state.send_if_modified(|state| {
            let changed = state.peers_online != online;
            state.peers_online = online;
            changed
        });
    }

    /// Writes the list unless it is written; what failed is tried again with the next answer.
    fn keep(&self) {
        let Some(file) = &self.file else { return };
        let (path, on_disk) = &**file;
        let mut on_disk = on_disk.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state();
        let Some(known) = state.known.filter(|known| *on_disk != Some(*known)) else {
            return;
        };
        let peers = state.denied.iter().copied().collect();
        let written = serde_json::to_vec(&Written { known, peers }).map_err(io::Error::other);
        match written.and_then(|bytes| write_private(path, &bytes)) {
            Ok(()) => *on_disk = Some(known),
            Err(error) => tracing::error!("{}: the deny-list is not kept: {error}", path.display()),
        }
    }

    /// A ping failed, for this reason. True when the one before did not.
    pub fn failed(&self, why: &str) -> bool {
        let mut lost = false;
        self.state.send_modify(|state| {
            lost = state.reachable;
            state.reachable = false;
            state.failing = true;
            state.why = Some(why.to_owned());
        });
        lost
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const CLUSTER: Uuid = Uuid::from_u128(1);

    fn list(version: u64, peers: &[PeerId]) -> Option<DenyList> {
        let peers = peers.to_vec();
        Some(DenyList { version, peers })
    }

    #[test]
    fn a_directory_not_asked_yet_is_neither_reachable_nor_failing() {
        let link = Link::default();
        assert!(!link.state().reachable && !link.state().failing);
        assert!(link.answered(CLUSTER, Timestamp::now(), None));
        assert!(link.state().reachable && !link.state().failing);
        assert!(link.failed("gone"));
        assert!(!link.failed("gone"));
        assert!(!link.state().reachable && link.state().failing);
        assert!(link.answered(CLUSTER, Timestamp::now(), None));
        assert!(!link.state().failing);
    }

    #[test]
    fn who_was_denied_is_denied_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (eve, bob) = (PeerId::of_spki(b"eve"), PeerId::of_spki(b"bob"));
        let link = Link::load(folder.path()).unwrap();
        assert_eq!(link.deny_version(CLUSTER), 0);
        link.answered(CLUSTER, Timestamp::now(), list(3, &[eve]));
        link.answered(CLUSTER, Timestamp::now(), None);
        let again = Link::load(folder.path()).unwrap();
        assert!(!again.state().reachable && !again.state().failing);
        assert_eq!(*again.state().denied, HashSet::from([eve]));
        assert_eq!(again.deny_version(CLUSTER), 3);
        again.answered(CLUSTER, Timestamp::now(), list(4, &[bob]));
        let last = Link::load(folder.path()).unwrap();
        assert_eq!(*last.state().denied, HashSet::from([bob]));
        let mode = fs::metadata(folder.path().join("denied.json"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn another_cluster_has_its_own_list() {
        let folder = tempfile::tempdir().unwrap();
        let (other, eve) = (Uuid::from_u128(2), PeerId::of_spki(b"eve"));
        let link = Link::load(folder.path()).unwrap();
        link.answered(CLUSTER, Timestamp::now(), list(3, &[eve]));
        assert_eq!(link.deny_version(other), 0);
        link.answered(other, Timestamp::now(), None);
        assert!(link.state().denied.is_empty());
        assert!(Link::load(folder.path()).unwrap().state().denied.is_empty());
        assert_eq!(link.deny_version(CLUSTER), 0);
    }

    #[test]
    fn a_damaged_list_is_an_error_and_what_was_not_written_is_written_later() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let link = Link::load(&state).unwrap();
        link.answered(CLUSTER, Timestamp::now(), list(1, &[PeerId::of_spki(b"eve")]));
        fs::create_dir(&state).unwrap();
        link.answered(CLUSTER, Timestamp::now(), None);
        assert_eq!(Link::load(&state).unwrap().deny_version(CLUSTER), 1);
        fs::write(state.join("denied.json"), "{").unwrap();
        assert!(Link::load(&state).unwrap_err().message.contains("denied.json"));
    }
}
