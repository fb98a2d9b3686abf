//! One rate, and those who wait for their share of it. A token bucket that may go into debt: whoever is next takes its
//! bytes as soon as nothing is owed, and the time that they cost is waited for by the one after it. So bytes of any number
//! go by, in their order, and over any five seconds no more than the rate allows and what an eighth of a second saves up.
//!
//! Lanes take turns, each a run of bytes at a time, so that one with many connections gets no more than one with few.
//! Every other turn is a layer's while one is asked for: what comes first is few bytes, and whoever asks for layers without
//! end leaves the others half.
//! In memory; a crash leaves nothing.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use p2p_proto::{ContentHash, PeerId};
use tokio::{sync::Notify, time::sleep_until};

/// What is not used is saved up for so long, in seconds: 2.5 % of five seconds.
const SAVED: f64 = 0.125;

/// So long is waited for at most before it is looked again.
const LONGEST: Duration = Duration::from_secs(3600);

/// Whose bytes they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Of this transfer.
    Transfer(u64),
    /// For this peer, of this content.
    Reader(PeerId, ContentHash),
    /// What others are verified with: few bytes, without which nothing of them counts.
    Layer(PeerId, ContentHash),
}

/// A rate that many share.
#[derive(Debug, Default)]
pub struct Bucket {
    /// Bytes a second; 0: as many as there are.
    rate: AtomicU64,
    books: Mutex<Books>,
    /// Who is first, or the rate, is another one.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Books {
    /// Bytes that may go by; below 0 they are owed.
    tokens: f64,
    /// As of when; nothing before the first rate.
    at: Option<Instant>,
    /// Lanes with somebody in them, the next one first: those of layers, and the others.
    layers: VecDeque<Lane>,
    turns: VecDeque<Lane>,
    /// The last turn was a layer's.
    layer_was_last: bool,
    waiting: HashMap<Lane, VecDeque<u64>>,
    next: u64,
}

/// Whether bytes were taken.
#[derive(Debug, PartialEq)]
enum Taken {
    Now,
    /// Not before this, when the rate stays.
    Not(Instant),
    /// Others come first.
    NotFirst,
}

impl Books {
    /// What has come in since.
    fn fill(&mut self, rate: u64, now: Instant) {
        let since = self
            .at
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let rate = rate as f64;
        self.tokens = (self.tokens + rate * since.as_secs_f64()).min(rate * SAVED);
        self.at = Some(now);
    }

    /// Another rate from now on. A debt is worth no more than before, in bytes and in time.
    fn change(&mut self, old: u64, rate: u64, now: Instant) {
        if old == 0 {
            // Nothing is saved up while nothing is counted.
            (self.tokens, self.at) = (0.0, Some(now));
        } else if rate > 0 {
            self.fill(old, now);
            let scaled = self.tokens * (rate as f64 / old as f64);
            self.tokens = match self.tokens < 0.0 {
                true => self.tokens.max(scaled),
                false => self.tokens.min(scaled),
            };
        }
    }

    /// Takes these bytes if nobody waits and nothing is owed.
    fn try_take(&mut self, bytes: u64, rate: u64, now: Instant) -> bool {
        self.fill(rate, now);
        let free = self.tokens >= 0.0 && self.waiting.is_empty();
        if free {
            self.tokens -= bytes as f64;
        }
        free
    }

    /// The same in its turn.
    fn take(&mut self, (lane, id): (Lane, u64), bytes: u64, rate: u64, now: Instant) -> Taken {
        self.fill(rate, now);
        if self.first() != Some(id) {
            return Taken::NotFirst;
        }
        if self.tokens < 0.0 {
            // At least a tick of the timer: what is left of a nanosecond must not spin.
            let wait = Duration::try_from_secs_f64(-self.tokens / rate as f64).unwrap_or(LONGEST);
            return Taken::Not(now + wait.clamp(Duration::from_millis(1), LONGEST));
        }
        self.tokens -= bytes as f64;
        self.leave(lane, id, true);
        Taken::Now
    }

