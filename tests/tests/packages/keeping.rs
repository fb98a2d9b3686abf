//! What an upgrade, a downgrade, a removal and a purge leave.

use std::process::Stdio;

use p2p_tests::{data, lab::Machine, wait};

use crate::shelf::{self, PREVIOUS, VERSION};

/// All files, but those that packages of any kind change.
const FILES: &str = "find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /dev \
    -o -path /var/lib/dpkg -o -path /var/cache -o -path /var/log -o -path /var/lib/apt -o -path /home -o -path /root \
    -o -path /var/lib/systemd -o -path /var/tmp \\) -prune -o -print | sort";

/// Makes the package to upgrade from, in the administrator's home. Its configuration is another one, so that dpkg has to
/// choose between two that were changed.
fn previous(machine: &Machine, name: &str) {
    machine.runs(
        "admin",
        &format!(
            "rm -rf old && dpkg-deb -R {name}_{VERSION}_*.deb old && \
             sed -i 's/^Version: .*/Version: {PREVIOUS}/' old/DEBIAN/control && \
             echo '# As it was.' >>old/etc/{name}/{name}.toml && \
             dpkg-deb --root-owner-group -Zgzip -z1 -b old {name}_{PREVIOUS}.deb && rm -rf old"
        ),
    );
}

fn apt(machine: &Machine, words: &str) -> String {
    machine.runs("admin", &format!("sudo apt-get -y -q {words} 2>&1"))
}

fn starts(machine: &Machine, unit: &str) -> usize {
    let log = machine.runs(
        "root",
        &format!("journalctl --sync; journalctl -o cat --no-pager _PID=1 UNIT={unit}.service"),
    );
    log.lines().filter(|line| line.starts_with("Started ")).count()
}

fn active(machine: &Machine, unit: &str) -> bool {
    let output = machine
        .command("root", &format!("systemctl is-active {unit}"))
        .output();
    output.is_ok_and(|output| output.status.success())
}

#[test]
fn an_upgrade_restarts_once_and_transfers_go_on() {
    let Some((lab, password)) = shelf::network(&["dir", "ws1", "gpu3"]) else {
        return;
    };
    let (dir, ws1, gpu3) = (lab.machine("dir"), lab.machine("ws1"), lab.machine("gpu3"));
    for (machine, name) in [(dir, "p2p-directory"), (gpu3, "p2pd")] {
        previous(machine, name);
        // A downgrade works, since the state is of the same format.
        apt(
            machine,
            &format!("install --allow-downgrades ./{name}_{PREVIOUS}.deb"),
        );
        assert!(active(machine, name));
    }
    assert!(gpu3.runs("ana", "p2pctl whoami").contains("ana"));
    gpu3.runs("root", "echo 'peer_name = \"third\"' >/etc/p2pd/p2pd.toml");

    let size = 48 << 20;
    let hash = data::file(&ws1.path("/home/ana/big.bin"), 9, size);
    ws1.runs("ana", "p2pctl limit --up 4MiB && p2pctl upload big.bin");
    let mut download = gpu3
        .command("ana", "p2pctl download big.bin")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("p2pctl");
    wait::until("the transfer to run", wait::SOON, || {
        let transfers = gpu3.runs("ana", "p2pctl transfers --json");
        let (_, done) = transfers.split_once("\"done_bytes\":")?;
        let done: u64 = done.split([',', '}']).next()?.parse().ok()?;
        (done > 4 << 20).then_some(())
    });
    // However long the upgrade takes, the transfer runs through it.
    ws1.runs("ana", "p2pctl limit --up 64KiB");
    let before = (starts(gpu3, "p2pd"), starts(dir, "p2p-directory"));
    let said = apt(
        gpu3,
        &format!("install -o Dpkg::Options::=--force-confold ./p2pd_{VERSION}_*.deb"),
    );
    assert!(
        !said.contains("p2pd runs. Next"),
        "an upgrade has no first steps:\n{said}"
    );
    apt(dir, &format!("install ./p2p-directory_{VERSION}_*.deb"));
    assert_eq!(
        (starts(gpu3, "p2pd"), starts(dir, "p2p-directory")),
        (before.0 + 1, before.1 + 1)
    );
    // Its daemon went away under it; the transfer goes on by itself.
    let _ = download.wait();
    ws1.runs("ana", "p2pctl limit --up unlimited");
    wait::until("the transfer to end", wait::SOON, || {
        gpu3.runs("ana", "p2pctl list").contains("big.bin").then_some(())
    });
    let log = gpu3.runs(
        "root",
        &format!("journalctl --sync; journalctl -u p2pd -o cat --no-pager CONTENT_HASH={hash}"),
    );
    assert!(log.contains("are here already"), "{log}");
    gpu3.runs("ana", "p2pctl download big.bin");
    assert_eq!(data::hash_of(&gpu3.path("/home/ana/big.bin")), hash);
    let config = gpu3.runs("root", "cat /etc/p2pd/p2pd.toml");
    assert_eq!(config, "peer_name = \"third\"\n", "what was edited stays");

    // What was stopped stays stopped, and what is taken away and comes again is as before.
    gpu3.runs("root", "systemctl stop p2pd");
    apt(
        gpu3,
        &format!("install --allow-downgrades -o Dpkg::Options::=--force-confold ./p2pd_{PREVIOUS}.deb"),
    );
    assert!(!active(gpu3, "p2pd"));
    apt(gpu3, "remove p2pd");
    assert!(
        gpu3.command("root", "test -d /var/lib/p2pd/store")
            .output()
            .is_ok_and(|output| output.status.success())
    );
    apt(
        gpu3,
        &format!("install -o Dpkg::Options::=--force-confold ./p2pd_{VERSION}_*.deb"),
    );
    assert!(active(gpu3, "p2pd"));
    assert!(gpu3.runs("ana", "p2pctl list").contains("big.bin"));
    // And passwords are what they were.
    assert!(
        dir.runs("admin", "sudo p2p-directory admin user list")
            .contains("ana")
    );
    shelf::logs_in(ws1, "dir", &password);
}

