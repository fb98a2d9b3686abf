//! What is said of copies while they are placed, and at the end.

use p2p_proto::v1::Copy;

use super::*;
use crate::exit::sentence;

fn placement(peer: &str, state: &str, reason: &str, done_bytes: u64) -> Placement {
    Placement {
        transfer_id: "43".into(),
        peer: peer.into(),
        state: state.into(),
        reason: reason.into(),
        done_bytes,
        total_bytes: 100,
    }
}

fn copy(peer: &str, state: &str, reason: &str) -> Copy {
    Copy {
        peer: peer.into(),
        state: state.into(),
        reason: reason.into(),
    }
}

fn done(copies: Vec<Copy>, wanted: u32) -> ReplicateDone {
    ReplicateDone {
        publication: None,
        copies,
        wanted,
    }
}

#[test]
fn the_moving_line_tells_how_far_each_target_is() {
    let line = moving(&[placement("gpu1", "transferring", "", 100)]);
    assert_eq!(line.text(), "Placing    gpu1 100 %");
    let line = moving(&[
        placement("gpu1", "done", "", 0),
        placement("gpu2", "transferring", "", 61),
        placement("gpu3", "queued", "", 0),
        placement("gpu4", "waiting", "gpu4 is silent for 31 s", 7),
        placement("gpu5", "failed", "", 7),
    ]);
    assert_eq!(
        line.text(),
        "Placing    gpu1 100 %, gpu2 61 %, gpu3 queued, gpu4 (gpu4 is silent for 31 s), gpu5 failed"
    );
    assert_eq!(
        left_alone(&[placement("gpu1", "queued", "", 0)]),
        "Placing    gpu1 (transfer 43)"
    );
}

#[test]
fn only_durable_targets_keep_their_line() {
    let last = [
        placement("gpu1", "transferring", "", 99),
        placement("gpu2", "failed", "broke off", 5),
    ];
    let done = done(
        vec![
            copy("ws1", "durable", ""),
            copy("gpu1", "durable", ""),
            copy("gpu2", "failed", "broke off"),
        ],
        3,
    );
    let lines: Vec<String> = placed(&last, &done)
        .map(|peer| progress::finished_at("Placing", peer))
        .collect();
    assert_eq!(lines, ["Placing    gpu1 100 %"]);
}

#[test]
fn all_copies_are_a_sentence() {
    let two = || vec![copy("ws1", "durable", ""), copy("gpu1", "durable", "")];
    assert_eq!(
        verdict(&done(two(), 2)).unwrap(),
        "2 of 2 copies durable (ws1, gpu1)."
    );
    assert_eq!(
        verdict(&done(two(), 1)).unwrap(),
        "2 copies durable (ws1, gpu1), 1 asked for."
    );
    // A target that fell out was replaced.
    let replaced = [two(), vec![copy("gpu2", "failed", "broke off")]].concat();
    assert_eq!(
        verdict(&done(replaced, 2)).unwrap(),
        "2 of 2 copies durable (ws1, gpu1)."
    );
}

#[test]
fn fewer_copies_than_asked_name_each_peer_and_why() {
    let fewer = done(
        vec![
            copy("ws1", "durable", ""),
            copy("gpu1", "failed", "has 1.2 GiB free"),
            copy("gpu2", "failed", "broke off"),
        ],
        3,
    );
    let failure = verdict(&fewer).unwrap_err();
    assert_eq!(failure.kind.exit_code(), 12);
    assert_eq!(
        sentence(&failure),
        "p2pctl: 1 of 3 copies durable (ws1); gpu1: has 1.2 GiB free; gpu2: broke off"
    );
    let message = verdict(&done(vec![copy("ws1", "durable", "")], 2))
        .unwrap_err()
        .message;
    assert_eq!(
        message,
        "1 of 2 copies durable (ws1); no other peer can take one now"
    );
    let message = verdict(&done(vec![copy("gpu1", "placing", "")], 1))
        .unwrap_err()
        .message;
    assert_eq!(message, "0 of 1 copies durable; gpu1: placing");
}

#[test]
fn a_stop_says_that_copies_go_on_only_while_they_do() {
    let interrupted = || Failure::new(FailureKind::Interrupted, "Interrupted");
    let placing = Placing::default();
    assert_eq!(sentence(&placing.goes_on(interrupted())), "Interrupted.");
    placing.begun("scan.tar");
    let failure = placing.goes_on(interrupted());
    assert_eq!(failure.kind.exit_code(), 130);
    assert_eq!(
        sentence(&failure),
        "Stopped waiting; copies of scan.tar go on being placed. Try: p2pctl transfers"
    );
    let failure = placing.goes_on(Failure::new(FailureKind::TimedOut, "not done within 5 s"));
    assert_eq!(failure.kind.exit_code(), 12);
    assert_eq!(
        sentence(&failure),
        "p2pctl: not done within 5 s; copies of scan.tar go on being placed. Try: p2pctl transfers"
    );
    placing.ended();
    assert_eq!(sentence(&placing.goes_on(interrupted())), "Interrupted.");
}
