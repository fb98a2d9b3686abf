//! Holders that give what they have at a crawl: never silent, and of no use.

use std::{fs, path::Path};

use p2p_tests::{
    World,
    check::sources,
    liar::{Liar, Manner},
    proxy::Proxy,
    wait,
};

use super::{KIB, MIB, id_of_publication};

/// Peers that hold this and give it at a crawl.
fn that_crawl(world: &World, names: &[String], name: &str, source: &Path) -> Vec<Liar> {
    let id = id_of_publication(world, name);
    let content = fs::read(source).expect("the file");
    names
        .iter()
        .map(|name| {
            let what = (content.clone(), Manner::Crawls);
            Liar::named(name, &world.directory, &world.ana, id, what)
        })
        .collect()
}

/// Until each of them was asked for a piece.
fn until_all_crawl(liars: &[Liar]) {
    wait::until("all of them to be asked", wait::SOON, || {
        liars.iter().all(|liar| liar.lies() > 0).then_some(())
    });
}

/// What one that crawls may have given when it was found out: five seconds are promised, and the machine may be busy.
const CRAWLED: u64 = 40 * KIB;

#[test]
fn two_that_crawl_do_not_keep_a_third_from_their_only_piece() {
    const SIZE: u64 = 200 * KIB;
    let world = World::start(&["b"]);
    let b = &world.peers[0];
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    let (source, hash) = world.file("scan.tar", 7, SIZE);
    a.upload(&source);
    let names = ["slow1".to_owned(), "slow2".to_owned()];
    let liars = that_crawl(&world, &names, "scan.tar", &source);
    // The good one connects when the piece is asked of both, and has nothing to do.
    proxy.gate(0);
    let download = b.begin(&["download", "scan.tar"]);
    until_all_crawl(&liars);
    proxy.gate(u64::MAX);
    let answer = download.end();
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(answer.json()["hash"], hash);
    assert_eq!(sources(&answer.json()), [("a".to_owned(), SIZE)]);
    for liar in &liars {
        assert!(liar.trickled() <= CRAWLED, "{} bytes", liar.trickled());
    }
}

#[test]
fn eight_that_crawl_do_not_keep_a_ninth_out() {
    // Whole pieces: none is so small that one that crawls brings it.
    const SIZE: u64 = 16 * MIB;
    let world = World::start(&["b"]);
    let b = &world.peers[0];
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    let (source, hash) = world.file("scan.tar", 7, SIZE);
    a.upload(&source);
    let names: Vec<String> = (1..=8).map(|number| format!("slow{number}")).collect();
    let liars = that_crawl(&world, &names, "scan.tar", &source);
    // All places are taken when the good one can be reached.
    proxy.gate(0);
    let download = b.begin(&["download", "scan.tar"]);
    until_all_crawl(&liars);
    proxy.gate(u64::MAX);
    b.until_download("scan.tar", "done", 2 * wait::SOON);
    let answer = download.end();
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(answer.json()["hash"], hash);
    assert_eq!(sources(&answer.json()), [("a".to_owned(), SIZE)]);
}

#[test]
fn one_that_crawls_keeps_no_turn_from_others() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let b = world.peer("b", "[transfer]\nmax_active = 1\n");
    b.login(&world.directory, &world.ana);
    let (slow, _) = world.file("slow.bin", 7, 8 * MIB);
    let (good, hash) = world.file("good.bin", 8, 8 * MIB);
    a.upload(&slow);
    a.upload(&good);
    let liars = that_crawl(&world, &["slow1".to_owned()], "slow.bin", &slow);
    a.json(&["rm", "slow.bin", "--force"]);
    let crawling = b.begin(&["fetch", "slow.bin"]);
    until_all_crawl(&liars);
    let download = b.begin(&["download", "good.bin"]);
    b.until_download("good.bin", "queued", wait::SOON);
    // Thirty seconds are promised.
    b.until_download("good.bin", "done", 3 * wait::SOON);
    assert_eq!(download.end().json()["hash"], hash);
    let told = b.until_download("slow.bin", "waiting", 3 * wait::SOON);
    let reason = told["reason"].as_str().unwrap_or_default();
    assert!(
        reason.starts_with("slow1 sends next to nothing since "),
        "{reason}"
    );
    b.json(&["cancel", told["id"].as_str().expect("its number")]);
    assert_ne!(crawling.end().code, 0);
}
