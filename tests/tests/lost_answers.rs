//! Publications whose answers are lost on the way: the directory has the name, and the peer does not know it.

use p2p_tests::{Peer, World, data, meddler::Meddler, proxy::Proxy, wait};

const MIB: u64 = 1 << 20;

const PUBLISH: &str = "POST /api/v1/publications";

/// A peer whose directory can lose answers.
fn behind(world: &World, meddler: &Meddler, name: &str) -> Peer {
    let peer = world.peer(name, "");
    let login = peer.try_login(&meddler.url(), &world.directory.fingerprint, &world.ana);
    assert_eq!(login.code, 0, "{}", login.err);
    peer
}

fn scene() -> (World, Meddler, Peer) {
    let world = World::start(&["b"]);
    // It says nothing else.
    let meddler = Meddler::start(&world.directory, "nothing", "nothing");
    let a = behind(&world, &meddler, "a");
    (world, meddler, a)
}

fn held(peer: &Peer) -> usize {
    peer.json(&["list"])["files"].as_array().expect("files").len()
}

fn until_held(peer: &Peer, count: usize) {
    wait::until("so many files", wait::SOON, || {
        (held(peer) == count).then_some(())
    });
}

fn downloads(world: &World, reference: &str, hash: &str) {
    let output = world.path("out");
    let answer = world.peers[0].json(&[
        "download",
        reference,
        "--on-conflict",
        "overwrite",
        "-o",
        output.to_str().expect("a path"),
    ]);
    assert_eq!(answer["hash"], hash);
    assert_eq!(data::hash_of(&output), hash);
}

#[test]
fn what_the_directory_has_is_held_though_its_answers_were_lost() {
    let (world, meddler, a) = scene();
    let (scan, hash) = world.file("scan.tar", 1, 3 * MIB);
    meddler.loses(PUBLISH, 2);
    let said = a.says(8, &["upload", scan.to_str().expect("a path")]);
    assert!(
        said.contains(
            "whether scan.tar is published is not known yet: p2pd asks again. Try: p2pctl info scan.tar"
        ),
        "{said}"
    );
    assert_eq!(meddler.left(), 0);
    until_held(&a, 1);
    downloads(&world, "scan.tar", &hash);
    assert_eq!(a.json(&["info", "scan.tar"])["version"], 1);
}

#[test]
fn the_same_upload_again_is_the_same_version() {
    let (world, meddler, a) = scene();
    let (scan, hash) = world.file("scan.tar", 1, 3 * MIB);
    // Of the upload, and of p2pd when it asks again.
    meddler.loses(PUBLISH, 4);
    a.fails(8, &["upload", scan.to_str().expect("a path")]);
    wait::until("p2pd asks again", wait::SOON, || {
        (meddler.left() == 0).then_some(())
    });
    let done = a.upload(&scan);
    assert_eq!(
        (&done["hash"], &done["version"]),
        (&hash.as_str().into(), &1.into()),
        "{done}"
    );
    assert_eq!(held(&a), 1);
    downloads(&world, "scan.tar@1", &hash);
    world.peers[0].fails(6, &["download", "scan.tar@2"]);
}

#[test]
fn versions_come_in_the_order_of_the_uploads() {
    let (world, meddler, a) = scene();
    let (scan, first) = world.file("scan.tar", 1, 3 * MIB);
    meddler.loses(PUBLISH, 4);
    a.fails(8, &["upload", scan.to_str().expect("a path")]);
    wait::until("p2pd asks again", wait::SOON, || {
        (meddler.left() == 0).then_some(())
    });
    let (scan, second) = world.file("scan.tar", 2, 2 * MIB);
    assert_eq!(a.upload(&scan)["version"], 2);
    downloads(&world, "scan.tar@1", &first);
    downloads(&world, "scan.tar", &second);
}

#[test]
fn a_kill_before_the_answer_is_known_loses_nothing() {
    let (world, meddler, mut a) = scene();
    let (scan, hash) = world.file("scan.tar", 1, 3 * MIB);
    meddler.loses(PUBLISH, 4);
    a.fails(8, &["upload", scan.to_str().expect("a path")]);
    a.restart_after_kill();
    until_held(&a, 1);
    downloads(&world, "scan.tar", &hash);
    assert_eq!(a.json(&["info", "scan.tar"])["version"], 1);
}

#[test]
fn what_the_directory_was_never_asked_for_is_given_up() {
    let mut world = World::start(&["b"]);
    let (scan, _) = world.file("scan.tar", 1, 3 * MIB);
    world.directory.process.stop();
    let said = world.peers[0].says(8, &["upload", scan.to_str().expect("a path")]);
    assert!(!said.contains("not known"), "{said}");
    assert_eq!(world.peers[0].stored(), Vec::<std::path::PathBuf>::new());
    world.directory.restart();
    assert_eq!(world.peers[0].upload(&scan)["version"], 1);
}

#[test]
fn what_was_uploaded_twice_and_withdrawn_does_not_come_back() {
    let mut world = World::start(&["b"]);
    let (scan, _) = world.file("scan.tar", 1, 3 * MIB);
    let b = &mut world.peers[0];
    assert_eq!(b.upload(&scan)["version"], 1);
    assert_eq!(b.upload(&scan)["version"], 1);
    b.json(&["rm", "scan.tar", "--unpublish"]);
    b.restart_after_kill();
    // What a start has still to publish it publishes before it hears of a new upload of the same name.
    let (other, _) = world.file("other.tar", 2, MIB);
    let b = &world.peers[0];
    b.upload(&other);
    b.fails(6, &["info", "scan.tar"]);
    assert_eq!(held(b), 1);
    assert_eq!(b.stored().len(), 1, "{:?}", b.stored());
}

fn port(url: &str) -> u16 {
    let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
    port.expect("a port")
}

#[test]
fn a_directory_that_is_another_one_for_a_while_decides_nothing() {
    let world = World::start(&["b"]);
    let meddler = Meddler::start(&world.directory, "nothing", "nothing");
    let proxy = Proxy::start();
    proxy.leads_to(port(&meddler.url()));
    let mut a = world.peer("a", "");
    let login = a.try_login(&proxy.url(), &world.directory.fingerprint, &world.ana);
    assert_eq!(login.code, 0, "{}", login.err);
    let (scan, hash) = world.file("scan.tar", 1, 3 * MIB);
    meddler.loses(PUBLISH, 4);
    a.fails(8, &["upload", scan.to_str().expect("a path")]);
    wait::until("p2pd asks again", wait::SOON, || {
        (meddler.left() == 0).then_some(())
    });
    // Its certificate is of another authority.
    let stranger = World::start(&[]);
    proxy.leads_to(stranger.directory.port);
    proxy.cut();
    let before = proxy.passed();
    a.restart_after_kill();
    // The hellos of several connections: a ping's, and those of who asks for the publication.
    wait::until("p2pd asks the stranger", wait::SOON, || {
        (proxy.passed() > before + 3000).then_some(())
    });
    proxy.leads_to(port(&meddler.url()));
    proxy.cut();
    until_held(&a, 1);
    downloads(&world, "scan.tar", &hash);
}
