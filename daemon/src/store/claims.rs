//! Who is about to do something with a content: in memory only, since after a crash nobody is.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use p2p_proto::ContentHash;

/// How many have brought a content that they are about to hold. While there is a claim a content is not removed. Made
/// and asked by whoever has the writer connection, so that no removal slips in between.
#[derive(Default)]
pub(super) struct Claims(Mutex<HashMap<ContentHash, usize>>);

impl Claims {
    fn map(&self) -> MutexGuard<'_, HashMap<ContentHash, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, hash: ContentHash) {
        *self.map().entry(hash).or_default() += 1;
    }

    pub(super) fn any(&self, hash: ContentHash) -> bool {
        self.map().contains_key(&hash)
    }

    /// One less; none is fine.
    pub(super) fn release(&self, hash: ContentHash) {
        let mut map = self.map();
        match map.get_mut(&hash) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(map.remove(&hash)),
        }
    }
}

/// The contents that are being fetched into the store.
#[derive(Clone, Default)]
pub(super) struct Fetching(Arc<Mutex<HashSet<ContentHash>>>);

impl Fetching {
    /// None when another has it.
    pub(super) fn begin(&self, hash: ContentHash) -> Option<FetchGuard> {
        let new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(hash);
        new.then(|| FetchGuard {
            fetching: self.clone(),
            hash,
        })
    }
}

/// Ends it when dropped.
pub(super) struct FetchGuard {
    fetching: Fetching,
    hash: ContentHash,
}

impl Drop for FetchGuard {
    fn drop(&mut self) {
        self.fetching
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.hash);
    }
}
