//! How often somebody may ask: so many times at once, and then at a steady pace. What is remembered of each is one
//! instant, that at which all of what it did would have been done at that pace; in memory, bounded, forgotten by a restart.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use p2p_proto::PeerId;

use crate::accounts::throttle::Wait;

/// How many are remembered.
const MAX_KEYS: usize = 10_000;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A peer with a session.
    Peer(PeerId),
    /// Somebody at an address, or in an IPv6 network of 64 bits.
    Address(IpAddr),
}

impl Source {
    /// Who is at this address.
    #[must_use]
    pub fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// How often is often enough.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The time between two, in the long run.
    pub every: Duration,
    /// So many at once.
    pub at_once: u32,
}

impl Pace {
    /// So many a second in the long run, and ten times as many at once.
    #[must_use]
    pub fn per_second(requests: u32) -> Self {
        Self {
            every: Duration::from_secs(1) / requests.max(1),
            at_once: requests.saturating_mul(10),
        }
    }
}

/// Counts what each one does. Times are microseconds since 1970.
#[derive(Debug)]
pub struct Rate<K>(Mutex<HashMap<K, i64>>);

impl<K> Default for Rate<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Copy + Eq + Hash> Rate<K> {
    /// Counts one more, unless it is one too many.
    ///
    /// # Errors
    /// How long to wait.
    pub fn admit(&self, key: K, pace: Pace, now: Timestamp) -> Result<(), Wait> {
        let now = now.as_microsecond();
        let every = i64::try_from(pace.every.as_micros()).unwrap_or(i64::MAX).max(1);
        let window = every.saturating_mul(pace.at_once.into());
        let mut done_by = self.lock();
        let latest = now.saturating_add(window);
        // What is noted for later than that is from before the clock was set back, and worth nothing.
        let noted = done_by.get(&key).copied().filter(|at| *at <= latest);
        let before = noted.unwrap_or(now).max(now);
        let then = before.saturating_add(every);
        if then > latest {
            let micros = u64::try_from(then - latest).unwrap_or(u64::MAX);
            return Err(Wait {
                seconds: micros.div_ceil(1_000_000).max(1),
            });
        }
        make_room(&mut done_by, &key, now);
        done_by.insert(key, then);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the map bounded: first those go that could do everything at once, then whoever could do the most.
fn make_room<K: Copy + Eq + Hash>(done_by: &mut HashMap<K, i64>, key: &K, now: i64) {
    if done_by.len() < MAX_KEYS || done_by.contains_key(key) {
        return;
    }
    done_by.retain(|_, at| *at > now);
    if done_by.len() >= MAX_KEYS {
        let least = done_by.iter().min_by_key(|(_, at)| **at).map(|(key, _)| *key);
        if let Some(least) = least {
            done_by.remove(&least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    const PACE: Pace = Pace {
        every: Duration::from_secs(2),
        at_once: 3,
    };

    #[test]
    fn some_at_once_and_then_a_steady_pace() {
        let rate = Rate::default();
        for _ in 0..3 {
            rate.admit(1, PACE, at(0)).unwrap();
        }
        assert_eq!(rate.admit(1, PACE, at(0)), Err(Wait { seconds: 2 }));
        assert_eq!(rate.admit(1, PACE, at(1500)), Err(Wait { seconds: 1 }));
        rate.admit(2, PACE, at(0)).unwrap();
        rate.admit(1, PACE, at(2000)).unwrap();
        assert_eq!(rate.admit(1, PACE, at(2000)), Err(Wait { seconds: 2 }));
        for _ in 0..3 {
            rate.admit(1, PACE, at(20_000)).unwrap();
        }
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nobody_wait_for_ever() {
        let rate = Rate::default();
        rate.admit(1, PACE, at(1_000_000)).unwrap();
        for _ in 0..3 {
            rate.admit(1, PACE, at(0)).unwrap();
        }
        assert_eq!(rate.admit(1, PACE, at(0)), Err(Wait { seconds: 2 }));
        rate.admit(1, PACE, at(2000)).unwrap();
    }

    #[test]
    fn memory_is_bounded() {
        let rate = Rate::default();
        for key in 0..2 * MAX_KEYS {
            rate.admit(key, PACE, at(0)).unwrap();
        }
        assert!(rate.lock().len() <= MAX_KEYS);
    }

    #[test]
    fn a_network_is_one_source() {
        let of = |text: &str| Source::at(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
