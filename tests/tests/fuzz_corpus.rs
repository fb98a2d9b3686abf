//! The committed seeds of the fuzz targets go through them on the stable toolchain too, so that neither rots.

use p2p_tests::fuzz;

fn replay(name: &str) {
    let target = fuzz::target(name);
    let corpus = fuzz::corpus(name);
    assert!(!corpus.is_empty(), "no seeds of {name}");
    for (path, data) in corpus {
        eprintln!("{}", path.display());
        target(&data);
    }
}

#[test]
fn config() {
    replay("config");
}

#[test]
fn frames() {
    replay("frames");
}

#[test]
fn grants() {
    replay("grants");
}

#[test]
fn names() {
    replay("names");
}

#[test]
fn rest() {
    replay("rest");
}
