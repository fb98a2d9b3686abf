//! Transfers that are cut, and go on: by a kill, a pause, a silent or vanished holder, a directory that is away.

use std::{path::Path, time::Duration};

use jiff::{SignedDuration, Timestamp};
use p2p_tests::{
    Peer, World,
    check::{entry, sources, until_online},
    data,
    meddler::Meddler,
    proxy::Proxy,
    wait,
};
use rustix::process::Signal;

const MIB: u64 = 1 << 20;

/// More than a checkpoint, and more again.
const LARGE: u64 = 160 * MIB + 7;

/// A silent holder is named within this.
const NAMED: Duration = Duration::from_secs(30);

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn done_bytes(peer: &Peer, name: &str) -> u64 {
    let transfer = peer.transfer("download", name);
    transfer.map_or(0, |transfer| transfer["done_bytes"].as_u64().unwrap_or(0))
}

fn until_done_bytes(peer: &Peer, name: &str, bytes: u64) {
    wait::until("so many bytes", wait::SOON, || {
        (done_bytes(peer, name) >= bytes).then_some(())
    });
}

fn state(peer: &Peer, name: &str) -> (String, String) {
    let transfer = peer.transfer("download", name).expect("a transfer");
    let word = |field: &str| transfer[field].as_str().unwrap_or_default().to_owned();
    (word("state"), word("reason"))
}

#[test]
fn after_a_kill_it_goes_on_by_itself_from_the_checkpoint() {
    let mut world = World::start(&["b"]);
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    let (source, hash) = world.file("scan.tar", 1, LARGE);
    a.upload(&source);
    let output = world.path("out.tar");
    let b = &mut world.peers[0];
    proxy.gate(140 * MIB);
    let waiting = b.begin(&["download", "scan.tar", "-o", text(&output)]);
    until_done_bytes(b, "scan.tar", 130 * MIB);
    wait::until("a checkpoint", wait::SOON, || {
        let status = b.json(&["status"]);
        (status["store"]["partial_files"] == 1).then_some(())
    });
    b.process.kill();
    assert_eq!(waiting.end().code, 3);
    assert!(!output.exists());
    let before = proxy.passed();
    proxy.gate(u64::MAX);
    b.restart();
    let ended = b.json(&["wait", "1"]);
    assert_eq!(ended["state"], "done", "{ended}");
    let again = proxy.passed() - before;
    assert!(again <= LARGE - 64 * MIB + 4 * MIB, "{again} bytes came again");
    let done = b.json(&["download", "scan.tar", "-o", text(&output)]);
    assert_eq!(done["hash"], hash);
    assert_eq!(data::hash_of(&output), hash);
    assert_eq!(b.json(&["status"])["store"]["partial_files"], 0);
}