    fn join(&mut self, lane: Lane) -> u64 {
        self.next += 1;
        let lane_is_new = !self.waiting.contains_key(&lane);
        self.waiting.entry(lane).or_default().push_back(self.next);
        if lane_is_new {
            self.lanes(lane).push_back(lane);
        }
        self.next
    }

    /// Where such a lane waits for its turn.
    const fn lanes(&mut self, lane: Lane) -> &mut VecDeque<Lane> {
        match lane {
            Lane::Layer(..) => &mut self.layers,
            Lane::Transfer(_) | Lane::Reader(..) => &mut self.turns,
        }
    }

    fn first(&self) -> Option<u64> {
        let (layer, other) = (self.layers.front(), self.turns.front());
        let lane = match self.layer_was_last {
            true => other.or(layer),
            false => layer.or(other),
        };
        self.waiting.get(lane?)?.front().copied()
    }

    /// It waits no more; its lane goes to the end, if it had its turn.
    fn leave(&mut self, lane: Lane, id: u64, served: bool) {
        let Some(queue) = self.waiting.get_mut(&lane) else {
            return;
        };
        queue.retain(|other| *other != id);
        let is_empty = queue.is_empty();
        if is_empty {
            self.waiting.remove(&lane);
        }
        if served {
            self.layer_was_last = matches!(lane, Lane::Layer(..));
        }
        if is_empty || served {
            let lanes = self.lanes(lane);
            lanes.retain(|other| *other != lane);
            if !is_empty {
                lanes.push_back(lane);
            }
        }
    }
}

impl Bucket {
    /// One with this rate in bytes a second; none: without a limit.
    #[must_use]
    pub fn new(rate: Option<u64>) -> Self {
        let bucket = Self::default();
        bucket.set(rate);
        bucket
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rate in bytes a second; none: without a limit.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        Some(self.rate.load(Ordering::Relaxed)).filter(|rate| *rate > 0)
    }

    /// Another rate, at once, also for those who wait.
    pub fn set(&self, rate: Option<u64>) {
        let rate = rate.unwrap_or(0);
        let mut books = self.books();
        let old = self.rate.swap(rate, Ordering::Relaxed);
        if old != rate {
            books.change(old, rate, Instant::now());
            drop(books);
            self.changed.notify_waiters();
        }
    }

    /// Takes these bytes when that needs no waiting, and nobody waits already.
    #[must_use]
    pub fn try_take(&self, bytes: u64) -> bool {
        let Some(rate) = self.rate() else { return true };
        self.books().try_take(bytes, rate, Instant::now())
    }

    /// Bytes that went by without asking.
    pub fn owe(&self, bytes: u64) {
        if let Some(rate) = self.rate() {
            let mut books = self.books();
            books.fill(rate, Instant::now());
            books.tokens -= bytes as f64;
        }
    }

    /// Bytes that were taken and did not go by.
    pub fn give_back(&self, bytes: u64) {
        if let Some(rate) = self.rate() {
            let mut books = self.books();
            books.tokens += bytes as f64;
            books.fill(rate, Instant::now());
            drop(books);
            self.changed.notify_waiters();
        }
    }

    /// Takes these bytes in the lane's turn, and waits for that.
    pub async fn take(&self, lane: Lane, bytes: u64) {
        if self.try_take(bytes) {
            return;
        }
        let place = InLine {
            bucket: self,
            lane,
            id: self.books().join(lane),
        };
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let Some(rate) = self.rate() else { return };
            let taken = self.books().take((lane, place.id), bytes, rate, Instant::now());
            match taken {
                Taken::Now => return,
                Taken::NotFirst => changed.await,
                Taken::Not(until) => tokio::select! {
                    () = sleep_until(until.into()) => {}
                    () = changed => {}
                },
            }
        }
    }
}

/// One who waits, until it is dropped: then the next one is first.
struct InLine<'a> {
    bucket: &'a Bucket,
    lane: Lane,
    id: u64,
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.bucket.books().leave(self.lane, self.id, false);
        self.bucket.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
