//! How the programs live: what systemd is told, leaving the terminal, where the log goes and what is never in it.

use std::{
    fs,
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use p2p_tests::{
    Peer, Process, World,
    manager::Manager,
    process::{free_port, program},
    wait,
};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// A configuration of p2pd in this folder; its file.
fn configure_peer(folder: &Path, port: u16) -> PathBuf {
    let file = folder.join("p2pd.toml");
    let text = format!(
        "state_dir = \"{0}/state\"\nruntime_dir = \"{0}/run\"\n[peer]\nlisten = [\"127.0.0.1:{port}\"]\n\
         [store]\nreserve_free = \"1MiB\"\n",
        folder.display()
    );
    fs::write(&file, text).expect("a configuration");
    file
}

/// The same of p2p-directory.
fn configure_directory(folder: &Path, port: u16) -> PathBuf {
    let file = folder.join("directory.toml");
    let text = format!(
        "state_dir = \"{0}/state\"\nruntime_dir = \"{0}/run\"\n[api]\nlisten = [\"127.0.0.1:{port}\"]\n",
        folder.display()
    );
    fs::write(&file, text).expect("a configuration");
    file
}

/// The life of a service, as its manager hears of it. `up` says whether every listener answers.
fn is_told(mut command: Command, folder: &Path, up: impl Fn() -> bool, status: &str) {
    let manager = Manager::listen(folder);
    command.env("NOTIFY_SOCKET", &manager.path);
    let mut process = Process::start(command, &folder.join("log"));
    // A status may come before; readiness is what counts, and nothing is missing then.
    assert_eq!(manager.until("READY")["READY"], "1");
    assert!(up(), "ready, and not every listener is up: {}", process.log());
    let line = manager.status();
    assert!(line.contains(status), "{line}");
    let mut last = 0;
    for _ in 0..2 {
        process.signal(Signal::HUP);
        let reloading = manager.until("RELOADING");
        let at: u64 = reloading["MONOTONIC_USEC"].parse().expect("microseconds");
        assert!(at > last, "{at} after {last}");
        last = at;
        assert_eq!(manager.until("READY")["READY"], "1");
    }
    process.signal(Signal::TERM);
    assert_eq!(manager.until("STOPPING")["STOPPING"], "1");
    assert_eq!(process.ended(), Some(0), "{}", process.log());
}

fn listens(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn systemd_is_told_of_the_life_of_p2pd() {
    let folder = tempfile::tempdir().unwrap();
    let (port, figures) = (free_port(), free_port());
    let mut command = Command::new(program("p2pd"));
    command.arg("--config").arg(configure_peer(folder.path(), port));
    command.args(["--set", &format!("metrics.listen=127.0.0.1:{figures}")]);
    let sockets = ["control.sock", "descriptor.sock"].map(|name| folder.path().join("run").join(name));
    let up =
        || listens(port) && listens(figures) && sockets.iter().all(|path| UnixStream::connect(path).is_ok());
    is_told(
        command,
        folder.path(),
        up,
        "not logged in; 0 transfers; down 0, up 0",
    );
}

#[test]
fn systemd_is_told_of_the_life_of_the_directory() {
    let folder = tempfile::tempdir().unwrap();
    let (port, figures) = (free_port(), free_port());
    let mut command = Command::new(program("p2p-directory"));
    command
        .arg("serve")
        .arg("--config")
        .arg(configure_directory(folder.path(), port));
    command.args(["--set", &format!("metrics.listen=127.0.0.1:{figures}")]);
    let admin = folder.path().join("run/admin.sock");
    let up = || listens(port) && listens(figures) && UnixStream::connect(&admin).is_ok();
    is_told(command, folder.path(), up, "0 peers online; 0 accounts; 0 files");
}

#[test]
fn the_status_line_has_peers_transfers_and_rates() {
    let world = World::start(&["a"]);
    let manager = Manager::listen(world.folder.path());
    let notify = [(
        "NOTIFY_SOCKET".to_owned(),
        manager.path.to_str().unwrap().to_owned(),
    )];
    let b = Peer::start_in(&world.path("b"), "b", "", &notify);
    b.login(&world.directory, &world.ana);
    wait::until("a line with two peers", wait::SOON, || {
        let line = manager.until("STATUS");
        (line["STATUS"] == "2 peers online; 0 transfers; down 0, up 0").then_some(())
    });
    let (file, _) = world.file("scan.tar", 1, 64 << 20);
    world.peers[0].upload(&file);
    b.json(&["download", "scan.tar"]);
    wait::until("a line with a rate", wait::SOON, || {
        let line = manager.until("STATUS");
        line["STATUS"].contains("MiB/s, up 0").then_some(())
    });
}

/// A daemon that was left alone; ended when dropped.
struct Detached(Pid);

impl Drop for Detached {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = kill_process(self.0, Signal::KILL);
    }
}

impl Detached {
    fn of(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join("run/p2pd.pid")).expect("a pid file");
        let number = text.trim().parse().expect("a number");
        Self(Pid::from_raw(number).expect("a process id"))
    }

    fn until_ended(&self) {
        wait::until("the daemon to end", wait::SOON, || {
            // Its parent may be one that does not wait for it.
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.as_raw_nonzero()));
            (test_kill_process(self.0).is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))).then_some(())
        });
    }
}

