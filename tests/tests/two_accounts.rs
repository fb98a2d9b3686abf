//! Two accounts: what ana keeps private is not there for bob, whatever he asks of his own daemon, of the directory's API
//! with his own session, and of ana's peer itself; also when he publishes the very same bytes.

use std::path::Path;

use p2p_daemon::peer::frames::codec::{Frame, Reason};
use p2p_proto::v1::{HaveRequest, LayerRequest, PlaceRequest};
use p2p_tests::{
    Account, Peer, World,
    check::{entry, sources, until_online},
    data,
    line::{FIRST, Line},
    visitor::{Visitor, id_of},
};
use serde_json::{Value, json};
use tonic::Code;

const SIZE: u64 = 600 << 10;

/// Ana's file, her peer and her account: no word of them may come to bob.
const SECRET: &str = "kestrel-plans.bin";
const PEER: &str = "quietbox";
const OWNER: &str = "ana";

struct Scene {
    world: World,
    /// Bob's, on two peers.
    bob: Account,
    b: Peer,
    b2: Peer,
    /// Bob's session with the API.
    visitor: Visitor,
    hash: String,
    id: uuid::Uuid,
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Ana's private file on her peer; bob has two peers, and one public file of his own.
fn scene() -> Scene {
    let world = World::start(&[PEER]);
    let (source, hash) = world.file(SECRET, 1, SIZE);
    let (other, _) = world.file("other.bin", 2, SIZE);
    world.peers[0].json(&["upload", text(&source), "--visibility", "private"]);
    let ana = Visitor::log_in(&world.directory, &world.ana, "asker", &[]);
    let id = ana.locate(SECRET).publication.id;
    let (b, bob) = world.stranger("b", "bob");
    let b2 = world.peer("b2", "");
    b2.login(&world.directory, &bob);
    b.upload(&other);
    let visitor = Visitor::log_in(&world.directory, &bob, "visitor", &[]);
    Scene {
        world,
        bob,
        b,
        b2,
        visitor,
        hash,
        id,
    }
}

/// Every way to mean ana's file, each with one of the same form that never meant anything.
fn references(scene: &Scene) -> Vec<(String, String)> {
    let hash = &scene.hash;
    let nothing = "0123456789abcdef".repeat(4);
    let no_id = uuid::Uuid::from_u128(0x0197_0000_0000_7000_8000_0000_0000_0001);
    let (id, no_id) = (scene.id.to_string(), no_id.to_string());
    let mut pairs = Vec::new();
    for form in ["NAME", "ana/NAME", "NAME@1", "ana/NAME@1", "name:NAME"] {
        pairs.push((form.replace("NAME", SECRET), form.replace("NAME", "nothing.bin")));
    }
    for (there, never) in [
        ("kestrel", "nothing"),
        ("kestrel-plans", "nothing-at"),
        ("ana/", "ann/"),
    ] {
        pairs.push((there.into(), never.into()));
    }
    for digits in [8, 12, 63, 64] {
        pairs.push((hash[..digits].into(), nothing[..digits].into()));
        pairs.push((
            format!("hash:{}", &hash[..digits]),
            format!("hash:{}", &nothing[..digits]),
        ));
    }
    for digits in [8, 13, 36] {
        pairs.push((
            format!("id:{}", &id[..digits]),
            format!("id:{}", &no_id[..digits]),
        ));
        pairs.push((id[..digits].into(), no_id[..digits].into()));
    }
    pairs
}

/// Nothing of ana's is in what was said, but for the words of the question.
fn tells_nothing(scene: &Scene, what: &str, said: &str, asked: &str) {
    let said = without(said, asked);
    let id = scene.id.to_string();
    for word in ["kestrel", PEER, &scene.hash[..8], &id[..13]] {
        assert!(!said.contains(word), "{what} {asked}: {word} in {said}");
    }
    let ana = said
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| word == OWNER);
    assert!(!ana, "{what} {asked}: {OWNER} in {said}");
}

fn without(said: &str, asked: &str) -> String {
    match asked {
        "" => said.to_owned(),
        asked => said.replace(asked, "REF"),
    }
}

/// Everything that `p2pctl` says of a command, as text and as JSON.
fn says(peer: &Peer, args: &[&str]) -> (i32, String) {
    let json: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    let (text, json) = (peer.ctl(args), peer.ctl(&json));
    assert_eq!(text.code, json.code, "{args:?}");
    let said = [text.text(), text.err.clone(), json.text(), json.err.clone()];
    (text.code, said.join("\n"))
}

