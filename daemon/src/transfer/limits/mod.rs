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

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use p2p_proto::{ByteCount, ContentHash, Failure, FailureKind, PeerId};
use serde::{Deserialize, Serialize};

pub use self::bucket::{Bucket, Lane};
use crate::{
    identity::key::write_private,
    store::{BUFFER_LEN, GROUP},
};

/// The lowest limit, in bytes a second: below that no peer could tell this one from one that is gone.
pub const LOWEST: u64 = 1 << 10;

/// Slices of what is sent in a second: many enough that a second is even.
const SLICES: u64 = 64;

/// The least in a slice, and the most.
const SLICE: (u64, u64) = (1 << 10, 128 << 10);

/// Requests of what is fetched in a second. None is for less than a group, since nothing less can be verified.
const REQUESTS: u64 = 16;

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

/// The limits of this daemon. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Limits(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    file: Option<PathBuf>,
    words: Mutex<Words>,
    up: Bucket,
    down: Bucket,
    /// Copies on other peers that have a limit of their own.
    copies: Mutex<HashMap<(PeerId, ContentHash), Arc<Bucket>>>,
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

    /// The copy that this peer makes is sent at this pace, until it is forgotten.
    pub(super) fn limit_copy(&self, peer: PeerId, hash: ContentHash, own: Arc<Bucket>) {
        let mut copies = lock(&self.0.copies);
        copies.insert((peer, hash), own);
        self.0.copies_count.store(copies.len(), Ordering::Relaxed);
    }

    /// The copy that this peer makes has no limit of its own.
    pub(super) fn forget_copy(&self, peer: PeerId, hash: ContentHash) {
        if self.0.copies_count.load(Ordering::Relaxed) > 0 {
            let mut copies = lock(&self.0.copies);
            copies.remove(&(peer, hash));
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
        lock(&self.0.copies).get(&of).cloned()
    }

    fn apply(&self, words: &Words) {
        let wins = |set: Option<Set>, configured| set.map_or(configured, |set| set.rate);
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

/// The lower one of two rates.
fn lower(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Bytes on their way to one peer.
#[derive(Clone, Debug)]
pub struct Upload {
    limits: Limits,
    lane: Lane,
    copy: (PeerId, ContentHash),
}

impl Upload {
    /// How many bytes to send at once; none: as many as there are.
    #[must_use]
    pub fn slice(&self) -> Option<usize> {
        let own = self.limits.copy(self.copy);
        let rate = lower(self.limits.up(), own.and_then(|own| own.rate()))?;
        Some((rate / SLICES).clamp(SLICE.0, SLICE.1) as usize)
    }

    /// Waits until so many may be sent.
    pub async fn pass(&self, bytes: usize) {
        if let Some(own) = self.limits.copy(self.copy) {
            own.take(self.lane, bytes as u64).await;
        }
        self.limits.0.up.take(self.lane, bytes as u64).await;
    }
}

/// Bytes that are asked for.
#[derive(Clone, Debug)]
pub struct Download {
    limits: Limits,
    own: Arc<Bucket>,
    lane: Lane,
}

impl Download {
    /// The most bytes to ask for at once, in whole groups.
    #[must_use]
    pub fn step(&self) -> u32 {
        let most = BUFFER_LEN as u64;
        let step = match self.rate() {
            Some(rate) => (rate / REQUESTS / GROUP * GROUP).clamp(GROUP, most),
            None => most,
        };
        step as u32
    }

    /// Bytes a second that may come; none: without a limit.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        lower(self.limits.down(), self.own.rate())
    }

    /// So many may be asked for now.
    #[must_use]
    pub fn may_ask(&self, bytes: u32) -> bool {
        let bytes = bytes.into();
        if !self.own.try_take(bytes) {
            return false;
        }
        let may = self.limits.0.down.try_take(bytes);
        if !may {
            self.own.give_back(bytes);
        }
        may
    }

    /// Waits until so many may be asked for.
    pub async fn ask(&self, bytes: u32) {
        self.own.take(self.lane, bytes.into()).await;
        let taken = Taken {
            bucket: &self.own,
            bytes: bytes.into(),
        };
        self.limits.0.down.take(self.lane, bytes.into()).await;
        std::mem::forget(taken);
    }

    /// So many were asked for and will not come.
    pub fn not_asked(&self, bytes: u64) {
        self.own.give_back(bytes);
        self.limits.0.down.give_back(bytes);
    }

    /// So many came unasked.
    pub fn came(&self, bytes: u64) {
        self.own.owe(bytes);
        self.limits.0.down.owe(bytes);
    }
}

/// Bytes of a bucket, given back unless they are used.
struct Taken<'a> {
    bucket: &'a Bucket,
    bytes: u64,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.bucket.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(u64::from(download.step()), GROUP);
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
        limits.limit_copy(peer, hash, Arc::new(Bucket::new(Some(MIB))));
        assert_eq!(upload.slice(), Some(16 << 10));
        assert_eq!(limits.upload(PeerId::of_spki(b"b"), hash).slice(), None);
        limits.forget_copy(peer, hash);
        assert_eq!(upload.slice(), None);
    }
}