/// Runs `p2pd --detach` without a manager's environment; exit code, and the one line that it said.
fn detach(file: &Path, environment: &[(&str, &str)]) -> (i32, String) {
    let mut command = Command::new(program("p2pd"));
    for variable in ["NOTIFY_SOCKET", "INVOCATION_ID", "JOURNAL_STREAM"] {
        command.env_remove(variable);
    }
    command.arg("--detach").arg("--config").arg(file);
    command.envs(environment.iter().copied());
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("p2pd");
    let said = String::from_utf8([stdout, stderr].concat()).expect("text");
    assert_eq!(said.lines().count(), 1, "{said}");
    (status.code().unwrap_or(-1), said.trim_end().to_owned())
}

fn session_and_terminal(process: &str) -> (String, String) {
    let stat = fs::read_to_string(format!("{process}/stat")).expect("a process");
    let (_, fields) = stat.rsplit_once(") ").expect("its fields");
    let fields: Vec<&str> = fields.split(' ').collect();
    (fields[3].to_owned(), fields[4].to_owned())
}

#[test]
fn detached_it_returns_when_all_is_up_and_a_second_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (port, control) = (free_port(), folder.path().join("run/control.sock"));
    let file = configure_peer(folder.path(), port);
    let (code, said) = detach(&file, &[]);
    let daemon = Detached::of(folder.path());
    assert_eq!(code, 0, "{said}");
    assert!(listens(port) && UnixStream::connect(&control).is_ok());
    let number = daemon.0.as_raw_nonzero();
    assert!(
        said.starts_with(&format!("p2pd runs as process {number} (")),
        "{said}"
    );
    // As the machine's, whose group comes to its sockets; as a user's, his alone.
    let mode = fs::metadata(folder.path().join("run")).unwrap().mode() & 0o777;
    let expected = match rustix::process::geteuid().is_root() {
        true => 0o755,
        false => 0o700,
    };
    assert_eq!(mode, expected);
    // It has left: another session, no terminal, and what it says goes where the line said.
    let process = format!("/proc/{number}");
    let (session, terminal) = session_and_terminal(&process);
    // In a container ours may have no number.
    let (own, _) = session_and_terminal("/proc/self");
    assert!(
        session != own && terminal == "0",
        "{session} {terminal}, not {own}"
    );
    for descriptor in 0..3 {
        let open = fs::read_link(format!("{process}/fd/{descriptor}")).unwrap();
        assert_eq!(open, Path::new("/dev/null"));
    }
    let log = folder.path().join("state/p2pd.log");
    if !Path::new("/run/systemd/journal/socket").exists() {
        assert!(said.ends_with(&format!("it logs to {}", log.display())), "{said}");
        let text = fs::read_to_string(&log).unwrap();
        assert!(text.contains("INFO p2pd 0") && !text.contains('\x1b'), "{text}");
    }
    let (code, refused) = detach(&file, &[]);
    assert_eq!(code, 1);
    assert!(
        refused.starts_with(&format!("p2pd: p2pd runs already, as process {number} (")),
        "{refused}"
    );
    kill_process(daemon.0, Signal::TERM).unwrap();
    daemon.until_ended();
    assert!(!folder.path().join("run/p2pd.pid").exists() && !control.exists());
    // And it can be started again, also over what a crash left.
    fs::write(folder.path().join("run/p2pd.pid"), "1\n").unwrap();
    let (code, said) = detach(&file, &[]);
    let again = Detached::of(folder.path());
    assert_eq!(code, 0, "{said}");
    kill_process(again.0, Signal::TERM).unwrap();
    again.until_ended();
}

