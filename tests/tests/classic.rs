//! The classic names: every method and endpoint of the system that this one replaces, and what does its work here. README.md
//! lists them; each row there has a test here that is called after it, and each test a row.

use std::{collections::BTreeSet, fs, io::Write, path::Path, process::Stdio};

use p2p_proto::v1::{HaveRequest, PlaceRequest, StatusRequest, WatchRequest};
use p2p_tests::{
    Terminal, World,
    check::{entry, is_time, sources, until_online},
    control::Control,
    data,
    visitor::Visitor,
    wait,
};
use serde_json::{Value, json};
use tonic::Code;

const MIB: u64 = 1 << 20;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn durable(copies: &Value) -> Vec<&str> {
    let copies = copies.as_array().expect("copies").iter();
    let durable = copies.filter(|copy| copy["state"] == "durable");
    durable.filter_map(|copy| copy["peer"].as_str()).collect()
}

/// Who holds the file, as far as the directory says, and is online.
fn holders(visitor: &Visitor, reference: &str) -> Vec<String> {
    let (status, found) = visitor.get("/download", &[("ref", reference)]);
    assert_eq!(status, 200, "{found}");
    let holders = found["holders"].as_array().expect("holders").iter();
    let names = holders.filter_map(|holder| holder["peer_name"].as_str().map(str::to_owned));
    names.collect()
}

#[test]
fn rest_log_in() {
    let world = World::start(&[]);
    let a = world.peer("a", "");
    assert_eq!(a.fails(4, &["whoami"])["kind"], "not_logged_in");
    let wrong = p2p_tests::Account {
        password: "guessed".to_owned(),
        ..world.ana.clone()
    };
    let refused = a.try_login(&world.directory.url, &world.directory.fingerprint, &wrong);
    assert_eq!(refused.code, 4, "{refused:?}");
    a.login(&world.directory, &world.ana);
    assert_eq!(a.json(&["whoami"])["user"], "ana");
    // The endpoint itself, as any peer calls it.
    let visitor = Visitor::log_in(&world.directory, &world.ana, "visitor", &[]);
    let (status, peers) = visitor.get("/peers", &[]);
    assert_eq!(status, 200);
    assert!(entry(&peers["peers"], "name", "a").is_some(), "{peers}");
}

#[test]
fn rest_log_out() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    until_online(b, "a", true);
    assert_eq!(a.json(&["logout"])["directory_told"], true);
    let peers = b.json(&["peers"]);
    assert_eq!(entry(&peers["peers"], "name", "a").expect("a")["online"], false);
    assert_eq!(a.fails(4, &["search"])["kind"], "not_logged_in");
}

#[test]
fn rest_ping() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let pinged = || Some(a.json(&["status"])["directory"]["last_ping_at"].clone()).filter(|at| !at.is_null());
    let first = wait::until("a ping", wait::SOON, pinged);
    is_time(&first);
    wait::until("the next ping", wait::SOON, || {
        pinged().filter(|next| *next != first)
    });
    assert_eq!(a.json(&["status"])["directory"]["reachable"], true);
}

#[test]
fn rest_index() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let visitor = Visitor::log_in(&world.directory, &world.ana, "visitor", &[]);
    a.upload(&world.file("scan.tar", 1, MIB).0);
    assert_eq!(holders(&visitor, "scan.tar"), ["a"]);
    b.json(&["fetch", "scan.tar"]);
    assert_eq!(holders(&visitor, "scan.tar").len(), 2);
    a.json(&["rm", "scan.tar"]);
    assert_eq!(holders(&visitor, "scan.tar"), ["b"]);
}

