//! Several peers on one machine, a control socket that is systemd's, and the drop-ins that are given as examples.

use std::fs;

use p2p_tests::{lab::Machine, wait};

use crate::shelf;

fn unit(machine: &Machine, script: &str) -> String {
    machine.runs("admin", &format!("sudo systemctl {script}"))
}

#[test]
fn each_instance_is_a_peer_of_its_own() {
    let Some((lab, password)) = shelf::network(&["dir", "ws1"]) else {
        return;
    };
    let ws1 = lab.machine("ws1");
    for (name, port) in [("b", 7411), ("c", 7412)] {
        let config = format!("peer_name = \"ws1-{name}\"\n[peer]\nlisten = [\"[::]:{port}\"]\n");
        fs::write(ws1.path(&format!("/etc/p2pd/{name}.toml")), config).expect("a file");
        unit(ws1, &format!("enable --now p2pd@{name} 2>/dev/null"));
        let login = format!(
            "printf %s '{password}' | p2pctl --socket /run/p2pd-{name}/control.sock login --directory dir.lab \
             --trust-on-first-use --password-stdin"
        );
        ws1.runs("ana", &login);
    }
    ws1.runs(
        "ana",
        "echo hello | p2pctl --socket /run/p2pd-b/control.sock upload - --name hello",
    );
    let got = ws1.runs(
        "ana",
        "p2pctl --socket /run/p2pd-c/control.sock download hello -o - --no-keep",
    );
    assert_eq!(got, "hello\n");
    // None sees what another has.
    let pid = ws1.runs("root", "systemctl show --value --property MainPID p2pd@b");
    let seen = ws1.runs(
        "root",
        &format!(
            "nsenter -t {} -m ls /var/lib/p2pd-instances /var/lib/p2pd",
            pid.trim()
        ),
    );
    assert_eq!(seen, "/var/lib/p2pd:\n\n/var/lib/p2pd-instances:\nb\n");
    let pid = ws1.runs("root", "systemctl show --value --property MainPID p2pd");
    let seen = ws1.runs(
        "root",
        &format!("nsenter -t {} -m ls /var/lib/p2pd-instances", pid.trim()),
    );
    assert_eq!(seen, "");
    // One that goes leaves the others alone.
    unit(ws1, "stop p2pd@b");
    assert!(!ws1.path("/run/p2pd-b").exists());
    ws1.runs("ana", "p2pctl status");
    ws1.runs("ana", "p2pctl --socket /run/p2pd-c/control.sock status");
    // Each has a state of its own.
    let states = ws1.runs("root", "ls /var/lib/p2pd-instances");
    assert_eq!(states.split_whitespace().collect::<Vec<_>>(), ["b", "c"]);
    // What was enabled runs again when the package comes back.
    ws1.runs("root", "apt-get -y remove p2pd");
    assert!(!ws1.path("/run/p2pd-c").exists());
    shelf::installs(ws1, "p2pd");
    for name in ["b", "c"] {
        let status = format!("p2pctl --socket /run/p2pd-{name}/control.sock status");
        assert!(ws1.runs("ana", &status).contains("logged in as ana"));
    }
}

#[test]
fn the_control_socket_may_start_the_daemon() {
    let Some((lab, _)) = shelf::network(&["dir", "ws1"]) else {
        return;
    };
    let ws1 = lab.machine("ws1");
    unit(ws1, "disable --now p2pd 2>/dev/null");
    unit(ws1, "enable --now p2pd.socket 2>/dev/null");
    let mode = ws1.runs("root", "stat -c '%U %G %a' /run/p2pd/control.sock");
    assert_eq!(mode, "p2pd p2pd 660\n");
    assert_eq!(ws1.runs("root", "systemctl is-active p2pd || true"), "inactive\n");
    // Whoever asks starts it.
    assert!(ws1.runs("ana", "p2pctl status").contains("logged in as ana"));
    unit(ws1, "restart p2pd");
    assert!(ws1.runs("ana", "p2pctl whoami").contains("ana"));
    // The socket outlives the daemon, and starts it again.
    unit(ws1, "stop p2pd");
    assert!(ws1.runs("ana", "p2pctl whoami").contains("ana"));
    // It is there again when the package comes back.
    ws1.runs("root", "apt-get -y remove p2pd");
    let said = shelf::installs(ws1, "p2pd");
    assert!(!said.contains("Next: "), "{said}");
    assert!(ws1.runs("ana", "p2pctl whoami").contains("ana"));
    // And the way back.
    unit(ws1, "disable --now p2pd.socket 2>/dev/null");
    assert!(!ws1.path("/run/p2pd/control.sock").exists());
    unit(ws1, "enable --now p2pd 2>/dev/null");
    assert!(ws1.runs("ana", "p2pctl whoami").contains("ana"));
}

#[test]
fn the_examples_are_drop_ins_that_work() {
    let Some((lab, password)) = shelf::network(&["dir", "ws1"]) else {
        return;
    };
    let (dir, ws1) = (lab.machine("dir"), lab.machine("ws1"));
    let examples = "/usr/share/doc/p2pd/examples";
    ws1.runs("ana", "p2pctl logout");
    ws1.runs(
        "root",
        "install -d -o p2pd -g p2pd -m 0700 /srv/p2pd && mkdir -p /srv/projects && echo plan >/srv/projects/plan",
    );
    let fingerprint = dir.runs("admin", "sudo p2p-directory ca-fingerprint");
    let config = format!(
        "[directory]\nurls = [\"https://dir.lab:7400\"]\n[login]\nuser = \"ana\"\nca_fingerprint = \"{}\"\n\
         [store]\npath = \"/srv/p2pd\"\n",
        fingerprint.trim()
    );
    fs::write(ws1.path("/etc/p2pd/p2pd.toml"), config).expect("a file");
    fs::write(ws1.path("/etc/p2pd/password"), password).expect("a file");
    ws1.runs(
        "root",
        &format!(
            "chmod 0600 /etc/p2pd/password && mkdir -p /etc/systemd/system/p2pd.service.d && \
             cp {examples}/*.conf /etc/systemd/system/p2pd.service.d && systemctl daemon-reload && \
             systemctl reset-failed p2pd; systemctl restart p2pd"
        ),
    );
    wait::until("the machine to log itself in", wait::SOON, || {
        ws1.runs("ana", "p2pctl status")
            .contains("logged in as ana")
            .then_some(())
    });
    ws1.runs("ana", "echo hello | p2pctl upload - --name hello");
    assert!(
        ws1.runs("root", "find /srv/p2pd -type f -size +0 | head -1")
            .contains("/srv/p2pd/")
    );
    // The folders that it may read, and no home.
    let seen = ws1.runs(
        "root",
        "nsenter -t $(systemctl show --value --property MainPID p2pd) -m \
         sh -c 'cat /srv/projects/*; ls -A /home; touch /srv/projects/mine 2>&1 || true'",
    );
    assert!(
        seen.starts_with("plan\n") && seen.ends_with("Read-only file system\n") && seen.lines().count() == 2,
        "{seen}"
    );
    dir.runs(
        "root",
        "mkdir -p /etc/systemd/system/p2p-directory.service.d && \
         cp /usr/share/doc/p2p-directory/examples/*.conf /etc/systemd/system/p2p-directory.service.d && \
         systemctl daemon-reload && systemctl restart p2p-directory",
    );
}
