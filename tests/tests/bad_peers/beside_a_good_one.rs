//! A holder that lies, stalls or hangs up beside a good one: it costs a piece or some seconds, and is named.

use std::fs;

use p2p_tests::{
    World,
    check::sources,
    data,
    liar::{Liar, Manner},
    proxy::Proxy,
    wait,
};

use super::{KIB, MIB, id_of_publication, names_the_liar, text};

/// What a connection may bring out before its gate: handshake, words and a small layer, but no whole piece.
const WORDS_ONLY: u64 = 64 << 10;

/// Pieces that a holder is asked for at once.
const ON_THE_WAY: u64 = 2;

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
    let given = |name| {
        from.iter()
            .find(|source| source.0 == name)
            .map_or(0, |source| source.1)
    };
    // True bytes are kept, also those before a break or a lie.
    let kept = given("liar");
    assert_eq!(given("a") + kept, size, "{from:?}");
    let most = match manner {
        Manner::ClosesMidway => 3 * ON_THE_WAY * MIB / 2,
        Manner::Corrupts | Manner::CorruptsWithoutLayer => MIB / 2,
        _ => 0,
    };
    assert!(kept <= most, "{kept} bytes from the liar");
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
