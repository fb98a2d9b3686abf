//! What `p2pctl` says when it cannot reach the daemon: none runs, or its socket is not for this user.

use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
};

use p2p_tests::{Answer, Peer};

/// An unprivileged user and group: nobody.
const NOBODY: u32 = 65_534;

fn started() -> (tempfile::TempDir, Peer) {
    let folder = tempfile::tempdir().expect("a folder");
    let peer = Peer::start(&folder.path().join("a"), "a", "");
    (folder, peer)
}

fn answer(command: &mut Command) -> Answer {
    let output = command
        .stdin(Stdio::null())
        .output()
        .expect("a program that runs");
    Answer {
        code: output.status.code().unwrap_or(-1),
        out: output.stdout,
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("our own folder");
}

/// What `id -un` prints for this user, or for the one who runs the test.
fn user_name(uid: Option<u32>) -> String {
    let uid = uid.map(|uid| uid.to_string());
    let output = Command::new("id")
        .arg("-un")
        .args(uid)
        .output()
        .expect("a program that runs");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

#[test]
fn a_daemon_that_does_not_run_is_named_with_its_socket() {
    let (_folder, mut peer) = started();
    let expected = |why: &str| {
        let socket = peer.socket();
        format!(
            "p2pctl: cannot reach p2pd at {}: {why}. Is it running? sudo systemctl start p2pd",
            socket.display()
        )
    };
    let (stopped, killed) = (expected("no such file"), expected("connection refused"));
    assert_eq!(peer.process.stop(), Some(0));
    for args in [
        &["status"][..],
        &["whoami"],
        &["list"],
        &["download", "x"],
        &["logout"],
    ] {
        assert_eq!(peer.says(3, args), stopped);
        assert_eq!(peer.fails(3, args)["kind"], "daemon_unreachable");
    }
    // A killed one leaves its socket behind, and the next one takes its place.
    peer.restart();
    peer.process.kill();
    assert_eq!(peer.says(3, &["status"]), killed);
    peer.restart();
    assert_eq!(peer.json(&["status"])["session"]["logged_in"], false);
}

#[test]
fn a_socket_without_rights_says_whom_to_add_to_which_group() {
    let (folder, peer) = started();
    let root = rustix::process::geteuid().is_root();
    let mut command = peer.command(&["status"]);
    let user = if root {
        eprintln!("as root: p2pctl runs as user {NOBODY}, whom the daemon's own rights keep out");
        // Only the daemon's own doing is to keep it out.
        open_to_all(folder.path());
        open_to_all(&peer.folder);
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
        user_name(Some(NOBODY))
    } else {
        eprintln!("not as root: the socket loses every right instead");
        fs::set_permissions(peer.socket(), fs::Permissions::from_mode(0o000)).unwrap();
        user_name(None)
    };
    let expected = format!(
        "p2pctl: cannot reach p2pd at {}: permission denied. {user} is not in group p2pd: sudo usermod -aG p2pd \
         {user}, then log in again (or: newgrp p2pd)",
        peer.socket().display()
    );
    assert_eq!(answer(&mut command).says(3), expected);
}

#[test]
fn both_sockets_are_closed_to_others() {
    let (_folder, peer) = started();
    // An answer means that both are bound and have their rights.
    peer.json(&["status"]);
    // Started by root the daemon is the machine's, and its group may use it; else it is its user's alone.
    let root = rustix::process::geteuid().is_root();
    let expected = if root { 0o660 } else { 0o600 };
    let mut sockets = 0;
    for entry in fs::read_dir(peer.folder.join("run")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_socket() {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, expected, "{:?}", entry.file_name());
            sockets += 1;
        }
    }
    assert_eq!(sockets, 2);
}
