//! Copies on other peers: placed, confirmed when they are durable there, and there when the uploader is not.

use std::{fs, path::Path};

use p2p_tests::{
    World,
    check::{entry, has_schema, sources},
    data,
    liar::{Liar, Manner},
    meddler::Meddler,
    proxy::Proxy,
    visitor::Visitor,
    wait,
};
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 5 * MIB + 3;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn durable(file: &Value) -> Vec<&str> {
    let copies = file["copies"].as_array().expect("copies").iter();
    let durable = copies.filter(|copy| copy["state"] == "durable");
    let mut names: Vec<&str> = durable.filter_map(|copy| copy["peer"].as_str()).collect();
    names.sort_unstable();
    names
}

#[test]
fn an_uploader_that_is_switched_off_is_not_missed() {
    let mut world = World::start(&["a", "b", "c"]);
    let (source, hash) = world.file("scan.tar", 1, SIZE);
    let [a, b, c] = &mut world.peers[..] else {
        unreachable!()
    };
    let done = a.json(&["upload", text(&source), "--copies", "2", "--to", "b"]);
    let file = &done["files"][0];
    assert_eq!(durable(file), ["a", "b"], "{file}");
    assert_eq!(file["copies"][0]["peer"], "a", "this peer's first: {file}");
    assert_eq!(b.json(&["list"])["files"][0]["hash"], hash);
    a.process.kill();
    let done = c.json(&["download", "scan.tar"]);
    assert_eq!(sources(&done), [("b".to_owned(), SIZE)]);
    assert_eq!(data::hash_of(&c.folder.join("scan.tar")), hash);
}

#[test]
fn what_is_published_is_replicated_and_a_repeat_places_nothing_more() {
    let world = World::start(&["a", "b", "c"]);
    let [a, b, c] = &world.peers[..] else {
        unreachable!()
    };
    let (source, _) = world.file("scan.tar", 2, SIZE);
    a.upload(&source);
    let done = a.json(&["replicate", "scan.tar", "--copies", "3"]);
    has_schema(&done, "replicate");
    assert_eq!(durable(&done), ["a", "b", "c"]);
    assert_eq!(done["wanted"], 3);
    let again = a.json(&["replicate", "scan.tar", "--copies", "2"]);
    assert_eq!(durable(&again), ["a", "b", "c"]);
    for peer in [b, c] {
        assert_eq!(peer.json(&["list"])["files"][0]["name"], "scan.tar");
    }
    let lines = a.ctl(&["replicate", "scan.tar", "--to", "b"]);
    assert_eq!(lines.code, 0, "{lines:?}");
}

#[test]
fn fewer_copies_than_asked_is_12_and_names_who_has_none() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    // A disk that is too small, and a peer of another account that takes only its own.
    let small = world.peer("small", "[store]\nmax_size = \"1MiB\"\nreserve_free = \"1MiB\"\n");
    small.login(&world.directory, &world.ana);
    let (_stranger, _) = world.stranger("other", "bob");
    let (source, _) = world.file("scan.tar", 3, SIZE);
    wait::until("the directory to know the room", wait::SOON, || {
        let peers = a.json(&["peers"]);
        let small = p2p_tests::check::entry(&peers["peers"], "name", "small")?.clone();
        (small["free_bytes"].as_u64()? <= MIB).then_some(())
    });
    let upload = ["upload", text(&source), "--to", "small", "--to", "other"];
    let said = a.says_last(12, &upload);
    assert!(said.contains("small: has ") && said.contains(" free"), "{said}");
    assert!(
        said.contains("other: accepts copies of its own account only"),
        "{said}"
    );
    // It is published all the same.
    assert_eq!(a.json(&["search", "scan"])["total"], 1);
    assert_eq!(
        a.fails(6, &["replicate", "scan.tar", "--to", "nobody"])["kind"],
        "not_found"
    );
}

