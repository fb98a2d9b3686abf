//! The peers in a transfer: what each gave, who is silent, who lied.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use p2p_proto::{PeerId, PeerName};

use super::{Transfer, lock};

/// A peer that was asked and says nothing for so long is called silent.
pub const SILENT: Duration = Duration::from_secs(5);

/// Fewer bytes than this are as good as none: who sends one a second is not heard.
pub const FEW: u64 = 1024;

/// One peer in a transfer.
#[derive(Clone, Debug)]
pub struct Giver {
    /// Who.
    pub name: PeerName,
    /// Verified bytes from it, or to it.
    pub bytes: u64,
    /// It was asked for bytes and has sent none since, or less than [`FEW`].
    pub silent_since: Option<Timestamp>,
    /// It still sends a few bytes now and then.
    pub trickles: bool,
}

/// When a peer was last heard, shared with the connection that hears it.
#[derive(Clone, Debug)]
pub struct Heard(Arc<Ear>);

#[derive(Debug)]
struct Ear {
    at: AtomicI64,
    /// Bytes since then.
    few: AtomicU64,
    /// When the last of them came.
    drop_at: AtomicI64,
    /// All bytes.
    count: AtomicU64,
}

impl Default for Heard {
    fn default() -> Self {
        let now = Timestamp::now().as_millisecond();
        Self(Arc::new(Ear {
            at: AtomicI64::new(now),
            few: AtomicU64::new(0),
            drop_at: AtomicI64::new(now),
            count: AtomicU64::new(0),
        }))
    }
}

impl Heard {
    /// It was heard now.
    pub fn now(&self) {
        self.0.few.store(0, Ordering::Relaxed);
        self.0
            .at
            .store(Timestamp::now().as_millisecond(), Ordering::Relaxed);
    }

    /// So many bytes came. Fewer than [`FEW`] in all are as good as none.
    pub fn bytes(&self, count: u64) {
        self.0.count.fetch_add(count, Ordering::Relaxed);
        if self.0.few.fetch_add(count, Ordering::Relaxed) + count >= FEW {
            self.now();
        } else {
            let now = Timestamp::now().as_millisecond();
            self.0.drop_at.store(now, Ordering::Relaxed);
        }
    }

    /// All bytes that came.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.at.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// Something still came when it was silent already.
    fn trickles(&self) -> bool {
        let silence = self.0.drop_at.load(Ordering::Relaxed) - self.0.at.load(Ordering::Relaxed);
        silence >= i64::try_from(SILENT.as_millis()).unwrap_or(i64::MAX)
    }
}

#[derive(Default)]
pub(super) struct Known {
    bytes: u64,
    /// While it is asked for bytes.
    pub(super) heard: Option<Heard>,
}

impl Transfer {
    /// Verified bytes from each holder so far.
    #[must_use]
    pub fn sources(&self) -> Vec<(PeerName, u64)> {
        let givers = self.givers();
        let gave = givers.iter().filter(|giver| giver.bytes > 0);
        gave.map(|giver| (giver.name.clone(), giver.bytes)).collect()
    }

    /// Every peer that has a part in it.
    #[must_use]
    pub fn givers(&self) -> Vec<Giver> {
        let now = Timestamp::now();
        lock(&self.givers)
            .iter()
            .map(|(name, known)| Giver {
                name: name.clone(),
                bytes: known.bytes,
                silent_since: known
                    .heard
                    .as_ref()
                    .map(Heard::at)
                    .filter(|at| now.duration_since(*at).unsigned_abs() >= SILENT),
                trickles: known.heard.as_ref().is_some_and(Heard::trickles),
            })
            .collect()
    }

    /// A peer gave what is not the content.
    pub(in crate::transfer) fn lied(&self, peer: PeerId) {
        lock(&self.liars).insert(peer);
    }

    /// Who did.
    pub(in crate::transfer) fn liars(&self) -> HashSet<PeerId> {
        lock(&self.liars).clone()
    }

    /// How many peers are asked for bytes now.
    pub(in crate::transfer) fn asked(&self) -> usize {
        lock(&self.givers)
            .values()
            .filter(|known| known.heard.is_some())
            .count()
    }

    /// A peer is asked for bytes; with `None` no longer.
    pub(in crate::transfer) fn asks(&self, peer: &PeerName, heard: Option<Heard>) {
        lock(&self.givers).entry(peer.clone()).or_default().heard = heard;
    }

    pub(in crate::transfer) fn received(&self, from: &PeerName, bytes: u64, frontier: u64) {
        self.meter.add(bytes);
        lock(&self.givers).entry(from.clone()).or_default().bytes += bytes;
        self.progress.send_modify(|progress| {
            progress.done += bytes;
            progress.frontier = progress.frontier.max(frontier);
        });
    }

    /// Another counts the bytes: so many are done, at or from this peer.
    pub(in crate::transfer) fn reached(&self, peer: Option<&PeerName>, done: u64) {
        if let Some(peer) = peer {
            lock(&self.givers).entry(peer.clone()).or_default().bytes = done;
        }
        self.progress.send_if_modified(|progress| {
            let more = done.saturating_sub(progress.done);
            self.meter.add(more);
            progress.done = done;
            more > 0
        });
    }
}
