//! What the programs print with `--json`, against the schemas in `schemas/`: every command, and each of the ways in which
//! its object differs. A field that is renamed, taken away or added without the schema breaks a test here.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::{self, TryRecvError},
};

use p2p_proto::FailureKind;
use p2p_tests::{Answer, Peer, World, check::entry, help, process::program, schema::Schemas, wait};
use serde_json::{Value, json};

/// What a schema shares with others, and no command prints.
const SHARED: [&str; 2] = ["common", "transfer"];

/// Commands that print no object: they are for people alone, or run for ever.
const WITHOUT: [&str; 1] = ["menu"];

struct Checked {
    schemas: Schemas,
    seen: RefCell<BTreeSet<String>>,
}

impl Checked {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemas");
        Self {
            schemas: Schemas::load(&folder),
            seen: RefCell::default(),
        }
    }

    /// The object says which schema it has, and has it; and the schema would notice every change.
    fn object(&self, line: &str) -> Value {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let schema = value["schema"]
            .as_str()
            .unwrap_or_else(|| panic!("no schema: {line}"));
        let name = schema
            .strip_suffix("/1")
            .unwrap_or_else(|| panic!("another version: {schema}"));
        let name = name.strip_prefix("p2pctl.").unwrap_or(name);
        if let Err(why) = self.schemas.check(name, &value) {
            panic!("{name}: {why}\n{line}");
        }
        let unnoticed = self.schemas.unnoticed(name, &value);
        assert!(unnoticed.is_empty(), "nobody would notice: {unnoticed:?}");
        self.seen.borrow_mut().insert(name.to_owned());
        value
    }

    /// Exactly one object, and nothing beside it.
    fn answer(&self, answer: &Answer, code: i32, schema: &str) -> Value {
        assert_eq!(answer.code, code, "{answer:?}");
        let text = answer.text();
        assert_eq!(text.matches('\n').count(), 1, "{answer:?}");
        assert!(answer.err.is_empty(), "{answer:?}");
        let value = self.object(text.trim_end());
        let prefix = if schema.starts_with("p2p-directory.") {
            ""
        } else {
            "p2pctl."
        };
        assert_eq!(value["schema"], format!("{prefix}{schema}/1"));
        value
    }

    /// Runs a verb of p2pctl that must succeed.
    fn ok(&self, peer: &Peer, args: &[&str]) -> Value {
        self.ends(peer, 0, args, args[0])
    }

    /// Runs a verb of p2pctl that must end so.
    fn ends(&self, peer: &Peer, code: i32, args: &[&str], schema: &str) -> Value {
        let args = [args, &["--json"]].concat();
        self.answer(&peer.ctl(&args), code, schema)
    }

    /// Runs a verb of p2pctl that must fail.
    fn fails(&self, peer: &Peer, code: i32, args: &[&str]) -> Value {
        let error = self.ends(peer, code, args, "error");
        assert_eq!(error["code"], code);
        error
    }

    fn logs_in(&self, world: &World, peer: &Peer) {
        let dir = &world.directory;
        let try_as = |user: &str, password: &str| {
            let args = [
                "login",
                "--directory",
                &dir.url,
                "--user",
                user,
                "--password-stdin",
                "--json",
            ];
            let args = [&args[..], &["--ca-fingerprint", &dir.fingerprint]].concat();
            peer.ctl_with(&args, password.as_bytes())
        };
        let wrong = self.answer(&try_as("zoe", "wrong"), 4, "error");
        assert_eq!(wrong["kind"], "credentials_refused");
        let login = self.answer(&try_as("ana", &world.ana.password), 0, "login");
        assert_eq!(login["addresses"][0]["reachable"], true);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// One peer alone, logged out and in.
fn session(checked: &Checked, world: &World, a: &Peer) {
    assert_eq!(checked.ok(a, &["status"])["session"]["logged_in"], false);
    checked.fails(a, 4, &["whoami"]);
    checked.fails(a, 2, &["frobnicate"]);
    checked.fails(a, 2, &["download", "x", "--on-conflict", "maybe"]);
    checked.logs_in(world, a);
    assert_eq!(checked.ok(a, &["status"])["session"]["logged_in"], true);
    checked.ok(a, &["whoami"]);
    checked.ok(a, &["logout"]);
    a.login(&world.directory, &world.ana);
    for empty in [&["list"][..], &["search"], &["transfers"], &["verify"]] {
        checked.ok(a, empty);
    }
}

/// Files that go in.
fn uploads(checked: &Checked, world: &World, a: &Peer) {
    let (scan, _) = world.file("scan.tar", 1, 300_000);
    let (other, _) = world.file("other.tar", 2, 1000);
    checked.ok(a, &["upload", text(&scan)]);
    let several = ["upload", text(&other), "/nowhere", "--visibility", "private"];
    let partly = checked.ends(a, 12, &several, "upload");
    assert_eq!(
        (
            partly["files"].as_array().map(Vec::len),
            &partly["errors"][0]["code"]
        ),
        (Some(1), &6.into())
    );
    checked.answer(
        &a.ctl_with(&["upload", "-", "--name", "pipe", "--json"], b"pipe"),
        0,
        "upload",
    );
    let copies = checked.ok(a, &["upload", text(&scan), "--copies", "2"]);
    assert_eq!(copies["files"][0]["copies"].as_array().map(Vec::len), Some(2));
    let (more, _) = world.file("more.tar", 3, 300_000);
    let ids = checked.ok(a, &["upload", text(&more), "--to", "b", "--no-wait"]);
    let id = ids["transfer_ids"][0].as_str().expect("an id");
    checked.ok(a, &["wait", id]);
    let (few, _) = world.file("few.tar", 4, 1000);
    let fewer = checked.ends(a, 12, &["upload", text(&few), "--copies", "9"], "upload");
    assert_eq!(fewer["errors"][0]["kind"], "partial");
    let (_stranger, _) = world.stranger("far", "kim");
    let refused = checked.ends(a, 12, &["upload", text(&few), "--to", "far"], "upload");
    let copies = refused["files"][0]["copies"].as_array().expect("copies");
    assert!(copies.iter().any(|copy| copy["reason"].is_string()), "{refused}");
    checked.ok(a, &["replicate", "pipe", "--to", "b"]);
    checked.fails(a, 6, &["replicate", "nope", "--copies", "2"]);
}

/// Files that come out, and what there is to read about them.
fn downloads(checked: &Checked, world: &World, b: &Peer) {
    let out = world.path("out.tar");
    let args = ["download", "scan.tar", "-o", text(&out)];
    assert_eq!(checked.ok(b, &args)["skipped"], false);
    assert_eq!(checked.ok(b, &args)["skipped"], true);
    fs::write(&out, "mine").expect("a file");
    assert_eq!(checked.fails(b, 11, &args)["kind"], "output_exists");
    // The bytes have stdout, so the object has stderr; an error too.
    let streamed = b.ctl(&["download", "scan.tar", "-o", "-", "--json"]);
    assert_eq!((streamed.code, streamed.out.len()), (0, 300_000));
    assert!(checked.object(streamed.err.trim_end())["path"].is_null());
    let nothing = b.ctl(&["download", "nope", "-o", "-", "--json"]);
    assert_eq!((nothing.code, nothing.out.len()), (6, 0));
    assert_eq!(checked.object(nothing.err.trim_end())["schema"], "p2pctl.error/1");
    checked.ok(b, &["fetch", "scan.tar"]);
    for about in [
        &["list"][..],
        &["search", "scan"],
        &["search", "nothing like it"],
        &["info", "scan.tar"],
        &["peers"],
    ] {
        checked.ok(b, about);
    }
}

/// A transfer that waits, so that it can be steered.
fn transfers(checked: &Checked, world: &World, a: &mut Peer, b: &Peer) {
    let (lone, _) = world.file("lone.tar", 5, 300_000);
    a.upload(&lone);
    a.process.stop();
    assert_eq!(
        checked.fails(b, 7, &["fetch", "lone.tar"])["hint"],
        "To wait: --wait"
    );
    let waiting = b.begin(&["fetch", "lone.tar", "--wait"]);
    let id = b.until_download("lone.tar", "waiting", wait::SOON)["id"].clone();
    let id = id.as_str().expect("an id");
    let mut watching = b
        .command(&["transfers", "--watch", "--json"])
        .spawn()
        .expect("p2pctl");
    let mut changes = BufReader::new(watching.stdout.take().expect("a pipe")).lines();
    let mut next = || checked.object(&changes.next().expect("a change").expect("text"));
    assert!(entry(&next()["transfers"], "id", id).is_some());
    assert_eq!(checked.ok(b, &["priority", id, "high"])["priority"], "high");
    assert_eq!(checked.ok(b, &["limit", "--down", "1MiB", id])["transfer_id"], id);
    assert_eq!(checked.ok(b, &["pause", id])["state"], "paused");
    wait::until("the watch to tell", wait::SOON, || {
        let now = next();
        (entry(&now["transfers"], "id", id)?["state"] == "paused").then_some(())
    });
    watching.kill().expect("a running program");
    watching.wait().expect("a program that ended");
    checked.ok(b, &["resume", id]);
    checked.fails(b, 12, &["wait", id, "--timeout", "1s"]);
    checked.ok(b, &["cancel", id]);
    let ended = checked.ends(b, 130, &["wait", id], "wait");
    assert_eq!(ended["error"]["code"], 130);
    let given_up = waiting.end();
    assert_eq!(
        checked.object(given_up.text().trim_end())["schema"],
        "p2pctl.error/1"
    );
    checked.ok(b, &["transfers"]);
    checked.fails(b, 6, &["wait", "4711"]);
    checked.ends(b, 0, &["status"], "status");
    a.restart();
}

/// What a person sets: a password, limits, marks; and what a watch tells of it.
fn managed(checked: &Checked, world: &mut World, a: &Peer) {
    let own = world.ana.password.clone();
    let changes = |old: &str, new: &str| {
        let typed = format!("{old}\n{new}\n");
        a.ctl_with(&["passwd", "--password-stdin", "--json"], typed.as_bytes())
    };
    checked.answer(&changes(&own, "another of her own"), 0, "passwd");
    checked.answer(&changes(&own, "and another"), 4, "error");
    world.ana.password = "another of her own".to_owned();

    let mut watch = a
        .command(&["watch", "--json", "--timeout", "20s"])
        .spawn()
        .expect("p2pctl");
    let mut events = BufReader::new(watch.stdout.take().expect("a pipe")).lines();
    let mut next = || checked.object(&events.next().expect("an event").expect("text"));
    // Nothing else happens here: until the watch is there, a limit changes again and again.
    let (sender, came) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for rate in ["100MiB", "200MiB"].into_iter().cycle() {
                assert_eq!(a.ctl(&["limit", "--up", rate]).code, 0);
                // Also when the other side gave up.
                if came.try_recv() != Err(TryRecvError::Empty) {
                    break;
                }
            }
        });
        let sender = sender;
        assert_eq!(next()["type"], "limit.changed");
        sender.send(()).expect("a thread");
    });
    let set = checked.ok(a, &["limit", "--up", "20MiB", "--down", "unlimited"]);
    assert_eq!(
        (&set["up_bytes_per_second"], &set["down_bytes_per_second"]),
        (&(20 << 20).into(), &Value::Null)
    );
    checked.ok(a, &["limit", "--up", "unlimited"]);
    assert!(checked.ok(a, &["limit"])["transfer_id"].is_null());
    let (new, _) = world.file("new.tar", 7, 1000);
    a.upload(&new);
    let stored = |event: &Value| event["type"] == "file.stored" && event["file"]["name"] == "new.tar";
    while !stored(&next()) {}
    watch.kill().expect("a running program");
    watch.wait().expect("a program that ended");

    checked.ok(a, &["pin", "new.tar"]);
    assert_eq!(checked.fails(a, 5, &["rm", "new.tar"])["kind"], "not_permitted");
    checked.ok(a, &["list"]);
    checked.ok(a, &["unpin", "new.tar"]);
    checked.fails(a, 6, &["pin", "nope"]);
    for shell in ["bash", "zsh", "fish"] {
        assert_eq!(checked.ok(a, &["completions", shell])["shell"], shell);
    }
    checked.fails(a, 2, &["menu"]);
}