#[test]
fn a_peer_that_takes_anybodys_copies_takes_public_ones_and_no_private_ones() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let bob = world.directory.add_user("bob");
    let open = world.peer(
        "open",
        "[store]\naccept_copies = \"cluster\"\nreserve_free = \"1MiB\"\n",
    );
    open.login(&world.directory, &bob);
    let (public, hash) = world.file("public.tar", 4, SIZE);
    let (private, _) = world.file("private.tar", 5, SIZE);
    let done = wait::until("the directory to know its rule", wait::SOON, || {
        let answer = a.ctl(&["upload", text(&public), "--to", "open", "--json"]);
        (answer.code == 0).then(|| answer.json())
    });
    assert_eq!(durable(&done["files"][0]), ["a", "open"]);
    assert_eq!(open.json(&["list"])["files"][0]["hash"], hash);
    let upload = [
        "upload",
        text(&private),
        "--visibility",
        "private",
        "--to",
        "open",
    ];
    let said = a.says_last(12, &upload);
    assert!(said.contains("open: "), "{said}");
    assert_eq!(open.json(&["list"])["files"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_target_that_is_killed_goes_on_by_itself() {
    let mut world = World::start(&["b"]);
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    let (source, hash) = world.file("scan.tar", 6, 24 * MIB);
    a.upload(&source);
    let b = &mut world.peers[0];
    proxy.gate(8 * MIB);
    let placing = a.begin(&["replicate", "scan.tar", "--copies", "2"]);
    wait::until("bytes at the target", wait::SOON, || {
        let transfer = b.transfer("download", "scan.tar")?;
        (transfer["done_bytes"].as_u64()? >= 4 * MIB).then_some(())
    });
    let followed = a.transfer("replicate", "scan.tar").expect("a transfer");
    assert_eq!(followed["peers"][0]["peer"], "b", "{followed}");
    b.process.kill();
    proxy.gate(u64::MAX);
    b.restart();
    let answer = placing.end();
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(durable(&answer.json()), ["a", "b"]);
    let held = &b.json(&["list"])["files"][0];
    assert_eq!(
        (&held["hash"], &held["state"]),
        (&json!(hash), &json!("complete"))
    );
}

#[test]
fn copies_that_were_asked_for_are_placed_also_when_nobody_waits() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let (source, _) = world.file("scan.tar", 7, SIZE);
    let done = a.json(&["upload", text(&source), "--copies", "2", "--no-wait"]);
    let id = done["transfer_ids"][0].as_str().expect("a transfer").to_owned();
    assert_eq!(a.json(&["wait", &id])["state"], "done");
    assert_eq!(b.json(&["list"])["files"][0]["name"], "scan.tar");
}

/// The directory has heard of the lie.
fn is_reported(world: &World, liar: &Liar) {
    let of_liar = format!("ana reports {}", liar.visitor().identity().peer.short());
    wait::until("the report", wait::SOON, || {
        world.directory.process.log().contains(&of_liar).then_some(())
    });
}

/// A target of this manner says that it has made the copy, to the directory too.
fn who_says_done_and_has_nothing(manner: Manner) {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let (source, _) = world.file("scan.tar", 8, SIZE);
    let content = fs::read(&source).expect("the file");
    let liar = Liar::takes_copies(&world.directory, &world.ana, content, manner);
    let done = wait::until("the directory to know the liar", wait::SOON, || {
        let answer = a.ctl(&["upload", text(&source), "--to", "liar", "--json"]);
        (!answer.err.contains("no peer") && !answer.err.contains("has not told")).then_some(answer)
    });
    assert_eq!(done.code, 12, "{done:?}");
    let file = &done.json()["files"][0];
    assert_eq!(durable(file), ["a"], "{file}");
    let said = a.says_last(12, &["replicate", "scan.tar", "--to", "liar"]);
    assert!(said.contains("liar: said it has the copy and does not"), "{said}");
    is_reported(&world, &liar);
}

#[test]
fn who_says_done_and_gives_other_bytes_has_no_copy() {
    who_says_done_and_has_nothing(Manner::Corrupts);
}

#[test]
fn who_says_done_and_opens_nothing_has_no_copy() {
    who_says_done_and_has_nothing(Manner::RefusesToOpen);
}

#[test]
fn who_says_done_and_has_it_has_a_copy() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let (source, _) = world.file("scan.tar", 9, SIZE);
    a.upload(&source);
    let content = fs::read(&source).unwrap();
    let _honest = Liar::takes_copies(&world.directory, &world.ana, content, Manner::TellsTheTruth);
    let done = wait::until("the directory to know the target", wait::SOON, || {
        let answer = a.ctl(&["replicate", "scan.tar", "--to", "liar", "--json"]);
        (answer.code == 0).then(|| answer.json())
    });
    assert_eq!(durable(&done), ["a", "liar"]);
}

#[test]
fn a_holder_that_only_says_so_is_no_copy_and_another_peer_gets_one() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let (source, hash) = world.file("scan.tar", 10, SIZE);
    a.upload(&source);
    let asker = Visitor::log_in(&world.directory, &world.ana, "asker", &[]);
    let id = asker.locate("scan.tar").publication.id;
    let content = fs::read(&source).unwrap();
    let liar = Liar::start(&world.directory, &world.ana, id, content, Manner::Corrupts);
    let lines = wait::until("the directory to list the liar", wait::SOON, || {
        let info = a.json(&["info", "scan.tar"]);
        entry(&info["holders"], "peer", "liar")?;
        Some(a.ctl(&["replicate", "scan.tar", "--copies", "2", "--json"]))
    });
    assert_eq!(lines.code, 0, "{lines:?}");
    assert_eq!(durable(&lines.json()), ["a", "b"]);
    assert_eq!(b.json(&["list"])["files"][0]["hash"], hash);
    is_reported(&world, &liar);
}

#[test]
fn an_answer_of_the_directory_that_is_lost_is_asked_for_again() {
    let world = World::start(&["b"]);
    let meddler = Meddler::once(&world.directory, "\"needed\":", "\"meddle\":");
    let a = world.peer("a", "");
    let login = a.try_login(&meddler.url(), &world.directory.fingerprint, &world.ana);
    assert_eq!(login.code, 0, "{login:?}");
    a.upload(&world.file("scan.tar", 11, SIZE).0);
    let done = a.json(&["replicate", "scan.tar", "--copies", "2"]);
    assert_eq!(durable(&done), ["a", "b"]);
}