#[test]
fn detached_it_says_why_it_did_not_come_up() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let file = configure_peer(folder.path(), port);
    let (code, said) = detach(&file, &[]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.starts_with(&format!("p2pd: cannot listen on 127.0.0.1:{port}: ")),
        "{said}"
    );
    assert!(!folder.path().join("run/p2pd.pid").exists());
    // After that the address is free, and nothing of the failure is in the way.
    drop(taken);
    let (code, said) = detach(&file, &[]);
    let daemon = Detached::of(folder.path());
    assert_eq!(code, 0, "{said}");
    kill_process(daemon.0, Signal::TERM).unwrap();
    daemon.until_ended();
}

#[test]
fn under_systemd_it_does_not_detach() {
    let folder = tempfile::tempdir().unwrap();
    let file = configure_peer(folder.path(), free_port());
    for variable in ["NOTIFY_SOCKET", "INVOCATION_ID"] {
        let (code, said) = detach(&file, &[(variable, "x")]);
        assert!(
            code == 2 && said.starts_with("p2pd: --detach is for hosts without systemd"),
            "{said}"
        );
    }
    assert!(!folder.path().join("run").exists());
}

#[test]
fn no_secret_is_in_a_log_however_much_is_logged() {
    // The libraries too: what they say of a request has its headers in it.
    let all = "trace,h2=trace,hyper=trace,hyper_util=trace,reqwest=trace,rustls=trace,sqlx=trace,tonic=trace,tower=trace";
    let world = World::with_directory(&[], &format!("[log]\nlevel = \"{all}\"\n"));
    let trace = [("P2PD_LOG".to_owned(), all.to_owned())];
    let peer = Peer::start_in(&world.path("a"), "a", "", &trace);
    let wrong = p2p_tests::Account {
        name: "ana".to_owned(),
        password: "a password that is wrong".to_owned(),
    };
    let refused = peer.try_login(&world.directory.url, &world.directory.fingerprint, &wrong);
    assert_eq!(refused.code, 4, "{refused:?}");
    let made = world.directory.json(&["admin", "user", "add", "bea"]);
    wait::until("the next try", wait::SOON, || {
        let answer = peer.try_login(&world.directory.url, &world.directory.fingerprint, &world.ana);
        (answer.code == 0).then_some(())
    });
    let (file, _) = world.file("scan.tar", 1, 1 << 20);
    peer.upload(&file);
    peer.json(&["search"]);
    let mut secrets = vec![wrong.password.clone(), world.ana.password.clone()];
    secrets.push(made["password"].as_str().expect("a password").to_owned());
    let session = fs::read(peer.folder.join("state/session.json")).unwrap();
    let session: serde_json::Value = serde_json::from_slice(&session).unwrap();
    secrets.push(session["token"].as_str().expect("a token").to_owned());
    // The middle of each key, in base64: no line of a log would have it by chance.
    for folder in [peer.folder.join("state"), world.directory.state()] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap_or_default();
            if let Some((_, key)) = text.split_once("PRIVATE KEY-----\n") {
                secrets.push(key.chars().skip(40).take(20).collect());
            }
        }
    }
    assert!(secrets.len() >= 6, "{} secrets", secrets.len());
    peer.json(&["logout"]);
    for (who, log) in [
        ("p2pd", peer.process.log()),
        ("p2p-directory", world.directory.process.log()),
    ] {
        assert!(
            log.contains("TRACE") && log.contains("DEBUG"),
            "{who} logs little"
        );
        for secret in &secrets {
            assert!(!log.contains(secret.as_str()), "{who} logs a secret: {secret}");
        }
    }
}