/// Bytes that it has read so far, of whatever.
fn read_bytes(peer: &Peer) -> u64 {
    let path = format!("/proc/{}/io", peer.process.id());
    let counters = std::fs::read_to_string(path).unwrap_or_default();
    let line = counters.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

#[test]
fn an_upload_that_was_killed_reads_only_the_rest_again() {
    const SIZE: u64 = 240 * MIB + 7;
    let mut world = World::start(&["a"]);
    let (source, hash) = world.file("scan.tar", 10, SIZE);
    let a = &mut world.peers[0];
    let before = read_bytes(a);
    let uploading = a.begin(&["upload", text(&source)]);
    // The second checkpoint begins before this, and only after the first one.
    let middle = || (read_bytes(a) - before >= 140 * MIB).then_some(());
    wait::closely(wait::SOON, middle).expect("the middle of the import");
    a.process.kill();
    assert_eq!(uploading.end().code, 3);
    a.restart();
    assert_eq!(a.json(&["search"])["total"], 0);
    let before = read_bytes(a);
    assert_eq!(a.upload(&source)["hash"], hash);
    let again = read_bytes(a) - before;
    assert!(
        again <= SIZE - 64 * MIB + 8 * MIB,
        "{again} bytes were read again"
    );
    assert_eq!(a.json(&["verify"])["damaged"], 0);
}

#[test]
fn a_clean_stop_loses_no_byte() {
    let mut world = World::start(&["b"]);
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    let size = 24 * MIB;
    let (source, hash) = world.file("scan.tar", 2, size);
    a.upload(&source);
    let b = &mut world.peers[0];
    proxy.gate(16 * MIB);
    let waiting = b.begin(&["fetch", "scan.tar"]);
    until_done_bytes(b, "scan.tar", 12 * MIB);
    assert_eq!(b.process.stop(), Some(0));
    assert_ne!(waiting.end().code, 0);
    let before = proxy.passed();
    proxy.gate(u64::MAX);
    b.restart();
    let done = b.json(&["fetch", "scan.tar"]);
    assert_eq!(done["hash"], hash);
    assert!(done["resumed_bytes"].as_u64() >= Some(12 * MIB), "{done}");
    assert!(proxy.passed() - before < 13 * MIB);
}

#[test]
fn a_paused_one_stands_still_also_over_a_restart() {
    let mut world = World::start(&["b"]);
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    let (source, hash) = world.file("scan.tar", 3, 24 * MIB);
    a.upload(&source);
    let b = &mut world.peers[0];
    proxy.gate(8 * MIB);
    let waiting = b.begin(&["fetch", "scan.tar"]);
    until_done_bytes(b, "scan.tar", 4 * MIB);
    let paused = b.json(&["pause", "1"]);
    assert_eq!(paused["state"], "paused", "{paused}");
    proxy.gate(u64::MAX);
    b.restart_after_kill();
    assert_eq!(waiting.end().code, 3);
    let (state_now, reason) = state(b, "scan.tar");
    assert_eq!(state_now, "paused");
    assert!(reason.contains("p2pctl resume 1"), "{reason}");
    b.json(&["resume", "1"]);
    let ended = b.json(&["wait", "1"]);
    assert_eq!((&ended["state"], &ended["hash"]), (&"done".into(), &hash.into()));
    assert_eq!(b.fails(2, &["pause", "1"])["kind"], "usage");
    assert_eq!(b.fails(6, &["wait", "99"])["message"], "no transfer 99");
}

#[test]
fn a_cancelled_one_leaves_nothing_and_its_reason() {
    let world = World::start(&["b"]);
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    let (source, _) = world.file("scan.tar", 4, 24 * MIB);
    a.upload(&source);
    let b = &world.peers[0];
    proxy.gate(8 * MIB);
    let waiting = b.begin(&["download", "scan.tar"]);
    until_done_bytes(b, "scan.tar", 4 * MIB);
    let cancelled = b.json(&["cancel", "1"]);
    assert_eq!(cancelled["state"], "failed", "{cancelled}");
    assert_ne!(waiting.end().code, 0);
    assert_eq!(state(b, "scan.tar"), ("failed".into(), "cancelled".into()));
    assert_eq!(b.stored(), Vec::<std::path::PathBuf>::new());
    assert!(!b.folder.join("scan.tar").exists());
    assert_eq!(b.json(&["status"])["store"]["partial_files"], 0);
}

#[test]
fn a_stopped_sender_is_named_and_when_it_goes_on_so_does_the_transfer() {
    let world = World::start(&["b"]);
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    let (source, hash) = world.file("scan.tar", 5, 24 * MIB);
    a.upload(&source);
    let b = &world.peers[0];
    proxy.gate(8 * MIB);
    let begun = Timestamp::now();
    let waiting = b.begin(&["download", "scan.tar"]);
    until_done_bytes(b, "scan.tar", 4 * MIB);
    a.process.signal(Signal::STOP);
    proxy.gate(u64::MAX);
    let told = b.until_download("scan.tar", "waiting", NAMED);
    let reason = told["reason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("a sends nothing since "), "{reason}");
    let silent = entry(&told["peers"], "peer", "a").expect("the sender");
    // Since it was asked in this transfer, and told of in time.
    let (since, entered) = (time(&silent["silent_since"]), time(&told["entered_at"]));
    assert!(begun <= since && since < entered, "{begun}: {told}");
    let promised = SignedDuration::try_from(NAMED).expect("half a minute");
    assert!(entered.duration_since(since) <= promised, "{told}");
    wait::until("a line in status", NAMED, || {
        let status = b.json(&["status"]);
        let line = entry(&status["health"], "code", "transfer_stalled")?.clone();
        let message = line["message"].as_str()?.to_owned();
        message
            .starts_with("scan.tar waits: a sends nothing since ")
            .then_some(())
    });
    a.process.signal(Signal::CONT);
    let answer = waiting.end();
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(answer.json()["hash"], hash);
}

fn time(value: &serde_json::Value) -> Timestamp {
    let text = value.as_str().expect("a time");
    text.parse().expect("a time")
}

/// What is told of a transfer that nothing has come for: `transferring` never, and a reason as soon as there is one.
fn is_told_truly(peer: &Peer) -> (String, Timestamp) {
    let transfer = peer.transfer("download", "scan.tar").expect("a transfer");
    let state = transfer["state"].as_str().unwrap_or_default().to_owned();
    assert!(
        ["queued", "locating", "connecting", "waiting"].contains(&state.as_str()),
        "{transfer}"
    );
    if state == "waiting" {
        let reason = transfer["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("a does not answer"), "{transfer}");
    }
    (state, time(&transfer["entered_at"]))
}

#[test]
fn a_holder_whose_port_swallows_everything_is_named_and_never_transferring() {
    let world = World::start(&["b"]);
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    // One group: there is no layer to ask for first.
    let (source, hash) = world.file("scan.tar", 11, 200 << 10);
    a.upload(&source);
    let b = &world.peers[0];
    proxy.gate(0);
    let download = b.begin(&["download", "scan.tar", "--wait"]);
    wait::until("the transfer", wait::SOON, || {
        b.transfer("download", "scan.tar").map(|_| ())
    });
    let stalled = || {
        let status = b.json(&["status"]);
        entry(&status["health"], "code", "transfer_stalled").cloned()
    };
    let line = wait::until("a line in status", 2 * NAMED, || {
        is_told_truly(b);
        stalled()
    });
    let message = line["message"].as_str().unwrap_or_default();
    assert!(message.contains("a does not answer"), "{line}");
    assert_eq!(line["fix"], "p2pctl transfers");
    // It is tried again and again, and has been waiting since then all the same.
    let (state, since) = is_told_truly(b);
    assert_eq!(state, "waiting");
    let tries = || b.process.said("a does not answer");
    let before = tries();
    wait::until("more tries", 2 * NAMED, || {
        assert_eq!(is_told_truly(b), (state.clone(), since));
        assert!(stalled().is_some());
        (tries() >= before + 4).then_some(())
    });
    proxy.gate(u64::MAX);
    let answer = download.end();
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(answer.json()["hash"], hash);
}

#[test]
fn when_the_only_holder_comes_back_it_goes_on() {
    let world = World::start(&["b"]);
    let proxy = Proxy::start();
    let mut a = world.behind(&proxy, "a");
    let (source, hash) = world.file("scan.tar", 6, 24 * MIB);
    a.upload(&source);
    let b = &world.peers[0];
    proxy.gate(8 * MIB);
    let waiting = b.begin(&["download", "scan.tar"]);
    until_done_bytes(b, "scan.tar", 4 * MIB);
    a.process.kill();
    proxy.cut();
    proxy.gate(u64::MAX);
    let told = b.until_download("scan.tar", "waiting", NAMED);
    let reason = told["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("a "), "{reason}");
    a.restart();
    let answer = waiting.end();
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(answer.json()["hash"], hash);
}

#[test]
fn a_download_outlives_the_directory_and_a_new_one_finds_the_holder_it_knew() {
    let mut world = World::start(&["b"]);
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    let (source, hash) = world.file("scan.tar", 7, 24 * MIB);
    let (other, other_hash) = world.file("other.tar", 8, 3 * MIB);
    a.upload(&source);
    a.upload(&other);
    // Known from before, and not kept.
    let piped = world.peers[0].ctl(&["download", "other.tar", "-o", "-", "--no-keep"]);
    assert_eq!(piped.code, 0);
    proxy.gate(14 * MIB);
    let waiting = world.peers[0].begin(&["download", "scan.tar"]);
    until_done_bytes(&world.peers[0], "scan.tar", 12 * MIB);
    world.directory.process.kill();
    proxy.gate(u64::MAX);
    let answer = waiting.end();
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(answer.json()["hash"], hash);
    let b = &world.peers[0];
    for peer in [&a, b] {
        wait::until("the line about the directory", wait::SOON, || {
            let status = peer.json(&["status"]);
            let line = entry(&status["health"], "code", "directory_away")?.clone();
            line["message"]
                .as_str()?
                .contains("certificate lasts")
                .then_some(())
        });
    }
    let done = b.json(&["download", "ana/other.tar"]);
    assert_eq!(done["hash"], other_hash);
    assert_eq!(sources(&done), [("a".to_owned(), 3 * MIB)]);
    assert_eq!(b.fails(8, &["download", "never-seen.tar"])["kind"], "unreachable");
    // It comes back, and hears by itself what b holds now.
    world.directory.restart();
    until_online(&a, "b", true);
    for name in ["scan.tar", "other.tar"] {
        wait::until("the index to heal", wait::SOON, || {
            let info = a.json(&["info", name]);
            let b = entry(&info["holders"], "peer", "b")?.clone();
            (b["online"] == true && b["complete"] == true).then_some(())
        });
    }
}

#[test]
fn a_logged_out_daemons_transfers_wait() {
    let world = World::start(&["b"]);
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    let (source, hash) = world.file("scan.tar", 9, 24 * MIB);
    a.upload(&source);
    let b = &world.peers[0];
    proxy.gate(8 * MIB);
    let waiting = b.begin(&["download", "scan.tar"]);
    until_done_bytes(b, "scan.tar", 4 * MIB);
    b.json(&["logout"]);
    b.until_download("scan.tar", "waiting", wait::SOON);
    assert_eq!(state(b, "scan.tar"), ("waiting".into(), "not logged in".into()));
    proxy.gate(u64::MAX);
    b.login(&world.directory, &world.ana);
    let answer = waiting.end();
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(answer.json()["hash"], hash);
}

#[test]
fn a_directory_that_fails_is_waited_for() {
    let world = World::start(&["a"]);
    let (source, _) = world.file("scan.tar", 11, MIB);
    world.peers[0].upload(&source);
    // Of the same length, and still JSON: what the directory does not find it failed to look for.
    let (said, told) = ("urn:p2p:problem:not-found\"", "urn:p2p:problem:internal\" ");
    let meddler = Meddler::start(&world.directory, said, told);
    let b = world.peer("b", "");
    let login = b.try_login(&meddler.url(), &world.directory.fingerprint, &world.ana);
    assert_eq!(login.code, 0, "{login:?}");
    world.peers[0].json(&["logout"]);
    let waiting = b.begin(&["download", "scan.tar", "--wait"]);
    b.until_download("scan.tar", "waiting", wait::SOON);
    world.peers[0].login(&world.directory, &world.ana);
    world.peers[0].json(&["rm", "scan.tar", "--unpublish"]);
    wait::until("a reason, or an end", wait::SOON, || {
        let (state, reason) = state(&b, "scan.tar");
        assert_eq!(state, "waiting", "{reason}");
        reason.contains("127.0.0.1: ").then_some(())
    });
    b.json(&["cancel", "1"]);
    assert_ne!(waiting.end().code, 0);
    // Nobody asked this one to wait.
    assert_eq!(b.fails(1, &["download", "scan.tar"])["kind"], "internal");
}

#[test]
fn restored_ones_wait_for_a_login_when_their_session_ended_meanwhile() {
    let mut world = World::start(&["b"]);
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    let (source, hash) = world.file("scan.tar", 12, 24 * MIB);
    a.upload(&source);
    let eve = world.directory.add_user("eve");
    let c = world.peer("c", "");
    c.login(&world.directory, &eve);
    world.peers.push(c);
    let c = &mut world.peers[1];
    proxy.gate(8 * MIB);
    let waiting = c.begin(&["fetch", "scan.tar"]);
    until_done_bytes(c, "scan.tar", 4 * MIB);
    c.process.kill();
    assert_eq!(waiting.end().code, 3);
    proxy.gate(u64::MAX);
    for what in ["disable", "enable"] {
        world.directory.command(&["admin", "user", what, "eve"], None);
    }
    c.restart();
    wait::until("the session to end", wait::SOON, || {
        (c.ctl(&["whoami"]).code == 4).then_some(())
    });
    let (state_now, reason) = state(c, "scan.tar");
    assert_eq!(state_now, "waiting", "{reason}");
    assert!(reason.starts_with("not logged in"), "{reason}");
    c.login(&world.directory, &eve);
    let ended = c.json(&["wait", "1"]);
    assert_eq!((&ended["state"], &ended["hash"]), (&"done".into(), &hash.into()));
}

#[test]
fn what_has_ended_is_told_as_it_was_after_a_kill() {
    let mut world = World::start(&["a", "b"]);
    let (source, _) = world.file("scan.tar", 13, MIB);
    let (other, _) = world.file("other.tar", 14, MIB);
    let [a, b] = &mut world.peers[..] else {
        unreachable!()
    };
    a.upload(&source);
    b.json(&["fetch", "scan.tar"]);
    a.upload(&other);
    a.process.kill();
    until_online(b, "a", false);
    let failed = b.fails(7, &["download", "other.tar"]);
    assert_eq!(failed["kind"], "no_holder_online");
    let told = |peer: &Peer| {
        ["scan.tar", "other.tar"].map(|name| {
            let transfer = peer.transfer("download", name).expect("a transfer");
            let fields = [
                "id",
                "state",
                "reason",
                "entered_at",
                "started_at",
                "done_bytes",
                "error",
            ];
            fields.map(|field| transfer[field].clone())
        })
    };
    // What is told is written a moment later.
    let kept = wait::until("both to be kept", wait::SOON, || {
        let before = told(b);
        b.restart_after_kill();
        (told(b) == before).then_some(before)
    });
    let [done, failed] = kept;
    assert_eq!((&done[1], &failed[1]), (&"done".into(), &"failed".into()));
    let reason = failed[2].as_str().unwrap_or_default();
    assert!(
        reason.starts_with("other.tar: 0 of 1 holders online"),
        "{failed:?}"
    );
    p2p_tests::check::is_time(&done[3]);
    p2p_tests::check::is_time(&failed[3]);
}
