//! Which piece comes next. The last piece goes first: only it proves the size. Then they go in order, so that a reader
//! can follow; a piece that a source has owed for [`OVERDUE`] is asked of another, and at the end a source without work
//! takes over what another has not brought yet.
//!
//! Every piece is in exactly one state: missing, asked for, or verified and written.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Notify, time::timeout_at};

use crate::store::GROUP;

/// The most sources that one piece is asked of at the same time; one that owes it for too long does not count.
const MAX_ASKED: usize = 2;

/// A source that has not brought a piece in this time loses it to others.
pub const OVERDUE: Duration = Duration::from_secs(5);

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

impl Piece {
    /// Where it ends.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + u64::from(self.length)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PieceState {
    Missing,
    Asked,
    Written,
}

/// A source was asked for a piece.
#[derive(Clone, Copy, Debug)]
struct Ask {
    source: SourceId,
    at: Instant,
}

/// The pieces of one content.
pub struct Plan {
    size: u64,
    piece_length: u32,
    pieces: Mutex<Pieces>,
    /// Nothing is asked for twice, unless it is owed for too long.
    sparing: AtomicBool,
    changed: Notify,
}

struct Pieces {
    states: Vec<PieceState>,
    /// Of whom each piece is asked; few, whatever the size.
    asked: BTreeMap<usize, Vec<Ask>>,
    /// How much is written, from its begin, of a piece that is not written whole; few, whatever the size.
    parts: BTreeMap<usize, u64>,
    /// No missing piece is before this one, but for the last.
    first_missing: usize,
    /// All before this one are written.
    frontier: usize,
    written: usize,
}

impl Plan {
    /// A plan for `size` bytes in pieces of `piece_length`. What `is_here` says of these bytes (offset and length) is
    /// written already.
    #[must_use]
    pub fn new(size: u64, piece_length: u32, is_here: impl Fn(u64, u64) -> bool) -> Self {
        let count = size.div_ceil(piece_length.into()) as usize;
        let state = |index: usize| {
            let offset = index as u64 * u64::from(piece_length);
            match is_here(offset, (size - offset).min(piece_length.into())) {
                true => PieceState::Written,
                false => PieceState::Missing,
            }
        };
        let states: Vec<_> = (0..count).map(state).collect();
        let is_written = |state: &&PieceState| **state == PieceState::Written;
        let missing = states.iter().enumerate().filter(|state| !is_written(&state.1));
        let parts = missing.filter_map(|(index, _)| {
            let offset = index as u64 * u64::from(piece_length);
            let groups = (1..).take_while(|groups| {
                let length = groups * GROUP;
                length < u64::from(piece_length) && offset + length < size && is_here(offset, length)
            });
            Some((index, groups.last()? * GROUP))
        });
        let pieces = Pieces {
            written: states.iter().filter(is_written).count(),
            frontier: states.iter().take_while(is_written).count(),
            first_missing: 0,
            asked: BTreeMap::new(),
            parts: parts.collect(),
            states,
        };
        Self {
            size,
            piece_length,
            pieces: Mutex::new(pieces),
            sparing: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    /// Whether this side has no bytes to spare: the last pieces are asked for twice when it has.
    pub fn spare(&self, sparing: bool) {
        self.sparing.store(sparing, Ordering::Relaxed);
    }

    /// Bytes that are written.
    #[must_use]
    pub fn done(&self) -> u64 {
        let pieces = self.pieces();
        let last = pieces.states.last() == Some(&PieceState::Written);
        let short = (pieces.states.len() as u64 * u64::from(self.piece_length)) - self.size;
        let whole = pieces.written as u64 * u64::from(self.piece_length) - if last { short } else { 0 };
        whole + pieces.parts.values().sum::<u64>()
    }

    /// Where what is missing of a piece begins.
    #[must_use]
    pub fn missing_from(&self, piece: &Piece) -> u64 {
        let pieces = self.pieces();
        piece.offset + pieces.parts.get(&piece.index).copied().unwrap_or(0)
    }

    /// A piece for this source to ask for; `None` when there is none now.
    #[must_use]
    pub fn take(&self, source: SourceId) -> Option<Piece> {
        self.take_at(source, Instant::now())
    }

    fn take_at(&self, source: SourceId, now: Instant) -> Option<Piece> {
        let mut pieces = self.pieces();
        let index = pieces
            .overdue(source, now)
            .or_else(|| pieces.next_missing())
            .or_else(|| match self.sparing.load(Ordering::Relaxed) {
                true => None,
                false => pieces.to_duplicate(source),
            })?;
        pieces.states[index] = PieceState::Asked;
        pieces
            .asked
            .entry(index)
            .or_default()
            .push(Ask { source, at: now });
        Some(self.piece(index))
    }

    /// Waits for a piece that this source can bring: for one that is given back, or that others owe for too long. `None`
    /// when all are written.
    pub async fn work_for(&self, source: SourceId) -> Option<Piece> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_complete() {
                return None;
            }
            if let Some(piece) = self.take(source) {
                return Some(piece);
            }
            // Nothing else tells that time has passed.
            match self.next_overdue(source) {
                Some(at) => {
                    let _ = timeout_at(at.into(), changed).await;
                }
                None => changed.await,
            }
        }
    }

