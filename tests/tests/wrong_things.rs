//! What each wrong thing gets when it comes to files: the exit code, the kind, and the sentence.

use std::{fs, path::Path};

use p2p_tests::{Peer, World};
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The same error but for the reference that it names.
fn without(error: &Value, reference: &str) -> String {
    error.to_string().replace(reference, "REF")
}

#[test]
fn an_unknown_name_is_not_found() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    for verb in ["download", "fetch", "info", "rm"] {
        assert_eq!(
            a.says(6, &[verb, "nope"]),
            "p2pctl: no file \"nope\" is visible to ana. Try: p2pctl search nope"
        );
        assert_eq!(a.fails(6, &[verb, "nope"])["kind"], "not_found");
    }
    let digits = "0123456789abcdef".repeat(4);
    for reference in ["nope@3", "bea/nope", &digits, "hash:01234567", "name:nope"] {
        assert_eq!(a.fails(6, &["download", reference])["kind"], "not_found");
    }
    assert_eq!(a.json(&["search", "nope"])["files"], json!([]));
}

#[test]
fn what_is_private_is_as_unknown_as_what_never_was() {
    let world = World::start(&["a", "a2"]);
    let [a, a2] = &world.peers[..] else { unreachable!() };
    let (b, _) = world.stranger("b", "bea");
    let (source, hash) = world.file("secret.txt", 1, 1000);
    let args = ["upload", text(&source), "--visibility", "private"];
    assert_eq!(a.json(&args)["files"][0]["visibility"], "private");
    let prefix = &hash[..12];
    for (reference, never) in [
        ("secret.txt", "absent.txt"),
        ("ana/secret.txt", "ana/absent.txt"),
        ("secret.txt@1", "absent.txt@1"),
        (&hash, &"0123456789abcdef".repeat(4)),
        (prefix, "0123456789ab"),
    ] {
        for verb in ["download", "fetch", "info", "rm"] {
            let hidden = b.fails(6, &[verb, reference]);
            let absent = b.fails(6, &[verb, never]);
            assert_eq!(without(&hidden, reference), without(&absent, never));
        }
    }
    assert_eq!(b.json(&["search"])["total"], 0);
    assert_eq!(
        b.fails(6, &["rm", "ana/secret.txt", "--unpublish"])["kind"],
        "not_found"
    );
    // Whoever has the same bytes has them under his own name only.
    b.upload(&source);
    assert_eq!(b.json(&["info", &hash])["owner"], "bea");
    assert_eq!(b.json(&["info", &hash])["holders"].as_array().unwrap().len(), 1);
    // The owner's other peer has it.
    assert_eq!(a2.json(&["fetch", "secret.txt"])["hash"], hash);
}

#[test]
fn with_no_holder_online_it_says_so_and_can_wait() {
    let mut world = World::start(&["a", "b"]);
    let (source, hash) = world.file("scan.tar", 1, 300_000);
    let [a, b] = &mut world.peers[..] else {
        unreachable!()
    };
    a.upload(&source);
    a.process.stop();
    for verb in ["download", "fetch"] {
        // At once: it does not come to the time limit.
        let line = b.says(7, &[verb, "scan.tar", "--timeout", "10s"]);
        let time = line
            .strip_prefix("p2pctl: scan.tar: 0 of 1 holders online (last a, ")
            .and_then(|rest| rest.strip_suffix("). To wait: --wait"))
            .unwrap_or_else(|| panic!("{line}"));
        let bytes = time.as_bytes();
        assert!(bytes.len() == 5 && bytes[2] == b':', "{line}");
        let failed = b.fails(7, &[verb, "scan.tar"]);
        assert_eq!(failed["kind"], "no_holder_online");
        assert_eq!(failed["hint"], "To wait: --wait");
    }
    assert!(b.stored().is_empty(), "{:?}", b.stored());
    let wait = |options: &[&str]| {
        let args = [&["download", "scan.tar", "--wait"], options].concat();
        b.command(&args).spawn().unwrap()
    };
    let told = wait(&["-o", "told.tar"]);
    b.until_download("scan.tar", "waiting", p2p_tests::wait::SOON);
    // Each with a transfer of its own.
    let untold = [["--json", "-o", "scan.tar"], ["-q", "-o", "quiet.tar"]]
        .map(|options| wait(&[&options[..], &["--no-keep"]].concat()));
    p2p_tests::wait::until("all of them to wait", p2p_tests::wait::SOON, || {
        let all = b.json(&["transfers"]);
        let mut waiting = all["transfers"].as_array()?.clone();
        waiting.retain(|transfer| transfer["state"] == "waiting");
        (waiting.len() == 3).then_some(())
    });
    a.restart();
    let done = told.wait_with_output().unwrap();
    assert!(done.status.success(), "{done:?}");
    // Without a terminal each reason is a line, once.
    let said = String::from_utf8(done.stderr).unwrap();
    let reasons: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("waiting: "))
        .collect();
    let first = reasons.first().copied().unwrap_or_default();
    assert!(
        first.starts_with("waiting: scan.tar: 0 of 1 holders online (last a, "),
        "{said}"
    );
    assert!(reasons.windows(2).all(|two| two[0] != two[1]), "{said}");
    for untold in untold {
        let done = untold.wait_with_output().unwrap();
        assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
    }
    for output in ["scan.tar", "told.tar", "quiet.tar"] {
        assert_eq!(p2p_tests::data::hash_of(&b.folder.join(output)), hash);
    }
}

