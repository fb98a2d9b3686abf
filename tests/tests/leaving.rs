//! How a peer leaves: `logout`, a clean stop, and a lease that ends. Each takes it out of the list of peers and of every
//! holder list.

use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use p2p_tests::{
    Peer, World,
    check::{entry, has_schema, until_online},
    proxy::Proxy,
    wait,
};
use serde_json::json;

/// The directory's lease in tests, and what the programs may take on top of it.
const LEASE: Duration = Duration::from_secs(3);
const GRACE: Duration = Duration::from_secs(2);

/// A file that `a` and `b` hold and `c` can find.
fn two_holders() -> World {
    let world = World::start(&["a", "b", "c"]);
    let (source, _) = world.file("scan.tar", 1, 300_000);
    world.peers[0].upload(&source);
    world.peers[1].json(&["fetch", "scan.tar"]);
    let hit = &world.peers[2].json(&["search", "scan.tar"])["files"][0];
    assert_eq!(
        (&hit["holders_online"], &hit["holders_total"]),
        (&json!(2), &json!(2))
    );
    world
}

/// The peer is offline wherever this one looks.
fn is_gone(asked: &Peer, name: &str) -> bool {
    let peers = asked.json(&["peers"]);
    let listed = entry(&peers["peers"], "name", name).is_some_and(|peer| peer["online"] == true);
    let info = asked.json(&["info", "scan.tar"]);
    let holds = entry(&info["holders"], "peer", name).is_some_and(|holder| holder["online"] == true);
    let online = &asked.json(&["search", "scan.tar"])["files"][0]["holders_online"];
    !listed && !holds && online == 1
}

/// Nothing comes from the one that left.
fn comes_from_b_alone(asked: &Peer) {
    let done = asked.json(&["download", "scan.tar", "--no-keep"]);
    assert_eq!(done["sources"], json!([{"peer": "b", "bytes": 300_000}]));
}

#[test]
fn logout_takes_a_peer_out_at_once() {
    let world = two_holders();
    let [a, b, c] = &world.peers[..] else {
        unreachable!()
    };
    let left = a.json(&["logout"]);
    has_schema(&left, "logout");
    assert!(is_gone(c, "a"));
    comes_from_b_alone(c);

    assert_eq!(a.fails(4, &["whoami"])["kind"], "not_logged_in");
    assert_eq!(a.says(4, &["whoami"]), "p2pctl: not logged in. Try: p2pctl login");
    assert_eq!(a.json(&["status"])["session"], json!({"logged_in": false}));
    // What it holds is still there, and is served again after the next login.
    assert_eq!(a.stored().len(), b.stored().len());
    a.login(&world.directory, &world.ana);
    until_online(c, "a", true);
    let info = c.json(&["info", "scan.tar"]);
    assert_eq!(entry(&info["holders"], "peer", "a").unwrap()["online"], true);
}

#[test]
fn logout_needs_no_directory() {
    let mut world = World::start(&["a"]);
    world.directory.process.kill();
    let left = world.peers[0].json(&["logout"]);
    assert_eq!(left["directory_told"], false);
    assert_eq!(world.peers[0].fails(4, &["whoami"])["kind"], "not_logged_in");
    assert_eq!(world.peers[0].fails(4, &["logout"])["kind"], "not_logged_in");
    let a = &mut world.peers[0];
    assert_eq!(a.process.stop(), Some(0));
    a.restart();
    assert_eq!(a.fails(4, &["whoami"])["kind"], "not_logged_in");
}

#[test]
fn a_clean_stop_takes_a_peer_out_at_once() {
    let mut world = two_holders();
    assert_eq!(world.peers[0].process.stop(), Some(0));
    assert!(is_gone(&world.peers[2], "a"));
    comes_from_b_alone(&world.peers[2]);
    world.peers[0].restart();
    until_online(&world.peers[2], "a", true);
    assert!(!is_gone(&world.peers[2], "a"));
}

#[test]
fn a_lease_that_ends_takes_a_killed_peer_out() {
    let mut world = two_holders();
    world.peers[0].process.kill();
    let killed = Instant::now();
    let c = &world.peers[2];
    // What counts is when the look began that found the peer gone.
    let gone = wait::until("the lease to end", wait::SOON, || {
        let looked = killed.elapsed();
        is_gone(c, "a").then_some(looked)
    });
    assert!(gone <= LEASE + GRACE, "{gone:?}");
    comes_from_b_alone(c);
    // The one that is left serves on; with none the file is known and nobody online.
    assert_eq!(world.peers[1].process.stop(), Some(0));
    let failed = world.peers[2].fails(7, &["download", "scan.tar", "-o", "again"]);
    assert_eq!(failed["kind"], "no_holder_online");
    world.peers[0].restart();
    until_online(&world.peers[2], "a", true);
    world.peers[2].json(&["fetch", "scan.tar"]);
}

#[test]
fn a_stop_ends_what_leaves_no_copy_and_leaves_nothing_of_it() {
    let mut world = World::start(&["b"]);
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    let (source, _) = world.file("scan.tar", 1, 100 << 20);
    a.upload(&source);
    proxy.gate(80 << 20);
    let b = &mut world.peers[0];
    let mut streaming = b.command(&["download", "scan.tar", "--no-keep", "-o", "-"]);
    let streaming = streaming.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    wait::until("a checkpoint", wait::SOON, || {
        let status = b.json(&["status"]);
        (status["store"]["partial_files"] == 1).then_some(())
    });
    assert_eq!(b.process.stop(), Some(0));
    let answer = streaming.and_then(Child::wait_with_output).expect("p2pctl");
    assert!(!answer.status.success());
    let told = String::from_utf8_lossy(&answer.stderr);
    assert!(told.contains("p2pd stops; start it again"), "{told}");
    b.restart();
    let transfers = b.json(&["transfers"]);
    assert_eq!(
        entry(&transfers["transfers"], "id", "1").expect("it")["state"],
        "failed"
    );
    // It is taken away beside what comes at a start.
    wait::until("nothing to be left of it", wait::SOON, || {
        let status = b.json(&["status"]);
        (status["store"]["partial_files"] == 0).then_some(())
    });
}
