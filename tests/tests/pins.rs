//! Pinned files: kept whatever frees space, until somebody says otherwise.

use std::{fs, os::unix::fs::FileExt};

use p2p_proto::FailureKind;
use p2p_tests::{Peer, World, calls::Calls};

const MIB: u64 = 1 << 20;

fn is_pinned(peer: &Peer) -> bool {
    peer.json(&["list"])["files"][0]["pinned"] == true
}

#[test]
fn a_pinned_file_goes_by_force_or_not_at_all() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let (source, _) = world.file("scan.tar", 1, MIB);
    a.upload(&source);
    let mut calls = Calls::of(b);
    let absent = calls.pin("scan.tar", true).expect_err("not stored there");
    assert_eq!(
        (absent.kind, absent.hint.as_deref()),
        (FailureKind::NotFound, Some("p2pctl fetch scan.tar"))
    );
    assert_eq!(
        calls.pin("nope", true).expect_err("nothing").kind,
        FailureKind::NotFound
    );
    b.json(&["fetch", "scan.tar"]);
    assert!(!is_pinned(b));
    assert!(calls.pin("scan.tar", true).expect("a file").pinned);
    assert!(
        calls.pin("scan.tar", true).expect("a file").pinned,
        "again is harmless"
    );
    assert!(is_pinned(b) && !is_pinned(a), "here alone");
    assert_eq!(
        b.says(5, &["rm", "scan.tar"]),
        "p2pctl: ana/scan.tar@1 is pinned on this peer: p2pctl unpin ana/scan.tar@1, or rm --force"
    );
    assert_eq!(b.ctl(&["rm", "scan.tar", "--unpublish"]).code, 5);
    assert_eq!(
        b.json(&["search", "scan.tar"])["total"],
        1,
        "nothing of that was done"
    );
    assert!(is_pinned(b));
    assert!(!calls.pin("scan.tar", false).expect("a file").pinned);
    assert_eq!(b.ctl(&["rm", "scan.tar"]).code, 0);
    b.json(&["fetch", "scan.tar"]);
    assert!(!is_pinned(b), "another copy");
    calls.pin("scan.tar", true).expect("a file");
    assert_eq!(b.ctl(&["rm", "scan.tar", "--force"]).code, 0);
    assert_eq!(b.json(&["list"])["files"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_pin_survives_a_kill_damage_healing_and_the_publication() {
    let mut world = World::start(&["a", "b"]);
    let (source, hash) = world.file("scan.tar", 2, 3 * MIB);
    world.peers[0].upload(&source);
    world.peers[1].json(&["fetch", "scan.tar"]);
    Calls::of(&world.peers[1]).pin("scan.tar", true).expect("a file");
    world.peers[1].restart_after_kill();
    let [a, b] = &world.peers[..] else { unreachable!() };
    assert!(is_pinned(b));
    let stored = b.folder.join("state/store/content").join(&hash[..2]).join(&hash);
    let file = fs::File::options().write(true).open(&stored).expect("the file");
    file.write_all_at(b"rotten", MIB).expect("the file");
    assert_eq!(b.json(&["verify", "scan.tar"])["healed"], 1);
    assert!(is_pinned(b));
    // What the directory knows no more is still his to keep, and to let go.
    assert_eq!(a.ctl(&["rm", "scan.tar", "--unpublish"]).code, 0);
    assert!(is_pinned(b));
    let mut calls = Calls::of(b);
    assert!(!calls.pin("scan.tar", false).expect("a file").pinned);
    assert!(calls.pin(&format!("hash:{hash}"), true).expect("a file").pinned);
}
