//! Where bytes pass: out in slices, in as much as may be asked for. Nothing of it is kept.

use std::sync::Arc;

use p2p_proto::{ContentHash, PeerId};

use super::{Bucket, Lane, Limits};
use crate::{
    peer::frames::codec::UNIT,
    store::{BUFFER_LEN, GROUP},
};

/// Slices of what is sent in a second: many enough that a second is even.
const SLICES: u64 = 64;

/// The least in a slice, and the most.
const SLICE: (u64, u64) = (1 << 10, 128 << 10);

/// Requests of what is fetched in a second: many enough that a few seconds are even. What is less than a group is verified
/// when the rest of it has come.
const REQUESTS: u64 = 16;

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
    pub(super) limits: Limits,
    pub(super) lane: Lane,
    pub(super) copy: (PeerId, ContentHash),
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
    pub(super) limits: Limits,
    pub(super) own: Arc<Bucket>,
    pub(super) lane: Lane,
}

impl Download {
    /// The most bytes to ask for at once: whole groups, or less than one.
    #[must_use]
    pub fn step(&self) -> u32 {
        let most = BUFFER_LEN as u64;
        let step = match self.rate() {
            Some(rate) => match rate / REQUESTS {
                large @ GROUP.. => (large / GROUP * GROUP).min(most),
                small => 1 << small.max(UNIT).ilog2(),
            },
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
        let mut taken = Taken {
            bucket: &self.own,
            bytes: bytes.into(),
        };
        self.limits.0.down.take(self.lane, bytes.into()).await;
        taken.bytes = 0;
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
        if self.bytes > 0 {
            self.bucket.give_back(self.bytes);
        }
    }
}
