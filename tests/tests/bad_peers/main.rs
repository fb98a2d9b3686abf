//! Peers and networks that do harm: who listens, spoils, lies, hangs up or dies. Whoever downloads gets the right bytes
//! or a clear failure, and never a wrong byte.

mod beside_a_good_one;
mod crawling;
mod liars_alone;
mod on_the_way;

use std::path::Path;

use p2p_tests::{World, visitor::Visitor};
use uuid::Uuid;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The publication's id, as the directory knows it.
fn id_of_publication(world: &World, name: &str) -> Uuid {
    let visitor = Visitor::log_in(&world.directory, &world.ana, "asker", &[]);
    visitor.locate(name).publication.id
}

fn names_the_liar(log: &str) {
    let named = |line: &str| line.contains("liar sent ");
    assert!(log.lines().any(named), "{log}");
    let blamed = |line: &str| line.contains(": a sent ");
    assert!(!log.lines().any(blamed), "{log}");
}
