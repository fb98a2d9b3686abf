//! Several transfers of one content: they take turns, and one that does not move holds none of the others up.

use std::path::Path;

use p2p_tests::{
    Peer, World,
    check::{entry, sources},
    data,
    proxy::Proxy,
    wait,
};
use rustix::process::Signal;
use serde_json::Value;

const MIB: u64 = 1 << 20;
const SIZE: u64 = 24 * MIB;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn state_of_the_first(peer: &Peer) -> Value {
    let all = peer.json(&["transfers"]);
    entry(&all["transfers"], "id", "1").expect("the first")["state"].clone()
}

/// Publishes the same bytes under two names; their hash.
fn publish_twice(world: &World, peer: &Peer, seed: u64) -> String {
    let (source, hash) = world.file("scan.tar", seed, SIZE);
    peer.upload(&source);
    peer.json(&["upload", text(&source), "--name", "other.tar"]);
    hash
}

/// Begins to fetch the first name, and lets some bytes come.
fn begin_scan(proxy: &Proxy, b: &Peer) -> p2p_tests::peer::Running {
    proxy.gate(8 * MIB);
    let fetching = b.begin(&["fetch", "scan.tar"]);
    wait::until("some bytes", wait::SOON, || {
        let transfer = b.transfer("download", "scan.tar")?;
        (transfer["done_bytes"].as_u64()? >= 4 * MIB).then_some(())
    });
    fetching
}

fn resumed(done: &Value) -> u64 {
    done["resumed_bytes"].as_u64().unwrap_or(0)
}

#[test]
fn one_that_is_paused_holds_nobody_up_and_its_bytes_are_used() {
    let world = World::start(&["b"]);
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    let hash = publish_twice(&world, &a, 1);
    let b = &world.peers[0];
    let fetching = begin_scan(&proxy, b);
    b.json(&["pause", "1"]);
    proxy.gate(u64::MAX);
    let output = world.path("out.tar");
    let other = b.begin(&["download", "other.tar", "-o", text(&output)]);
    b.until_download("other.tar", "done", wait::SOON);
    let answer = other.end();
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(data::hash_of(&output), hash);
    assert!(resumed(&answer.json()) >= 4 * MIB, "{answer:?}");
    assert_eq!(state_of_the_first(b), "paused");
    b.json(&["resume", "1"]);
    assert_eq!(b.json(&["wait", "1"])["state"], "done");
    let answer = fetching.end();
    assert_eq!((answer.code, &answer.json()["hash"]), (0, &hash.into()));
    assert_eq!(b.json(&["status"])["store"]["partial_files"], 0);
}

#[test]
fn one_that_is_queued_behind_it_goes_on_when_it_is_paused() {
    let world = World::start(&["b"]);
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    let hash = publish_twice(&world, &a, 2);
    let b = &world.peers[0];
    let fetching = begin_scan(&proxy, b);
    let other = b.begin(&["fetch", "other.tar"]);
    let told = b.until_download("other.tar", "queued", wait::SOON);
    assert_eq!(told["reason"], "transfer 1 brings the same content");
    b.json(&["pause", "1"]);
    proxy.gate(u64::MAX);
    b.until_download("other.tar", "done", wait::SOON);
    assert_eq!(other.end().json()["hash"], hash);
    b.json(&["resume", "1"]);
    assert_eq!(b.json(&["wait", "1"])["state"], "done");
    assert_eq!(fetching.end().code, 0);
}

#[test]
fn a_stream_that_leaves_no_copy_leaves_a_paused_one_its_bytes() {
    let world = World::start(&["b"]);
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    let hash = publish_twice(&world, &a, 3);
    let b = &world.peers[0];
    let fetching = begin_scan(&proxy, b);
    b.json(&["pause", "1"]);
    proxy.gate(u64::MAX);
    let stream = ["download", "scan.tar", "-o", "-", "--no-keep", "--timeout", "60s"];
    let streamed = b.ctl(&stream);
    assert_eq!(streamed.code, 0, "{}", streamed.err);
    assert_eq!(blake3::hash(&streamed.out).to_hex().as_str(), hash);
    assert_eq!(state_of_the_first(b), "paused");
    let before = proxy.passed();
    b.json(&["resume", "1"]);
    assert_eq!(b.json(&["wait", "1"])["state"], "done");
    let again = proxy.passed() - before;
    assert!(again <= SIZE - 4 * MIB, "{again} bytes came again");
    assert_eq!(fetching.end().json()["hash"], hash);
}

#[test]
fn one_whose_sender_is_silent_lets_another_go_first() {
    let world = World::start(&["b", "c"]);
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    let [b, c] = &world.peers[..] else { unreachable!() };
    let (source, hash) = world.file("scan.tar", 4, SIZE);
    a.upload(&source);
    c.json(&["upload", text(&source), "--name", "other.tar"]);
    let fetching = begin_scan(&proxy, b);
    a.process.signal(Signal::STOP);
    proxy.gate(u64::MAX);
    b.until_download("scan.tar", "waiting", wait::SOON);
    let other = b.begin(&["fetch", "other.tar"]);
    b.until_download("other.tar", "done", wait::SOON);
    let done = other.end().json();
    assert!(resumed(&done) >= 4 * MIB, "{done}");
    assert_eq!(sources(&done), [("c".to_owned(), SIZE - resumed(&done))]);
    // And the first finds it here, without its sender.
    let answer = fetching.end();
    assert_eq!((answer.code, &answer.json()["hash"]), (0, &hash.into()));
}

#[test]
fn of_two_that_wait_each_goes_on_when_its_own_holder_comes() {
    let mut world = World::start(&["b", "c"]);
    let proxy = Proxy::start();
    let mut a = world.behind(&proxy, "a");
    let (source, hash) = world.file("scan.tar", 5, SIZE);
    let [b, c] = &mut world.peers[..] else {
        unreachable!()
    };
    a.upload(&source);
    c.json(&["upload", text(&source), "--name", "other.tar"]);
    let fetching = begin_scan(&proxy, b);
    a.process.kill();
    proxy.cut();
    proxy.gate(u64::MAX);
    c.process.kill();
    b.until_download("scan.tar", "waiting", wait::SOON);
    let other = b.begin(&["fetch", "other.tar", "--wait"]);
    b.until_download("other.tar", "waiting", wait::SOON);
    c.restart();
    let done = other.end();
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(sources(&done.json()).len(), 1, "{done:?}");
    let answer = fetching.end();
    assert_eq!((answer.code, &answer.json()["hash"]), (0, &hash.into()));
}