#[test]
fn a_purge_leaves_what_the_administrator_made() {
    let Some(lab) = shelf::machines(&["one"]) else {
        return;
    };
    let one = lab.machine("one");
    let before = one.runs("root", FILES);
    let accounts = one.runs("root", "cat /etc/passwd /etc/group");
    for name in ["p2p-directory", "p2pd"] {
        let said = shelf::installs(one, name);
        let said: Vec<String> = said.lines().map(str::to_owned).collect();
        let own = p2p_tests::transcript::without_apt(&said);
        assert!((1..=2).contains(&own.len()), "{name} says {own:?}");
    }
    let made = one.runs("admin", "sudo p2p-directory admin user add ana");
    let password = made.split_whitespace().last().expect("a password");
    shelf::logs_in(one, "one", password);
    one.runs("ana", "echo hello >hello && p2pctl upload hello");
    one.runs("root", "echo secret >/etc/p2pd/password");
    // A second peer, and the sockets of its own.
    one.runs(
        "root",
        "printf '[peer]\\nlisten = [\"[::]:7411\"]\\n' >/etc/p2pd/b.toml && systemctl start p2pd@b",
    );

    for name in ["p2pd", "p2p-directory"] {
        apt(one, &format!("remove {name}"));
        assert!(!active(one, name));
    }
    assert!(!active(one, "p2pd@b"));
    assert!(
        one.runs("root", "ls /var/lib/p2pd /var/lib/p2p-directory")
            .contains("store")
    );
    for name in ["p2pd", "p2p-directory"] {
        apt(one, &format!("purge {name}"));
    }
    let after = one.runs("root", FILES);
    let left: Vec<&str> = after
        .lines()
        .filter(|line| !before.lines().any(|old| old == *line))
        .collect();
    assert_eq!(left, ["/etc/p2pd", "/etc/p2pd/b.toml", "/etc/p2pd/password"]);
    // ana was made a member of a group that is gone.
    assert_eq!(one.runs("root", "cat /etc/passwd /etc/group"), accounts);
    assert_eq!(one.runs("root", "ls -d /run/p2p* 2>/dev/null || true"), "");
}

#[test]
fn an_account_that_was_here_before_stays() {
    let Some(lab) = shelf::machines(&["one"]) else {
        return;
    };
    let one = lab.machine("one");
    one.runs("root", "useradd --uid 1500 --create-home p2pd");
    let before = one.runs("root", "getent passwd p2pd; getent group p2pd");
    shelf::installs(one, "p2pd");
    assert!(active(one, "p2pd"));
    apt(one, "purge p2pd");
    assert_eq!(one.runs("root", "getent passwd p2pd; getent group p2pd"), before);
}
