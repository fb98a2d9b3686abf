//! How fast the sources of one swarm are: who owes a piece for too long, and whether all of them together bring so little
//! that the transfer had better let others run. Everything is judged by bytes and by moments that are passed in. Owned by
//! [`super::swarm`]; nothing of it outlives a go.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use p2p_proto::PeerId;

use super::{
    plan::OVERDUE,
    progress::{FEW, Heard},
};

/// Bytes a second. A source that is slower than this, after [`OVERDUE`], makes room where there is a better one.
pub const FAIR_RATE: u64 = 64 << 10;

/// A source loses its place to the others when they brought so many pieces each while it owed one.
const TIMES_SLOWER: u64 = 3;

/// What all sources together must bring in [`STUCK`], or half of what is missing when that is less: at this pace a sender
/// cuts its reader too, which takes less than a piece of 1 MiB in a minute.
const ENOUGH: u64 = 512 << 10;

/// A go whose sources bring less than [`ENOUGH`] in this time ends.
pub const STUCK: Duration = Duration::from_secs(30);

/// A state that says that nothing comes ends with so many bytes: at a pace that is no trickle it takes a moment.
const FLOWING: u64 = 64 << 10;

/// One source.
struct Pace {
    heard: Heard,
    /// Since when it owes a piece, and what had come from it by then; nothing while it is not asked.
    owes: Option<(Instant, u64)>,
    /// What the others had brought by then, in pieces.
    others: u64,
    /// Pieces that it brought.
    brought: u64,
}

impl Pace {
    /// It owes a piece, and what came since is less than [`FAIR_RATE`] brings after [`OVERDUE`].
    fn is_stalled(&self, now: Instant) -> bool {
        self.owes.is_some_and(|(since, before)| {
            let came = self.heard.count().saturating_sub(before);
            now.duration_since(since) >= fair(came)
        })
    }
}

/// How long so many bytes may take.
#[must_use]
pub fn fair(bytes: u64) -> Duration {
    OVERDUE + Duration::from_millis(bytes.saturating_mul(1000) / FAIR_RATE)
}

/// All sources of one swarm.
#[derive(Default)]
pub struct Paces {
    of: HashMap<PeerId, Pace>,
    /// Bytes that came from those that are gone.
    gone: u64,
    /// Pieces that all of them brought.
    pieces: u64,
}

impl Paces {
    /// A source begins; until its first piece it owes that.
    pub fn begins(&mut self, peer: PeerId, heard: Heard, now: Instant) {
        let before = heard.count();
        let pace = Pace {
            heard,
            owes: Some((now, before)),
            others: self.pieces,
            brought: 0,
        };
        self.of.insert(peer, pace);
    }

    /// It is asked again, or is asked for nothing.
    pub fn asks(&mut self, peer: PeerId, is_asked: bool, now: Instant) {
        let pieces = self.pieces;
        if let Some(pace) = self.of.get_mut(&peer) {
            pace.owes = is_asked.then(|| (now, pace.heard.count()));
            pace.others = pieces - pace.brought;
        }
    }

    /// It brought a piece, and owes the next one from now on.
    pub fn brings(&mut self, peer: PeerId, now: Instant) {
        self.pieces += 1;
        if let Some(pace) = self.of.get_mut(&peer) {
            pace.brought += 1;
        }
        self.asks(peer, true, now);
    }

    /// It has ended. True when it brought something.
    pub fn ends(&mut self, peer: PeerId) -> bool {
        let Some(pace) = self.of.remove(&peer) else {
            return false;
        };
        self.gone += pace.heard.count();
        // What it brought is no longer what one of the others did.
        self.pieces -= pace.brought;
        for other in self.of.values_mut() {
            other.others = other.others.saturating_sub(pace.brought);
        }
        pace.brought > 0
    }

