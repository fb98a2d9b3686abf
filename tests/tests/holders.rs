//! Who holds a file: how a peer becomes a holder, how it ends to be one, and what survives a restart.

use p2p_tests::{
    Peer, World,
    check::{entry, has_schema, sources},
    data,
};
use serde_json::json;

const SIZE: u64 = 5 * (1 << 20) + 3;

/// The names of the holders that are online, as this peer is told.
fn online_holders(asked: &Peer, reference: &str) -> Vec<String> {
    let info = asked.json(&["info", reference]);
    let mut names: Vec<String> = info["holders"]
        .as_array()
        .expect("holders")
        .iter()
        .filter(|holder| holder["online"] == true && holder["complete"] == true)
        .map(|holder| holder["peer"].as_str().expect("a name").to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_download_makes_a_holder_so_that_the_uploader_may_go() {
    let mut world = World::start(&["a", "b", "c"]);
    let (source, hash) = world.file("scan.tar", 1, SIZE);
    let [a, b, c] = &mut world.peers[..] else {
        unreachable!()
    };
    a.upload(&source);
    b.json(&["download", "scan.tar"]);
    assert_eq!(online_holders(c, "scan.tar"), ["a", "b"]);
    assert_eq!(a.process.stop(), Some(0));
    assert_eq!(online_holders(c, "scan.tar"), ["b"]);
    let done = c.json(&["download", "scan.tar"]);
    assert_eq!(sources(&done), [("b".to_owned(), SIZE)]);
    assert_eq!(data::hash_of(&c.folder.join("scan.tar")), hash);
}

#[test]
fn a_fetch_makes_a_holder() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let (source, hash) = world.file("scan.tar", 1, SIZE);
    a.upload(&source);
    let done = b.json(&["fetch", "scan.tar"]);
    has_schema(&done, "fetch");
    assert!(done["path"].is_null());
    assert!(!b.folder.join("scan.tar").exists());
    assert_eq!(online_holders(a, "scan.tar"), ["a", "b"]);
    let held = &b.json(&["list"])["files"][0];
    assert_eq!((&held["hash"], &held["owner"]), (&json!(hash), &json!("ana")));
    assert_eq!(
        (&held["state"], &held["size"]),
        (&json!("complete"), &json!(SIZE))
    );
    assert_eq!(held["copies_known"], 2);
    let table = a.ctl(&["list"]).text();
    let columns: Vec<&str> = table
        .lines()
        .nth(1)
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    assert_eq!(columns[columns.len() - 2..], ["2", "complete"], "{table}");
    let hit = &a.json(&["search"])["files"][0];
    assert_eq!(
        (&hit["holders_online"], &hit["holders_total"]),
        (&json!(2), &json!(2))
    );
}

#[test]
fn rm_drops_a_copy_and_the_last_one_only_by_force() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let (source, _) = world.file("scan.tar", 1, SIZE);
    a.upload(&source);
    assert_eq!(
        a.says(5, &["rm", "scan.tar"]),
        "p2pctl: only known copy of ana/scan.tar@1: p2pctl replicate scan.tar --copies 2, or rm --force"
    );
    assert_eq!(a.fails(5, &["rm", "scan.tar"])["kind"], "not_permitted");
    b.json(&["fetch", "scan.tar"]);
    let dropped = a.json(&["rm", "scan.tar"]);
    has_schema(&dropped, "rm");
    assert_eq!(a.json(&["list"])["files"], json!([]));
    assert_eq!(a.stored(), Vec::<std::path::PathBuf>::new());
    assert_eq!(online_holders(a, "scan.tar"), ["b"]);
    assert_eq!(a.fails(6, &["rm", "scan.tar"])["kind"], "not_found");

    assert_eq!(b.fails(5, &["rm", "scan.tar"])["kind"], "not_permitted");
    b.json(&["rm", "scan.tar", "--force"]);
    assert_eq!(b.stored(), Vec::<std::path::PathBuf>::new());
    // Nobody withdrew the name.
    assert_eq!(b.json(&["info", "scan.tar"])["holders"], json!([]));
    assert_eq!(a.fails(7, &["download", "scan.tar"])["kind"], "no_holder_online");
}

#[test]
fn what_is_unpublished_is_gone_for_everybody() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let (c, _) = world.stranger("c", "bea");
    let (source, _) = world.file("scan.tar", 1, SIZE);
    a.upload(&source);
    b.json(&["fetch", "scan.tar"]);
    c.json(&["info", "scan.tar"]);
    assert_eq!(
        c.fails(5, &["rm", "scan.tar", "--unpublish"])["kind"],
        "not_permitted"
    );
    a.json(&["rm", "scan.tar", "--unpublish"]);
    for peer in [a, b, &c] {
        for verb in ["download", "fetch", "info"] {
            assert_eq!(peer.fails(6, &[verb, "scan.tar"])["kind"], "not_found");
        }
        assert_eq!(peer.json(&["search"])["total"], 0);
    }
}

#[test]
fn a_session_and_the_files_survive_a_restart() {
    let mut world = World::start(&["a", "b"]);
    let (source, hash) = world.file("scan.tar", 1, SIZE);
    let (other, other_hash) = world.file("other.tar", 2, SIZE);
    let [a, b] = &mut world.peers[..] else {
        unreachable!()
    };
    a.upload(&source);
    a.upload(&other);
    b.json(&["fetch", "other.tar"]);
    let before = (a.json(&["whoami"]), b.json(&["whoami"]));
    for peer in [&mut *a, &mut *b] {
        assert_eq!(peer.process.stop(), Some(0));
        peer.restart();
    }
    assert_eq!((a.json(&["whoami"]), b.json(&["whoami"])), before);
    let held = b.json(&["list"]);
    assert_eq!(
        entry(&held["files"], "name", "other.tar").unwrap()["hash"],
        other_hash
    );
    // A peer is listed again with its first ping.
    p2p_tests::check::until_online(b, "a", true);
    b.json(&["download", "scan.tar"]);
    assert_eq!(data::hash_of(&b.folder.join("scan.tar")), hash);
}

#[test]
fn of_two_holders_that_drop_theirs_at_once_one_keeps_it() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    for round in 0..20 {
        let name = format!("{round}.bin");
        a.upload(&world.file(&name, round, 1000).0);
        b.json(&["fetch", &name]);
        let both = [a, b].map(|peer| peer.begin(&["rm", &name]));
        let mut codes = both.map(|removing| removing.end().code);
        codes.sort_unstable();
        assert_eq!(codes, [0, 5], "round {round}");
        assert_eq!(online_holders(a, &name).len(), 1, "round {round}");
    }
    assert_eq!(a.stored().len() + b.stored().len(), 20);
}