/// What is damaged on a disk.
fn damage(checked: &Checked, world: &World, a: &Peer, b: &Peer) {
    let spoil = |length: u64| {
        let stored = b.stored().into_iter();
        let mut large = stored.filter(|path| fs::metadata(path).is_ok_and(|file| file.len() == length));
        let path = large.next().expect("the stored content");
        fs::write(path, vec![0; usize::try_from(length).expect("small")]).expect("a stored content");
    };
    spoil(300_000);
    let healed = checked.ok(b, &["verify"]);
    assert_eq!((&healed["healed"], &healed["damaged"]), (&1.into(), &0.into()));
    let (own, _) = world.file("own.tar", 6, 200_000);
    b.upload(&own);
    spoil(200_000);
    let damaged = checked.ends(b, 10, &["verify", "own.tar"], "verify");
    assert_eq!(damaged["results"][0]["state"], "damaged");
    assert!(
        !checked.ok(b, &["status"])["health"]
            .as_array()
            .expect("a list")
            .is_empty()
    );
    checked.ok(b, &["list"]);
    checked.ok(b, &["rm", "scan.tar"]);
    assert_eq!(checked.fails(a, 5, &["rm", "lone.tar"])["kind"], "not_permitted");
    checked.ok(a, &["rm", "few.tar", "--unpublish"]);
}

