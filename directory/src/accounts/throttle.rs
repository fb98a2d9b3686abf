//! Guessing made slow: failures are counted per account and address (an IPv6 network of 64 bits is one), and each one doubles the wait before the next try.
//! The counts are in memory and bounded; a restart forgets them.

use std::{collections::HashMap, net::IpAddr, sync::Mutex, time::Duration};

use jiff::Timestamp;

use crate::{clock::after, rate::Source};

/// The longest wait.
const MAX_DELAY: Duration = Duration::from_secs(300);

/// A failure is forgotten this long after its wait is over.
const FORGET_AFTER: Duration = Duration::from_secs(15 * 60);

/// How many pairs of account and address are remembered.
const MAX_ENTRIES: usize = 10_000;

/// How many tries may be under way at once for a pair that never failed.
const MAX_PENDING: u32 = 16;

type Key = (String, Source);

#[derive(Clone, Copy, Default)]
struct Entry {
    failures: u32,
    pending: u32,
    next_try: Option<Timestamp>,
}

/// Not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Seconds until another try makes sense, at least 1.
    pub seconds: u64,
}

/// Counts failures.
#[derive(Default)]
pub struct Throttle(Mutex<HashMap<Key, Entry>>);

/// One try; it counts as neither right nor wrong when it is dropped.
pub struct Attempt<'a> {
    throttle: &'a Throttle,
    key: Key,
}

impl Throttle {
    /// Begins a try, if its time has come.
    ///
    /// # Errors
    /// How long to wait.
    pub fn begin(&self, account: &str, address: IpAddr, now: Timestamp) -> Result<Attempt<'_>, Wait> {
        let key = (account.chars().take(64).collect(), Source::at(address));
        let mut entries = self.entries();
        make_room(&mut entries, now);
        let entry = entries.entry(key.clone()).or_default();
        // A clock that was set back makes nobody wait longer than the longest wait.
        entry.next_try = entry.next_try.map(|at| at.min(after(now, MAX_DELAY)));
        if let Some(wait) = entry.next_try.and_then(|at| seconds_until(at, now)) {
            return Err(wait);
        }
        // Else many tries at once would all count as the first.
        let allowed = if entry.failures == 0 { MAX_PENDING } else { 1 };
        if entry.pending >= allowed {
            return Err(Wait { seconds: 1 });
        }
        entry.pending += 1;
        drop(entries);
        Ok(Attempt { throttle: self, key })
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Entry>> {
        // No code that can panic runs while it is locked.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// It was right: the count begins anew.
    pub fn succeeded(self) {
        if let Some(entry) = self.throttle.entries().get_mut(&self.key) {
            entry.failures = 0;
            entry.next_try = None;
        }
    }

    /// It was wrong; how long to wait now.
    #[must_use]
    pub fn failed(self, now: Timestamp) -> Wait {
        let mut entries = self.throttle.entries();
        let entry = entries.entry(self.key.clone()).or_default();
        entry.failures = entry.failures.saturating_add(1);
        let seconds = 1_u64 << (entry.failures - 1).min(16);
        let delay = Duration::from_secs(seconds).min(MAX_DELAY);
        entry.next_try = Some(after(now, delay));
        Wait {
            seconds: delay.as_secs(),
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.throttle.entries().get_mut(&self.key) {
            entry.pending = entry.pending.saturating_sub(1);
        }
    }
}

fn seconds_until(at: Timestamp, now: Timestamp) -> Option<Wait> {
    let left = Duration::try_from(at.duration_since(now)).ok()?;
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    (seconds > 0).then_some(Wait { seconds })
}

fn is_stale(entry: &Entry, now: Timestamp) -> bool {
    entry.pending == 0 && entry.next_try.is_none_or(|at| after(at, FORGET_AFTER) <= now)
}

/// Keeps the map bounded: first what is stale goes, then whoever waits the least.
fn make_room(entries: &mut HashMap<Key, Entry>, now: Timestamp) {
    if entries.len() < MAX_ENTRIES {
        return;
    }
    entries.retain(|_, entry| !is_stale(entry, now));
    if entries.len() >= MAX_ENTRIES {
        let least = entries
            .iter()
            .min_by_key(|(_, entry)| (entry.pending > 0, entry.next_try));
        if let Some(key) = least.map(|(key, _)| key.clone()) {
            entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn fail(throttle: &Throttle, now: i64) -> u64 {
        throttle
            .begin("ana", HERE, at(now))
            .ok()
            .unwrap()
            .failed(at(now))
            .seconds
    }

    #[test]
    fn each_failure_doubles_the_wait() {
        let throttle = Throttle::default();
        let mut now = 0;
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert_eq!(fail(&throttle, now), expected);
            let early = throttle.begin("ana", HERE, at(now + 1));
            assert_eq!(
                early.err().map(|wait| wait.seconds),
                (expected > 1).then(|| expected - 1)
            );
            now += i64::try_from(expected).unwrap();
        }
    }

    #[test]
    fn success_and_other_accounts_are_free() {
        let throttle = Throttle::default();
        fail(&throttle, 0);
        assert!(throttle.begin("bob", HERE, at(0)).is_ok());
        throttle.begin("ana", HERE, at(5)).ok().unwrap().succeeded();
        assert_eq!(fail(&throttle, 5), 1);
    }

    #[test]
    fn many_tries_at_once_do_not_all_count_as_the_first() {
        let throttle = Throttle::default();
        fail(&throttle, 0);
        let _first = throttle.begin("ana", HERE, at(9)).ok().unwrap();
        assert_eq!(
            throttle.begin("ana", HERE, at(9)).err(),
            Some(Wait { seconds: 1 })
        );
    }

    #[test]
    fn a_network_is_one_guesser() {
        let throttle = Throttle::default();
        let from = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
        let _ = throttle.begin("ana", from(1), at(0)).ok().unwrap().failed(at(0));
        let next_address = throttle.begin("ana", from(2), at(0));
        assert_eq!(next_address.err(), Some(Wait { seconds: 1 }));
        let elsewhere = IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]);
        assert!(throttle.begin("ana", elsewhere, at(0)).is_ok());
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nobody_wait_for_hours() {
        let throttle = Throttle::default();
        let _ = throttle
            .begin("ana", HERE, at(7200))
            .ok()
            .unwrap()
            .failed(at(7200));
        let longest = MAX_DELAY.as_secs();
        assert_eq!(
            throttle.begin("ana", HERE, at(0)).err(),
            Some(Wait { seconds: longest })
        );
        assert!(throttle.begin("ana", HERE, at(longest as i64)).is_ok());
    }

    #[test]
    fn the_map_is_bounded() {
        let throttle = Throttle::default();
        for number in 0..MAX_ENTRIES + 10 {
            let _ = throttle
                .begin(&number.to_string(), HERE, at(0))
                .ok()
                .unwrap()
                .failed(at(0));
        }
        assert!(throttle.entries().len() <= MAX_ENTRIES);
    }
}
