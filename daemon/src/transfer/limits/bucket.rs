//! One rate, and those who wait for their share of it. A token bucket that may go into debt: whoever is next takes its
//! bytes as soon as nothing is owed, and the time that they cost is waited for by the one after it. So bytes of any number
//! go by, in their order, and over any five seconds no more than the rate allows and what an eighth of a second saves up.
//!
//! Lanes take turns, each a run of bytes at a time, so that one with many connections gets no more than one with few.
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
    /// What others are verified with, before any of the others: few bytes, without which nothing of them counts.
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
    /// Lanes with somebody in them, the next one first.
    turns: VecDeque<Lane>,
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
        let free = self.tokens >= 0.0 && self.turns.is_empty();
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
        match lane {
            _ if !lane_is_new => {}
            Lane::Layer(..) => self.turns.push_front(lane),
            Lane::Transfer(_) | Lane::Reader(..) => self.turns.push_back(lane),
        }
        self.next
    }

    fn first(&self) -> Option<u64> {
        let lane = self.turns.front()?;
        self.waiting.get(lane)?.front().copied()
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
        if is_empty || (served && !matches!(lane, Lane::Layer(..))) {
            self.turns.retain(|other| *other != lane);
            if !is_empty {
                self.turns.push_back(lane);
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
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;
    const RUN: u64 = 16 * KIB;
    const TICK: Duration = Duration::from_millis(1);

    /// Takers that want one run after the other, and a clock that the test moves.
    struct Play {
        books: Books,
        rate: u64,
        now: Instant,
        takers: Vec<Taker>,
    }

    struct Taker {
        lane: Lane,
        id: u64,
        count: u64,
    }

    impl Play {
        fn new(rate: u64, lanes: &[u64]) -> Self {
            let (mut books, now) = (Books::default(), Instant::now());
            books.change(0, rate, now);
            let takers = lanes.iter().map(|&lane| {
                let lane = Lane::Transfer(lane);
                let id = books.join(lane);
                Taker { lane, id, count: 0 }
            });
            let takers = takers.collect();
            Self {
                books,
                rate,
                now,
                takers,
            }
        }

        fn runs_for(&mut self, time: Duration) {
            let end = self.now + time;
            while self.now < end {
                self.now += TICK;
                while let Some(first) = self.books.first() {
                    let taker = self.takers.iter_mut().find(|taker| taker.id == first);
                    let taker = taker.expect("nobody else waits");
                    let place = (taker.lane, taker.id);
                    if self.books.take(place, RUN, self.rate, self.now) != Taken::Now {
                        break;
                    }
                    taker.count += RUN;
                    taker.id = self.books.join(taker.lane);
                }
            }
        }

        fn count(&self) -> u64 {
            self.takers.iter().map(|taker| taker.count).sum()
        }
    }

    fn is_about(bytes: u64, wanted: u64) {
        let off = bytes.abs_diff(wanted) as f64 / wanted as f64;
        assert!(off <= 0.05, "{bytes} bytes for {wanted}");
    }

    #[test]
    fn any_five_seconds_hold_the_rate_from_the_first_on() {
        let mut play = Play::new(1000 * KIB, &[1, 2, 3, 4, 5, 5]);
        let mut counts = vec![0];
        for _ in 0..80 {
            play.runs_for(Duration::from_millis(250));
            counts.push(play.count());
        }
        for window in counts.windows(21) {
            is_about(window[20] - window[0], 5000 * KIB);
        }
    }

    #[test]
    fn what_was_saved_up_is_little() {
        let mut play = Play::new(1000 * KIB, &[1]);
        play.now += Duration::from_secs(3600);
        play.runs_for(Duration::from_secs(5));
        is_about(play.count(), 5000 * KIB);
    }

    #[test]
    fn lanes_are_alike_however_many_are_in_them() {
        let mut play = Play::new(1000 * KIB, &[1, 1, 1, 1, 1, 1, 1, 2]);
        play.runs_for(Duration::from_secs(10));
        is_about(play.takers[7].count, 5000 * KIB);
        is_about(play.count(), 10_000 * KIB);
    }

    #[test]
    fn a_debt_is_worth_no_more_at_another_rate() {
        let (mut books, now) = (Books::default(), Instant::now());
        books.change(0, KIB, now);
        assert!(books.try_take(1000 * KIB, KIB, now));
        assert!(!books.try_take(1, KIB, now + Duration::from_secs(999)));
        books.change(KIB, 1000 * KIB, now + Duration::from_secs(10));
        assert!(books.try_take(1000 * KIB, 1000 * KIB, now + Duration::from_secs(11)));
        // Slower again: what is owed takes no longer than it would have.
        books.change(1000 * KIB, KIB, now + Duration::from_secs(11));
        assert!(books.try_take(1, KIB, now + Duration::from_secs(13)));
    }

    #[test]
    fn who_goes_holds_nobody_up_and_the_layer_goes_first() {
        let (mut books, now) = (Books::default(), Instant::now());
        books.change(0, KIB, now);
        let (peer, hash) = (PeerId::of_spki(b"a"), ContentHash::of(b"a"));
        let (gone, piece, layer) = (
            Lane::Transfer(1),
            Lane::Reader(peer, hash),
            Lane::Layer(peer, hash),
        );
        let ids = [gone, piece, layer].map(|lane| (lane, books.join(lane)));
        assert_eq!(books.first(), Some(ids[2].1));
        assert_eq!(books.take(ids[1], 1, KIB, now), Taken::NotFirst);
        assert_eq!(books.take(ids[2], KIB, KIB, now), Taken::Now);
        let second = now + Duration::from_secs(1);
        assert_eq!(books.take(ids[0], KIB, KIB, now), Taken::Not(second));
        books.leave(gone, ids[0].1, false);
        assert_eq!(books.take(ids[1], KIB, KIB, second), Taken::Now);
        assert!(books.turns.is_empty() && books.waiting.is_empty());
    }

    #[tokio::test]
    async fn who_waits_goes_on_when_the_limit_is_lifted() {
        let bucket = std::sync::Arc::new(Bucket::new(Some(1)));
        bucket.take(Lane::Transfer(1), 1 << 40).await;
        let waiting: Vec<_> = (0..3)
            .map(|lane| {
                let bucket = std::sync::Arc::clone(&bucket);
                tokio::spawn(async move { bucket.take(Lane::Transfer(lane), 1 << 40).await })
            })
            .collect();
        while bucket.books().waiting.len() < 3 {
            tokio::task::yield_now().await;
        }
        bucket.set(None);
        for waiting in waiting {
            waiting.await.unwrap();
        }
        assert!(bucket.books().turns.is_empty() && bucket.try_take(u64::MAX));
    }

    #[tokio::test]
    async fn what_did_not_go_by_is_given_back_and_what_did_is_owed() {
        let bucket = Bucket::new(Some(KIB));
        assert!(bucket.try_take(1 << 40) && !bucket.try_take(1));
        bucket.give_back(1 << 40);
        assert!(bucket.try_take(1));
        bucket.owe(1 << 40);
        assert!(!bucket.try_take(1));
    }
}
