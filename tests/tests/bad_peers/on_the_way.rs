//! Who listens and spoils on the way, a holder that dies, and one that takes everything and gives nothing.

use std::fs;

use p2p_daemon::peer::frames::codec::{Frame, Range};
use p2p_tests::{
    World,
    check::sources,
    data,
    line::Line,
    proxy::{Proxy, Way},
    visitor::Visitor,
    wait,
};

use super::{MIB, text};

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
