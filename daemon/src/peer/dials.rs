//! Peers that could not be dialled lately, for a health line. In memory only: the last ones, for ten minutes, each until
//! it is reached again.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use p2p_proto::{PeerId, PeerName};

use super::dial::Target;

/// So many are remembered.
const REMEMBERED: usize = 64;

/// For so long.
const LATELY: Duration = Duration::from_secs(600);

/// What became of a dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Nobody answered.
    TimedOut,
    /// Nobody listens.
    Refused,
}

/// A peer that could not be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Its name.
    pub name: PeerName,
    /// The port that was dialled.
    pub port: u16,
    /// What came of that.
    pub how: How,
    at: Instant,
}

/// The last dials that failed. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Dials(Arc<Mutex<HashMap<PeerId, Failed>>>);

impl Dials {
    fn map(&self) -> MutexGuard<'_, HashMap<PeerId, Failed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how a dial went.
    pub fn note<T>(&self, target: &Target, dialled: &io::Result<T>) {
        self.note_at(target, dialled, Instant::now());
    }

    fn note_at<T>(&self, target: &Target, dialled: &io::Result<T>, now: Instant) {
        let how = match dialled {
            Ok(_) => {
                self.map().remove(&target.peer_id);
                return;
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => How::TimedOut,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => How::Refused,
            // Somebody is there; that he is another one is told elsewhere.
            Err(_) => return,
        };
        let Some(port) = target.addresses.first().map(std::net::SocketAddr::port) else {
            return;
        };
        let failed = Failed {
            name: target.name.clone(),
            port,
            how,
            at: now,
        };
        let mut map = self.map();
        map.insert(target.peer_id, failed);
        if map.len() > REMEMBERED {
            let oldest = map.iter().min_by_key(|(_, failed)| failed.at);
            let oldest = oldest.map(|(peer, _)| *peer);
            oldest.and_then(|peer| map.remove(&peer));
        }
    }

    /// Who could not be dialled lately, by name.
    #[must_use]
    pub fn failed(&self) -> Vec<Failed> {
        self.failed_at(Instant::now())
    }

    fn failed_at(&self, now: Instant) -> Vec<Failed> {
        let mut map = self.map();
        map.retain(|_, failed| now.duration_since(failed.at) < LATELY);
        let mut all: Vec<_> = map.values().cloned().collect();
        drop(map);
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: usize) -> Target {
        Target {
            peer_id: PeerId::of_spki(&number.to_le_bytes()),
            name: format!("p{number}").parse().unwrap(),
            addresses: vec!["127.0.0.1:7401".parse().unwrap()],
        }
    }

    fn gone(kind: io::ErrorKind) -> io::Result<()> {
        Err(kind.into())
    }

    #[test]
    fn who_could_not_be_dialled_is_remembered_until_he_is_reached_or_for_a_while() {
        let (dials, now) = (Dials::default(), Instant::now());
        dials.note_at(&peer(1), &gone(io::ErrorKind::TimedOut), now);
        dials.note_at(&peer(2), &gone(io::ErrorKind::ConnectionRefused), now);
        dials.note_at(&peer(3), &gone(io::ErrorKind::InvalidData), now);
        let hows: Vec<_> = dials
            .failed_at(now)
            .iter()
            .map(|one| (one.port, one.how))
            .collect();
        assert_eq!(hows, [(7401, How::TimedOut), (7401, How::Refused)]);
        dials.note_at(&peer(1), &Ok(()), now);
        assert_eq!(dials.failed_at(now).len(), 1);
        assert_eq!(dials.failed_at(now + LATELY), []);
    }

    #[test]
    fn only_the_last_ones_are_remembered() {
        let (dials, now) = (Dials::default(), Instant::now());
        for number in 0..2 * REMEMBERED {
            let at = now + Duration::from_millis(number as u64);
            dials.note_at(&peer(number), &gone(io::ErrorKind::TimedOut), at);
        }
        let failed = dials.failed_at(now);
        assert_eq!(failed.len(), REMEMBERED);
        let last = format!("p{}", 2 * REMEMBERED - 1);
        assert!(failed.iter().any(|one| one.name.as_str() == last));
    }
}
