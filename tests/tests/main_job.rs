//! The main job: put a file in on one machine, find it by name from another, and get it verified from every machine
//! that has it.

use std::{fs, path::Path};

use p2p_tests::{
    World,
    check::{entry, has_fields, has_schema, is_time, sources},
    data,
};
use serde_json::json;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// One byte around every threshold.
const SIZES: [u64; 12] = [
    0,
    1,
    16 * KIB - 1,
    16 * KIB,
    16 * KIB + 1,
    256 * KIB - 1,
    256 * KIB,
    256 * KIB + 1,
    MIB - 1,
    MIB,
    MIB + 1,
    100 * MIB + 7,
];

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn contents_of_every_size_travel_and_verify() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    for size in SIZES {
        let name = format!("of {size} bytes.bin");
        let (source, hash) = world.file(&name, size, size);
        let published = a.upload(&source);
        assert_eq!(published["hash"], hash, "{size}");
        assert_eq!(
            (&published["size"], &published["version"]),
            (&json!(size), &json!(1))
        );
        let output = world.path(&format!("{size}.out"));
        let done = b.json(&["download", &name, "-o", text(&output)]);
        assert_eq!((&done["hash"], &done["size"]), (&json!(hash), &json!(size)));
        assert_eq!(done["path"], text(&output));
        assert_eq!(done["skipped"], false);
        assert_eq!(sources(&done).iter().map(|source| source.1).sum::<u64>(), size);
        assert!(fs::read(&source).unwrap() == fs::read(&output).unwrap(), "{size}");
        assert_eq!(data::hash_of(&output), hash, "{size}");
    }
    assert_eq!(b.json(&["list"])["files"].as_array().unwrap().len(), SIZES.len());
}

#[test]
fn a_third_peer_takes_from_both_holders() {
    let world = World::start(&["a", "b", "c"]);
    let [a, b, c] = &world.peers[..] else {
        unreachable!()
    };
    let (source, hash) = world.file("big.bin", 1, 100 * MIB + 4711);
    a.upload(&source);
    let fetched = b.json(&["fetch", "big.bin"]);
    has_schema(&fetched, "fetch");
    assert!(fetched["path"].is_null(), "{fetched}");
    assert_eq!(sources(&fetched), [("a".to_owned(), 100 * MIB + 4711)]);

    let done = c.json(&["download", "big.bin"]);
    has_schema(&done, "download");
    has_fields(
        &done,
        &["name", "owner", "version", "skipped", "seconds", "resumed_bytes"],
    );
    let sources = sources(&done);
    let names: Vec<&str> = sources.iter().map(|source| source.0.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(sources.iter().all(|source| source.1 > 0), "{sources:?}");
    assert_eq!(
        sources.iter().map(|source| source.1).sum::<u64>(),
        100 * MIB + 4711
    );
    // Without -o it lies in the working folder under its own name.
    assert_eq!(data::hash_of(&c.folder.join("big.bin")), hash);
}

#[test]
fn what_comes_through_a_pipe_is_published() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    for (name, size) in [("nothing", 0), ("small", 1), ("large", 3 * MIB + 1)] {
        let bytes = data::bytes(size, size as usize);
        let answer = a.ctl_with(&["upload", "-", "--name", name, "--json"], &bytes);
        assert_eq!(answer.code, 0, "{answer:?}");
        let published = answer.json();
        has_schema(&published, "upload");
        assert_eq!(
            published["files"][0]["hash"],
            blake3::hash(&bytes).to_string(),
            "{name}"
        );
        let output = world.path(name);
        b.json(&["download", name, "-o", text(&output)]);
        assert!(fs::read(&output).unwrap() == bytes, "{name}");
    }
}

