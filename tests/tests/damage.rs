//! Stored bytes that rot: found, not served, and mended where another peer has them.

use std::{fs, os::unix::fs::FileExt, path::PathBuf};

use p2p_tests::{
    Peer, World,
    check::{entry, has_schema, sources},
    data,
    proxy::Proxy,
    wait,
};
use serde_json::Value;

const MIB: u64 = 1 << 20;
const SIZE: u64 = 5 * MIB + 3;

/// The stored file of this content.
fn stored(peer: &Peer, hash: &str) -> PathBuf {
    let path = peer
        .folder
        .join("state/store/content")
        .join(&hash[..2])
        .join(hash);
    assert!(path.exists(), "{path:?}");
    path
}

fn spoil(peer: &Peer, hash: &str, offset: u64) {
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(stored(peer, hash))
        .expect("the file");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("a byte");
    file.write_all_at(&[byte[0] ^ 1], offset).expect("a byte");
}

#[test]
fn sound_content_is_good() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let (source, _) = world.file("scan.tar", 1, SIZE);
    a.upload(&source);
    let verified = a.json(&["verify"]);
    has_schema(&verified, "verify");
    assert_eq!((&verified["files"], &verified["damaged"]), (&1.into(), &0.into()));
    assert_eq!(verified["bytes"], SIZE);
}

#[test]
fn damage_without_another_holder_is_10_and_is_not_served() {
    let mut world = World::start(&["a", "b"]);
    let (source, hash) = world.file("scan.tar", 2, SIZE);
    {
        let [a, b] = &world.peers[..] else { unreachable!() };
        a.upload(&source);
        spoil(a, &hash, 3 * MIB);
        let answer = a.ctl(&["verify", "scan.tar", "--json"]);
        assert_eq!(answer.code, 10, "{answer:?}");
        let status = a.json(&["status"]);
        let line = entry(&status["health"], "code", "content_damaged").expect("a health line");
        assert_eq!(
            (&line["level"], &line["fix"]),
            (&"error".into(), &"p2pctl verify".into())
        );
        assert_eq!(a.json(&["list"])["files"][0]["state"], "damaged");
        assert_eq!(b.fails(7, &["download", "scan.tar"])["kind"], "no_holder_online");
    }
    // It stays known over a restart.
    let a = &mut world.peers[0];
    a.restart_after_kill();
    assert_eq!(a.json(&["list"])["files"][0]["state"], "damaged");
    assert_eq!(a.ctl(&["verify", "--json"]).code, 10);
}

#[test]
fn damage_is_mended_from_another_holder_with_only_the_bad_bytes() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let (source, hash) = world.file("scan.tar", 3, SIZE);
    a.upload(&source);
    b.json(&["fetch", "scan.tar"]);
    spoil(a, &hash, 3 * MIB);
    let verified = a.json(&["verify", "scan.tar"]);
    assert_eq!(
        (&verified["healed"], &verified["damaged"]),
        (&1.into(), &0.into()),
        "{verified}"
    );
    assert_eq!(data::hash_of(&stored(a, &hash)), hash);
    let transfer = a.transfer("download", "scan.tar").expect("the healing");
    let gave = entry(&transfer["peers"], "peer", "b").expect("the giver")["bytes"].as_u64();
    assert!(gave.is_some_and(|bytes| bytes <= MIB), "{transfer}");
    let listed = &a.json(&["list"])["files"][0];
    assert_eq!(listed["state"], "complete");
    assert!(entry(&a.json(&["status"])["health"], "code", "content_damaged").is_none());
}

#[test]
fn a_download_of_damaged_content_delivers_no_wrong_byte() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let (source, hash) = world.file("scan.tar", 4, SIZE);
    a.upload(&source);
    spoil(a, &hash, 3 * MIB);
    // To another peer: it finds out, reports, and the bytes stay away.
    let output = world.path("out.tar");
    let answer = b.ctl(&["download", "scan.tar", "-o", output.to_str().expect("UTF-8")]);
    assert!([7, 8, 10].contains(&answer.code), "{answer:?}");
    assert!(!output.exists());
    // To a file here: the same, and then it is known.
    let answer = a.ctl(&["download", "scan.tar", "-o", output.to_str().expect("UTF-8")]);
    assert_eq!(answer.code, 10, "{answer:?}");
    assert!(!output.exists());
    wait::until("the damage to be known", wait::SOON, || {
        (a.json(&["list"])["files"][0]["state"] == "damaged").then_some(())
    });
}