#[test]
fn an_output_that_exists_is_left_alone() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let (source, _) = world.file("scan.tar", 1, 1000);
    a.upload(&source);
    fs::write(b.folder.join("scan.tar"), "mine").unwrap();
    assert_eq!(b.fails(11, &["download", "scan.tar"])["kind"], "output_exists");
    assert!(b.says(11, &["download", "scan.tar"]).contains("scan.tar exists"));
    assert_eq!(fs::read(b.folder.join("scan.tar")).unwrap(), b"mine");
    assert!(b.stored().is_empty());
}

/// Two contents whose hashes begin with the same 8 digits.
fn same_prefix() -> [Vec<u8>; 2] {
    let mut seen = std::collections::HashMap::new();
    (0_u64..)
        .find_map(|number| {
            let content = number.to_le_bytes().to_vec();
            let prefix: [u8; 4] = blake3::hash(&content).as_bytes()[..4]
                .try_into()
                .expect("four bytes");
            seen.insert(prefix, content.clone()).map(|other| [other, content])
        })
        .expect("2^64 numbers have two")
}

#[test]
fn an_ambiguous_prefix_lists_its_candidates() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let mut hashes = Vec::new();
    for (name, content) in ["one", "two"].into_iter().zip(same_prefix()) {
        fs::write(world.path(name), &content).unwrap();
        hashes.push(a.upload(&world.path(name))["hash"].as_str().unwrap().to_owned());
    }
    hashes.sort();
    let prefix = &hashes[0][..8];
    for verb in ["download", "fetch", "info", "rm"] {
        let failed = a.fails(11, &[verb, prefix]);
        assert_eq!(failed["kind"], "ambiguous");
        assert_eq!(failed["candidates"], json!(hashes));
    }
    let told = a.ctl(&["info", prefix]);
    let lines: Vec<&str> = told.err.lines().collect();
    assert_eq!((told.code, lines.len()), (11, 3), "{told:?}");
    for hash in &hashes {
        assert_eq!(lines.iter().filter(|line| line.trim() == hash).count(), 1);
        assert_eq!(a.json(&["info", hash])["hash"], *hash);
    }
}

#[test]
fn a_name_of_two_others_is_ambiguous_and_ones_own_comes_first() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    for (peer, user) in [("b", "bea"), ("c", "cy")] {
        let (peer, _) = world.stranger(peer, user);
        let (source, _) = world.file("scan.tar", u64::from(user.as_bytes()[0]), 1000);
        peer.upload(&source);
    }
    let failed = a.fails(11, &["info", "scan.tar"]);
    assert_eq!(failed["kind"], "ambiguous");
    assert_eq!(failed["candidates"], json!(["bea/scan.tar", "cy/scan.tar"]));
    let versioned = a.fails(11, &["info", "scan.tar@1"]);
    assert_eq!(
        versioned["candidates"],
        json!(["bea/scan.tar@1", "cy/scan.tar@1"])
    );
    assert_eq!(a.json(&["info", "cy/scan.tar"])["owner"], "cy");
    let (own, hash) = world.file("scan.tar", 3, 1000);
    a.upload(&own);
    assert_eq!(a.json(&["info", "scan.tar"])["hash"], hash);
}

