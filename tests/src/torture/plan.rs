//! What one point does: drawn whole before it begins, so that it never depends on what happened.

use std::fmt;

use super::draws::Draws;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A size with more than one checkpoint of 64 MiB.
pub(super) const HUGE: u64 = 96 * MIB;

/// The peer that is never killed; the first two are.
pub(super) const STEADY: usize = 2;

/// What is in flight when the daemon is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes come in from a file or a pipe.
    Import,
    /// They are in; the name is being made known.
    Publish,
    /// Bytes come from another peer.
    Download,
    /// Another peer is given a copy.
    Replicate,
}

impl Kind {
    /// In the order of the points.
    pub const ALL: [Self; 4] = [Self::Import, Self::Publish, Self::Download, Self::Replicate];

    /// As the report says it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Publish => "publish",
            Self::Download => "download",
            Self::Replicate => "replicate",
        }
    }
}

/// The command that is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// `upload FILE`.
    File,
    /// `upload -`.
    Pipe,
    /// `download REF -o FILE`.
    Output,
    /// `fetch REF`.
    Fetch,
    /// `replicate REF --to PEER`.
    To,
    /// `replicate REF --copies 3`: both others.
    Everywhere,
    /// `upload FILE --to PEER`.
    UploadTo,
    /// `upload FILE --copies 2`: the directory chooses.
    UploadTwo,
}

/// One point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) way: Way,
    /// Bytes of the file.
    pub(super) size: u64,
    /// What they are drawn from.
    pub(super) data: u64,
    /// The peer where the file is put in.
    pub(super) giver: usize,
    /// The peer that gets it; for an upload, one that looks on.
    pub(super) taker: usize,
    /// The peer that is killed.
    pub(super) victim: usize,
    /// The share of the work's length after which.
    pub(super) share: f64,
    /// Asks for an export too, afterwards.
    pub(super) exports: bool,
    /// The file stays for later points.
    pub(super) stays: bool,
}

impl Plan {
    /// Draws one.
    pub(super) fn draw(kind: Kind, draws: &mut Draws) -> Self {
        let victim = draws.below(2) as usize;
        let other = draws.one_of(&[1 - victim, STEADY]);
        let kills_giver = match kind {
            Kind::Import | Kind::Publish => true,
            Kind::Download => draws.one_in(4),
            Kind::Replicate => draws.one_in(2),
        };
        let way = match kind {
            Kind::Import | Kind::Publish => draws.one_of(&[Way::File, Way::File, Way::File, Way::Pipe]),
            Kind::Download => draws.one_of(&[Way::Output, Way::Output, Way::Fetch]),
            // Whom the directory chooses is not known before: then only the giver is killed.
            Kind::Replicate if kills_giver => {
                draws.one_of(&[Way::To, Way::Everywhere, Way::UploadTo, Way::UploadTwo])
            }
            Kind::Replicate => draws.one_of(&[Way::To, Way::Everywhere, Way::UploadTo]),
        };
        let (giver, taker) = match kills_giver {
            true => (victim, other),
            false => (other, victim),
        };
        Self {
            kind,
            way,
            size: size(kind, draws),
            data: draws.next(),
            giver,
            taker,
            victim,
            share: share(kind, draws),
            exports: draws.one_in(2),
            stays: draws.one_in(3),
        }
    }

    /// One that is not cut, to learn how long it takes.
    pub(super) fn sample(kind: Kind, size: u64, data: u64) -> Self {
        let way = match kind {
            Kind::Import | Kind::Publish => Way::File,
            Kind::Download => Way::Fetch,
            Kind::Replicate => Way::To,
        };
        Self {
            kind,
            way,
            size,
            data,
            giver: 0,
            taker: 1,
            victim: 0,
            share: 1.0,
            exports: false,
            stays: false,
        }
    }

    /// The file is there, published, before the work that is cut begins.
    pub(super) const fn prepares(&self) -> bool {
        matches!(self.way, Way::Output | Way::Fetch | Way::To | Way::Everywhere)
    }

