//! How fast bytes may go to other peers and come from them: for all of this daemon, and for single transfers. What is
//! delivered on this machine is not counted.
//!
//! What was said last wins: a rate that `p2pctl limit` set holds, also after a restart, until it is set again or the
//! configuration says another one than it did then. It is in `state_dir/limits.json` (mode 0600), which is replaced whole
//! and synced before anybody hears that it is set; a crash leaves the limits before or after.
//!
//! Who sends takes a slice of bytes at a time ([`Upload::pass`]); who fetches asks for no more than it may have now
//! ([`Download::ask`]), so that nothing is read and kept waiting.

mod bucket;
mod gates;

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use p2p_proto::{ByteCount, ContentHash, Failure, FailureKind, PeerId};
use p2p_service::config::Rate;
use serde::{Deserialize, Serialize};

pub use self::{
    bucket::{Bucket, Lane},
    gates::{Download, Upload},
};
use crate::identity::key::write_private;

/// The lowest limit, in bytes a second: at less a large file's layer takes longer than a peer waits for it.
pub const LOWEST: u64 = Rate::LEAST.0;

/// To others, or from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To other peers.
    Up,
    /// From other peers.
    Down,
}

/// A rate that was set by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Set {
    /// Bytes a second; none: without a limit.
    rate: Option<u64>,
    /// What the configuration said when it was set.
    configured: Option<u64>,
}

/// What is written.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Written {
    #[serde(default)]
    up: Option<Set>,
    #[serde(default)]
    down: Option<Set>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Words {
    set: Written,
    /// Up, down.
    configured: (Option<u64>, Option<u64>),
}

/// By the number of the transfer that has it.
type LimitsOf = BTreeMap<u64, Arc<Bucket>>;

