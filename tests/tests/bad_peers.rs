//! Peers and networks that do harm: who listens, spoils, lies, hangs up or dies. Whoever downloads gets the right bytes
//! or a clear failure, and never a wrong byte.

use std::{fs, path::Path};

use p2p_daemon::peer::frames::codec::{Frame, Range};
use p2p_tests::{
    World,
    check::{entry, sources, until_online},
    data,
    liar::{Liar, Manner},
    line::Line,
    proxy::{Proxy, Way},
    visitor::Visitor,
    wait,
};
use uuid::Uuid;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// What a connection may bring out before its gate: handshake, words and a small layer, but no whole piece.
const WORDS_ONLY: u64 = 64 * KIB;

/// Pieces that a holder is asked for at once.
const ON_THE_WAY: u64 = 2;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The publication's id, as the directory knows it.
fn id_of_publication(world: &World, name: &str) -> Uuid {
    let visitor = Visitor::log_in(&world.directory, &world.ana, "asker", &[]);
    visitor.locate(name).publication.id
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn who_listens_hears_nothing_of_the_file() {
    const MARKER: &[u8] = b"nobody between the peers may read this";
    let world = World::start(&["b"]);
    let b = &world.peers[0];
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    let source = world.path("plans-for-2027.txt");
    let content = MARKER.repeat(50_000);
    fs::write(&source, &content).unwrap();
    a.upload(&source);
    proxy.record();
    let output = world.path("out.txt");
    b.json(&["download", "plans-for-2027.txt", "-o", text(&output)]);
    assert!(fs::read(&output).unwrap() == content);
    let recorded = proxy.recorded();
    assert!(recorded.len() > content.len(), "it did not go through the proxy");
    assert!(!contains(&recorded, MARKER));
    assert!(!contains(&recorded, b"plans-for-2027"));
    let hash = blake3::hash(&content);
    assert!(!contains(&recorded, hash.as_bytes()) && !contains(&recorded, hash.to_string().as_bytes()));
    // What every grant begins with.
    assert!(!contains(&recorded, b"eyJhbGciOiJFZERTQSIs"));
    // The name that a dialler asks for is all that TLS shows, so the recording is one.
    assert!(contains(&recorded, b".peer.p2p.internal"));
}

#[test]
fn a_spoiled_byte_on_the_way_never_arrives() {
    let world = World::start(&["b"]);
    let b = &world.peers[0];
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    let places = [
        (Way::Out, 100),
        (Way::Out, 1200),
        (Way::Out, 5000),
        (Way::Out, 300_000),
        (Way::Out, 3 * MIB),
        (Way::Out, 7 * MIB + 300),
        (Way::In, 30),
        (Way::In, 1500),
        (Way::In, 3000),
        (Way::In, 4000),
    ];
    for (seed, (way, after)) in (1..).zip(places) {
        let name = format!("{seed}.bin");
        let (source, hash) = world.file(&name, seed, 8 * MIB);
        a.upload(&source);
        proxy.spoil(way, after);
        let output = world.path(&format!("{seed}.out"));
        let mut args = vec!["download", &name, "-o", text(&output)];
        args.extend((seed % 2 == 0).then_some("--no-keep"));
        let done = b.json(&args);
        assert!(
            proxy.spoiled(),
            "{way:?} {after}: not so many bytes went that way"
        );
        assert_eq!(done["hash"], hash, "{way:?} {after}");
        assert_eq!(data::hash_of(&output), hash, "{way:?} {after}");
        for stored in b.stored() {
            let name = stored.file_name().unwrap().to_str().unwrap().to_owned();
            assert_eq!(data::hash_of(&stored).as_str(), name.as_str(), "{way:?} {after}");
        }
    }
}

/// A good holder behind a gate, and a liar that holds the same; the gate opens when the liar has lied, and the good one's
/// connections break once.
fn beside_a_good_holder(manner: Manner) -> Harm {
    with_so_many_bytes(16 * MIB + 5, manner)
}

fn with_so_many_bytes(size: u64, manner: Manner) -> Harm {
    let world = World::start(&["b"]);
    let b = &world.peers[0];
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    let (source, hash) = world.file("scan.tar", 7, size);
    a.upload(&source);
    let id = id_of_publication(&world, "scan.tar");
    let content = fs::read(&source).expect("the file");
    let liar = Liar::start(&world.directory, &world.ana, id, content, manner);
    // Whoever lies about the layer is only asked for it when the other does not give it first.
    let of_layer = matches!(
        manner,
        Manner::WrongLayer | Manner::SilentLayer | Manner::TricklesLayer | Manner::CrawlsLayer
    );
    proxy.gate(if of_layer { 0 } else { WORDS_ONLY });
    let output = world.path("out.tar");
    let download = b.begin(&["download", "scan.tar", "-o", text(&output)]);
    wait::until("the liar to lie", wait::SOON, || {
        let quiet = matches!(
            manner,
            Manner::ClosesMidway
                | Manner::Resets
                | Manner::SilentLayer
                | Manner::TricklesLayer
                | Manner::CrawlsLayer
        );
        let log = b.process.log();
        let known = quiet || log.contains("liar sent ") || log.contains("liar has owed a piece for 5 s");
        (liar.lies() > 0 && known).then_some(())
    });
    // The good one is needed again after a break: whoever holds the lie against it too has nobody left.
    proxy.gate(u64::MAX);
    proxy.cut();
    let answer = download.end();
    assert_eq!(answer.code, 0, "{manner:?}: {answer:?}");
    assert_eq!(data::hash_of(&output), hash, "{manner:?}");
    let from = sources(&answer.json());
    assert_eq!(
        from.iter().find(|source| source.0 == "a").map(|source| source.1),
        Some(size)
    );
    assert_eq!(b.stored().len(), 1, "{:?}", b.stored());
    assert_eq!(data::hash_of(&b.stored()[0]), hash);
    let of_liar = format!("ana reports {}", liar.visitor().identity().peer.short());
    let harm = Harm {
        log: b.process.log(),
        lies: liar.lies(),
        trickled: liar.trickled(),
    };
    if harm.log.contains("liar sent ") {
        wait::until("the report", wait::SOON, || {
            let log = world.directory.process.log();
            log.contains(&of_liar).then_some(())
        });
    }
    harm
}

/// What a bad holder did.
struct Harm {
    /// What the downloader logged.
    log: String,
    /// How often it lied.
    lies: u64,
    /// Bytes that it gave one by one.
    trickled: u64,
}

/// It was found out by its first lie, and asked no more than was on its way by then: what it cost is one piece.
fn is_named_after_one_piece(harm: &Harm) {
    names_the_liar(&harm.log);
    assert!(harm.lies <= ON_THE_WAY, "it lied {} times", harm.lies);
}

/// It is given up after this many tries.
fn is_given_up(harm: &Harm, why: &str) {
    assert!(harm.log.contains(&format!("liar {why}")), "{}", harm.log);
    assert!(harm.lies <= 3 * ON_THE_WAY, "it was asked {} times", harm.lies);
}

fn names_the_liar(log: &str) {
    let named = |line: &str| line.contains("liar sent ");
    assert!(log.lines().any(named), "{log}");
    let blamed = |line: &str| line.contains(": a sent ");
    assert!(!log.lines().any(blamed), "{log}");
}

#[test]
fn corrupted_pieces_are_thrown_away_and_their_sender_named() {
    is_named_after_one_piece(&beside_a_good_holder(Manner::Corrupts));
}

#[test]
fn who_gave_a_true_layer_is_not_blamed_for_anothers_pieces() {
    is_named_after_one_piece(&beside_a_good_holder(Manner::CorruptsWithoutLayer));
}

#[test]
fn a_holder_that_hangs_up_midway_is_done_without() {
    is_given_up(&beside_a_good_holder(Manner::ClosesMidway), "hung up");
}

#[test]
fn a_holder_that_resets_every_connection_is_done_without() {
    is_given_up(&beside_a_good_holder(Manner::Resets), "hung up");
}

#[test]
fn a_holder_that_answers_nothing_holds_nobody_up() {
    is_given_up(&beside_a_good_holder(Manner::Silent), "has owed a piece for 5 s");
}

#[test]
fn a_layer_that_never_comes_is_asked_of_another() {
    is_given_up(
        &beside_a_good_holder(Manner::SilentLayer),
        "has owed the layer for 5 s",
    );
}

#[test]
fn one_byte_a_second_beside_a_good_holder_costs_a_few_seconds() {
    let harm = beside_a_good_holder(Manner::Trickles);
    is_given_up(&harm, "has owed a piece for 5 s");
    // At this pace its first piece would take twelve days. Nobody waited until it was given up either.
    assert!((1..300).contains(&harm.trickled), "{}", harm.trickled);
    assert!(!harm.log.contains("liar gave "), "{}", harm.log);
}

#[test]
fn a_layer_in_drops_is_asked_of_another() {
    is_given_up(
        &beside_a_good_holder(Manner::TricklesLayer),
        "has owed the layer for 5 s",
    );
}

#[test]
fn a_layer_that_is_just_heard_is_asked_of_another() {
    // Twelve KiB of layer: it would take a hundred seconds.
    let harm = with_so_many_bytes(96 * MIB, Manner::CrawlsLayer);
    is_given_up(&harm, "has owed the layer for 5 s");
    assert!(harm.trickled <= 5 * KIB, "{} bytes of the layer", harm.trickled);
}

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
fn who_takes_everything_and_reads_nothing_takes_nothing_from_others() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let (source, hash) = world.file("scan.tar", 8, 16 * MIB + 5);
    a.upload(&source);
    let eve = world.directory.add_user("eve");
    let greedy = Visitor::log_in(&world.directory, &eve, "greedy", &[]);
    let located = greedy.locate("scan.tar");
    // Each asks for all of it again and again, and hears nothing of what comes.
    let mut asking = Vec::new();
    for offset in (0..16 * MIB).step_by(MIB as usize) {
        let range = Range {
            request: 1,
            offset,
            length: MIB as u32,
        };
        asking.extend_from_slice(&Frame::Read(range).encode());
    }
    let lines: Vec<Line> = (0..8)
        .map(|_| {
            let mut line = Line::to(&greedy, a);
            assert!(matches!(line.open(&located.grant), Some(Frame::Opened { .. })));
            line.tells(&asking);
            line
        })
        .collect();
    let done = b.json(&["download", "scan.tar"]);
    assert_eq!(done["hash"], hash);
    drop(lines);
}

