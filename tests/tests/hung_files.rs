//! Files of a file system that answers nobody, as FUSE and NFS can be: more of them than the daemon has workers. Whoever
//! passed them waits; nobody else does, and when it answers again all go on.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use p2p_tests::{
    Peer, World, data,
    hanging::{Call, Hanging},
    peer::Running,
    wait,
};
use serde_json::Value;

const SIZE: u64 = 3 * (1 << 20) + 5;
/// More than the daemon's workers, and than transfers that may run at once.
const MANY: usize = 6;
/// An unprivileged user and group: nobody.
const NOBODY: u32 = 65_534;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// A holder, a peer with two workers, and a file system that can hang.
struct Scene {
    /// Gone before the daemon is ended: what hangs cannot be.
    hanging: Hanging,
    b: Peer,
    mine: PathBuf,
    hashes: [String; 2],
    world: World,
}

impl Scene {
    fn start() -> Option<Self> {
        let world = World::start(&["a"]);
        let hanging = Hanging::mount(&world.path("hung"))?;
        let workers = [("TOKIO_WORKER_THREADS".to_owned(), "2".to_owned())];
        let b = Peer::start_in(&world.path("b"), "b", "", &workers);
        b.login(&world.directory, &world.ana);
        let hashes = [(1, "scan.tar"), (2, "other.tar")].map(|(seed, name)| {
            let (path, hash) = world.file(name, seed, SIZE);
            world.peers[0].upload(&path);
            hash
        });
        let mine = world.path("mine");
        fs::create_dir(&mine).expect("a folder");
        chown(&mine, Some(NOBODY), Some(NOBODY)).expect("a folder");
        for folder in [world.folder.path(), &b.folder, &b.folder.join("run")] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("a folder");
        }
        for socket in ["control.sock", "descriptor.sock"] {
            let socket = b.folder.join("run").join(socket);
            fs::set_permissions(socket, fs::Permissions::from_mode(0o666)).expect("a socket");
        }
        Some(Self {
            hanging,
            b,
            mine,
            hashes,
            world,
        })
    }

    fn output(&self, number: usize) -> PathBuf {
        self.world.path("hung").join(number.to_string())
    }

    /// Downloads into the file system that hangs.
    fn download(&self, more: &[&str]) -> Vec<Running> {
        let begin = |number| {
            let output = self.output(number);
            let args = [&["download", "scan.tar", "-o", text(&output)], more].concat();
            self.b.begin(&args)
        };
        (0..MANY).map(begin).collect()
    }

    fn until_held(&self, calls: usize) {
        wait::until("calls that hang", wait::SOON, || {
            (self.hanging.held() >= calls).then_some(())
        });
    }

    /// The daemon answers, its store takes and gives, and another user's downloads are done.
    fn serves_others(&self) {
        let status = self.b.json(&["status", "--timeout", "20s"]);
        assert_eq!(status["session"]["logged_in"], true);
        let mut names = vec!["scan.tar", "other.tar"];
        let (new, hash) = self.world.file("new.tar", 3, SIZE);
        let uploaded = self.b.json(&["upload", text(&new), "--timeout", "60s"]);
        assert_eq!(uploaded["files"][0]["hash"], hash);
        names.push("new.tar");
        for (name, hash) in names.into_iter().zip([&self.hashes[0], &self.hashes[1], &hash]) {
            let output = self.mine.join(name);
            let args = ["download", name, "-o", text(&output), "--timeout", "60s"];
            let mut tool: Command = self.b.command(&args);
            let done = tool.uid(NOBODY).gid(NOBODY).current_dir("/").output();
            let done = done.expect("p2pctl");
            assert!(done.status.success(), "{name}: {done:?}");
            assert_eq!(data::hash_of(&output), *hash);
        }
    }

    /// All that hung is done well.
    fn all_end(&self, running: Vec<Running>) {
        self.hanging.answer();
        for (number, running) in running.into_iter().enumerate() {
            let answer = running.end();
            assert_eq!(answer.code, 0, "{answer:?}");
            assert_eq!(data::hash_of(&self.output(number)), self.hashes[0]);
        }
    }
}

#[test]
fn outputs_that_hang_when_their_space_is_taken_hold_up_nobody_else() {
    let Some(scene) = Scene::start() else { return };
    scene.hanging.hold(&[Call::Measure, Call::Allocate]);
    let running = scene.download(&["--no-keep"]);
    scene.until_held(2);
    scene.serves_others();
    // Those that waited for their turn have it too, and each says why it stands still.
    scene.until_held(MANY);
    wait::until("the reason", wait::SOON, || {
        let all = scene.b.json(&["transfers"])["transfers"].clone();
        let hung = all.as_array()?.iter().filter(|transfer| {
            transfer["state"] == "waiting"
                && transfer["reason"] == "the file system of the output does not answer"
        });
        (hung.count() == MANY).then_some(())
    });
    scene.all_end(running);
}

#[test]
fn outputs_that_hang_while_they_are_written_hold_up_nobody_else() {
    let Some(scene) = Scene::start() else { return };
    scene.hanging.hold(&[Call::Write]);
    let running = scene.download(&["--no-keep"]);
    scene.until_held(2);
    scene.serves_others();
    scene.until_held(MANY);
    // The holder is not blamed for it.
    let all = scene.b.json(&["transfers"])["transfers"].clone();
    let silent = |transfer: &Value| {
        let peers = transfer["peers"].as_array().expect("a list");
        peers.iter().any(|peer| !peer["silent_since"].is_null())
    };
    assert!(!all.as_array().expect("a list").iter().any(silent), "{all}");
    scene.all_end(running);
}

#[test]
fn what_is_delivered_to_a_file_system_that_hangs_holds_up_nobody_else() {
    let Some(scene) = Scene::start() else { return };
    scene.hanging.hold(&[Call::Write]);
    let running = scene.download(&[]);
    scene.until_held(MANY);
    scene.serves_others();
    scene.all_end(running);
}

#[test]
fn files_that_hang_when_they_are_closed_hold_up_nobody_else() {
    let Some(mut scene) = Scene::start() else { return };
    scene.world.peers[0].process.stop();
    let before = scene.b.process.descriptors();
    // Both the tool and the daemon close a file that nobody can fill.
    scene.hanging.hold(&[Call::Close]);
    let direct = scene.download(&["--no-keep"]);
    // One user passes eight files at a time.
    scene.until_held(2 * MANY);
    let kept = scene.download(&[]);
    scene.until_held(4 * MANY);
    let status = scene.b.json(&["status", "--timeout", "20s"]);
    assert_eq!(status["session"]["logged_in"], true);
    scene.world.peers[0].restart();
    wait::until("the holder", wait::SOON, || {
        let info = scene.b.json(&["info", "scan.tar", "--timeout", "20s"]);
        (info["holders"][0]["online"] == true).then_some(())
    });
    scene.serves_others();
    scene.hanging.answer();
    for running in direct.into_iter().chain(kept) {
        let answer = running.end();
        assert_eq!(answer.code, 7, "{answer:?}");
    }
    wait::until("every file to be closed", wait::SOON, || {
        (scene.b.process.descriptors() <= before + 4).then_some(())
    });
}