    /// The peer whose p2pctl is waited for.
    pub(super) const fn asker(&self) -> usize {
        match self.kind {
            Kind::Download => self.taker,
            _ => self.giver,
        }
    }

    /// The peers into whose stores bytes may come.
    pub(super) fn receivers(&self) -> Vec<usize> {
        match self.way {
            Way::File | Way::Pipe => vec![self.giver],
            Way::Output | Way::Fetch | Way::To | Way::UploadTo => vec![self.taker],
            Way::Everywhere | Way::UploadTwo => (0..3).filter(|peer| *peer != self.giver).collect(),
        }
    }
}

/// The steps of a publication are at its beginning; what may follow is only a last look at the progress.
fn share(kind: Kind, draws: &mut Draws) -> f64 {
    let share = draws.share();
    match kind == Kind::Publish && draws.one_in(2) {
        true => share.powi(3),
        false => share,
    }
}

/// Few large ones, so that the points are quick; a publication's length does not depend on it.
fn size(kind: Kind, draws: &mut Draws) -> u64 {
    let class = match kind {
        Kind::Publish => draws.below(70),
        _ => draws.below(100),
    };
    let (least, most) = match class {
        0..20 => (1, 256 * KIB),
        20..60 => (256 * KIB, 4 * MIB),
        60..96 => (4 * MIB, 24 * MIB),
        _ => (HUGE, HUGE + MIB),
    };
    // Thresholds are one byte wide.
    let drawn = least + draws.below(most - least);
    match draws.below(8) {
        0 => drawn / (256 * KIB) * (256 * KIB) + 1,
        1 => drawn.div_ceil(256 * KIB) * (256 * KIB),
        _ => drawn,
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 3] = super::scene::PEERS;
        write!(
            f,
            "{} ({:?}) of {} bytes, from {} to {}, {} killed",
            self.kind.word(),
            self.way,
            self.size,
            NAMES[self.giver],
            NAMES[self.taker],
            NAMES[self.victim]
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steady_peer_is_never_killed_and_nobody_gives_to_himself() {
        for point in 0..4000 {
            let kind = Kind::ALL[point as usize % 4];
            let plan = Plan::draw(kind, &mut Draws::of_point(9, point));
            assert_ne!(plan.victim, STEADY, "{plan}");
            assert_ne!(plan.giver, plan.taker, "{plan}");
            assert!([plan.giver, plan.taker].contains(&plan.victim), "{plan}");
            assert!((1..=HUGE + 2 * MIB).contains(&plan.size), "{plan}");
            assert!(kind != Kind::Import || plan.asker() == plan.victim, "{plan}");
        }
    }

    #[test]
    fn every_way_and_both_ends_are_drawn() {
        let drawn = |kind, way, kills_giver| {
            (0..2000).any(|point| {
                let plan = Plan::draw(kind, &mut Draws::of_point(9, point));
                plan.way == way && (plan.victim == plan.giver) == kills_giver
            })
        };
        for way in [Way::File, Way::Pipe] {
            assert!(drawn(Kind::Import, way, true) && drawn(Kind::Publish, way, true));
        }
        for way in [Way::Output, Way::Fetch] {
            assert!(drawn(Kind::Download, way, true) && drawn(Kind::Download, way, false));
        }
        for way in [Way::To, Way::Everywhere, Way::UploadTo] {
            assert!(drawn(Kind::Replicate, way, true) && drawn(Kind::Replicate, way, false));
        }
        assert!(
            drawn(Kind::Replicate, Way::UploadTwo, true) && !drawn(Kind::Replicate, Way::UploadTwo, false)
        );
        let huge = |point: &u32| Plan::draw(Kind::Download, &mut Draws::of_point(9, *point)).size >= HUGE;
        assert!((40..160).contains(&(0..2000).filter(huge).count()));
    }
}