#[test]
fn a_wrong_layer_is_thrown_away_and_its_sender_named() {
    is_named_after_one_piece(&beside_a_good_holder(Manner::WrongLayer));
}

#[test]
fn garbage_instead_of_frames_is_thrown_away() {
    is_named_after_one_piece(&beside_a_good_holder(Manner::Garbage));
}

#[test]
fn a_piece_of_four_gigabytes_is_not_received() {
    is_named_after_one_piece(&beside_a_good_holder(Manner::Oversized));
}

#[test]
fn another_piece_than_the_one_asked_for_is_thrown_away() {
    is_named_after_one_piece(&beside_a_good_holder(Manner::OtherPiece));
}

#[test]
fn another_size_than_the_published_one_is_not_believed() {
    is_named_after_one_piece(&beside_a_good_holder(Manner::WrongSize));
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

#[test]
fn a_holder_that_is_killed_in_the_middle_is_replaced_by_the_other() {
    const SIZE: u64 = 200 * MIB;
    const MIDDLE: u64 = 20 * MIB;
    let world = World::start(&["c"]);
    let c = &world.peers[0];
    let (before_a, before_b) = (Proxy::start(), Proxy::start());
    let (a, mut b) = (world.behind(&before_a, "a"), world.behind(&before_b, "b"));
    let (source, hash) = world.file("big.bin", 9, SIZE);
    a.upload(&source);
    b.json(&["fetch", "big.bin"]);
    fs::remove_file(&source).unwrap();

    let so_far = before_a.passed();
    before_a.gate(2 * MIDDLE);
    before_b.gate(MIDDLE);
    let output = world.path("out.bin");
    let download = c.begin(&["download", "big.bin", "-o", text(&output)]);
    wait::until("both holders to be in the middle", wait::SOON, || {
        let both = before_a.passed() - so_far >= MIDDLE && before_b.passed() >= MIDDLE;
        both.then_some(())
    });
    b.process.kill();
    before_b.cut();
    before_a.gate(u64::MAX);
    let answer = download.end();
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(data::hash_of(&output), hash);
    let from = sources(&answer.json());
    let of = |name: &str| {
        from.iter()
            .find(|source| source.0 == name)
            .map_or(0, |source| source.1)
    };
    assert_eq!(of("a") + of("b"), SIZE, "{from:?}");
    assert!(of("b") > 0 && of("b") < 2 * MIDDLE, "{from:?}");
}
