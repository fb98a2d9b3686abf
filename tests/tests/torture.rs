//! The torture, short: daemons killed while work is in flight lose nothing. `make torture` is the long one.

use p2p_tests::torture::{Kind, Wish, run};

const SEED: u64 = 3;
const POINTS: u32 = 28;

#[test]
fn daemons_that_are_killed_lose_nothing() {
    let wish = Wish {
        seed: SEED,
        count: POINTS,
        only: None,
    };
    let mut report = Vec::new();
    let tally = run(wish, &mut report).expect("a report");
    let report = String::from_utf8(report).expect("text");
    println!("{report}");
    assert_eq!(tally.violations(), 0, "\n{report}");
    assert!(tally.hits() >= 24, "\n{report}");
    for kind in Kind::ALL {
        let left_out = report.contains(&format!("NOT TORTURED: {}", kind.word()));
        assert!(left_out || tally.hits_of(kind) >= POINTS / 5, "\n{report}");
    }
}
