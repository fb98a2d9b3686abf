//! A bucket with a clock that the test moves: rates, turns, debts.

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
        let lanes: Vec<Lane> = lanes.iter().map(|&lane| Lane::Transfer(lane)).collect();
        Self::of(rate, &lanes)
    }

    fn of(rate: u64, lanes: &[Lane]) -> Self {
        let (mut books, now) = (Books::default(), Instant::now());
        books.change(0, rate, now);
        let takers = lanes.iter().map(|&lane| {
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
fn who_asks_for_layers_without_end_leaves_half_and_each_layer_comes() {
    let peers = [b"a", b"b", b"c"].map(|name| PeerId::of_spki(name));
    let hash = ContentHash::of(b"a");
    let lanes = [
        Lane::Layer(peers[0], hash),
        Lane::Layer(peers[1], hash),
        Lane::Reader(peers[2], hash),
    ];
    let mut play = Play::of(1000 * KIB, &lanes);
    play.runs_for(Duration::from_secs(10));
    let counts: Vec<u64> = play.takers.iter().map(|taker| taker.count).collect();
    is_about(counts[0], 2500 * KIB);
    is_about(counts[1], 2500 * KIB);
    is_about(counts[2], 5000 * KIB);
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
    assert!(books.turns.is_empty() && books.layers.is_empty() && books.waiting.is_empty());
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