/// Bob's commands find nothing of ana's, in the words for what never was.
fn commands_tell_nothing(scene: &Scene, peer: &Peer) {
    for (there, never) in references(scene) {
        for verb in ["info", "download", "fetch", "rm", "verify"] {
            let (code, said) = says(peer, &[verb, &there]);
            let (code_of_nothing, said_of_nothing) = says(peer, &[verb, &never]);
            assert_eq!(
                (code, without(&said, &there)),
                (code_of_nothing, without(&said_of_nothing, &never)),
                "{verb} {there}"
            );
            assert_eq!(
                code,
                if there.ends_with('/') { 2 } else { 6 },
                "{verb} {there}: {said}"
            );
            tells_nothing(scene, verb, &said, &there);
        }
        let (_, said) = says(peer, &["replicate", &there, "--copies", "2"]);
        tells_nothing(scene, "replicate", &said, &there);
    }
    for args in [
        &["search"][..],
        &["search", "kestrel"],
        &["search", "KESTREL-PLANS"],
        &["search", &scene.hash[..8]],
        &["search", "--owner", OWNER],
        &["search", "plans", "--owner", OWNER],
        &["list"],
        &["transfers"],
        &["status"],
        &["whoami"],
    ] {
        let (code, said) = says(peer, args);
        assert_eq!(code, 0, "{args:?}: {said}");
        tells_nothing(scene, &args.join(" "), &said, "");
    }
    // That ana has a peer is no secret; that there is anything on it is.
    let peers = peer.json(&["peers"]);
    assert_eq!(
        entry(&peers["peers"], "name", PEER).expect("ana's peer")["files"],
        0
    );
    tells_nothing(scene, "the log", &peer.process.log(), "");
}

#[test]
fn bobs_commands_find_count_complete_and_list_nothing_of_anas() {
    let scene = scene();
    commands_tell_nothing(&scene, &scene.b);
    assert_eq!(scene.b.json(&["search"])["total"], 1, "his own alone");
    // It is there for ana.
    assert_eq!(scene.world.peers[0].json(&["info", SECRET])["hash"], scene.hash);
}

#[test]
fn the_api_locates_and_counts_nothing_of_anas_for_bob() {
    let scene = scene();
    api_tells_nothing(&scene, 1);
    // A hold of what he cannot see is not known, and makes him no holder.
    assert_eq!(scene.visitor.claims(scene.id), [scene.id]);
    let info = scene.world.peers[0].json(&["info", SECRET]);
    assert_eq!(info["holders"].as_array().map(Vec::len), Some(1), "{info}");
    let taken = scene
        .visitor
        .wait(scene.visitor.session().client.withdraw(scene.id));
    assert_eq!(taken.expect_err("not his").kind, p2p_proto::FailureKind::NotFound);
    assert_eq!(scene.world.peers[0].json(&["info", SECRET])["hash"], scene.hash);
}

/// `files`: how many bob can see.
fn api_tells_nothing(scene: &Scene, files: u64) {
    let visitor = &scene.visitor;
    for (there, never) in references(scene) {
        for path in ["/download", "/files"] {
            let (status, body) = visitor.get(path, &[("ref", &there)]);
            let (of_nothing, nothing) = visitor.get(path, &[("ref", &never)]);
            let (said, said_of_nothing) = (body.to_string(), nothing.to_string());
            assert_eq!(
                (status, without(&said, &there)),
                (of_nothing, without(&said_of_nothing, &never)),
                "{path} {there}"
            );
            assert!([400, 404].contains(&status), "{path} {there}: {status} {body}");
            tells_nothing(scene, path, &said, &there);
        }
    }
    let (status, body) = visitor.get(&format!("/files/{}", scene.hash), &[]);
    assert_eq!(status, 404, "{body}");
    tells_nothing(scene, "/files/", &body.to_string(), &scene.hash);
    for query in [
        &[][..],
        &[("q", "kestrel")],
        &[("owner", OWNER)],
        &[("limit", "1000")],
    ] {
        let (status, body) = visitor.get("/search", query);
        assert_eq!(status, 200, "{body}");
        let seen = if query.is_empty() || query[0].0 == "limit" {
            files
        } else {
            0
        };
        assert_eq!(body["total"], seen, "{query:?}: {body}");
        tells_nothing(scene, "/search", &body.to_string(), "");
    }
    let (_, peers) = visitor.get("/peers", &[]);
    assert_eq!(
        entry(&peers["peers"], "name", PEER).expect("ana's peer")["files"],
        0
    );
    let anas = id_of(&scene.world.peers[0]).to_string();
    let id = scene.id.to_string();
    for (path, body) in [
        ("/upload", json!({"publication": id, "copies": 2})),
        ("/upload", json!({"publication": id, "to": ["*"]})),
        (
            "/reports",
            json!({"publication": id, "holder": anas, "fault": "bytes"}),
        ),
    ] {
        let (status, said) = visitor.send("POST", path, &body);
        assert_eq!(status, 404, "{path}: {said}");
        tells_nothing(scene, path, &said, &id);
    }
}

