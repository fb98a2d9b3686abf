//! Which piece comes next. The last piece goes first: only it proves the size. Then they go in order, so that a reader
//! can follow; at the end a source without work takes over what another has not brought yet.
//!
//! Every piece is in exactly one state: missing, asked for (by one or two sources), or verified and written.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// The most sources that one piece is asked of at the same time.
const MAX_ASKED: usize = 2;

/// A source, numbered by its swarm.
pub type SourceId = u32;

/// One piece of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its number.
    pub index: usize,
    /// Where it begins.
    pub offset: u64,
    /// Its bytes.
    pub length: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PieceState {
    Missing,
    Asked(Vec<SourceId>),
    Written,
}

/// The pieces of one content.
pub struct Plan {
    size: u64,
    piece_length: u32,
    pieces: Mutex<Pieces>,
    changed: Notify,
}

struct Pieces {
    states: Vec<PieceState>,
    /// No missing piece is before this one, but for the last.
    first_missing: usize,
    /// All before this one are written.
    frontier: usize,
    written: usize,
}

impl Plan {
    /// A plan for `size` bytes in pieces of `piece_length`; nothing is there yet.
    #[must_use]
    pub fn new(size: u64, piece_length: u32) -> Self {
        let count = size.div_ceil(piece_length.into()) as usize;
        let states = vec![PieceState::Missing; count];
        let pieces = Pieces {
            states,
            first_missing: 0,
            frontier: 0,
            written: 0,
        };
        Self {
            size,
            piece_length,
            pieces: Mutex::new(pieces),
            changed: Notify::new(),
        }
    }

    /// A piece for this source to ask for; `None` when there is none now.
    #[must_use]
    pub fn take(&self, source: SourceId) -> Option<Piece> {
        let mut pieces = self.pieces();
        let index = pieces.next_missing().or_else(|| pieces.to_duplicate(source))?;
        match &mut pieces.states[index] {
            PieceState::Asked(sources) => sources.push(source),
            state => *state = PieceState::Asked(vec![source]),
        }
        Some(self.piece(index))
    }

    /// The piece is verified and written. True the first time; then `count` hears the new frontier, before anybody can
    /// see that the plan is complete: what a transfer counted is whole when it ends. `count` must not wait.
    pub fn written(&self, piece: &Piece, count: impl FnOnce(u64)) -> bool {
        let mut pieces = self.pieces();
        if pieces.states[piece.index] == PieceState::Written {
            return false;
        }
        pieces.states[piece.index] = PieceState::Written;
        pieces.written += 1;
        while pieces.states.get(pieces.frontier) == Some(&PieceState::Written) {
            pieces.frontier += 1;
        }
        count(self.bytes_before(pieces.frontier));
        drop(pieces);
        self.changed.notify_waiters();
        true
    }

    /// This source will not bring the piece.
    pub fn give_back(&self, source: SourceId, piece: &Piece) {
        let mut pieces = self.pieces();
        if let PieceState::Asked(sources) = &mut pieces.states[piece.index] {
            sources.retain(|&other| other != source);
            if sources.is_empty() {
                pieces.states[piece.index] = PieceState::Missing;
                pieces.first_missing = pieces.first_missing.min(piece.index);
            }
        }
        drop(pieces);
        self.changed.notify_waiters();
    }

    /// Every piece is written.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let pieces = self.pieces();
        pieces.written == pieces.states.len()
    }

    /// Verified bytes from the start without a gap.
    #[must_use]
    pub fn frontier(&self) -> u64 {
        self.bytes_before(self.pieces().frontier)
    }

    fn bytes_before(&self, index: usize) -> u64 {
        (index as u64 * u64::from(self.piece_length)).min(self.size)
    }

    /// Waits until `ready` holds; it is asked again after each change.
    pub async fn wait_until<T>(&self, ready: impl Fn(&Self) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(value) = ready(self) {
                return value;
            }
            changed.await;
        }
    }

    fn piece(&self, index: usize) -> Piece {
        let offset = index as u64 * u64::from(self.piece_length);
        let length = (self.size - offset).min(self.piece_length.into()) as u32;
        Piece {
            index,
            offset,
            length,
        }
    }

    fn pieces(&self) -> std::sync::MutexGuard<'_, Pieces> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pieces {
    fn next_missing(&mut self) -> Option<usize> {
        let last = self.states.len().checked_sub(1)?;
        if self.states[last] == PieceState::Missing {
            return Some(last);
        }
        while self
            .states
            .get(self.first_missing)
            .is_some_and(|state| *state != PieceState::Missing)
        {
            self.first_missing += 1;
        }
        (self.first_missing < self.states.len()).then_some(self.first_missing)
    }

    fn to_duplicate(&self, source: SourceId) -> Option<usize> {
        (self.frontier..self.states.len()).find(|&index| {
            matches!(&self.states[index], PieceState::Asked(by) if by.len() < MAX_ASKED && !by.contains(&source))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u32 = 1 << 20;

    #[test]
    fn the_last_piece_first_then_in_order() {
        let plan = Plan::new(3 * u64::from(MIB) + 7, MIB);
        let taken: Vec<_> = std::iter::from_fn(|| plan.take(1))
            .map(|p| (p.offset >> 20, p.length))
            .collect();
        assert_eq!(taken, [(3, 7), (0, MIB), (1, MIB), (2, MIB)]);
    }

    #[test]
    fn what_is_given_back_is_taken_again() {
        let plan = Plan::new(4 * u64::from(MIB), MIB);
        let pieces: Vec<_> = std::iter::from_fn(|| plan.take(1)).collect();
        plan.give_back(1, &pieces[1]);
        assert_eq!(plan.take(2), Some(pieces[1]));
    }

    #[test]
    fn the_end_is_asked_for_twice_but_never_thrice() {
        let plan = Plan::new(u64::from(MIB), MIB);
        let piece = plan.take(1).unwrap();
        assert_eq!(plan.take(1), None);
        assert_eq!(plan.take(2), Some(piece));
        assert_eq!(plan.take(3), None);
        plan.give_back(1, &piece);
        assert_eq!(plan.take(3), Some(piece));
        assert!(plan.written(&piece, |_| {}));
        assert!(!plan.written(&piece, |_| unreachable!()));
        plan.give_back(2, &piece);
        assert!(plan.is_complete());
    }

    #[test]
    fn an_empty_content_is_complete() {
        let plan = Plan::new(0, MIB);
        assert!(plan.is_complete());
        assert_eq!((plan.take(1), plan.frontier()), (None, 0));
    }

    proptest! {
        /// Whatever sources do, every piece is written in the end and counted once, and the frontier never lies.
        #[test]
        fn every_piece_is_written_once(
            size in 1u64..20_000_000,
            acts in proptest::collection::vec((0u32..4, any::<bool>()), 0..200),
        ) {
            let plan = Plan::new(size, MIB);
            let mut counted = 0;
            let mut done = std::collections::BTreeSet::new();
            let mut act = |source, brings: bool| {
                let Some(piece) = plan.take(source) else { return false };
                if brings {
                    if plan.written(&piece, |_| {}) {
                        counted += u64::from(piece.length);
                    }
                    done.insert(piece.index);
                } else {
                    plan.give_back(source, &piece);
                }
                let gap = (0..).find(|index| !done.contains(index)).unwrap_or(0);
                assert_eq!(plan.frontier(), (gap as u64 * u64::from(MIB)).min(size));
                true
            };
            for (source, brings) in acts {
                act(source, brings);
            }
            while act(9, true) {}
            prop_assert!(plan.is_complete());
            prop_assert_eq!(counted, size);
        }
    }
}