/// Two files of one name that others own.
fn ambiguous(checked: &Checked, world: &World, a: &Peer) {
    for (peer, user) in [("c", "cy"), ("d", "dan")] {
        let (peer, _) = world.stranger(peer, user);
        let answer = peer.ctl_with(&["upload", "-", "--name", "same.txt"], user.as_bytes());
        assert_eq!(answer.code, 0, "{answer:?}");
    }
    let failed = checked.fails(a, 11, &["info", "same.txt"]);
    assert_eq!(failed["candidates"], json!(["cy/same.txt", "dan/same.txt"]));
}

fn directory(world: &World, args: &[&str], stdin: &str) -> Answer {
    let mut child = Command::new(program("p2p-directory"))
        .args(args)
        .args(["--json", "--config"])
        .arg(world.path("directory/directory.toml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("p2p-directory");
    // A command that does not read its input closes the pipe.
    let _ = std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), stdin.as_bytes());
    let output = child.wait_with_output().expect("p2p-directory");
    Answer {
        code: output.status.code().unwrap_or(-1),
        out: output.stdout,
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn administered(checked: &Checked, world: &mut World) {
    let ok = |args: &[&str], stdin: &str, schema: &str| {
        let answer = directory(world, args, stdin);
        checked.answer(&answer, 0, &format!("p2p-directory.{schema}"))
    };
    ok(&["ca-fingerprint"], "", "ca-fingerprint");
    ok(&["first-steps"], "", "first-steps");
    ok(&["serve", "--check-config"], "", "serve");
    ok(&["admin", "status"], "", "admin.status");
    ok(&["admin", "peer", "list"], "", "admin.peer.list");
    ok(&["admin", "group", "add", "lab"], "", "admin.group.add");
    ok(
        &["admin", "group", "add", "lab", "cy", "dan"],
        "",
        "admin.group.add",
    );
    ok(&["admin", "group", "list"], "", "admin.group.list");
    ok(
        &["admin", "group", "remove", "lab", "cy"],
        "",
        "admin.group.remove",
    );
    ok(&["admin", "group", "remove", "lab"], "", "admin.group.remove");
    ok(&["admin", "peer", "revoke", "c"], "", "admin.peer.revoke");
    ok(&["admin", "peer", "list"], "", "admin.peer.list");
    ok(&["admin", "peer", "allow", "c"], "", "admin.peer.allow");
    let archive = world.path("backup.tar");
    ok(&["backup", text(&archive)], "", "backup");
    let again = directory(world, &["backup", text(&archive)], "");
    checked.answer(&again, 11, "p2p-directory.error");
    let user = |verb: &'static str| ok(&["admin", "user", verb, "eve"], "", &format!("admin.user.{verb}"));
    assert!(user("add")["password"].is_string());
    let given = ok(
        &["admin", "user", "passwd", "eve", "--password-stdin"],
        "a password of her own",
        "admin.user.passwd",
    );
    assert!(given["password"].is_null());
    user("disable");
    ok(&["admin", "user", "list"], "", "admin.user.list");
    user("enable");
    user("remove");
    let failed = directory(world, &["admin", "user", "remove", "nobody"], "");
    checked.answer(&failed, 6, "p2p-directory.error");
    world.directory.process.stop();
    let answer = directory(world, &["init"], "");
    checked.answer(&answer, 0, "p2p-directory.init");
}

#[test]
fn every_object_is_as_its_schema_says() {
    let checked = Checked::new();
    let mut world = World::start(&[]);
    let mut a = world.peer("a", "");
    session(&checked, &world, &a);
    let b = world.peer("b", "[store]\nreserve_free = \"1MiB\"\nmax_size = \"1GiB\"\n");
    b.login(&world.directory, &world.ana);
    uploads(&checked, &world, &a);
    downloads(&checked, &world, &b);
    transfers(&checked, &world, &mut a, &b);
    managed(&checked, &mut world, &a);
    damage(&checked, &world, &a, &b);
    ambiguous(&checked, &world, &a);
    administered(&checked, &mut world);
    // The directory is away now.
    assert_eq!(checked.ok(&b, &["logout"])["directory_told"], false);
    a.process.stop();
    checked.fails(&a, 3, &["status"]);

    let seen = checked.seen.into_inner();
    let schemas: BTreeSet<_> = checked
        .schemas
        .names()
        .filter(|name| !SHARED.contains(name))
        .map(str::to_owned)
        .collect();
    let not_seen: Vec<_> = schemas.difference(&seen).collect();
    assert!(
        not_seen.is_empty(),
        "schemas of which nothing was seen: {not_seen:?}"
    );
    let never = checked.schemas.never_present();
    assert!(
        never.is_empty(),
        "fields that may be missing, and always were: nobody would notice another name: {never:?}"
    );
    let own = help::commands("p2pctl")
        .into_iter()
        .filter(|command| !WITHOUT.contains(&command.as_str()));
    let directory = help::commands("p2p-directory").into_iter();
    let directory = directory.map(|command| format!("p2p-directory.{}", command.replace(' ', ".")));
    for command in own.chain(directory) {
        assert!(seen.contains(&command), "no object of {command} was seen");
    }
}

#[test]
fn every_kind_of_failure_has_its_schema() {
    let schemas = Checked::new().schemas;
    for kind in FailureKind::ALL {
        let error = json!({
            "schema": "p2pctl.error/1", "code": kind.exit_code(), "kind": kind.as_str(), "message": "why", "hint": null,
        });
        assert_eq!(schemas.check("error", &error), Ok(()), "{kind}");
    }
}
