//! What came of it, as plain text.

use std::{
    io::{self, Write},
    time::Duration,
};

use super::{plan::Kind, recovery::Recovered};

const BINS: usize = 10;
/// The widest bar.
const WIDTH: usize = 50;

/// The sums.
#[derive(Debug, Default)]
pub struct Tally {
    kinds: [OfKind; 4],
    /// Those that belong to no kind.
    others: u32,
    resumable: u32,
    resumed: u32,
    pub(super) descriptors: String,
}

#[derive(Debug, Default)]
struct OfKind {
    missed: u32,
    violations: u32,
    bins: [u32; BINS],
    done: Vec<Duration>,
}

impl Tally {
    /// Kills that hit work in flight.
    #[must_use]
    pub fn hits(&self) -> u32 {
        Kind::ALL.iter().map(|kind| self.hits_of(*kind)).sum()
    }

    /// The same of one kind.
    #[must_use]
    pub fn hits_of(&self, kind: Kind) -> u32 {
        self.kinds[kind as usize].bins.iter().sum()
    }

    /// Points after which something was wrong.
    #[must_use]
    pub fn violations(&self) -> u32 {
        self.others + self.kinds.iter().map(|kind| kind.violations).sum::<u32>()
    }

    pub(super) fn hit(&mut self, kind: Kind, share: f64, recovered: Recovered) {
        let of_kind = &mut self.kinds[kind as usize];
        of_kind.bins[((share * BINS as f64) as usize).min(BINS - 1)] += 1;
        of_kind.done.push(recovered.done);
        if let Some(resumed) = recovered.resumed {
            self.resumable += 1;
            self.resumed += u32::from(resumed);
        }
    }

    pub(super) fn missed(&mut self, kind: Kind) {
        self.kinds[kind as usize].missed += 1;
    }

    pub(super) fn violation(&mut self, kind: Option<Kind>) {
        match kind {
            Some(kind) => self.kinds[kind as usize].violations += 1,
            None => self.others += 1,
        }
    }

    pub(super) fn print(&self, seed: u64, took: Duration, out: &mut dyn Write) -> io::Result<()> {
        let (hits, seconds) = (self.hits(), took.as_secs_f64());
        let each = seconds / f64::from(hits.max(1));
        writeln!(
            out,
            "\nseed {seed}: {hits} kills hit work in flight, in {seconds:.0} s ({each:.2} s each)\n"
        )?;
        writeln!(
            out,
            "kind         hit  missed  violations   restart to done: p50     p90     p99     most"
        )?;
        for kind in Kind::ALL {
            let of_kind = &self.kinds[kind as usize];
            let mut done: Vec<f64> = of_kind.done.iter().map(Duration::as_secs_f64).collect();
            done.sort_by(f64::total_cmp);
            let at = |share: f64| {
                done.get((done.len() as f64 * share) as usize)
                    .or(done.last())
                    .copied()
                    .unwrap_or(0.0)
            };
            writeln!(
                out,
                "{:<10} {:>5} {:>7} {:>11} {:>23.3} s {:>5.3} s {:>5.3} s {:>6.3} s",
                kind.word(),
                self.hits_of(kind),
                of_kind.missed,
                of_kind.violations,
                at(0.5),
                at(0.9),
                at(0.99),
                at(1.0),
            )?;
        }
        self.print_bins(out)?;
        if self.resumable > 0 {
            writeln!(
                out,
                "downloads cut after more than a checkpoint: {}, of which went on from it: {}",
                self.resumable, self.resumed
            )?;
        }
        writeln!(out, "descriptors: {}", self.descriptors)?;
        writeln!(out, "violations: {}", self.violations())
    }

    fn print_bins(&self, out: &mut dyn Write) -> io::Result<()> {
        let sums: [u32; BINS] = std::array::from_fn(|bin| self.kinds.iter().map(|kind| kind.bins[bin]).sum());
        let most = sums.iter().copied().max().unwrap_or(0).max(1) as usize;
        writeln!(
            out,
            "\nthe kill came after this share of the work; import, publish, download, replicate"
        )?;
        for (bin, sum) in sums.into_iter().enumerate() {
            let [first, second, third, fourth] = std::array::from_fn(|kind| self.kinds[kind].bins[bin]);
            let bar = "#".repeat((sum as usize * WIDTH).div_ceil(most));
            writeln!(
                out,
                "{:>3}-{:>3} % {first:>4} {second:>4} {third:>4} {fourth:>4} {sum:>5} {bar}",
                bin * 10,
                bin * 10 + 10
            )?;
        }
        writeln!(out)
    }
}
