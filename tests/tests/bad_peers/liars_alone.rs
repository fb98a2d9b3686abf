//! A bad holder and no other: nothing wrong is stored or delivered, and a good one that comes is found.

use std::fs;

use p2p_tests::{
    World,
    check::{entry, until_online},
    liar::{Liar, Manner},
    wait,
};

use super::{MIB, id_of_publication, names_the_liar, text};

#[test]
fn one_byte_a_second_from_the_only_holder_is_told_and_a_good_one_that_comes_is_found() {
    let mut world = World::start(&["a", "b"]);
    let (source, hash) = world.file("scan.tar", 7, 4 * MIB + 5);
    world.peers[0].upload(&source);
    let id = id_of_publication(&world, "scan.tar");
    let content = fs::read(&source).expect("the file");
    let liar = Liar::start(&world.directory, &world.ana, id, content, Manner::Trickles);
    assert_eq!(world.peers[0].process.stop(), Some(0));
    until_online(&world.peers[1], "a", false);
    let download = world.peers[1].begin(&["download", "scan.tar"]);
    let told = world.peers[1].until_download("scan.tar", "waiting", wait::SOON);
    let reason = told["reason"].as_str().unwrap_or_default();
    assert!(
        reason.starts_with("liar sends next to nothing since "),
        "{reason}"
    );
    let slow = entry(&told["peers"], "peer", "liar").expect("the slow one");
    assert!(slow["silent_since"].is_string(), "{told}");
    world.peers[0].restart();
    let answer = download.end();
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(answer.json()["hash"], hash);
    assert!((1..300).contains(&liar.trickled()), "{}", liar.trickled());
}

#[test]
fn from_a_liar_alone_nothing_is_stored_or_delivered() {
    for manner in [
        Manner::Corrupts,
        Manner::WrongLayer,
        Manner::Garbage,
        Manner::WrongSize,
    ] {
        let mut world = World::start(&["a", "b"]);
        let (source, _) = world.file("scan.tar", 7, 4 * MIB + 5);
        world.peers[0].upload(&source);
        let id = id_of_publication(&world, "scan.tar");
        let content = fs::read(&source).unwrap();
        let liar = Liar::start(&world.directory, &world.ana, id, content, manner);
        assert_eq!(world.peers[0].process.stop(), Some(0));
        let b = &world.peers[1];
        until_online(b, "a", false);

        let folder = world.path("out");
        fs::create_dir(&folder).unwrap();
        let output = folder.join("scan.tar");
        for more in [&[][..], &["--no-keep"][..]] {
            let args = [&["download", "scan.tar", "-o", text(&output)][..], more].concat();
            assert_eq!(b.fails(10, &args)["kind"], "hash_mismatch", "{manner:?}");
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "{manner:?}");
            wait::until("the store to be empty", wait::SOON, || {
                b.stored().is_empty().then_some(())
            });
        }
        assert_eq!(b.fails(10, &["fetch", "scan.tar"])["kind"], "hash_mismatch");
        assert!(liar.lies() > 0);
        names_the_liar(&b.process.log());
        assert_eq!(b.json(&["list"])["files"].as_array().unwrap().len(), 0);
    }
}

#[test]
fn a_stream_from_a_liar_breaks_off_before_the_first_wrong_byte() {
    let mut world = World::start(&["a", "b"]);
    let (source, _) = world.file("scan.tar", 7, 4 * MIB + 5);
    world.peers[0].upload(&source);
    let id = id_of_publication(&world, "scan.tar");
    let content = fs::read(&source).unwrap();
    let _liar = Liar::start(
        &world.directory,
        &world.ana,
        id,
        content.clone(),
        Manner::Corrupts,
    );
    assert_eq!(world.peers[0].process.stop(), Some(0));
    let b = &world.peers[1];
    until_online(b, "a", false);
    let answer = b.ctl(&["download", "scan.tar", "-o", "-"]);
    assert_eq!(answer.code, 10, "{}", answer.err);
    assert!(content.starts_with(&answer.out));
}