#[test]
fn the_scrub_finds_damage_and_it_is_mended_without_being_asked() {
    let mut world = World::start(&["b"]);
    let scrubbed = "[store]\nreserve_free = \"1MiB\"\nscrub_rate = \"1GiB\"\nscrub_every = \"1s\"\n";
    let a = world.peer("a", scrubbed);
    a.login(&world.directory, &world.ana);
    let (source, hash) = world.file("scan.tar", 5, SIZE);
    a.upload(&source);
    world.peers[0].json(&["fetch", "scan.tar"]);
    spoil(&a, &hash, 4 * MIB);
    wait::until("the scrub to mend it", wait::SOON, || {
        let healed = a.transfer("download", "scan.tar")?;
        (healed["state"] == "done").then_some(())
    });
    assert_eq!(data::hash_of(&stored(&a, &hash)), hash);
    world.peers[0].process.kill();
    world.peers.clear();
    let done = a.json(&["download", "scan.tar"]);
    assert_eq!(sources(&done), []);
}

#[test]
fn each_of_its_publications_is_tried_until_one_has_a_holder() {
    let world = World::start(&["b"]);
    let b = &world.peers[0];
    let scrubbed = "[store]\nreserve_free = \"1MiB\"\nscrub_rate = \"1GiB\"\nscrub_every = \"1s\"\n";
    let a = world.peer("a", scrubbed);
    a.login(&world.directory, &world.ana);
    let (source, hash) = world.file("one.tar", 6, SIZE);
    let path = source.to_str().expect("UTF-8");
    for name in ["one.tar", "two.tar", "three.tar"] {
        a.json(&["upload", path, "--name", name]);
    }
    // Neither the first nor the last of them, in whatever order.
    b.json(&["fetch", "three.tar"]);
    spoil(&a, &hash, 4 * MIB);
    a.until_download("three.tar", "done", wait::SOON);
    assert_eq!(data::hash_of(&stored(&a, &hash)), hash);
    let listed = a.json(&["list"]);
    let files = listed["files"].as_array().expect("files");
    assert!(
        files.len() == 3 && files.iter().all(|file| file["state"] == "complete"),
        "{listed}"
    );
}

#[test]
fn what_is_removed_while_it_is_mended_does_not_come_back() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let proxy = Proxy::start();
    let b = world.behind(&proxy, "b");
    let (source, hash) = world.file("scan.tar", 9, SIZE);
    a.upload(&source);
    b.json(&["fetch", "scan.tar"]);
    spoil(a, &hash, 3 * MIB);
    proxy.gate(0);
    let verifying = a.begin(&["verify", "scan.tar"]);
    wait::until("the mending", wait::SOON, || a.transfer("download", "scan.tar"));
    a.json(&["rm", "scan.tar"]);
    proxy.gate(u64::MAX);
    assert_eq!(verifying.end().code, 10);
    assert_eq!(a.json(&["list"])["files"], serde_json::json!([]));
    assert_eq!(a.stored(), Vec::<std::path::PathBuf>::new());
    assert_eq!(a.transfer("download", "scan.tar").expect("it")["state"], "failed");
    assert_eq!(a.json(&["status"])["store"]["partial_files"], 0);
}

#[test]
fn what_is_removed_under_each_of_its_names_is_mended_under_none() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let proxy = Proxy::start();
    let b = world.behind(&proxy, "b");
    let (source, hash) = world.file("scan.tar", 9, SIZE);
    let names = ["scan.tar", "other.tar"];
    for name in names {
        a.json(&["upload", source.to_str().expect("a path"), "--name", name]);
        b.json(&["fetch", name]);
    }
    spoil(a, &hash, 3 * MIB);
    proxy.gate(0);
    let verifying = a.begin(&["verify", "scan.tar"]);
    let mended = wait::until("the mending", wait::SOON, || {
        names
            .into_iter()
            .find(|name| a.transfer("download", name).is_some())
    });
    // The other one first: nothing is under way for that.
    let other = names.into_iter().find(|name| *name != mended).expect("two names");
    a.json(&["rm", other]);
    a.json(&["rm", mended]);
    proxy.gate(u64::MAX);
    assert_eq!(verifying.end().code, 10);
    wait::until("all to end", wait::SOON, || {
        let all = a.json(&["transfers"]);
        let all = all["transfers"].as_array().expect("transfers").clone();
        let over = |one: &Value| one["state"] == "done" || one["state"] == "failed";
        all.iter().all(over).then_some(())
    });
    assert_eq!(a.json(&["list"])["files"], serde_json::json!([]));
    assert_eq!(a.stored(), Vec::<std::path::PathBuf>::new());
}
