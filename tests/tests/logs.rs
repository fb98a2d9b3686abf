//! What an administrator finds in the journal: the story of a transfer, a content, a peer or an account by its field, and
//! among the warnings what he has to look into, and nothing else.

use std::fs;

use p2p_tests::{
    Peer, Process, World,
    journal::{Entry, Journal},
    wait,
};

const DAEMON: &str = "p2pd";
const DIRECTORY: &str = "p2p-directory";

/// A directory and the peer b, that write to one journal; b is logged in as ana. And the peer a, that does not.
struct Scene {
    world: World,
    journal: Journal,
}

impl Scene {
    fn start() -> Option<Self> {
        let mut world = World::start(&["a", "b"]);
        let journal = Journal::begin(&world.path("journal"))?;
        let folder = world.path("directory");
        assert_eq!(world.directory.process.stop(), Some(0));
        let log = folder.join("journal.log");
        let mut command = journal.command(DIRECTORY, &log);
        command
            .arg("serve")
            .arg("--config")
            .arg(folder.join("directory.toml"));
        world.directory.process = Process::start(command, &log);
        let b = &mut world.peers[1];
        assert_eq!(b.process.stop(), Some(0));
        let log = b.folder.join("journal.log");
        let mut command = journal.command(DAEMON, &log);
        command.arg("--config").arg(b.folder.join("p2pd.toml"));
        b.process = Process::start(command, &log);
        for peer in &world.peers {
            wait::until("the directory to answer", wait::SOON, || {
                let status = peer.ctl(&["status", "--json"]);
                (status.code == 0 && status.json()["directory"]["reachable"] == true).then_some(())
            });
        }
        Some(Self { world, journal })
    }

    fn b(&self) -> &Peer {
        &self.world.peers[1]
    }

    /// Waits until these are, in this order, among the messages that the field finds; those entries.
    fn finds(&self, program: &str, (field, value): (&str, &str), parts: &[&str]) -> Vec<Entry> {
        let look = || {
            let mut found = self.journal.with(program, field, value).into_iter();
            let next = |part: &&str| found.find(|entry| entry["MESSAGE"].contains(*part));
            parts.iter().map(next).collect::<Option<Vec<_>>>()
        };
        wait::often(wait::SOON, look).unwrap_or_else(|| {
            let all = self.journal.with(program, field, value);
            let said: Vec<_> = all.iter().map(|entry| &entry["MESSAGE"]).collect();
            panic!("{field}={value} finds {said:#?}, not {parts:#?}")
        })
    }
}

fn all_have(entries: &[Entry], field: &str, value: &str) {
    for entry in entries {
        assert_eq!(entry.get(field).map(String::as_str), Some(value), "{entry:?}");
    }
}

/// The number of the newest transfer of this name.
fn number(peer: &Peer, direction: &str, name: &str) -> String {
    let transfer = peer.transfer(direction, name).expect("a transfer");
    transfer["id"].as_str().expect("a number").to_owned()
}