    /// Bytes that came, verified or not.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let now: u64 = self.of.values().map(|pace| pace.heard.count()).sum();
        self.gone + now
    }

    /// Nobody who is asked brings anything at [`FAIR_RATE`].
    #[must_use]
    pub fn all_stalled(&self, now: Instant) -> bool {
        self.of.values().all(|pace| pace.is_stalled(now))
    }

    /// The slowest of those that make room: for a holder that has no place (`is_wanted`), or because the others bring so
    /// much more. One that is alone never does.
    #[must_use]
    pub fn makes_room(&self, is_wanted: bool, now: Instant) -> Option<PeerId> {
        let others = self.of.len().saturating_sub(1) as u64;
        let outrun = |pace: &Pace| {
            let brought = (self.pieces - pace.brought).saturating_sub(pace.others);
            others > 0 && brought >= TIMES_SLOWER * others
        };
        let stalled = self.of.iter().filter(|(_, pace)| pace.is_stalled(now));
        stalled
            .filter(|(_, pace)| is_wanted || outrun(pace))
            .min_by_key(|(_, pace)| (pace.brought, pace.heard.count()))
            .map(|(peer, _)| *peer)
    }
}

/// What has come so far, and since when too little did.
pub struct Flow {
    /// When more than a few bytes last came, and how many there were then.
    heard: (Instant, u64),
    /// When enough came.
    enough: (Instant, u64),
    /// Bytes and verified bytes when it was last told that nothing comes; nothing once it flows.
    dry: Option<(u64, u64)>,
    /// People were told; a few drops do not take that back.
    is_told: bool,
}

impl Flow {
    /// What begins with so many bytes that came before, and so many that are verified; people are told already that
    /// nothing comes (`is_told`), or not.
    #[must_use]
    pub const fn new((bytes, done): (u64, u64), is_told: bool, now: Instant) -> Self {
        Self {
            heard: (now, bytes),
            enough: (now, bytes),
            dry: Some((bytes, done)),
            is_told,
        }
    }

    /// It was not told that nothing comes.
    #[must_use]
    pub const fn flows(&self) -> bool {
        self.dry.is_none()
    }

    /// So many bytes have come, so many are verified, of so many. True when it flows again since it was dry.
    pub fn look(&mut self, (bytes, done, size): (u64, u64, u64), now: Instant) -> bool {
        if bytes - self.heard.1 >= FEW {
            self.heard = (now, bytes);
        }
        if bytes - self.enough.1 >= ENOUGH.min((size - done) / 2) {
            self.enough = (now, bytes);
        }
        let Some((before, verified)) = self.dry else {
            return false;
        };
        let least = if self.is_told { FLOWING } else { FEW };
        let flows = done > verified || bytes - before >= least;
        if flows {
            self.dry = None;
            self.is_told = true;
        }
        flows
    }

    /// It is told that nothing comes.
    pub const fn runs_dry(&mut self, bytes: u64, done: u64) {
        if self.dry.is_none() {
            self.dry = Some((bytes, done));
        }
    }

    /// This side asks for nothing: what does not come meanwhile is nobody's fault.
    pub const fn held(&mut self, now: Instant) {
        self.heard.0 = now;
        self.enough.0 = now;
    }

    /// For how long next to nothing has come.
    #[must_use]
    pub fn quiet(&self, now: Instant) -> Duration {
        now.duration_since(self.heard.0)
    }

