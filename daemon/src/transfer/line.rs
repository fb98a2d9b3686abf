//! Who fetches a content into the store: one transfer at a time, the others stand in line, first come, first served. Who
//! is at the head has the content's place in the store; while it moves it keeps both, and when it does not and somebody
//! stands behind it, it lets go of both. In memory: after a crash nobody stands anywhere.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use p2p_proto::ContentHash;
use tokio::sync::watch;

/// The numbers of transfers, the head first.
type Line = watch::Sender<VecDeque<u64>>;

/// A line for each content that somebody fetches. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<HashMap<ContentHash, Arc<Line>>>>);

impl Lines {
    fn map(&self) -> MutexGuard<'_, HashMap<ContentHash, Arc<Line>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes to the end of the content's line.
    pub fn join(&self, hash: ContentHash, id: u64) -> Place {
        let mut map = self.map();
        let line = Arc::clone(map.entry(hash).or_default());
        line.send_modify(|line| line.push_back(id));
        drop(map);
        Place {
            lines: self.clone(),
            hash,
            line,
            id,
        }
    }

    /// This transfer is at the head of the content's line, and another one stands behind it.
    pub fn is_in_the_way(&self, hash: ContentHash, id: u64) -> bool {
        let map = self.map();
        map.get(&hash).is_some_and(|line| {
            let line = line.borrow();
            line.front() == Some(&id) && line.len() > 1
        })
    }
}

/// A transfer's place in a line, until it is dropped.
pub(super) struct Place {
    lines: Lines,
    hash: ContentHash,
    line: Arc<Line>,
    id: u64,
}

impl Place {
    /// It has come to the head.
    pub fn is_first(&self) -> bool {
        self.line.borrow().front() == Some(&self.id)
    }

    /// Waits until it has; `told` hears who is at the head before it, and each time that is another one.
    pub async fn comes_first(&self, told: impl Fn(u64)) {
        let mut line = self.line.subscribe();
        loop {
            let head = line.borrow_and_update().front().copied();
            match head {
                Some(head) if head != self.id => told(head),
                _ => return,
            }
            // The sender is this place's own.
            if line.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until another one is in the line.
    pub async fn is_shared(&self) {
        let mut line = self.line.subscribe();
        // The sender is this place's own.
        let _ = line.wait_for(|line| line.len() > 1).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut map = self.lines.map();
        self.line.send_modify(|line| line.retain(|id| *id != self.id));
        if self.line.borrow().is_empty() {
            map.remove(&self.hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use futures::FutureExt;

    use super::*;

    fn ready(work: impl Future<Output = ()>) -> bool {
        work.now_or_never().is_some()
    }

    #[test]
    fn the_head_is_left_in_order_and_an_empty_line_is_gone() {
        let (lines, hash) = (Lines::default(), ContentHash::of(b"a"));
        let first = lines.join(hash, 7);
        assert!(ready(first.comes_first(|_| ())) && !ready(first.is_shared()));
        assert!(!lines.is_in_the_way(hash, 7));
        let (second, third) = (lines.join(hash, 3), lines.join(hash, 5));
        assert!(ready(first.is_shared()) && lines.is_in_the_way(hash, 7));
        assert!(!lines.is_in_the_way(hash, 3), "not at the head");
        assert!(!ready(second.comes_first(|head| assert_eq!(head, 7))));
        drop(first);
        assert!(second.is_first() && !ready(third.comes_first(|head| assert_eq!(head, 3))));
        let again = lines.join(hash, 7);
        drop(second);
        assert!(ready(third.comes_first(|_| ())) && !again.is_first());
        drop((third, again));
        assert!(lines.map().is_empty());
    }
}
