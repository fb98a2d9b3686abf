//! The torture: real daemons killed with SIGKILL while work is in flight, restarted, and checked. One *point* is one such
//! kill. Everything is drawn from a seed, each point from a stream of its own, so that a point can be run alone. The world
//! lives through many points, so that what one leaves behind is seen by those that follow; after a violation a new one is
//! booted, so that each is counted once. Nothing survives this process.
//!
//! A point goes like this: `plan` draws what is done and when it is cut; `strike` does it and cuts it; `recovery` asks
//! for the same again and expects it done; `invariants` looks at every daemon, its store and the directory. What the
//! kill missed is drawn again. `lengths` knows how long such work takes, `report` counts and prints.

mod client;
mod descriptors;
mod draws;
mod invariants;
mod lengths;
mod plan;
mod recovery;
mod report;
mod scene;
mod store;
mod strike;

use std::{
    io::{self, Write},
    time::Instant,
};

pub use self::{plan::Kind, report::Tally};

use self::{draws::Draws, lengths::Lengths, plan::Plan, scene::Scene};

/// So often a point is drawn again when its kill came too late, before it is given up.
const TRIES: u32 = 12;

/// One thing that must never be.
pub type Complaint = String;

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Where every choice comes from.
    pub seed: u64,
    /// So many points.
    pub count: u32,
    /// Only this point, so often as `count` says.
    pub only: Option<u32>,
}

/// Runs the points, tells of each violation as it is found, and prints the report.
///
/// # Errors
/// When it cannot be written.
///
/// # Panics
/// When not even the first world comes up.
pub fn run(wish: Wish, out: &mut dyn Write) -> io::Result<Tally> {
    let begun = Instant::now();
    let mut scene = Scene::boot();
    let kinds = scene.kinds();
    writeln!(out, "torture: seed {}, {} points", wish.seed, wish.count)?;
    for kind in Kind::ALL.iter().filter(|kind| !kinds.contains(kind)) {
        writeln!(
            out,
            "NOT TORTURED: {} (this p2pctl has no such verb)",
            kind.word()
        )?;
    }
    let mut run = Run {
        lengths: Lengths::default(),
        tally: Tally::default(),
        wish,
    };
    run.lengths.learn(&mut scene, &kinds);
    for turn in 0..wish.count {
        let number = wish.only.unwrap_or(turn);
        let kind = kinds[number as usize % kinds.len()];
        if !run.point(&mut scene, number, kind, out)? {
            scene = Scene::boot();
        }
        if turn % 50 == 49 {
            let done = begun.elapsed().as_secs();
            eprintln!("torture: {} of {} points, {done} s", turn + 1, wish.count);
        }
    }
    for complaint in descriptors::look(&mut scene, scene::BOUND) {
        run.tally.violation(None);
        writeln!(out, "VIOLATION at the end: {complaint}")?;
    }
    run.tally.descriptors = scene.descriptors.report();
    run.tally.print(wish.seed, begun.elapsed(), out)?;
    Ok(run.tally)
}

struct Run {
    lengths: Lengths,
    tally: Tally,
    wish: Wish,
}

impl Run {
    /// One point, drawn again until the kill hit. False when something was wrong.
    fn point(&mut self, scene: &mut Scene, number: u32, kind: Kind, out: &mut dyn Write) -> io::Result<bool> {
        let mut draws = Draws::of_point(self.wish.seed, number);
        for attempt in 0..TRIES {
            let plan = Plan::draw(kind, &mut draws);
            let name = scene.next_name();
            let length = self.lengths.of(kind, plan.size);
            let mut complaints = Vec::new();
            let mut struck = strike::strike(scene, &plan, &name, Some(length), &mut complaints);
            self.lengths.saw(&plan, &struck);
            if struck.killed {
                let recovered = recovery::recover(scene, &plan, &mut struck, &mut complaints);
                invariants::check(scene, &plan, &struck.file, &mut complaints);
                if struck.hit {
                    self.tally.hit(kind, struck.share(), recovered);
                }
            }
            scene.tidy(&struck.file, &plan, &mut complaints);
            if !struck.hit {
                self.tally.missed(kind);
            }
            if !complaints.is_empty() {
                self.tally.violation(Some(kind));
                let (seed, after) = (self.wish.seed, struck.after.as_secs_f64() * 1e3);
                writeln!(
                    out,
                    "VIOLATION in point {number}, try {attempt}: {plan}, killed after {after:.1} ms of about {:.1} ms; \
                     to run it alone: make torture SEED={seed} POINT={number}",
                    length.as_secs_f64() * 1e3,
                )?;
                for complaint in &complaints {
                    writeln!(out, "  {complaint}")?;
                }
                scene.last_words(out)?;
                return Ok(false);
            }
            if struck.hit {
                return Ok(true);
            }
        }
        writeln!(out, "point {number} was given up: no kill hit in {TRIES} tries")?;
        Ok(true)
    }
}
