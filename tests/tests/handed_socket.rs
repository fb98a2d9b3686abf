//! The control socket that a service manager listens at and hands over: p2pd serves it, and leaves its name alone.

use std::{
    fs::{self, File},
    os::{
        fd::OwnedFd,
        unix::{
            fs::{MetadataExt, PermissionsExt},
            net::{UnixDatagram, UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use p2p_tests::{
    Peer, Process, World,
    process::{free_port, program},
    wait,
};

/// As a service manager starts it: its standard input here becomes the first descriptor that is handed over, as often as is
/// said. `exec` keeps the process's number.
const SCRIPT: &str =
    "exec 3<&0 4<&0 </dev/null; [ $LISTEN_FDS = 2 ] || exec 4<&-; export LISTEN_PID=$$; exec \"$@\"";

/// The daemon that is configured in this folder, with this descriptor.
fn daemon(folder: &Path, descriptor: OwnedFd, times: u32) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", SCRIPT, "sh"])
        .arg(program("p2pd"))
        .arg("--config")
        .arg(folder.join("p2pd.toml"))
        .env("LISTEN_FDS", times.to_string())
        .env("LISTEN_FDNAMES", "p2pd.socket")
        .stdin(Stdio::from(descriptor));
    command
}

fn configure(folder: &Path) -> PathBuf {
    fs::create_dir_all(folder).expect("a folder");
    let text = format!(
        "state_dir = \"{0}/state\"\nruntime_dir = \"{0}/run\"\n[peer]\nlisten = [\"127.0.0.1:{1}\"]\n\
         [store]\nreserve_free = \"1MiB\"\n",
        folder.display(),
        free_port()
    );
    fs::write(folder.join("p2pd.toml"), text).expect("a configuration");
    folder.to_owned()
}

#[test]
fn p2pctl_works_over_it_and_its_name_and_mode_stay() {
    let world = World::start(&[]);
    let mut peer = world.peer("a", "");
    assert_eq!(peer.process.stop(), Some(0));
    let path = peer.socket();
    let listener = UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let of = |path: &Path| {
        let found = fs::symlink_metadata(path).unwrap();
        (found.ino(), found.mode(), found.ctime_nsec())
    };
    let before = of(&path);
    let start = |listener: &UnixListener, peer: &Peer| {
        let listener = listener.try_clone().unwrap().into();
        Process::start_with(daemon(&peer.folder, listener, 1), &peer.folder.join("log"))
    };
    peer.process = start(&listener, &peer);
    // Who comes early waits in the manager's queue.
    peer.login(&world.directory, &world.ana);
    let said = format!(
        "the service manager handed over the control socket, {}",
        path.display()
    );
    assert_eq!(peer.process.said(&said), 1, "{}", peer.process.log());
    let (source, _) = world.file("scan.tar", 1, 300_000);
    peer.upload(&source);
    let output = world.path("out.tar");
    peer.json(&["download", "scan.tar", "-o", output.to_str().unwrap()]);
    assert_eq!(fs::read(output).unwrap(), fs::read(source).unwrap());
    assert_eq!(of(&path), before);
    // A stop takes away the other socket's name, which is the daemon's own.
    let other = peer.folder.join("run/descriptor.sock");
    assert!(other.exists());
    assert_eq!(peer.process.stop(), Some(0));
    assert!(!other.exists());
    assert_eq!(of(&path), before);
    // Who connects meanwhile is served by the next.
    let early = UnixStream::connect(&path).unwrap();
    peer.process = start(&listener, &peer);
    assert_eq!(peer.json(&["list"])["files"][0]["name"], "scan.tar");
    drop(early);
}

#[test]
fn anything_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = configure(&folder.path().join("a"));
    let at = |name: &str| folder.join(name);
    let listener = || OwnedFd::from(UnixListener::bind(at("control.sock")).unwrap());
    let (stream, _other) = UnixStream::pair().unwrap();
    let cases: [(OwnedFd, u32, &str); 5] = [
        (listener(), 2, "2 descriptors"),
        (File::open("/dev/null").unwrap().into(), 1, "fd 3 is not a socket"),
        (
            UnixDatagram::bind(at("d.sock")).unwrap().into(),
            1,
            "fd 3 is not a valid unix stream socket",
        ),
        (stream.into(), 1, "a Unix socket that does not listen"),
        (
            std::net::TcpListener::bind("127.0.0.1:0").unwrap().into(),
            1,
            "fd 3 is not a valid unix stream socket",
        ),
    ];
    for (descriptor, times, what) in cases {
        let output = daemon(&folder, descriptor, times).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let line =
            format!("the service manager handed over {what}; it may hand over the control socket alone");
        assert!(said.contains(&line), "{said}");
        assert_eq!(
            (output.status.code(), said.lines().count()),
            (Some(1), 1),
            "{said}"
        );
    }
    assert!(!at("state/store").exists());
}

#[test]
fn what_is_another_processs_is_not_taken() {
    let world = World::start(&[]);
    let environment = [("LISTEN_FDS", "1"), ("LISTEN_PID", "1")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let peer = Peer::start_in(&world.path("a"), "a", "", &environment);
    wait::until("an answer", wait::SOON, || {
        (peer.ctl(&["status"]).code == 0).then_some(())
    });
    assert_eq!(peer.process.said("handed over"), 0);
}