#[test]
fn rest_upload() {
    let world = World::start(&["a", "b"]);
    let a = &world.peers[0];
    let id = {
        a.upload(&world.file("scan.tar", 1, MIB).0);
        let visitor = Visitor::log_in(&world.directory, &world.ana, "visitor", &[]);
        let id = visitor.locate("scan.tar").publication.id;
        // The endpoint: which live peers shall keep it.
        let wish = json!({"publication": id, "copies": 2, "exclude": [visitor.session().peer_id()]});
        let (status, answer) = visitor.send("POST", "/upload", &wish);
        assert_eq!(status, 200, "{answer}");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(
            (&answer["needed"], &answer["targets"][0]["peer_name"]),
            (&json!(1), &json!("b"))
        );
        visitor.wait(visitor.session().client.logout()).expect("a logout");
        id
    };
    // The same asked for by a person.
    let done = a.json(&["replicate", &format!("id:{id}"), "--copies", "2"]);
    assert_eq!(durable(&done["copies"]), ["a", "b"]);
}

#[test]
fn rest_download() {
    let mut world = World::start(&["a", "b", "c"]);
    let (source, hash) = world.file("scan.tar", 1, MIB);
    let [a, b, c] = &mut world.peers[..] else {
        unreachable!()
    };
    a.upload(&source);
    b.json(&["fetch", "scan.tar"]);
    // One that died is none that is live.
    a.process.kill();
    until_online(c, "a", false);
    let visitor = Visitor::log_in(&world.directory, &world.ana, "visitor", &[]);
    let located = visitor.locate("scan.tar");
    let online: Vec<&str> = located
        .holders
        .iter()
        .filter(|holder| holder.online)
        .map(|holder| holder.peer_name.as_str())
        .collect();
    assert_eq!(online, ["b"]);
    let done = c.json(&["download", "scan.tar"]);
    assert_eq!(
        (&done["hash"], sources(&done)),
        (&json!(hash), vec![("b".to_owned(), MIB)])
    );
}

#[test]
fn grpc_request_log_in() {
    let mut world = World::start(&["a"]);
    let a = &mut world.peers[0];
    let who = a.json(&["whoami"]);
    assert_eq!((&who["user"], &who["peer_name"]), (&json!("ana"), &json!("a")));
    // It is there after a restart, and nobody is asked again.
    assert_eq!(a.process.stop(), Some(0));
    a.restart();
    assert_eq!(a.json(&["whoami"]), who);
}

#[test]
fn grpc_request_log_out() {
    let mut world = World::start(&["a"]);
    let (source, _) = world.file("scan.tar", 1, MIB);
    let a = &mut world.peers[0];
    // The server need not be there for it.
    world.directory.process.kill();
    a.json(&["logout"]);
    assert_eq!(a.fails(4, &["whoami"])["kind"], "not_logged_in");
    assert_eq!(a.fails(4, &["upload", text(&source)])["kind"], "not_logged_in");
}

#[test]
fn grpc_download_file() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let (source, hash) = world.file("scan.tar", 1, 9 * MIB + 1);
    a.upload(&source);
    let output = world.path("out.tar");
    let done = b.json(&["download", "scan.tar", "-o", text(&output)]);
    assert_eq!(
        (&done["hash"], &done["size"]),
        (&json!(hash), &json!(9 * MIB + 1))
    );
    assert_eq!(data::hash_of(&output), hash);
}

#[test]
fn grpc_upload_file() {
    let mut world = World::start(&["a", "b", "c"]);
    let (source, hash) = world.file("scan.tar", 1, 2 * MIB);
    let [a, b, c] = &mut world.peers[..] else {
        unreachable!()
    };
    let done = a.json(&["upload", text(&source), "--copies", "2"]);
    let copies = &done["files"][0]["copies"];
    let there = durable(copies);
    assert_eq!((there.len(), there[0]), (2, "a"), "{copies}");
    // The uploader is switched off, and the file is still there.
    let (holder, other) = if there[1] == "b" { (b, c) } else { (c, b) };
    a.process.kill();
    let got = other.json(&["download", "scan.tar"]);
    assert_eq!(sources(&got), [(holder.name.clone(), 2 * MIB)]);
    assert_eq!(data::hash_of(&other.folder.join("scan.tar")), hash);
}

