//! How long work takes that nobody cuts: measured at the start and whenever a kill comes too late, so that the drawn
//! share of it means an instant that is likely to hit. Owns what was measured.

use std::{collections::VecDeque, time::Duration};

use super::{
    plan::{HUGE, Kind, Plan},
    scene::Scene,
    strike::{Struck, strike},
};

/// So many measurements of each kind are remembered.
const REMEMBERED: usize = 48;
/// The median is of at most so many.
const NEAREST: usize = 5;
/// Sizes whose binary logarithms differ by more are not alike.
const ALIKE: f64 = 0.7;
/// Bytes of the files that are measured, each twice, since the first may be slow.
const SIZES: [u64; 6] = [1, 100 << 10, 2 << 20, 8 << 20, 20 << 20, HUGE];

/// What was measured, newest last.
#[derive(Default)]
pub(super) struct Lengths([VecDeque<(f64, Duration)>; 4]);

impl Lengths {
    /// Measures work that is not cut.
    pub(super) fn learn(&mut self, scene: &mut Scene, kinds: &[Kind]) {
        let later = kinds.iter().filter(|kind| **kind != Kind::Publish);
        for (round, kind) in later.flat_map(|kind| [(0, kind), (1, kind)]) {
            for (place, &size) in SIZES.iter().enumerate() {
                let data = 1 << 40 | round << 20 | (place as u64) << 8 | *kind as u64;
                let plan = Plan::sample(*kind, size, data);
                let name = scene.next_name();
                let mut complaints = Vec::new();
                let struck = strike(scene, &plan, &name, None, &mut complaints);
                self.saw(&plan, &struck);
                scene.tidy(&struck.file, &plan, &mut complaints);
                assert!(
                    complaints.is_empty(),
                    "{plan}, and nobody was killed: {complaints:?}"
                );
            }
        }
    }

    /// Takes what was seen of work that ended by itself, or of that part of it that did.
    pub(super) fn saw(&mut self, plan: &Plan, struck: &Struck) {
        for (kind, length) in struck.lengths.iter().flatten() {
            let measured = &mut self.0[*kind as usize];
            measured.push_back((log(plan.size), *length));
            if measured.len() > REMEMBERED {
                measured.pop_front();
            }
        }
    }

    /// How long such work takes.
    pub(super) fn of(&self, kind: Kind, size: u64) -> Duration {
        let wanted = log(size);
        let far = |one: &(f64, Duration)| (one.0 - wanted).abs();
        let mut near: Vec<_> = self.0[kind as usize].iter().rev().copied().collect();
        // Stable: among those of one size the newest come first.
        near.sort_by(|a, b| far(a).total_cmp(&far(b)));
        let alike = near.iter().filter(|one| far(one) <= ALIKE).count().max(1);
        let mut lengths: Vec<Duration> = near.iter().take(alike.min(NEAREST)).map(|one| one.1).collect();
        lengths.sort();
        lengths
            .get(lengths.len() / 2)
            .copied()
            .unwrap_or(Duration::from_millis(20))
    }
}

/// Below 256 KiB only the number of fsyncs matters.
fn log(size: u64) -> f64 {
    (size.max(256 << 10) as f64).log2()
}
