//! `release-state`: makes the archive of this version's state; see `tests/states.sh`.

fn main() {
    println!("{}", p2p_tests::release::leave().display());
}
