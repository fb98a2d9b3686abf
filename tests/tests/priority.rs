//! Who gets the next turn, and that what a transfer is worth is remembered.

use p2p_proto::FailureKind;
use p2p_tests::{Peer, World, calls::Calls, proxy::Proxy, wait};

const MIB: u64 = 1 << 20;

/// A peer with one turn that fetches `first`, whose bytes stop in the middle, and the others behind it; and their holder.
fn queue(world: &World, proxy: &Proxy, names: &[&str]) -> (Peer, Peer) {
    let holder = world.behind(proxy, "holder");
    for (seed, name) in (1..).zip(["first"].iter().chain(names)) {
        let (source, _) = world.file(name, seed, 8 * MIB);
        holder.upload(&source);
    }
    let peer = world.peer("b", "[transfer]\nmax_active = 1\n");
    peer.login(&world.directory, &world.ana);
    proxy.gate(4 * MIB);
    drop(peer.begin(&["fetch", "first"]));
    wait::until("the middle", wait::SOON, || {
        (peer.transfer("download", "first")?["done_bytes"].as_u64()? > MIB).then_some(())
    });
    for name in names {
        drop(peer.begin(&["fetch", name]));
        peer.until_download(name, "queued", wait::SOON);
    }
    (peer, holder)
}

/// The names of those that are done, in the order in which that was.
fn in_order(calls: &mut Calls, count: usize) -> Vec<String> {
    wait::until("all of them to be done", 2 * wait::SOON, || {
        let mut done = calls.transfers();
        done.retain(|transfer| transfer.state == "done");
        done.sort_by(|a, b| a.entered_at.cmp(&b.entered_at));
        let names = done.into_iter().map(|transfer| transfer.name).collect::<Vec<_>>();
        (names.len() == count).then_some(names)
    })
}

#[test]
fn the_next_turn_is_the_highest_ones_and_nobodys_is_taken_away() {
    let (world, proxy) = (World::start(&[]), Proxy::start());
    let (b, _holder) = queue(&world, &proxy, &["low", "normal", "high", "later"]);
    let mut calls = Calls::of(&b);
    for (name, priority) in [("first", "low"), ("low", "low"), ("high", "high")] {
        let id = calls.transfer(name).id;
        let told = calls.set_priority(&id, priority).expect("a transfer");
        assert_eq!((told.name.as_str(), told.priority.as_str()), (name, priority));
    }
    assert_eq!(calls.transfer("normal").priority, "normal");
    proxy.gate(u64::MAX);
    let order = in_order(&mut calls, 5);
    assert_eq!(order, ["first", "high", "normal", "later", "low"]);
    let ended = calls.transfer("low").id;
    for (id, priority, kind) in [
        (ended.as_str(), "high", FailureKind::Usage),
        ("77", "high", FailureKind::NotFound),
        (ended.as_str(), "urgent", FailureKind::Usage),
    ] {
        assert_eq!(calls.set_priority(id, priority).expect_err("no").kind, kind);
    }
}

#[test]
fn a_priority_survives_a_restart() {
    let (world, proxy) = (World::start(&[]), Proxy::start());
    let (mut b, _holder) = queue(&world, &proxy, &["low", "high"]);
    let mut calls = Calls::of(&b);
    for (name, priority) in [("low", "low"), ("high", "high")] {
        let id = calls.transfer(name).id;
        calls.set_priority(&id, priority).expect("a transfer");
    }
    b.restart_after_kill();
    let mut calls = Calls::of(&b);
    for (name, priority) in [("first", "normal"), ("low", "low"), ("high", "high")] {
        assert_eq!(calls.transfer(name).priority, priority);
    }
    proxy.gate(u64::MAX);
    let order = in_order(&mut calls, 3);
    assert_eq!(order.last().map(String::as_str), Some("low"), "{order:?}");
}

#[test]
fn what_is_stored_here_already_is_whole_at_once() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let (source, _) = world.file("scan.tar", 1, 3 * MIB);
    a.upload(&source);
    a.json(&["fetch", "scan.tar"]);
    let told = a.transfer("download", "scan.tar").expect("a transfer");
    assert_eq!(
        (&told["state"], &told["done_bytes"]),
        (&"done".into(), &(3 * MIB).into()),
        "{told}"
    );
}
