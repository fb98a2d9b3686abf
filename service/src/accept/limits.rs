//! How many connections there may be, in all and from one address.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Bounds of an accept loop.
#[derive(Clone, Copy, Debug)]
pub struct AcceptLimits {
    /// What a TLS handshake may take.
    pub handshake: Duration,
    /// Connections from one address.
    pub per_address: usize,
    /// Connections in all.
    pub total: usize,
}

impl Default for AcceptLimits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            per_address: 64,
            total: 1024,
        }
    }
}

/// Counts connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Count(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One counted connection; it is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    count: Count,
    address: IpAddr,
}

impl Count {
    /// A place for a connection from this address, when the limits leave one.
    pub fn take(&self, from: SocketAddr, limits: &AcceptLimits) -> Option<Place> {
        // An IPv4 peer of an IPv6 listener is the same peer.
        let address = from.ip().to_canonical();
        let mut counts = self.counts();
        let total: usize = counts.values().sum();
        let here = counts.entry(address).or_default();
        if *here >= limits.per_address || total >= limits.total {
            if *here == 0 {
                counts.remove(&address);
            }
            return None;
        }
        *here += 1;
        Some(Place {
            count: self.clone(),
            address,
        })
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.count.counts();
        if let Some(here) = counts.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_per_address_and_in_all() {
        let limits = AcceptLimits {
            per_address: 2,
            total: 3,
            ..AcceptLimits::default()
        };
        let count = Count::default();
        let from = |text: &str| count.take(text.parse().unwrap(), &limits);
        let first = from("10.0.0.1:1").unwrap();
        let mapped = from("[::ffff:10.0.0.1]:2").unwrap();
        assert!(from("10.0.0.1:3").is_none());
        let other = from("10.0.0.2:1").unwrap();
        assert!(from("10.0.0.3:1").is_none());
        drop((first, mapped, other));
        assert!(count.counts().is_empty());
        assert!(from("10.0.0.3:1").is_some());
    }
}