/// The limits of this daemon. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Limits(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    file: Option<PathBuf>,
    words: Mutex<Words>,
    up: Bucket,
    down: Bucket,
    /// Transfers that follow a copy on another peer and have a limit of their own.
    copies: Mutex<HashMap<(PeerId, ContentHash), LimitsOf>>,
    /// How many those are: nobody looks while there are none.
    copies_count: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Limits {
    /// With what was set by hand and kept in this folder.
    ///
    /// # Errors
    /// When the file cannot be read or understood: to go on without limits might cost somebody money.
    pub fn load(state_dir: &Path) -> Result<Self, Failure> {
        let path = state_dir.join("limits.json");
        let failure = |error: &dyn std::fmt::Display| {
            Failure::new(FailureKind::Internal, format!("{}: {error}", path.display()))
        };
        let set: Written = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failure(&error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Written::default(),
            Err(error) => return Err(failure(&error)),
        };
        let configured = |set: Option<Set>| set.and_then(|set| set.configured);
        let words = Words {
            set,
            configured: (configured(set.up), configured(set.down)),
        };
        let limits = Self(Arc::new(Inner {
            file: Some(path),
            words: Mutex::new(words),
            ..Inner::default()
        }));
        limits.apply(&words);
        Ok(limits)
    }

    /// What the configuration says now, in bytes a second. What was set by hand stays, unless this is another word than
    /// it was set against.
    pub fn set_configured(&self, up: Option<u64>, down: Option<u64>) {
        let mut words = lock(&self.0.words);
        words.configured = (up, down);
        let before = words.set.up.is_some() || words.set.down.is_some();
        words.set.up = words.set.up.filter(|set| set.configured == up);
        words.set.down = words.set.down.filter(|set| set.configured == down);
        for (set, way) in [(words.set.up, "upload"), (words.set.down, "download")] {
            if let Some(set) = set {
                let rate = said(set.rate);
                tracing::info!("the {way} limit is {rate}, as p2pctl limit set it");
            }
        }
        self.apply(&words);
        // What is over is kept no longer; if that cannot be written it is found to be over again.
        if before && let Err(error) = self.keep(&words.set) {
            tracing::warn!("{error}");
        }
    }

    /// Sets what is given by hand, in bytes a second or without a limit; it is on disk when this returns.
    ///
    /// # Errors
    /// `Usage` for less than [`LOWEST`]; when it cannot be written, and then nothing changed.
    pub fn set(&self, up: Option<Option<u64>>, down: Option<Option<u64>>) -> Result<(), Failure> {
        for rate in [up, down].into_iter().flatten() {
            check(rate)?;
        }
        let mut words = lock(&self.0.words);
        let mut next = *words;
        if let Some(rate) = up {
            let configured = words.configured.0;
            next.set.up = Some(Set { rate, configured });
        }
        if let Some(rate) = down {
            let configured = words.configured.1;
            next.set.down = Some(Set { rate, configured });
        }
        self.keep(&next.set)?;
        *words = next;
        self.apply(&next);
        Ok(())
    }

    /// Bytes a second to others; none: without a limit.
    #[must_use]
    pub fn up(&self) -> Option<u64> {
        self.0.up.rate()
    }

    /// Bytes a second from others; none: without a limit.
    #[must_use]
    pub fn down(&self) -> Option<u64> {
        self.0.down.rate()
    }

    /// What is sent to this peer of this content.
    #[must_use]
    pub fn upload(&self, peer: PeerId, hash: ContentHash) -> Upload {
        Upload {
            limits: self.clone(),
            lane: Lane::Reader(peer, hash),
            copy: (peer, hash),
        }
    }

    /// The same of the layer.
    #[must_use]
    pub fn layer(&self, peer: PeerId, hash: ContentHash) -> Upload {
        Upload {
            lane: Lane::Layer(peer, hash),
            ..self.upload(peer, hash)
        }
    }

    /// What this transfer fetches; `own` is its own limit.
    #[must_use]
    pub fn download(&self, transfer: u64, own: Arc<Bucket>) -> Download {
        Download {
            limits: self.clone(),
            own,
            lane: Lane::Transfer(transfer),
        }
    }

    /// The copy that this peer makes is sent at this pace for this transfer, until that is forgotten.
    pub(super) fn limit_copy(&self, transfer: u64, of: (PeerId, ContentHash), own: Arc<Bucket>) {
        let mut copies = lock(&self.0.copies);
        copies.entry(of).or_default().insert(transfer, own);
        self.0.copies_count.store(copies.len(), Ordering::Relaxed);
    }

    /// This transfer limits the copy that this peer makes no longer.
    pub(super) fn forget_copy(&self, transfer: u64, of: (PeerId, ContentHash)) {
        if self.0.copies_count.load(Ordering::Relaxed) > 0 {
            let mut copies = lock(&self.0.copies);
            if let Some(limits) = copies.get_mut(&of) {
                limits.remove(&transfer);
                if limits.is_empty() {
                    copies.remove(&of);
                }
            }
            self.0.copies_count.store(copies.len(), Ordering::Relaxed);
        }
    }

    /// So many bytes came from others, of no transfer that fetches.
    pub(super) fn came(&self, bytes: u64) {
        self.0.down.owe(bytes);
    }

    fn copy(&self, of: (PeerId, ContentHash)) -> Option<Arc<Bucket>> {
        if self.0.copies_count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let copies = lock(&self.0.copies);
        let limits = copies.get(&of)?.values();
        // Of several the lowest.
        limits.min_by_key(|own| own.rate().unwrap_or(u64::MAX)).cloned()
    }

    fn apply(&self, words: &Words) {
        let wins = |set: Option<Set>, configured: Option<u64>| {
            let rate = set.map_or(configured, |set| set.rate);
            rate.map(|rate| rate.max(LOWEST))
        };
        self.0.up.set(wins(words.set.up, words.configured.0));
        self.0.down.set(wins(words.set.down, words.configured.1));
    }

    fn keep(&self, set: &Written) -> Result<(), Failure> {
        let Some(path) = &self.0.file else { return Ok(()) };
        let written = serde_json::to_vec(set).map_err(io::Error::other);
        let written = written.and_then(|bytes| write_private(path, &bytes));
        written.map_err(|error| {
            let message = format!("{}: the limits are not kept: {error}", path.display());
            Failure::new(FailureKind::Internal, message)
        })
    }
}

/// A rate as people read it.
#[must_use]
pub fn said(rate: Option<u64>) -> String {
    rate.map_or_else(|| "unlimited".to_owned(), |rate| format!("{}/s", ByteCount(rate)))
}

