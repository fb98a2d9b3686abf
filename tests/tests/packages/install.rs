//! README's "Install", typed as it stands on the machines that it names.

use std::fs;

use p2p_tests::{data, transcript};

use crate::shelf;

#[test]
fn install_reads_as_it_is() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).expect("README.md");
    let (steps, others) = transcript::of_section(&readme, "Install");
    assert!(others.is_empty(), "nobody types these: {others:?}");
    assert!(!steps.is_empty(), "nothing is typed");
    let Some(lab) = shelf::machines(&["dir", "ws1", "gpu3"]) else {
        return;
    };
    let hash = data::file(&lab.machine("ws1").path("/home/ana/scan.tar"), 1, 120 << 20);
    transcript::play(&lab, &steps);
    assert_eq!(
        data::hash_of(&lab.machine("ws1").path("/home/ana/scan.tar")),
        hash
    );
}
