//! Three users of one machine, and the one session of its daemon.

use std::{
    fs,
    io::Write,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Child, Stdio},
};

use p2p_tests::{Account, Answer, Directory, Peer, World, check, proxy::Proxy, wait};
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
        // Who answers has all its sockets.
        peer.json(&["status"]);
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

    fn begins(&self, uid: u32, args: &[&str]) -> Child {
        let mut command = self.peer.command(args);
        command.uid(uid).gid(uid).current_dir("/");
        command.spawn().expect("p2pctl")
    }

    fn logs_in(&self, uid: u32) -> Answer {
        let directory = &self.world.directory;
        self.logs_in_at(uid, (&directory.url, &directory.fingerprint), &self.world.ana)
    }

    fn logs_in_at(&self, uid: u32, (url, fingerprint): (&str, &str), account: &Account) -> Answer {
        let args = ["--directory", url, "--ca-fingerprint", fingerprint];
        self.logs_in_with(uid, &args, account)
    }

    fn logs_in_with(&self, uid: u32, args: &[&str], account: &Account) -> Answer {
        let usual = ["login", "--user", &account.name, "--password-stdin"];
        self.runs(uid, &[&usual[..], args].concat(), &account.password)
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

    /// The codes of the health lines that this user sees.
    fn health(&self, uid: u32) -> String {
        let status = self.is_done(uid, &["status"]);
        let lines = status["health"].as_array().expect("a list").iter();
        let codes: Vec<&str> = lines.filter_map(|line| line["code"].as_str()).collect();
        codes.join(" ")
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
fn who_asks_for_what_another_fetches_joins_it_and_ends_it_for_nobody_else() {
    let Some(machine) = Machine::start("") else { return };
    assert_eq!(machine.logs_in(ROOT).code, 0);
    let proxy = Proxy::start();
    let holder = machine.world.behind(&proxy, "holder");
    holder.upload(&machine.world.file("large.bin", 1, 32 << 20).0);
    proxy.gate(4 << 20);
    let his = machine.begins(NOBODY, &["fetch", "large.bin"]);
    wait::until("his to run", wait::SOON, || {
        (machine.transfers(NOBODY) == ["large.bin"]).then_some(())
    });
    let id = machine.is_done(NOBODY, &["transfers"])["transfers"][0]["id"].clone();
    let id = id.as_str().expect("an id");
    assert_eq!(machine.runs(SOMEBODY, &["pause", id], "").code, 6);
    let hers = machine.begins(SOMEBODY, &["fetch", "large.bin"]);
    wait::until("hers to join it", wait::SOON, || {
        (machine.transfers(SOMEBODY) == ["large.bin"]).then_some(())
    });
    let joined = machine.is_done(SOMEBODY, &["priority", id, "high"]);
    assert_eq!(joined["priority"], "high");
    let left = machine.runs(NOBODY, &["cancel", id], "");
    assert_eq!(left.code, 0, "{left:?}");
    let said = String::from_utf8_lossy(&left.out).into_owned() + &left.err;
    assert!(said.contains("Left to others of this machine"), "{said}");
    let his = his.wait_with_output().expect("p2pctl");
    assert!(!his.status.success() && String::from_utf8_lossy(&his.stderr).contains("cancelled"));
    assert!(machine.transfers(NOBODY).is_empty());
    assert_eq!(machine.runs(NOBODY, &["cancel", id], "").code, 6);
    assert_eq!(machine.transfers(SOMEBODY), ["large.bin"]);
    proxy.gate(u64::MAX);
    let hers = hers.wait_with_output().expect("p2pctl");
    assert!(hers.status.success(), "{hers:?}");
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

#[test]
fn of_a_personal_session_the_health_names_nothing_to_others() {
    let Some(machine) = Machine::start("") else { return };
    assert_eq!(machine.logs_in(NOBODY).code, 0);
    let gone = machine.world.peer("gone", "");
    gone.login(&machine.world.directory, &machine.world.ana);
    let (far, _) = machine.world.file("far.txt", 1, 1000);
    gone.upload(&far);
    assert_eq!(machine.uploads(NOBODY, "his.txt").code, 0);
    for stored in machine.peer.stored() {
        fs::write(stored, "").expect("a stored content");
    }
    assert_eq!(machine.runs(NOBODY, &["verify"], "").code, 10);
    drop(gone);
    let fetch = ["fetch", "far.txt", "--wait", "--timeout", "1s"];
    assert_eq!(machine.runs(NOBODY, &fetch, "").code, 12);
    let all = machine.is_done(NOBODY, &["transfers"]);
    let id = check::entry(&all["transfers"], "name", "far.txt").expect("a transfer")["id"].clone();
    let id = id.as_str().expect("an id");
    machine.is_done(NOBODY, &["limit", "--down", "1MiB", id]);
    let codes = |uid| machine.health(uid);
    let his = [
        "content_damaged",
        "limits_in_force",
        "peer_unreachable",
        "transfer_stalled",
    ];
    for uid in [NOBODY, ROOT] {
        wait::until("all the lines", wait::SOON, || {
            let codes = codes(uid);
            his.iter().all(|code| codes.contains(*code)).then_some(())
        });
    }
    assert_eq!(codes(SOMEBODY), "");
    // That nobody is logged in is for all to know, why it is not.
    let directory = &machine.world.directory;
    directory.command(&["admin", "user", "disable", "ana"], None);
    wait::until("the end of the session", wait::SOON, || {
        codes(NOBODY).contains("session_ended").then_some(())
    });
    assert_eq!(codes(SOMEBODY), "");
}

/// Another directory, and an account there.
fn another_directory(machine: &Machine) -> (Directory, Account) {
    let directory = Directory::start(&machine.world.path("another"), "");
    let bea = directory.add_user("bea");
    (directory, bea)
}

#[test]
fn nobody_else_points_a_peer_elsewhere_while_nobody_is_logged_in() {
    let Some(machine) = Machine::start("") else { return };
    let (another, bea) = another_directory(&machine);
    assert_eq!(machine.logs_in(NOBODY).code, 0);
    assert_eq!(machine.runs(NOBODY, &["logout"], "").code, 0);
    let elsewhere = ["--directory", another.url.as_str()];
    for trust in [
        &["--trust-on-first-use"][..],
        &["--ca-fingerprint", &another.fingerprint],
        &[],
    ] {
        let answer = machine.logs_in_with(SOMEBODY, &[&elsewhere[..], trust].concat(), &bea);
        assert_eq!(answer.code, 5, "{answer:?}");
        assert!(
            answer.err.contains("this peer was ana's, at https://127.0.0.1:"),
            "{answer:?}"
        );
    }
    // Nor by another CA where it was.
    let url = machine.world.directory.url.as_str();
    let pem = machine.world.path("ca.pem");
    fs::copy(another.state().join("ca.pem"), &pem).expect("a CA");
    fs::set_permissions(&pem, fs::Permissions::from_mode(0o644)).expect("a file");
    let pem = ["--directory", url, "--ca-file", pem.to_str().expect("a path")];
    let answer = machine.logs_in_with(SOMEBODY, &pem, &bea);
    assert_eq!(answer.code, 5, "{answer:?}");
    assert!(answer.err.contains("is known here by CA sha256:"), "{answer:?}");
    assert_eq!(another.process.said("logged in on"), 0);
    // With an account of that directory he may; its owner, and root, may go elsewhere.
    assert_eq!(machine.logs_in(SOMEBODY).code, 0);
    assert_eq!(machine.runs(SOMEBODY, &["logout"], "").code, 0);
    let there = (another.url.as_str(), another.fingerprint.as_str());
    assert_eq!(
        machine.logs_in_at(NOBODY, there, &bea).code,
        5,
        "no longer its owner"
    );
    assert_eq!(machine.logs_in_at(SOMEBODY, there, &bea).code, 0);
    assert_eq!(machine.logs_in(ROOT).code, 0);
}

#[test]
fn one_user_is_asked_about_the_ca_that_another_trusts() {
    let Some(machine) = Machine::start("") else { return };
    assert_eq!(machine.logs_in(SOMEBODY).code, 0);
    assert_eq!(machine.runs(SOMEBODY, &["logout"], "").code, 0);
    let ana = &machine.world.ana;
    for uid in [NOBODY, ROOT] {
        let asked = machine.logs_in_with(uid, &[], ana);
        assert_eq!(asked.code, 2, "{asked:?}");
        assert!(asked.err.contains(" shows CA sha256:"), "{asked:?}");
    }
    assert_eq!(machine.world.directory.process.said("logged in on"), 1);
    assert_eq!(machine.logs_in_with(SOMEBODY, &[], ana).code, 0, "his own");
    // What root trusts is trusted by all.
    assert_eq!(machine.logs_in(ROOT).code, 0);
    assert_eq!(machine.runs(ROOT, &["logout"], "").code, 0);
    assert_eq!(machine.logs_in_with(NOBODY, &[], ana).code, 0);
}

#[test]
fn a_login_that_was_overtaken_replaces_nobody() {
    let Some(machine) = Machine::start("") else { return };
    let (another, bea) = another_directory(&machine);
    let port = another
        .url
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    let proxy = Proxy::start();
    proxy.leads_to(port.expect("a port"));
    let url = proxy.url();
    // How much one connection brings that only asks for the CA; an answer to a login is longer than that.
    let wrong = format!("sha256:{}", "0".repeat(64));
    assert_eq!(machine.logs_in_at(SOMEBODY, (&url, &wrong), &bea).code, 13);
    let asked = proxy.passed();
    proxy.gate(asked + 64);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| machine.logs_in_at(SOMEBODY, (&url, &another.fingerprint), &bea));
        wait::until("the answer to be on its way", wait::SOON, || {
            (proxy.passed() >= 3 * asked + 32).then_some(())
        });
        assert_eq!(machine.logs_in(NOBODY).code, 0);
        proxy.gate(u64::MAX);
        let slow = slow.join().expect("a login");
        assert_eq!(slow.code, 5, "{slow:?}");
        assert!(slow.err.contains("not yours to replace"), "{slow:?}");
    });
    assert_eq!(machine.is_done(NOBODY, &["whoami"])["user"], "ana");
}