#[test]
fn each_story_is_found_by_its_field_and_warnings_are_what_to_look_into() {
    let Some(mut scene) = Scene::start() else { return };
    let (source, hash) = scene.world.file("scan.tar", 1, 3 << 20);
    // A content comes, rots, is mended and goes.
    scene.world.peers[0].upload(&source);
    scene.b().json(&["download", "scan.tar"]);
    let id = number(scene.b(), "download", "scan.tar");
    let story = ["is queued", " runs", "scan.tar fetched from a", "is done"];
    let found = scene.finds(DAEMON, ("TRANSFER", &id), &story);
    all_have(&found, "CONTENT_HASH", &hash);
    all_have(&found, "PRIORITY", "5");
    scene.b().spoil(&hash);
    assert_eq!(scene.b().json(&["verify"])["healed"], 1);
    assert_eq!(scene.b().ctl(&["rm", "scan.tar"]).code, 0);
    let story = [
        "is queued",
        "fetched from a",
        "a stored content is damaged",
        "is whole again",
        "is stored here no longer",
    ];
    let found = scene.finds(DAEMON, ("CONTENT_HASH", &hash), &story);
    assert_eq!(found[2]["PRIORITY"], "4");
    let found = scene.finds(
        DIRECTORY,
        ("CONTENT_HASH", &hash),
        &["ana/scan.tar@1 is published"],
    );
    assert_eq!(
        (found[0]["ACCOUNT"].as_str(), found[0]["PEER"].as_str()),
        ("ana", "a")
    );
    // An own file is imported and published.
    let (source, hash) = scene.world.file("own.tar", 2, 1 << 20);
    scene.b().upload(&source);
    let id = number(scene.b(), "upload", "own.tar");
    let found = scene.finds(
        DAEMON,
        ("TRANSFER", &id),
        &["is queued", "is imported, 1.0 MiB", "is done"],
    );
    assert_eq!(found[1]["CONTENT_HASH"], hash);
    scene.finds(
        DAEMON,
        ("CONTENT_HASH", &hash),
        &["is imported", "published ana/own.tar@1"],
    );
    // One that waits for its holder, and is given up.
    let (source, _) = scene.world.file("away.tar", 3, 1 << 20);
    scene.world.peers[0].upload(&source);
    assert_eq!(scene.world.peers[0].process.stop(), Some(0));
    p2p_tests::check::until_online(scene.b(), "a", false);
    let waiting = scene.b().begin(&["fetch", "away.tar", "--wait"]);
    scene.b().until_download("away.tar", "waiting", wait::SOON);
    let id = number(scene.b(), "download", "away.tar");
    scene.b().json(&["cancel", &id]);
    let _ = waiting.end();
    scene.finds(
        DAEMON,
        ("TRANSFER", &id),
        &["is queued", " waits: ", "is cancelled"],
    );
    // Who logs in and out is found by account and by peer.
    let mut wrong = scene.world.ana.clone();
    wrong.password = "a guess".to_owned();
    assert_eq!(scene.b().json(&["logout"])["schema"], "p2pctl.logout/1");
    let (url, fingerprint) = (&scene.world.directory.url, &scene.world.directory.fingerprint);
    assert_eq!(scene.b().try_login(url, fingerprint, &wrong).code, 4);
    wait::until("another login to be admitted", wait::SOON, || {
        (scene.b().try_login(url, fingerprint, &scene.world.ana).code == 0).then_some(())
    });
    scene.finds(DAEMON, ("ACCOUNT", "ana"), &["logged out", "logged in to"]);
    let story = ["logged out on b", "a login was refused", "ana logged in on b"];
    let found = scene.finds(DIRECTORY, ("ACCOUNT", "ana"), &story);
    all_have(&found, "PRIORITY", "5");
    let peer_id = scene.b().json(&["whoami"])["peer_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let found = scene.finds(DIRECTORY, ("PEER", "b"), &["logged out on b", "logged in on b"]);
    all_have(&found, "PEER_ID", &peer_id);
    // Until now there was one thing to look into, besides that this machine may have no group for the socket, and a disk that
    // is nearly full.
    let warned = |scene: &Scene| -> Vec<String> {
        let is_warning = |entry: &&Entry| {
            entry["PRIORITY"]
                .parse::<u8>()
                .is_ok_and(|priority| priority <= 4)
        };
        let entries = scene.journal.entries();
        let messages = entries
            .iter()
            .filter(is_warning)
            .map(|entry| entry["MESSAGE"].clone());
        messages
            .filter(|message| {
                !message.starts_with("there is no group ") && !message.contains(" left for files in ")
            })
            .collect()
    };
    let before = warned(&scene);
    assert!(
        matches!(&before[..], [one] if one.starts_with("a stored content is damaged: ")),
        "{before:?}"
    );
    // And now there is another.
    scene
        .world
        .directory
        .command(&["admin", "peer", "revoke", "b"], None);
    let ended = "the session has ended: an administrator revoked this peer";
    let found = scene.finds(DAEMON, ("ACCOUNT", "ana"), &[ended]);
    assert_eq!(found[0]["PRIORITY"], "4");
    assert_eq!(warned(&scene), [before[0].as_str(), ended]);
    scene.finds(DIRECTORY, ("PEER_ID", &peer_id), &["peer b revoked"]);
    for entry in scene.journal.entries() {
        for key in entry.keys() {
            let plain = key
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
            assert!(plain && !key.starts_with('_'), "{key}");
        }
        assert!(!entry.contains_key("OWN"), "{entry:?}");
    }
    // Never both.
    assert_eq!(scene.world.peers.remove(1).process.log(), "");
}

#[test]
fn what_is_not_well_is_a_warning_with_what_mends_it() {
    let world = World::start(&[]);
    let config = |reserved: &str| format!("[store]\nreserve_free = \"{reserved}\"\n");
    let peer = world.peer("a", &config("1EiB"));
    let said = |level: &str, text: &str| {
        let log = peer.process.log();
        let is = |line: &&str| line.contains(level) && line.contains(text);
        log.lines().filter(is).count()
    };
    let path = peer.folder.join("state/store");
    let full = format!("no space for more files in {}: p2pctl rm FILE", path.display());
    wait::until("a warning", wait::SOON, || {
        (said("WARN", &full) == 1).then_some(())
    });
    let file = peer.folder.join("p2pd.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace(&config("1EiB"), &config("1MiB"))).unwrap();
    peer.process.signal(rustix::process::Signal::HUP);
    wait::until("its end", wait::SOON, || {
        (said("INFO", "disk_full is over") == 1).then_some(())
    });
    assert_eq!(said("WARN", &full), 1);
}

#[test]
fn what_was_found_before_a_start_is_a_warning_again() {
    let mut world = World::start(&["a"]);
    let (source, hash) = world.file("scan.tar", 1, 5 << 20);
    world.peers[0].upload(&source);
    world.peers[0].spoil(&hash);
    // Nobody else has it.
    assert_ne!(world.peers[0].ctl(&["verify"]).code, 0);
    let peer = &mut world.peers[0];
    peer.process.stop();
    peer.restart();
    wait::until("a warning", wait::SOON, || {
        let log = peer.process.log();
        let is = |line: &str| line.contains("WARN") && line.contains("ana/scan.tar@1 is damaged: ");
        log.lines().any(is).then_some(())
    });
}
