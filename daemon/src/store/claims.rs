//! Who is about to do something with a content: in memory only, since after a crash nobody is.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use p2p_proto::ContentHash;
use tokio::sync::Notify;

/// Whose the partial file of a content is: of a fetch, or for a moment of whoever tidies up.
#[derive(Clone, Default)]
pub(super) struct Fetching(Arc<Fetches>);

#[derive(Default)]
struct Fetches {
    /// True while somebody wants the content; false when only the end of some work is awaited.
    wanted: Mutex<HashMap<ContentHash, bool>>,
    ended: Notify,
}

impl Fetching {
    fn map(&self) -> MutexGuard<'_, HashMap<ContentHash, bool>> {
        self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn guard(&self, hash: ContentHash) -> FetchGuard {
        FetchGuard {
            fetching: self.clone(),
            hash,
        }
    }

    /// None when another fetches it; waits for one that nobody wants any more.
    pub(super) async fn begin(&self, hash: ContentHash) -> Option<FetchGuard> {
        loop {
            let mut ended = std::pin::pin!(self.0.ended.notified());
            ended.as_mut().enable();
            let taken = match self.map().entry(hash) {
                Entry::Vacant(vacant) => {
                    vacant.insert(true);
                    false
                }
                Entry::Occupied(wanted) if *wanted.get() => return None,
                Entry::Occupied(_) => true,
            };
            if !taken {
                return Some(self.guard(hash));
            }
            ended.await;
        }
    }

    /// As [`Self::begin`], but waits for whoever has it.
    pub(super) async fn begin_after(&self, hash: ContentHash) -> FetchGuard {
        loop {
            let mut ended = std::pin::pin!(self.0.ended.notified());
            ended.as_mut().enable();
            if let Entry::Vacant(vacant) = self.map().entry(hash) {
                vacant.insert(true);
                return self.guard(hash);
            }
            ended.await;
        }
    }

    /// Nobody may fetch it for the moment; None when somebody does or another has it so.
    pub(super) fn pause(&self, hash: ContentHash) -> Option<FetchGuard> {
        match self.map().entry(hash) {
            Entry::Vacant(vacant) => {
                vacant.insert(false);
            }
            Entry::Occupied(_) => return None,
        }
        Some(self.guard(hash))
    }

    /// Whoever fetched it went away; what still runs for it will end by itself.
    pub(super) fn leave(&self, hash: ContentHash) {
        if let Some(wanted) = self.map().get_mut(&hash) {
            *wanted = false;
        }
    }
}

/// Ends it when dropped.
pub(super) struct FetchGuard {
    fetching: Fetching,
    hash: ContentHash,
}

impl Drop for FetchGuard {
    fn drop(&mut self) {
        self.fetching.map().remove(&self.hash);
        self.fetching.0.ended.notify_waiters();
    }
}

/// Things of which one at a time is done.
#[derive(Clone)]
pub(super) struct Once<T: Eq + Hash>(Arc<Mutex<HashSet<T>>>);

impl<T: Eq + Hash> Default for Once<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Eq + Hash + Clone> Once<T> {
    /// None while another does it.
    pub(super) fn begin(&self, what: &T) -> Option<OnceGuard<T>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(what.clone()).then(|| OnceGuard {
            all: self.clone(),
            what: what.clone(),
        })
    }
}

/// Ends it when dropped.
pub(super) struct OnceGuard<T: Eq + Hash> {
    all: Once<T>,
    what: T,
}

impl<T: Eq + Hash> Drop for OnceGuard<T> {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&self.what);
    }
}
