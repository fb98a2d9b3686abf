//! Limits on what goes between peers, on the real programs: the one place where figures over time are asserted. The rates
//! are far below what any machine does, and what is measured is what the peers themselves report.

use std::time::Duration;

use p2p_proto::FailureKind;
use p2p_tests::{
    Peer, World,
    calls::{Calls, Sample, hold, rate, samples},
    check::sources,
    proxy::Proxy,
    wait,
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The least that a peer reports: what can be verified.
const GRAIN: u64 = 256 * KIB;

/// Verified bytes of this download; none before it is there.
fn done(calls: &mut Calls, name: &str) -> u64 {
    let all = calls.transfers();
    let found = all.iter().rev().find(|transfer| transfer.name == name);
    found.map_or(0, |transfer| transfer.done_bytes)
}

/// Peers that are logged in, the holder of these files first. Files are as long as they are many MiB.
fn world(peers: &[&str], files: &[(&str, u64)]) -> World {
    let world = World::start(peers);
    for (seed, (name, size)) in (1..).zip(files) {
        let (source, _) = world.file(name, seed, *size);
        world.peers[0].upload(&source);
    }
    world
}

fn ends(peer: &Peer, name: &str) {
    peer.until_download(name, "done", 2 * wait::SOON);
}

#[test]
fn an_upload_limit_holds_for_several_readers_and_files_and_changes_at_once() {
    let files = [("one", 96 * MIB), ("two", 96 * MIB), ("three", 96 * MIB)];
    let world = world(&["a", "b", "c"], &files);
    let [a, b, c] = &world.peers[..] else {
        unreachable!()
    };
    let mut of_a = Calls::of(a);
    let (mut of_b, mut of_c) = (Calls::of(b), Calls::of(c));
    of_a.limit(rate(Some(4 * MIB)), None, "").expect("a limit");
    let running = [
        b.begin(&["fetch", "one"]),
        b.begin(&["fetch", "two"]),
        c.begin(&["fetch", "three"]),
    ];
    let mut shares = || {
        [
            done(&mut of_b, "one"),
            done(&mut of_b, "two"),
            done(&mut of_c, "three"),
        ]
    };
    let mut all = || shares().iter().sum::<u64>();
    let begun = Sample::take(&mut all);
    wait::until("the first byte", wait::SOON, || (all() > 0).then_some(()));
    let four = samples(Duration::from_secs(9), &mut all);
    hold(&four, 4 * MIB, GRAIN, 10);
    // Nothing was saved up before the first byte, either.
    let last = four.last().expect("samples");
    let most = last.since(&begun).as_secs_f64() + 1.0;
    assert!((last.bytes() as f64) < most * 4.2 * MIB as f64);

    // Who waits under the old rate goes on under the new one.
    of_a.limit(rate(Some(10 * MIB)), None, "").expect("a limit");
    hold(
        &samples(Duration::from_secs(7), &mut all),
        10 * MIB,
        2 * GRAIN,
        10,
    );
    of_a.limit(rate(Some(2 * MIB)), None, "").expect("a limit");
    hold(
        &samples(Duration::from_secs(7), &mut all)[20..],
        2 * MIB,
        2 * GRAIN,
        5,
    );
    let [one, two, three] = shares().map(|bytes| bytes as f64);
    for (x, y) in [(one, two), (two, three), (three, one)] {
        assert!((x / y) > 0.8 && (x / y) < 1.25, "not alike: {one} {two} {three}");
    }
    of_a.limit(rate(None), None, "").expect("no limit");
    for running in running {
        assert_eq!(running.end().code, 0);
    }
}

#[test]
fn a_download_limit_holds_for_several_sources_and_blames_none_of_them() {
    let world = world(&["a", "c", "b"], &[("scan", 64 * MIB)]);
    let [_, c, b] = &world.peers[..] else {
        unreachable!()
    };
    c.json(&["fetch", "scan"]);
    let mut calls = Calls::of(b);
    calls.limit(None, rate(Some(4 * MIB)), "").expect("a limit");
    let running = b.begin(&["fetch", "scan"]);
    wait::until("the first byte", wait::SOON, || {
        (done(&mut calls, "scan") > 0).then_some(())
    });
    let seen = samples(Duration::from_secs(9), || {
        let transfer = calls.transfer("scan");
        assert!(
            transfer.peers.iter().all(|peer| peer.silent_since.is_empty()),
            "{transfer:?}"
        );
        assert_eq!(transfer.state, "transferring", "{transfer:?}");
        transfer.done_bytes
    });
    hold(&seen, 4 * MIB, GRAIN, 10);
    calls.limit(None, rate(None), "").expect("no limit");
    let fetched = running.end();
    assert_eq!(fetched.code, 0, "{fetched:?}");
    assert_eq!(sources(&fetched.json()).len(), 2, "{fetched:?}");
    assert_eq!(b.process.said("has owed") + b.process.said("sends n"), 0);
}

#[test]
fn a_transfers_own_limit_holds_it_alone_and_survives_a_restart() {
    let mut world = world(&["a", "b"], &[("slow", 64 * MIB), ("free", 64 * MIB)]);
    let b = &world.peers[1];
    let mut calls = Calls::of(b);
    calls.limit(None, rate(Some(MIB)), "").expect("a limit");
    let slow = b.begin(&["fetch", "slow"]);
    wait::until("the transfer", wait::SOON, || {
        (done(&mut calls, "slow") > 0).then_some(())
    });
    let id = calls.transfer("slow").id;
    let set = calls.limit(None, rate(Some(4 * MIB)), &id).expect("a limit");
    assert_eq!((set.upload, set.download), (rate(None), rate(Some(4 * MIB))));
    // The lower one of both counts; then the transfer's own.
    calls.limit(None, rate(None), "").expect("no limit");
    let free = b.begin(&["fetch", "free"]);
    assert_eq!(free.end().code, 0);
    let seen = samples(Duration::from_secs(7), || done(&mut calls, "slow"));
    hold(&seen, 4 * MIB, GRAIN, 10);
    assert_eq!(calls.transfer("slow").limit, Some(4 * MIB));
    assert_eq!(calls.transfer("free").limit, None);
    calls
        .limit(rate(Some(7 * MIB)), rate(Some(9 * MIB)), "")
        .expect("limits");
    drop(slow);
    world.peers[1].restart_after_kill();
    let b = &world.peers[1];
    let mut calls = Calls::of(b);
    assert_eq!(calls.transfer("slow").limit, Some(4 * MIB));
    let kept = calls.limit(None, None, "").expect("limits");
    assert_eq!(
        (kept.upload, kept.download),
        (rate(Some(7 * MIB)), rate(Some(9 * MIB)))
    );
    calls.limit(rate(None), rate(None), "").expect("no limits");
    calls.limit(None, rate(None), &id).expect("no limit");
    ends(b, "slow");
    assert_eq!(
        calls
            .limit(None, rate(Some(MIB)), &id)
            .expect_err("it has ended")
            .kind,
        FailureKind::Usage
    );
}

#[test]
fn a_copys_own_limit_holds_what_is_sent_for_it() {
    let world = world(&["a", "b"], &[("scan", 64 * MIB)]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let (mut of_a, mut of_b) = (Calls::of(a), Calls::of(b));
    of_a.limit(rate(Some(MIB)), None, "").expect("a limit");
    let placing = a.begin(&["replicate", "scan", "--to", "b"]);
    wait::until("the first byte", wait::SOON, || {
        (done(&mut of_b, "scan") > 0).then_some(())
    });
    let copy = of_a
        .transfers()
        .into_iter()
        .find(|transfer| transfer.direction == "replicate");
    let id = copy.expect("the copy").id;
    let wrong = of_a
        .limit(None, rate(Some(MIB)), &id)
        .expect_err("it comes from nowhere");
    assert_eq!(wrong.kind, FailureKind::Usage);
    of_a.limit(rate(Some(4 * MIB)), None, &id).expect("a limit");
    of_a.limit(rate(None), None, "").expect("no limit");
    let seen = samples(Duration::from_secs(7), || done(&mut of_b, "scan"));
    hold(&seen[20..], 4 * MIB, 2 * GRAIN, 10);
    of_a.limit(rate(None), None, &id).expect("no limit");
    assert_eq!(placing.end().code, 0);
}

#[test]
fn a_very_low_limit_of_who_fetches_is_no_fault_of_who_gives() {
    // A group takes longer than a silence that is told of.
    let world = world(&["a", "b"], &[("scan", 3 * MIB)]);
    let b = &world.peers[1];
    let mut calls = Calls::of(b);
    calls.limit(None, rate(Some(16 * KIB)), "").expect("a limit");
    let running = b.begin(&["fetch", "scan"]);
    until_more_than(&mut calls, 2 * GRAIN, 5 * wait::SOON);
    calls.limit(None, rate(None), "").expect("no limit");
    assert_eq!(running.end().code, 0);
    assert_eq!(b.process.said("has owed") + b.process.said("sends n"), 0);
}

#[test]
fn a_low_limit_of_who_fetches_is_even_on_its_way() {
    let world = World::start(&["b"]);
    let proxy = Proxy::start();
    let holder = world.behind(&proxy, "holder");
    holder.upload(&world.file("scan", 1, 8 * MIB).0);
    let b = &world.peers[0];
    let mut calls = Calls::of(b);
    calls.limit(None, rate(Some(256 * KIB)), "").expect("a limit");
    let running = b.begin(&["fetch", "scan"]);
    wait::until("the first group", wait::SOON, || {
        (done(&mut calls, "scan") >= GRAIN).then_some(())
    });
    // Not what can be verified, but what passes.
    let seen = samples(Duration::from_secs(7), || proxy.passed());
    hold(&seen, 256 * KIB, 64 * KIB, 10);
    calls.limit(None, rate(None), "").expect("no limit");
    assert_eq!(running.end().code, 0);
}

#[test]
fn holders_with_a_very_low_limit_are_better_than_none() {
    let world = world(&["a", "b", "c"], &[("scan", 3 * MIB)]);
    let [a, b, c] = &world.peers[..] else {
        unreachable!()
    };
    c.json(&["fetch", "scan"]);
    let holders = [a, c].map(|holder| {
        let mut holder = Calls::of(holder);
        holder.limit(rate(Some(16 * KIB)), None, "").expect("a limit");
        holder
    });
    let mut calls = Calls::of(b);
    let running = b.begin(&["fetch", "scan"]);
    until_more_than(&mut calls, GRAIN, 5 * wait::SOON);
    for mut holder in holders {
        holder.limit(rate(None), None, "").expect("no limit");
    }
    let fetched = running.end();
    assert_eq!(fetched.code, 0, "{fetched:?}");
    assert_eq!(sources(&fetched.json()).len(), 2, "{fetched:?}");
}

/// Until so much of the file has come, which it does without a pause.
fn until_more_than(calls: &mut Calls, bytes: u64, limit: Duration) {
    wait::until("the bytes", limit, || {
        let transfer = calls
            .transfers()
            .into_iter()
            .find(|transfer| transfer.name == "scan")?;
        if transfer.state != "locating" && transfer.state != "connecting" {
            assert_eq!(transfer.state, "transferring", "{transfer:?}");
        }
        (transfer.done_bytes > bytes).then_some(())
    });
}

#[test]
fn what_is_no_limit_is_refused_and_a_limit_is_a_health_line() {
    let world = world(&["a"], &[("scan", MIB)]);
    let a = &world.peers[0];
    let mut calls = Calls::of(a);
    for wrong in [0, 1, 16 * KIB - 1] {
        let refused = calls.limit(rate(Some(wrong)), None, "").expect_err("too little");
        assert_eq!(refused.kind, FailureKind::Usage);
    }
    assert_eq!(
        calls
            .limit(rate(Some(MIB)), None, "77")
            .expect_err("nothing")
            .kind,
        FailureKind::NotFound
    );
    let import = a.transfer("upload", "scan").expect("the import");
    let import = import["id"].as_str().expect("its number");
    let ended = calls
        .limit(rate(Some(MIB)), None, import)
        .expect_err("it has ended");
    assert_eq!(ended.kind, FailureKind::Usage);
    assert_eq!(calls.health("limits_in_force"), []);
    calls
        .limit(rate(Some(20 * MIB)), rate(Some(512 * KIB)), "")
        .expect("limits");
    let line = calls.health("limits_in_force").remove(0);
    assert_eq!(line.level, "info");
    assert_eq!(line.message, "limits: up 20.0 MiB/s, down 512 KiB/s");
    assert_eq!(line.fix, "p2pctl limit --up unlimited --down unlimited");
}
