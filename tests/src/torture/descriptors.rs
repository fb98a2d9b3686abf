//! What each daemon has open: it may not grow with the points. Owns what was counted; a process that is killed takes its
//! count with it, so the peer that is never killed and the directory are those that prove something.

use std::{fs, time::Duration};

use super::{
    Complaint,
    scene::{PEERS, Scene},
};
use crate::wait;

/// Descriptors that a daemon may have open beyond those at its first rest: connections to peers and to the directory
/// that are kept for a while.
const SLACK: usize = 12;

/// Of each process.
#[derive(Default)]
pub(super) struct Descriptors([Open; 4]);

/// What one had open.
#[derive(Clone, Copy, Default)]
struct Open {
    process: u32,
    first: usize,
    looks: u32,
}

/// Looks at all daemons, and complains of one that has far more open than when it was new, and keeps that for so long.
pub(super) fn look(scene: &mut Scene, limit: Duration) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (place, process) in scene.processes().into_iter().enumerate() {
        let open = &mut scene.descriptors.0[place];
        let now = count(process);
        if open.process != process {
            *open = Open {
                process,
                first: now,
                looks: 0,
            };
        }
        open.looks += 1;
        let most = open.first + SLACK;
        let falls = || (count(process) <= most).then_some(());
        if now > most && wait::often(limit, falls).is_none() {
            let (name, first, points) = (name(place), open.first, open.looks);
            let now = count(process);
            complaints.push(format!(
                "{name} had {first} descriptors open at first and has {now} after {points} points"
            ));
        }
    }
    complaints
}

impl Descriptors {
    /// Of each: how many at first, now, and after how many points.
    pub(super) fn report(&self) -> String {
        let one = |(place, open): (usize, &Open)| {
            let (name, now) = (name(place), count(open.process));
            format!(
                "{name} {} at first, {now} after {} points",
                open.first, open.looks
            )
        };
        self.0.iter().enumerate().map(one).collect::<Vec<_>>().join("; ")
    }
}

fn name(place: usize) -> &'static str {
    PEERS.get(place).copied().unwrap_or("the directory")
}

fn count(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count)
}
