//! What the disk refused, for a health line: the last few, in memory only. A start begins with none.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use p2p_proto::ContentHash;

use super::{Store, error::StoreError};

/// So many are remembered.
const REMEMBERED: usize = 16;

/// A write, an fsync or a read that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub at: Timestamp,
    /// Of which content, where that was known.
    pub hash: Option<ContentHash>,
    /// What failed, and why.
    pub what: String,
}

#[derive(Default)]
pub(super) struct Faults(Mutex<VecDeque<Fault>>);

impl Faults {
    fn list(&self) -> MutexGuard<'_, VecDeque<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what the system refused; other errors are no faults of the disk.
    pub(super) fn note(&self, hash: Option<ContentHash>, error: &StoreError) {
        if matches!(error, StoreError::Io { .. }) {
            self.add(hash, error.to_string());
        }
    }

    pub(super) fn add(&self, hash: Option<ContentHash>, what: String) {
        crate::metrics::DISK_FAULTS.up();
        let mut list = self.list();
        if list.len() == REMEMBERED {
            list.pop_front();
        }
        list.push_back(Fault {
            at: Timestamp::now(),
            hash,
            what,
        });
    }
}

impl Store {
    /// The last 16 faults of the disk since the start, the oldest first.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        self.inner.faults.list().iter().cloned().collect()
    }
}
