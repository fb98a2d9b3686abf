//! The first hour with the product (`tests/src/first_hour.rs`), on bare machines where everything is as packages leave it:
//! users, folders, sockets, ports. Stand-ins: `apt` starts the service and runs `first-steps`, as the package does, and
//! `sudo` asks for nothing. With the packages themselves it is played by `make test-packages`.

use std::fs;

use p2p_tests::{
    first_hour::{self, GOLDEN},
    lab::Lab,
};

#[test]
fn the_first_hour_reads_as_promised() {
    if let Some(lab) = Lab::start(&["dir", "ws1", "gpu1", "gpu3", "gpu7"]) {
        first_hour::plays(&lab);
    }
}

#[test]
fn the_golden_file_is_what_the_readme_shows() {
    // Whoever reads that first should not read something else.
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).expect("README.md");
    assert!(
        readme.contains(GOLDEN),
        "README.md does not show the first hour as first_hour.golden has it"
    );
}