/// A rate that can be held.
///
/// # Errors
/// `Usage` for less than [`LOWEST`].
pub fn check(rate: Option<u64>) -> Result<(), Failure> {
    match rate {
        Some(rate) if rate < LOWEST => {
            let message = format!("a limit is at least {} a second", ByteCount(LOWEST));
            Err(Failure::new(FailureKind::Usage, message).hint("To let nothing pass: p2pctl pause ID"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::GROUP;

    const MIB: u64 = 1 << 20;

    #[test]
    fn what_was_said_last_wins_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let load = || Limits::load(folder.path()).unwrap();
        let rates = |limits: &Limits| (limits.up(), limits.down());
        let limits = load();
        limits.set_configured(Some(MIB), None);
        assert_eq!(rates(&limits), (Some(MIB), None));
        limits.set(Some(None), Some(Some(2 * MIB))).unwrap();
        assert_eq!(rates(&limits), (None, Some(2 * MIB)));
        // The same configuration, as after a restart or another key's change.
        let limits = load();
        limits.set_configured(Some(MIB), None);
        assert_eq!(rates(&limits), (None, Some(2 * MIB)));
        // A newer word, for one of them.
        limits.set_configured(Some(3 * MIB), None);
        assert_eq!(rates(&limits), (Some(3 * MIB), Some(2 * MIB)));
        limits.set_configured(Some(MIB), None);
        let limits = load();
        limits.set_configured(Some(MIB), None);
        assert_eq!(
            rates(&limits),
            (Some(MIB), Some(2 * MIB)),
            "what is over stays so"
        );
        limits.set(None, Some(None)).unwrap();
        assert_eq!(rates(&limits), (Some(MIB), None));
    }

    #[test]
    fn what_cannot_be_held_or_kept_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits::load(&folder.path().join("missing")).unwrap();
        assert_eq!(
            limits.set(Some(Some(1)), None).unwrap_err().kind,
            FailureKind::Usage
        );
        assert_eq!(
            limits.set(Some(Some(MIB)), None).unwrap_err().kind,
            FailureKind::Internal
        );
        assert_eq!(limits.up(), None);
        fs::write(folder.path().join("limits.json"), "{").unwrap();
        assert!(Limits::load(folder.path()).is_err());
    }

    #[test]
    fn what_is_asked_for_at_once_follows_the_lower_rate() {
        let limits = Limits::default();
        let own = Arc::new(Bucket::default());
        let download = limits.download(1, Arc::clone(&own));
        assert_eq!(u64::from(download.step()), MIB);
        limits.set_configured(None, Some(8 * MIB));
        assert_eq!(u64::from(download.step()), 2 * GROUP);
        own.set(Some(64 << 10));
        assert_eq!(download.step(), 4 << 10);
        own.set(Some(1000 << 10));
        assert_eq!(download.step(), 32 << 10);
        own.set(Some(64 << 10));
        assert!(download.may_ask(1 << 20) && !download.may_ask(1));
        own.set(None);
        limits.set_configured(None, None);
        assert!(download.may_ask(u32::MAX));
    }

    #[test]
    fn a_copy_has_its_own_limit_until_it_is_forgotten() {
        let limits = Limits::default();
        let (peer, hash) = (PeerId::of_spki(b"a"), ContentHash::of(b"a"));
        let upload = limits.upload(peer, hash);
        assert_eq!(upload.slice(), None);
        limits.limit_copy(1, (peer, hash), Arc::new(Bucket::new(Some(MIB))));
        assert_eq!(upload.slice(), Some(16 << 10));
        assert_eq!(limits.upload(PeerId::of_spki(b"b"), hash).slice(), None);
        // Another transfer that follows the same copy has a limit of its own.
        limits.limit_copy(2, (peer, hash), Arc::new(Bucket::new(Some(2 * MIB))));
        assert_eq!(upload.slice(), Some(16 << 10));
        limits.forget_copy(1, (peer, hash));
        assert_eq!(upload.slice(), Some(32 << 10));
        limits.forget_copy(2, (peer, hash));
        assert_eq!(upload.slice(), None);
    }
}