/// Ana's peer gives nothing for this grant: no size, no layer, no byte, no copy.
fn peer_gives_nothing(scene: &Scene, grant: &str, reason: Reason) {
    let (visitor, peer) = (&scene.visitor, &scene.world.peers[0]);
    let mut line = Line::to(visitor, peer);
    assert_eq!(line.open(grant), Some(Frame::Refused { request: 0, reason }));
    let refused = Frame::Refused {
        request: 1,
        reason: Reason::Grant,
    };
    assert_eq!(line.read(FIRST), Some((refused, Vec::new())));
    let code = match reason {
        Reason::Grant => Code::PermissionDenied,
        _ => Code::NotFound,
    };
    let grant = || grant.to_owned();
    let mut words = visitor.words(peer);
    let have = visitor.wait(words.have(HaveRequest { grant: grant() }));
    let layer = visitor.wait(words.layer(LayerRequest { grant: grant() }));
    let copy = visitor.wait(words.replicate(PlaceRequest { grant: grant() }));
    let copy = copy.expect_err("no copy");
    for said in [have.expect_err("no size"), layer.expect_err("no layer")] {
        assert_eq!(said.code(), code, "{said}");
        tells_nothing(scene, "ana's peer", said.message(), "");
    }
    assert_eq!(
        copy.code(),
        Code::PermissionDenied,
        "a grant to read is none to replicate"
    );
    tells_nothing(scene, "ana's peer", copy.message(), "");
}

#[test]
fn anas_peer_gives_bob_nothing_without_a_grant_or_with_one_for_something_else() {
    let scene = scene();
    peer_gives_nothing(&scene, "", Reason::Grant);
    let other = scene.visitor.locate("other.bin");
    peer_gives_nothing(&scene, &other.grant, Reason::NotHeld);
    // Ana's own grant, in bob's hands.
    let ana = Visitor::log_in(&scene.world.directory, &scene.world.ana, "asker", &[]);
    let hers = ana.locate(SECRET);
    peer_gives_nothing(&scene, &hers.grant, Reason::Grant);
    // In hers it opens the file.
    let read = p2p_tests::line::reads(&ana, &scene.world.peers[0], &hers.publication, &hers.grant);
    assert_eq!(read, data::bytes(1, 256 << 10));
}

#[test]
fn the_same_bytes_published_by_bob_are_his_own_file_with_his_own_holders() {
    let mut scene = scene();
    let same = scene.world.path("mine.bin");
    assert_eq!(data::file(&same, 1, SIZE), scene.hash);
    scene.b.upload(&same);
    let hash = scene.hash.clone();
    for reference in ["mine.bin", &hash, &hash[..8], "bob/mine.bin@1"] {
        let info = scene.b2.json(&["info", reference]);
        let told = (&info["owner"], &info["name"], &info["versions"][1]);
        assert_eq!(told, (&json!("bob"), &json!("mine.bin"), &Value::Null), "{info}");
        let holders = info["holders"].as_array().expect("holders");
        assert_eq!((holders.len(), &holders[0]["peer"]), (1, &json!("b")), "{info}");
        assert_says_nothing_but_his(&scene, &info.to_string());
    }
    // The API: one publication, one holder, and a grant that is good for that one alone.
    let mine = scene.visitor.locate(&hash);
    assert_eq!((mine.holders.len(), mine.holders_total), (1, 1));
    assert_eq!(mine.holders[0].peer_name.as_str(), "b");
    peer_gives_nothing(&scene, &mine.grant, Reason::NotHeld);
    p2p_tests::line::reads(&scene.visitor, &scene.b, &mine.publication, &mine.grant);
    let (_, found) = scene.visitor.get("/search", &[]);
    assert_eq!(found["total"], 2, "{found}");
    assert_says_nothing_but_his(&scene, &found.to_string());
    let (status, file) = scene.visitor.get(&format!("/files/{hash}"), &[]);
    assert_eq!((status, file["holders"].as_array().map(Vec::len)), (200, Some(1)));
    assert_says_nothing_but_his(&scene, &file.to_string());
    // Ana's peer has the bytes and is online: it is still nobody for bob.
    assert_eq!(scene.b.process.stop(), Some(0));
    until_online(&scene.b2, "b", false);
    until_online(&scene.b2, PEER, true);
    let (code, said) = says(&scene.b2, &["download", "mine.bin"]);
    assert_eq!(code, 7, "{said}");
    assert!(said.contains("0 of 1 holders online (last b, "), "{said}");
    assert_says_nothing_but_his(&scene, &said);
    assert!(scene.b2.stored().is_empty());
    // Nor is bob a holder of hers.
    let info = scene.world.peers[0].json(&["info", SECRET]);
    assert_eq!(info["holders"].as_array().map(Vec::len), Some(1), "{info}");
    scene.b.restart();
    until_online(&scene.b2, "b", true);
    let done = scene.b2.json(&["download", "mine.bin"]);
    assert_eq!(sources(&done), [("b".to_owned(), SIZE)]);
    let (peer, listed) = (&scene.b2, scene.b2.json(&["list"]));
    assert_eq!(listed["files"][0]["owner"], scene.bob.name);
    for args in [&["list"][..], &["transfers"], &["search"], &["status"]] {
        assert_says_nothing_but_his(&scene, &says(peer, args).1);
    }
    assert_says_nothing_but_his(&scene, &peer.process.log());
}

/// As [`tells_nothing`], where the hash is bob's as well.
fn assert_says_nothing_but_his(scene: &Scene, said: &str) {
    let ours = said
        .replace(&scene.hash, "HASH")
        .replace(&scene.hash[..8], "HASH");
    tells_nothing(scene, "bob's own", &ours, "");
}