fn is_too_large(peer: &Peer, args: &[&str], input: &[u8], hint: &str) {
    let answer = peer.ctl_with(args, input);
    let line = answer.says(9);
    let store = peer.folder.join("state/store");
    let sentence = format!(
        "p2pctl: big.bin needs 2.0 MiB in {}; 1.0 MiB usable. {hint}",
        text(&store)
    );
    assert_eq!(line, sentence);
    assert!(peer.stored().is_empty(), "{:?}", peer.stored());
}

#[test]
fn a_disk_that_is_too_small_is_known_before_the_first_byte() {
    let world = World::start(&["a"]);
    let small = world.peer("small", "[store]\nmax_size = \"1MiB\"\nreserve_free = \"1MiB\"\n");
    small.login(&world.directory, &world.ana);
    let (source, hash) = world.file("big.bin", 1, 2 * MIB);
    world.peers[0].upload(&source);
    let path = text(&source);

    is_too_large(&small, &["upload", path], b"", "Free space, or set store.path");
    let hint = "Use --no-keep or set store.path";
    is_too_large(&small, &["download", "big.bin"], b"", hint);
    is_too_large(&small, &["fetch", "big.bin"], b"", hint);
    assert!(!small.folder.join("big.bin").exists());
    // A pipe does not say how much is to come.
    let answer = small.ctl_with(
        &["upload", "-", "--name", "pipe", "--json"],
        &fs::read(&source).unwrap(),
    );
    assert_eq!((answer.code, &answer.json()["kind"]), (9, &json!("disk_full")));
    assert!(small.stored().is_empty(), "{:?}", small.stored());
    assert_eq!(small.fails(6, &["info", "pipe"])["kind"], "not_found");
    // As the sentence says.
    let done = small.json(&["download", "big.bin", "--no-keep"]);
    assert_eq!(done["hash"], hash);
    assert_eq!(p2p_tests::data::hash_of(&small.folder.join("big.bin")), hash);
}

#[test]
fn names_that_deceive_are_refused_before_anything_is_sent() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let (source, _) = world.file("scan.tar", 1, 1000);
    let long = "x".repeat(256);
    let deceiving = [
        "../x",
        "..",
        ".",
        "a/b",
        "/etc/passwd",
        "",
        "a\nb",
        "\u{1b}[2J",
        "a\u{7f}",
        "a\u{85}b",
        "gpj\u{202e}exe.",
        "a\u{2066}b",
        "a\u{200f}b",
        &long,
    ];
    for name in deceiving {
        let by_flag = a.fails(2, &["upload", text(&source), "--name", name]);
        assert_eq!(by_flag["kind"], "usage", "{name:?}");
        let by_pipe = a.fails(2, &["upload", "-", "--name", name]);
        assert_eq!(by_pipe["kind"], "usage", "{name:?}");
        // A message does not show what it must not.
        let line = a.says(2, &["upload", text(&source), "--name", name]);
        assert!(!line.contains(['\u{1b}', '\u{202e}', '\u{2066}']), "{line:?}");
    }
    for name in ["a\nb", "gpj\u{202e}exe."] {
        let file = world.path(name);
        fs::write(&file, "x").unwrap();
        assert_eq!(a.fails(2, &["upload", text(&file)])["kind"], "usage", "{name:?}");
    }
    for folder in ["..", ".", text(world.folder.path())] {
        assert_eq!(a.fails(2, &["upload", folder])["kind"], "usage");
    }
    assert_eq!(a.json(&["search"])["total"], 0);
    assert!(a.stored().is_empty());
}

#[test]
fn wrong_usage_needs_no_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = Peer::start(&folder.path().join("a"), "a", "");
    peer.process.stop();
    for args in [
        &[][..],
        &["frobnicate"],
        &["upload"],
        &["download"],
        &["download", "x", "--on-conflict", "maybe"],
        &["upload", "x", "--visibility", "secret"],
        &["login", "--password", "secret"],
        &["login", "--ca-fingerprint", "sha256:12"],
        &["search", "--limit", "0"],
        &["status", "--timeout", "soon"],
        &["upload", "-"],
    ] {
        assert_eq!(peer.fails(2, args)["kind"], "usage", "{args:?}");
    }
}