#[test]
fn grpc_request_file() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    a.upload(&world.file("scan.tar", 1, MIB).0);
    let visitor = Visitor::log_in(&world.directory, &world.ana, "visitor", &[]);
    let ask = |grant: &str| {
        let grant = grant.to_owned();
        visitor.wait(visitor.words(a).have(HaveRequest { grant }))
    };
    let have = ask(&visitor.locate("scan.tar").grant)
        .expect("an answer")
        .into_inner();
    assert_eq!((have.size, have.complete), (MIB, true));
    // A name or a hash alone opens nothing.
    assert_eq!(
        ask("scan.tar").expect_err("a refusal").code(),
        Code::PermissionDenied
    );
}

#[test]
fn grpc_request_upload() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let (source, hash) = world.file("scan.tar", 1, 2 * MIB);
    a.upload(&source);
    let done = a.json(&["replicate", "scan.tar", "--to", "b"]);
    assert_eq!(durable(&done["copies"]), ["a", "b"]);
    // The target fetched it itself.
    let kept = &b.json(&["list"])["files"][0];
    assert_eq!(
        (&kept["hash"], &kept["state"]),
        (&json!(hash), &json!("complete"))
    );
    assert_eq!(
        b.transfer("download", "scan.tar").expect("a transfer")["state"],
        "done"
    );
    let visitor = Visitor::log_in(&world.directory, &world.ana, "visitor", &[]);
    let grant = visitor.locate("scan.tar").grant;
    let refused = visitor.wait(visitor.words(b).replicate(PlaceRequest { grant }));
    assert_eq!(
        refused.expect_err("a grant to read").code(),
        Code::PermissionDenied
    );
}

#[test]
fn grpc_request_pinging() {
    let mut world = World::start(&["a", "b"]);
    let [a, b] = &mut world.peers[..] else {
        unreachable!()
    };
    until_online(b, "a", true);
    a.process.kill();
    until_online(b, "a", false);
    // It pings by itself as soon as it runs; nobody asks it to.
    a.restart();
    until_online(b, "a", true);
}

#[test]
fn grpc_list_index() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    for (name, seed) in [("one.tar", 1), ("two.tar", 2)] {
        a.upload(&world.file(name, seed, 1000).0);
    }
    b.json(&["fetch", "two.tar"]);
    let names = |answer: &Value| -> Vec<String> {
        let files = answer["files"].as_array().expect("files").iter();
        files
            .filter_map(|file| file["name"].as_str().map(str::to_owned))
            .collect()
    };
    assert_eq!(names(&a.json(&["list"])), ["one.tar", "two.tar"]);
    assert_eq!(names(&b.json(&["list"])), ["two.tar"]);
    // The index of all peers.
    let all = b.json(&["search"]);
    let two = entry(&all["files"], "name", "two.tar").expect("two.tar");
    assert_eq!((names(&all).len(), &two["holders_total"]), (2, &json!(2)));
}