#[test]
fn the_same_bytes_are_the_same_version_and_others_the_next() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let (source, old) = world.file("scan.tar", 1, 300 * KIB);
    assert_eq!(a.upload(&source)["version"], 1);
    assert_eq!(a.upload(&source)["version"], 1);
    let new = data::file(&source, 2, 300 * KIB);
    assert_eq!(a.upload(&source)["version"], 2);
    assert_eq!(a.upload(&source)["version"], 2);

    for (reference, hash, version) in [
        ("scan.tar", &new, 2),
        ("scan.tar@1", &old, 1),
        ("scan.tar@2", &new, 2),
        ("ana/scan.tar@1", &old, 1),
        (old.as_str(), &old, 1),
        (&new[..8], &new, 2),
    ] {
        let output = world.path("out");
        let args = [
            "download",
            reference,
            "-o",
            text(&output),
            "--on-conflict",
            "overwrite",
        ];
        let done = b.json(&args);
        assert_eq!((&done["hash"], &done["version"]), (&json!(hash), &json!(version)));
        assert_eq!(data::hash_of(&output), *hash, "{reference}");
    }
    let info = b.json(&["info", "scan.tar"]);
    let versions: Vec<_> = info["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["version"].clone())
        .collect();
    assert_eq!(versions, [2, 1]);
}

#[test]
fn every_answer_has_its_fields() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let (source, hash) = world.file("scan.tar", 1, 300 * KIB);
    let published = a.upload(&source);
    has_fields(
        &published,
        &["name", "hash", "size", "version", "visibility", "copies"],
    );
    assert_eq!(published["visibility"], "public");
    assert_eq!(published["copies"][0]["peer"], "a");
    has_fields(&published["copies"][0], &["peer", "state"]);

    let list = a.json(&["list"]);
    has_schema(&list, "list");
    let of_a_hold = [
        "name",
        "owner",
        "hash",
        "size",
        "version",
        "visibility",
        "pinned",
        "state",
        "stored_bytes",
    ];
    has_fields(&list["files"][0], &of_a_hold);
    assert_eq!(list["files"][0]["owner"], "ana");

    let search = b.json(&["search", "SCAN"]);
    has_schema(&search, "search");
    assert_eq!(search["total"], 1);
    let hit = &search["files"][0];
    has_fields(hit, &["name", "owner", "hash", "size", "version"]);
    assert_eq!(
        (&hit["holders_online"], &hit["holders_total"]),
        (&json!(1), &json!(1))
    );
    is_time(&hit["published_at"]);
    assert_eq!(b.json(&["search", "nothing like it"])["total"], 0);

    let info = b.json(&["info", "ana/scan.tar"]);
    has_schema(&info, "info");
    has_fields(
        &info,
        &[
            "name",
            "owner",
            "hash",
            "size",
            "visibility",
            "versions",
            "holders",
        ],
    );
    assert_eq!(info["hash"], hash);
    let holder = entry(&info["holders"], "peer", "a").unwrap();
    assert_eq!(
        (&holder["online"], &holder["complete"]),
        (&json!(true), &json!(true))
    );
    is_time(&holder["last_seen_at"]);
}

#[test]
fn peers_and_status_have_their_fields() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let peers = b.json(&["peers"]);
    has_schema(&peers, "peers");
    let seen = entry(&peers["peers"], "name", "a").unwrap();
    let of_a_peer = [
        "peer_id",
        "name",
        "user",
        "addresses",
        "online",
        "last_seen_at",
        "files",
        "free_bytes",
    ];
    has_fields(seen, &of_a_peer);
    assert_eq!((&seen["user"], &seen["online"]), (&json!("ana"), &json!(true)));
    assert_eq!(seen["addresses"], json!([format!("127.0.0.1:{}", a.port)]));

    let status = a.json(&["status"]);
    has_schema(&status, "status");
    has_fields(
        &status["daemon"],
        &["version", "peer_id", "peer_name", "started_at", "listen"],
    );
    let of_a_session = [
        "logged_in",
        "user",
        "directory",
        "ca_fingerprint",
        "certificate_expires_at",
        "session_expires_at",
    ];
    has_fields(&status["session"], &of_a_session);
    assert_eq!(status["session"]["ca_fingerprint"], world.directory.fingerprint);
    has_fields(&status["directory"], &["reachable", "last_ping_at", "urls"]);
    has_fields(
        &status["store"],
        &["files", "bytes", "partial_files", "free_bytes", "max_bytes"],
    );
    has_fields(&status["transfers"], &["active", "queued"]);
    assert_eq!(status["health"], json!([]));

    let whoami = a.json(&["whoami"]);
    has_fields(
        &whoami,
        &["user", "peer_id", "peer_name", "directory", "expires_at"],
    );
    assert_eq!(whoami["peer_id"], seen["peer_id"]);
}