    /// For how long too little has come to go on.
    #[must_use]
    pub fn too_little(&self, now: Instant) -> Duration {
        now.duration_since(self.enough.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn peer(number: u8) -> PeerId {
        PeerId::of_spki(&[number])
    }

    #[test]
    fn who_trickles_makes_room_for_one_that_is_wanted_and_only_then() {
        let (mut paces, start) = (Paces::default(), Instant::now());
        let (slow, good) = (Heard::default(), Heard::default());
        paces.begins(peer(1), slow.clone(), start);
        paces.begins(peer(2), good.clone(), start);
        // More than nothing: each of these is heard.
        slow.bytes(FEW);
        good.bytes(10 * MIB);
        let late = start + OVERDUE + Duration::from_secs(1);
        assert_eq!(paces.makes_room(true, start + OVERDUE / 2), None, "in time");
        assert_eq!(paces.makes_room(false, late), None, "nobody is better yet");
        assert_eq!(paces.makes_room(true, late), Some(peer(1)));
        paces.asks(peer(1), false, late);
        assert_eq!(paces.makes_room(true, late + OVERDUE), None, "asked for nothing");
    }

    #[test]
    fn who_brings_one_piece_while_the_others_bring_three_each_loses_its_place() {
        let (mut paces, start) = (Paces::default(), Instant::now());
        for number in 1..=3 {
            paces.begins(peer(number), Heard::default(), start);
        }
        let late = start + OVERDUE;
        for _ in 0..2 {
            paces.brings(peer(2), late);
            paces.brings(peer(3), late);
        }
        assert_eq!(paces.makes_room(false, late), None, "twice as fast is not enough");
        paces.brings(peer(2), late);
        paces.brings(peer(3), late);
        assert_eq!(paces.makes_room(false, late), Some(peer(1)));
        assert!(!paces.ends(peer(1)));
        assert_eq!(
            paces.makes_room(false, late + OVERDUE),
            None,
            "the others are alike"
        );
        assert!(paces.ends(peer(2)));
        assert_eq!(paces.makes_room(false, late + STUCK), None, "alone");
    }

    #[test]
    fn sources_that_are_all_slow_keep_their_places() {
        let (mut paces, start) = (Paces::default(), Instant::now());
        for number in 1..=8 {
            paces.begins(peer(number), Heard::default(), start);
        }
        // A piece each in a minute.
        for round in 1..4 {
            for number in 1..=8 {
                let now = start + Duration::from_secs(60 * round + u64::from(number));
                assert_eq!(paces.makes_room(false, now), None);
                paces.brings(peer(number), now);
            }
        }
    }

    #[test]
    fn drops_are_too_little_to_go_on_and_a_slow_line_is_not() {
        let start = Instant::now();
        let (mut drops, mut slow) = (Flow::new((0, 0), false, start), Flow::new((0, 0), false, start));
        let mut now = start;
        for second in 1..=120 {
            now = start + Duration::from_secs(second);
            drops.look((second * FEW, 0, 100 * MIB), now);
            slow.look((second * 20 * FEW, 0, 100 * MIB), now);
            assert!(slow.too_little(now) < STUCK, "after {second} s");
        }
        assert!(drops.too_little(now) >= STUCK && drops.quiet(now) < STUCK);
        // The last bytes of a content: half of what is missing.
        let mut end = Flow::new((0, 100 * MIB - 1000), false, start);
        end.look((500, 100 * MIB - 1000, 100 * MIB), now);
        assert_eq!(end.too_little(now), Duration::ZERO);
    }

    #[test]
    fn while_this_side_asks_for_nothing_nobody_is_blamed() {
        let start = Instant::now();
        let mut flow = Flow::new((0, 0), false, start);
        let later = start + 2 * STUCK;
        flow.held(later);
        assert_eq!((flow.quiet(later), flow.too_little(later)), Default::default());
        assert!(flow.too_little(later + STUCK) >= STUCK);
    }

    #[test]
    fn it_flows_with_the_first_bytes_and_again_with_more_than_drops() {
        let start = Instant::now();
        let mut flow = Flow::new((0, MIB), false, start);
        let look = |flow: &mut Flow, bytes, done| flow.look((bytes, done, 9 * MIB), start);
        assert!(!look(&mut flow, FEW - 1, MIB), "an answer, and no bytes");
        assert!(look(&mut flow, FEW, MIB));
        assert!(!look(&mut flow, FEW + 1, MIB), "it was told");
        flow.runs_dry(FEW + 1, MIB);
        flow.runs_dry(2 * FEW, MIB);
        assert!(!look(&mut flow, 3 * FEW, MIB), "drops");
        assert!(look(&mut flow, 3 * FEW, 2 * MIB), "a piece");
        flow.runs_dry(3 * FEW, 2 * MIB);
        assert!(look(&mut flow, 3 * FEW + FLOWING, 2 * MIB));
    }
}
