//! Counts connections, in all and from one source. In memory only.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Lets in so many at once, and so many of one source.
#[derive(Debug)]
pub struct Gate<K: Eq + Hash> {
    per_source: usize,
    total: usize,
    counts: Arc<Mutex<Counts<K>>>,
}

#[derive(Debug)]
struct Counts<K> {
    total: usize,
    of: HashMap<K, usize>,
}

/// One that was let in; it is given back when this is dropped.
#[derive(Debug)]
pub struct Place<K: Eq + Hash> {
    source: K,
    counts: Arc<Mutex<Counts<K>>>,
}

impl<K: Eq + Hash + Clone> Gate<K> {
    /// Nobody is in.
    #[must_use]
    pub fn new(per_source: usize, total: usize) -> Self {
        let counts = Counts {
            total: 0,
            of: HashMap::new(),
        };
        Self {
            per_source,
            total,
            counts: Arc::new(Mutex::new(counts)),
        }
    }

    /// A place for one more of this source, when the limits leave one.
    #[must_use]
    pub fn enter(&self, source: K) -> Option<Place<K>> {
        let mut counts = lock(&self.counts);
        let here = counts.of.get(&source).copied().unwrap_or(0);
        if counts.total >= self.total || here >= self.per_source {
            return None;
        }
        counts.total += 1;
        counts.of.insert(source.clone(), here + 1);
        Some(Place {
            source,
            counts: Arc::clone(&self.counts),
        })
    }
}

impl<K: Eq + Hash> Clone for Gate<K> {
    fn clone(&self) -> Self {
        Self {
            per_source: self.per_source,
            total: self.total,
            counts: Arc::clone(&self.counts),
        }
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        counts.total -= 1;
        if let Some(here) = counts.of.get_mut(&self.source) {
            *here -= 1;
            if *here == 0 {
                counts.of.remove(&self.source);
            }
        }
    }
}

fn lock<K>(counts: &Mutex<Counts<K>>) -> MutexGuard<'_, Counts<K>> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whom a connection from this address counts against. An IPv4 peer of an IPv6 listener is the same peer, and whoever has
/// one IPv6 address has all of its /64.
#[must_use]
pub fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & (u128::MAX << 64)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_per_source_and_in_all() {
        let gate = Gate::new(2, 3);
        let first = gate.enter(1).unwrap();
        let second = gate.enter(1).unwrap();
        assert!(gate.enter(1).is_none());
        let other = gate.enter(2).unwrap();
        assert!(gate.enter(3).is_none());
        drop(first);
        assert!(gate.enter(3).is_some());
        drop((second, other));
        let counts = lock(&gate.counts);
        assert!(counts.of.is_empty() && counts.total == 0);
    }

    #[test]
    fn one_host_is_one_source() {
        let of = |text: &str| source(text.parse().unwrap());
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
