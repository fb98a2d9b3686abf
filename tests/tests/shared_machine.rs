//! Three users of one machine, and the one session of its daemon.

use std::{
    fs,
    io::Write,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::Stdio,
};

use p2p_tests::{Answer, Peer, World, check};
use serde_json::Value;

/// Two unprivileged users; the first has a name.
const NOBODY: u32 = 65_534;
const SOMEBODY: u32 = 65_533;
const ROOT: u32 = 0;

/// A daemon that is not logged in, and that every user of the machine can reach.
struct Machine {
    peer: Peer,
    world: World,
}

impl Machine {
    /// None where these users cannot be played.
    fn start(config: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            check::not_tested("several users of one machine need root");
            return None;
        }
        let world = World::start(&[]);
        let peer = world.peer("a", config);
        for folder in [world.folder.path(), &peer.folder, &peer.folder.join("run")] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("a folder");
        }
        for socket in ["control.sock", "descriptor.sock"] {
            let socket = peer.folder.join("run").join(socket);
            fs::set_permissions(socket, fs::Permissions::from_mode(0o666)).expect("a socket");
        }
        Some(Self { peer, world })
    }

    fn runs(&self, uid: u32, args: &[&str], stdin: &str) -> Answer {
        let mut command = self.peer.command(args);
        command.uid(uid).gid(uid).current_dir("/").stdin(Stdio::piped());
        let mut tool = command.spawn().expect("p2pctl");
        // A command that does not read its input closes the pipe.
        let _ = tool.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
        let output = tool.wait_with_output().expect("p2pctl");
        Answer {
            code: output.status.code().unwrap_or(-1),
            out: output.stdout,
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn logs_in(&self, uid: u32) -> Answer {
        let (directory, ana) = (&self.world.directory, &self.world.ana);
        let args = [
            "login",
            "--directory",
            &directory.url,
            "--user",
            &ana.name,
            "--password-stdin",
            "--ca-fingerprint",
            &directory.fingerprint,
        ];
        self.runs(uid, &args, &ana.password)
    }

    fn uploads(&self, uid: u32, name: &str) -> Answer {
        self.runs(uid, &["upload", "-", "--name", name], name)
    }

    fn is_done(&self, uid: u32, args: &[&str]) -> Value {
        let answer = self.runs(uid, &[args, &["--json"]].concat(), "");
        assert_eq!(answer.code, 0, "{uid} {args:?}: {answer:?}");
        answer.json()
    }

    fn is_refused(&self, uid: u32, args: &[&str]) -> String {
        let answer = self.runs(uid, args, "");
        assert_eq!(answer.code, 5, "{uid} {args:?}: {answer:?}");
        answer.err
    }

    /// The names of this user's transfers.
    fn transfers(&self, uid: u32) -> Vec<String> {
        let all = self.is_done(uid, &["transfers"]);
        let all = all["transfers"].as_array().expect("a list").iter();
        all.filter_map(|one| one["name"].as_str().map(str::to_owned))
            .collect()
    }
}

#[test]
fn a_personal_session_is_its_users_and_roots() {
    let Some(machine) = Machine::start("") else { return };
    assert_eq!(machine.logs_in(NOBODY).code, 0);
    assert_eq!(machine.uploads(NOBODY, "his.txt").code, 0);
    let refused = machine.is_refused(SOMEBODY, &["list"]);
    assert!(
        refused.contains("logged in as ana by nobody; it is not yours to use. Ask nobody, or root for: [control] shared_session = true"),
        "{refused}"
    );
    assert_eq!(machine.uploads(SOMEBODY, "not his.txt").code, 5);
    for args in [
        &["search"][..],
        &["info", "his.txt"],
        &["download", "his.txt", "-o", "-"],
        &["rm", "his.txt", "--force"],
        &["verify"],
        &["whoami"],
        &["peers"],
        &["logout"],
    ] {
        machine.is_refused(SOMEBODY, args);
    }
    assert_eq!(machine.logs_in(SOMEBODY).code, 5);
    // What is going on is everybody's to see, names are not.
    let status = machine.is_done(SOMEBODY, &["status"]);
    assert_eq!(status["session"]["logged_in"], true);
    assert!(!status.to_string().contains("his.txt"), "{status}");
    assert!(machine.transfers(SOMEBODY).is_empty());
    for uid in [NOBODY, ROOT] {
        assert_eq!(machine.is_done(uid, &["list"])["files"][0]["name"], "his.txt");
        assert_eq!(machine.transfers(uid), ["his.txt"]);
    }
    assert_eq!(machine.runs(ROOT, &["logout"], "").code, 0);
    // What the store keeps is still his account's.
    machine.is_refused(SOMEBODY, &["list"]);
}

#[test]
fn the_machines_session_is_for_all_and_a_transfer_for_who_began_it() {
    let Some(machine) = Machine::start("") else { return };
    assert_eq!(machine.logs_in(ROOT).code, 0);
    assert_eq!(machine.uploads(NOBODY, "his.txt").code, 0);
    assert_eq!(machine.uploads(SOMEBODY, "hers.txt").code, 0);
    assert_eq!(
        machine.is_done(NOBODY, &["list"])["files"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    assert_eq!(machine.transfers(NOBODY), ["his.txt"]);
    assert_eq!(machine.transfers(SOMEBODY), ["hers.txt"]);
    assert_eq!(machine.transfers(ROOT), ["his.txt", "hers.txt"]);
    // Of another's nothing is said, not even that it is there.
    assert_eq!(machine.runs(SOMEBODY, &["wait", "1"], "").code, 6);
    assert_eq!(machine.runs(SOMEBODY, &["cancel", "1"], "").code, 6);
    assert_eq!(machine.runs(NOBODY, &["wait", "1"], "").code, 0);
    let refused = machine.is_refused(NOBODY, &["logout"]);
    assert!(
        refused.contains("by root; it is not yours to end or replace. Ask root"),
        "{refused}"
    );
}

#[test]
fn a_shared_session_is_for_all_and_its_users_to_end() {
    let Some(machine) = Machine::start("[control]\nshared_session = true\n") else {
        return;
    };
    assert_eq!(machine.logs_in(NOBODY).code, 0);
    assert_eq!(machine.uploads(SOMEBODY, "hers.txt").code, 0);
    assert_eq!(
        machine.is_done(SOMEBODY, &["list"])["files"][0]["name"],
        "hers.txt"
    );
    machine.is_refused(SOMEBODY, &["logout"]);
    assert_eq!(machine.logs_in(SOMEBODY).code, 5);
    assert_eq!(machine.runs(NOBODY, &["logout"], "").code, 0);
}
