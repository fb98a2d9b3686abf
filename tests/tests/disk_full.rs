//! A disk that gets full while work is on its way, and has room again: nothing false is left, what came is not fetched
//! again, and the person hears that it is the disk.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use p2p_tests::{Peer, World, check::entry, data, machine::SmallDisk, proxy::Proxy, wait};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 24 * MIB + 5;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// A peer that keeps its state on a small disk.
fn on_small_disk(world: &World, name: &str) -> Option<(SmallDisk, Peer)> {
    let disk = SmallDisk::mount(&world.path(name).join("state"), 48 * MIB)?;
    let peer = world.peer(name, "");
    peer.login(&world.directory, &world.ana);
    Some((disk, peer))
}

/// The line in `status` is there, or is not.
fn says_full(peer: &Peer) -> bool {
    let status = peer.json(&["status"]);
    let line = entry(&status["health"], "code", "disk_full");
    assert!(
        line.is_none_or(|line| line["fix"] == "p2pctl rm FILE"),
        "{line:?}"
    );
    line.is_some()
}

#[test]
fn a_download_that_the_disk_cut_goes_on_from_where_it_was() {
    let world = World::start(&[]);
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    let Some((disk, b)) = on_small_disk(&world, "b") else {
        return;
    };
    let (source, hash) = world.file("scan.tar", 1, SIZE);
    a.upload(&source);
    let output = world.path("out.tar");
    let download = ["download", "scan.tar", "-o", text(&output)];
    proxy.gate(14 * MIB);
    let waiting = b.begin(&download);
    wait::until("the middle, durable", wait::SOON, || {
        let transfer = b.transfer("download", "scan.tar")?;
        let partial = b.json(&["status"])["store"]["partial_files"] == 1;
        (partial && transfer["done_bytes"].as_u64()? >= 12 * MIB).then_some(())
    });
    disk.fill();
    assert!(says_full(&b));
    proxy.gate(u64::MAX);
    let answer = waiting.end();
    assert_eq!(
        (answer.code, &answer.json()["kind"]),
        (9, &"disk_full".into()),
        "{answer:?}"
    );
    assert!(!output.exists());
    assert!(b.json(&["list"])["files"].as_array().is_some_and(Vec::is_empty));
    let before = proxy.passed();
    disk.empty();
    let done = b.json(&download);
    assert_eq!(done["hash"], hash);
    assert!(done["resumed_bytes"].as_u64() >= Some(8 * MIB), "{done}");
    let again = proxy.passed() - before;
    assert!(again <= SIZE - 8 * MIB + 2 * MIB, "{again} bytes came again");
    assert_eq!(data::hash_of(&output), hash);
    assert!(!says_full(&b));
    assert_eq!(b.json(&["verify"])["damaged"], 0);
}

#[test]
fn a_full_disk_takes_no_import_and_publishes_nothing_and_then_it_does() {
    let world = World::start(&["a"]);
    let Some((disk, b)) = on_small_disk(&world, "b") else {
        return;
    };
    let (source, hash) = world.file("scan.tar", 2, SIZE);
    let before = (b.stored(), b.json(&["list"])["files"].clone());
    disk.fill();
    let said = b.says_last(9, &["upload", text(&source)]);
    assert!(said.starts_with("p2pctl: scan.tar needs 24.0 MiB in "), "{said}");
    // A pipe does not say how long it is: it is cut where the disk ends.
    let piped = b.ctl_with(
        &["upload", "-", "--name", "pipe", "--json"],
        &data::bytes(3, 2 << 20),
    );
    assert_eq!(
        (piped.code, &piped.json()["kind"]),
        (9, &"disk_full".into()),
        "{piped:?}"
    );
    assert_eq!((b.stored(), b.json(&["list"])["files"].clone()), before);
    assert_eq!(world.peers[0].json(&["search"])["total"], 0);
    disk.empty();
    assert_eq!(b.upload(&source)["hash"], hash);
    assert_eq!(world.peers[0].json(&["fetch", "scan.tar"])["hash"], hash);
}

#[test]
fn a_pipe_that_the_disk_cuts_in_the_middle_leaves_nothing() {
    let world = World::start(&["a"]);
    let Some((disk, b)) = on_small_disk(&world, "b") else {
        return;
    };
    let content = data::bytes(4, SIZE as usize);
    let before: Vec<PathBuf> = b.stored();
    let mut upload = b
        .command(&["upload", "-", "--name", "pipe", "--json"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("p2pctl");
    let mut pipe = upload.stdin.take().expect("a pipe");
    pipe.write_all(&content[..12 << 20]).expect("a reader");
    wait::until("half of it", wait::SOON, || {
        let transfer = b.transfer("upload", "pipe")?;
        (transfer["done_bytes"].as_u64()? >= 10 * MIB).then_some(())
    });
    disk.fill();
    // It does not read to the end.
    let _ = pipe.write_all(&content[12 << 20..]);
    drop(pipe);
    let output = upload.wait_with_output().expect("p2pctl");
    assert_eq!(output.status.code(), Some(9), "{output:?}");
    assert_eq!(world.peers[0].json(&["search"])["total"], 0);
    wait::until("the half to go", wait::SOON, || {
        (b.stored() == before).then_some(())
    });
    disk.empty();
    let done = b.ctl_with(&["upload", "-", "--name", "pipe", "--json"], &content);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(
        done.json()["files"][0]["hash"],
        blake3::hash(&content).to_string()
    );
}