    /// When the next piece that others owe can be asked of this source too, if nothing changes.
    fn next_overdue(&self, source: SourceId) -> Option<Instant> {
        let pieces = self.pieces();
        let others = |asks: &&Vec<Ask>| asks.iter().all(|ask| ask.source != source);
        let asked = pieces.asked.values().filter(others);
        asked
            .filter_map(|asks| Some(asks.iter().map(|ask| ask.at).max()? + OVERDUE))
            .min()
    }

    /// Up to here the piece is verified and written, by this source, which owes what it was asked for as of now. `count`
    /// hears how many of these bytes are new.
    pub fn came(&self, source: SourceId, piece: &Piece, end: u64, count: impl FnOnce(u64)) {
        let mut pieces = self.pieces();
        pieces.owes(source, Instant::now());
        if pieces.states[piece.index] == PieceState::Written {
            return;
        }
        let so_far = end - piece.offset;
        let counted = pieces.parts.entry(piece.index).or_default();
        let new = so_far.saturating_sub(*counted);
        *counted += new;
        if new > 0 {
            count(new);
        }
    }

    /// What this source owes it owes as of now; at a later time while it may not be asked.
    pub fn owes_as_of(&self, source: SourceId, at: Instant) {
        self.pieces().owes(source, at);
        // Who waits until a piece is overdue waits for another time.
        self.changed.notify_waiters();
    }

    /// The piece is verified and written. True the first time; then `count` hears how many bytes of it were not
    /// counted yet, and the new frontier, before anybody can see that the plan is complete: what a transfer counted is
    /// whole when it ends. `count` must not wait.
    pub fn written(&self, piece: &Piece, count: impl FnOnce(u64, u64)) -> bool {
        let mut pieces = self.pieces();
        if pieces.states[piece.index] == PieceState::Written {
            return false;
        }
        pieces.states[piece.index] = PieceState::Written;
        pieces.asked.remove(&piece.index);
        pieces.written += 1;
        while pieces.states.get(pieces.frontier) == Some(&PieceState::Written) {
            pieces.frontier += 1;
        }
        let counted = pieces.parts.remove(&piece.index).unwrap_or(0);
        count(
            u64::from(piece.length) - counted,
            self.bytes_before(pieces.frontier),
        );
        drop(pieces);
        self.changed.notify_waiters();
        true
    }

    /// This source will not bring the piece.
    pub fn give_back(&self, source: SourceId, piece: &Piece) {
        let mut pieces = self.pieces();
        if let Some(asks) = pieces.asked.get_mut(&piece.index) {
            asks.retain(|ask| ask.source != source);
            if asks.is_empty() {
                pieces.asked.remove(&piece.index);
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
    /// What this source is asked for is owed as of this time.
    fn owes(&mut self, source: SourceId, at: Instant) {
        let asked = self.asked.values_mut().flatten();
        for ask in asked.filter(|ask| ask.source == source) {
            ask.at = at;
        }
    }

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

    /// A piece that everybody who was asked owes for too long.
    fn overdue(&self, source: SourceId, now: Instant) -> Option<usize> {
        let late = |ask: &Ask| now.duration_since(ask.at) >= OVERDUE && ask.source != source;
        let mut asked = self.asked.iter();
        asked.find_map(|(&index, asks)| asks.iter().all(late).then_some(index))
    }

    fn to_duplicate(&self, source: SourceId) -> Option<usize> {
        let free = |asks: &Vec<Ask>| asks.len() < MAX_ASKED && asks.iter().all(|ask| ask.source != source);
        let mut asked = self.asked.iter();
        asked.find_map(|(&index, asks)| free(asks).then_some(index))
    }
}

#[cfg(test)]
mod tests;