#[test]
fn the_sweeper() {
    let mut world = World::start(&["a", "b"]);
    let (source, _) = world.file("scan.tar", 1, 1000);
    let [a, b] = &mut world.peers[..] else {
        unreachable!()
    };
    a.upload(&source);
    // Silent, and not gone: it holds its connections, and says nothing.
    a.process.signal(rustix::process::Signal::STOP);
    until_online(b, "a", false);
    let hit = &b.json(&["search", "scan.tar"])["files"][0];
    assert_eq!(
        (&hit["holders_online"], &hit["holders_total"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(b.fails(7, &["download", "scan.tar"])["kind"], "no_holder_online");
    a.process.signal(rustix::process::Signal::CONT);
    until_online(b, "a", true);
}

#[test]
fn the_menu() {
    let world = World::start(&["b"]);
    let a = world.peer("a", "");
    let b = &world.peers[0];
    b.upload(&world.file("theirs.txt", 2, 1000).0);
    let (source, _) = world.file("scan.tar", 1, MIB);
    // Login, 1 download, 2 upload, 3 list, logout, exit: each is a command.
    a.login(&world.directory, &world.ana);
    a.json(&["download", "theirs.txt"]);
    let done = a.json(&["upload", text(&source), "--copies", "2"]);
    assert_eq!(durable(&done["files"][0]["copies"]), ["a", "b"]);
    assert_eq!(a.json(&["list"])["files"].as_array().map(Vec::len), Some(2));
    a.json(&["logout"]);
    a.login(&world.directory, &world.ana);
    // And a number, where p2pctl has the menu.
    if a.ctl(&["menu", "--help"]).code != 0 {
        return;
    }
    let mut menu = Terminal::start(&a.command(&["menu"]), (80, 40));
    menu.shows("0  Exit");
    menu.types("3\n");
    menu.shows("scan.tar");
    menu.types("0\n");
    let (code, shown) = menu.ends();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(a.json(&["whoami"])["user"], "ana", "it keeps the session");
}

/// The tests that are no row.
const OF_THE_WHOLE: [&str; 2] = [
    "every_kind_of_call_does_real_work",
    "each_row_of_the_readme_has_its_test",
];

#[test]
fn every_kind_of_call_does_real_work() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let (control, bytes) = (Control::of(a), data::bytes(7, 3 * MIB as usize));
    // Unary: login, by `World::start`, and status.
    let status = control
        .wait(control.client().status(StatusRequest {}))
        .expect("an answer");
    assert_eq!(status.into_inner().session.expect("a session").user, "ana");
    // Server streaming: what happens, while the rest does.
    let watch = WatchRequest::default();
    let mut events = control
        .wait(control.client().watch(watch))
        .expect("a stream")
        .into_inner();
    // Client streaming: a pipe of which nobody knows the end.
    let mut upload = a.command(&["upload", "-", "--name", "pipe.bin", "--json"]);
    let mut upload = upload.stdin(Stdio::piped()).spawn().expect("p2pctl");
    upload
        .stdin
        .take()
        .expect("a pipe")
        .write_all(&bytes)
        .expect("a pipe");
    let uploaded = upload.wait_with_output().expect("p2pctl");
    assert!(uploaded.status.success(), "{uploaded:?}");
    // Server streaming: the bytes, as they come.
    let download = b.ctl(&["download", "pipe.bin", "-o", "-"]);
    assert_eq!(download.code, 0, "{download:?}");
    assert!(download.out == bytes, "other bytes");
    let heard = control.wait(async {
        loop {
            let event = events.message().await.expect("an event").expect("an event");
            if event.r#type == "file.stored" {
                break event;
            }
        }
    });
    assert_eq!(heard.publication.expect("a publication").name, "pipe.bin");
}

/// How the test of a row is called: "gRPC RequestLogIn" is `grpc_request_log_in`.
fn test_of(row: &str) -> String {
    let mut name = String::new();
    for word in row.replace("gRPC", "grpc").replace("REST", "rest").split(' ') {
        let mut before = '_';
        for letter in word.chars() {
            if letter.is_uppercase() && before.is_lowercase() {
                name.push('_');
            }
            name.extend(letter.to_lowercase());
            before = letter;
        }
        name.push('_');
    }
    name.trim_end_matches('_').to_owned()
}

#[test]
fn each_row_of_the_readme_has_its_test() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).expect("README.md");
    let (_, chapter) = readme.split_once("## The classic names\n").expect("the chapter");
    let chapter = chapter.split("\n## ").next().unwrap_or(chapter);
    let rows = chapter.lines().filter(|line| line.starts_with("| "));
    let rows: Vec<&str> = rows.filter_map(|line| line[2..].split(" | ").next()).collect();
    assert_eq!(&rows[..2], ["old name", "---"]);
    let rows: BTreeSet<String> = rows[2..]
        .iter()
        .map(|row| test_of(&row.replace('`', "")))
        .collect();
    let tests: BTreeSet<String> = include_str!("classic.rs")
        .split("\n#[test]\nfn ")
        .skip(1)
        .filter_map(|test| test.split('(').next().map(str::to_owned))
        .filter(|test| !OF_THE_WHOLE.contains(&test.as_str()))
        .collect();
    assert_eq!(rows, tests);
    assert_eq!(rows.len(), 16);
}
