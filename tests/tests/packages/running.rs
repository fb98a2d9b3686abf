//! A day with the service: users with closed homes, the journal, reload, stop, a watchdog that bites, a reboot.

use std::{fs, process::Stdio};

use p2p_tests::{
    data, first_hour,
    lab::{Lab, Layer, Machine},
    wait,
};

use crate::{figures, shelf};

/// What the test keeps to itself and no log may know.
const PASSWORD: &str = "correct-horse-battery-staple";

#[test]
fn the_first_hour_is_that_of_the_packages() {
    let machines = ["dir", "ws1", "gpu1", "gpu3", "gpu7"].map(|name| (name, Layer::Plain));
    if let Some(lab) = Lab::debian(&machines, |_, files| shelf::stock(files)) {
        first_hour::plays(&lab);
    }
}

#[test]
fn a_day_with_the_service() {
    let Some((lab, _)) = shelf::network(&["dir", "ws1"]) else {
        return;
    };
    let (dir, ws1, gpu3) = (lab.machine("dir"), lab.machine("ws1"), lab.machine("dir"));
    // The directory's machine is a peer as well.
    shelf::installs(gpu3, "p2pd");
    let hash = moves_between_closed_homes(dir, ws1, gpu3);
    the_journal_finds(gpu3, &hash);
    reload_keeps_it_running(gpu3);
    stop_is_in_time(gpu3);
    the_watchdog_bites(gpu3);
    the_watchdog_bites_the_directory(dir);
    gpu3.reboots();
    wait::until("the peer to be back by itself", wait::SOON, || {
        let status = gpu3.command("ben", "p2pctl status").output().ok()?;
        let text = String::from_utf8_lossy(&status.stdout).into_owned();
        (text.contains("logged in as ben") && text.contains("answered")).then_some(())
    });
    assert!(gpu3.runs("ben", "p2pctl list").contains("scan.bin"));
    times(gpu3);
}

/// What ana has in a file that only she may read, ben gets into a home that only he may enter.
fn moves_between_closed_homes(dir: &Machine, ws1: &Machine, gpu3: &Machine) -> String {
    let hash = data::file(&ws1.path("/home/ana/scan.bin"), 7, 20 << 20);
    ws1.runs(
        "root",
        "chown ana:ana /home/ana/scan.bin && chmod 0600 /home/ana/scan.bin",
    );
    let homes = ws1.runs("ana", "stat -c %a /home/ana scan.bin");
    assert_eq!(homes.split_whitespace().collect::<Vec<_>>(), ["700", "600"]);
    ws1.runs("ana", "p2pctl upload scan.bin");

    dir.runs(
        "admin",
        &format!("printf %s {PASSWORD} | sudo p2p-directory admin user add ben --password-stdin"),
    );
    gpu3.runs("root", "useradd --create-home ben && chmod 0700 /home/ben");
    // Whoever is not in the group is told what to do.
    let refused = gpu3.command("ben", "p2pctl status").output().expect("p2pctl");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{told}");
    assert!(
        told.contains("ben is not in group p2pd: sudo usermod -aG p2pd ben, then log in again"),
        "{told}"
    );
    gpu3.runs("root", "usermod -aG p2pd ben");
    let login = "p2pctl login --directory dir.lab --trust-on-first-use --password-stdin";
    gpu3.runs("ben", &format!("printf %s {PASSWORD} | {login}"));
    gpu3.runs("ben", "p2pctl download scan.bin");
    assert_eq!(data::hash_of(&gpu3.path("/home/ben/scan.bin")), hash);
    let made = gpu3.runs("ben", "stat -c '%U %G %a' scan.bin; stat -c %a /home/ben");
    assert_eq!(made, "ben ben 644\n700\n");
    hash
}

fn the_journal_finds(machine: &Machine, hash: &str) {
    machine.runs("root", "journalctl --sync");
    let query = |words: &str| machine.runs("root", &format!("journalctl -u p2pd -o cat --no-pager {words}"));
    let transfers = machine.runs("ben", "p2pctl transfers --json");
    let (_, rest) = transfers.split_once("\"id\":\"").expect("a transfer");
    let id = rest.split('"').next().expect("an id");
    for (field, has) in [
        (format!("TRANSFER={id}"), "scan.bin"),
        (format!("CONTENT_HASH={hash}"), "scan.bin"),
        ("PEER=ws1".to_owned(), "ws1"),
        ("ACCOUNT=ben".to_owned(), "logged in to"),
    ] {
        let found = query(&field);
        assert!(found.contains(has), "{field} finds:\n{found}\nin\n{}", query(""));
    }
    // But that the disk of the one who tests may be nearly full.
    let bad = query("-p warning");
    let bad: Vec<&str> = bad
        .lines()
        .filter(|line| *line != "-- No entries --" && !line.contains(" left for files in "))
        .collect();
    assert_eq!(bad, [""; 0], "nothing is wrong");
    let all = machine.runs("root", "journalctl --no-pager -o export");
    assert!(!all.contains(PASSWORD), "a password is in the journal");
}

fn shows(machine: &Machine, unit: &str, property: &str) -> String {
    let shown = machine.runs(
        "root",
        &format!("systemctl show --value --property {property} {unit}"),
    );
    shown.trim().to_owned()
}

fn reload_keeps_it_running(machine: &Machine) {
    let before = shows(machine, "p2pd", "MainPID");
    wait::until("the status line", wait::SOON, || {
        let status = shows(machine, "p2pd", "StatusText");
        status.contains(" online; 0 transfers; down 0, up ").then_some(())
    });
    // Who reloads what is wrong is told so, and nothing changes.
    machine.runs("root", "sed -i.right '1i wrong = 1' /etc/p2pd/p2pd.toml");
    machine.runs("admin", "! sudo systemctl reload p2pd 2>&1");
    machine.runs("root", "journalctl --sync");
    let log = machine.runs("root", "journalctl -u p2pd -o cat --no-pager");
    assert!(log.contains("/etc/p2pd/p2pd.toml:1: unknown key wrong"), "{log}");
    machine.runs(
        "root",
        "cd /etc/p2pd && mv p2pd.toml.right p2pd.toml && \
         sed -i 's/^#upload_limit = .*/upload_limit = \"3MiB\"/' p2pd.toml",
    );
    machine.runs("admin", "sudo systemctl reload p2pd");
    wait::until("the new limit", wait::SOON, || {
        machine
            .runs("ben", "p2pctl limit")
            .contains("3.0 MiB/s")
            .then_some(())
    });
    assert_eq!(shows(machine, "p2pd", "MainPID"), before);
    assert_eq!(shows(machine, "p2pd", "ActiveState"), "active");
}

fn stop_is_in_time(machine: &Machine) {
    // Its pipe stays open: without a limit of the daemon's own systemd would have to end it.
    let mut upload = machine.command("ben", "p2pctl upload - --name endless");
    let mut upload = upload
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("p2pctl");
    wait::until("the upload", wait::SOON, || {
        let transfers = machine.runs("ben", "p2pctl transfers --json");
        transfers.contains("endless").then_some(())
    });
    machine.runs("admin", "sudo systemctl stop p2pd");
    assert_eq!(shows(machine, "p2pd", "Result"), "success");
    drop(upload.stdin.take());
    let _ = upload.wait();
    let refused = machine.command("ben", "p2pctl status").output().expect("p2pctl");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{told}");
    assert!(
        told.contains("no such file. Is it running? sudo systemctl start p2pd"),
        "{told}"
    );
    machine.runs("admin", "sudo systemctl start p2pd");
}

fn the_watchdog_bites(machine: &Machine) {
    bites(machine, "p2pd");
    assert!(machine.runs("ben", "p2pctl status").contains("logged in as ben"));
}

fn the_watchdog_bites_the_directory(machine: &Machine) {
    bites(machine, "p2p-directory");
    machine.runs("admin", "sudo p2p-directory admin status");
}

/// A service that stands still is started anew. The unit's minute is three seconds here.
fn bites(machine: &Machine, unit: &str) {
    let folder = format!("/etc/systemd/system/{unit}.service.d");
    machine.runs(
        "root",
        &format!(
            "mkdir -p {folder} && printf '[Service]\\nWatchdogSec=3s\\nTimeoutAbortSec=1s\\n' >{folder}/soon.conf && \
             systemctl daemon-reload && systemctl restart {unit}"
        ),
    );
    let first = shows(machine, unit, "MainPID");
    // It feeds: the service outlives three times that.
    let since = || -> u64 {
        shows(machine, unit, "ActiveEnterTimestampMonotonic")
            .parse()
            .expect("a time")
    };
    let begun = since();
    wait::until("nine seconds", wait::SOON, || {
        let uptime = fs::read_to_string("/proc/uptime").ok()?;
        let now: f64 = uptime.split(' ').next()?.parse().ok()?;
        (now * 1e6 > (begun + 9_000_000) as f64).then_some(())
    });
    assert_eq!(
        shows(machine, unit, "MainPID"),
        first,
        "{unit} feeds its watchdog"
    );
    machine.runs("root", &format!("kill -STOP {first}"));
    wait::until("a new one", wait::SOON, || {
        let now = shows(machine, unit, "MainPID");
        let runs = shows(machine, unit, "ActiveState") == "active";
        (now != first && now != "0" && runs).then_some(())
    });
    assert_eq!(shows(machine, unit, "NRestarts"), "1");
    machine.runs("root", &format!("rm -r {folder} && systemctl daemon-reload"));
}

/// From the start to READY.
fn times(machine: &Machine) {
    for unit in ["p2pd", "p2p-directory"] {
        let mut took: Vec<u64> = (0..5)
            .map(|_| {
                machine.runs("root", &format!("systemctl restart {unit}"));
                let at = |property| -> u64 { shows(machine, unit, property).parse().expect("a time") };
                at("ActiveEnterTimestampMonotonic") - at("InactiveExitTimestampMonotonic")
            })
            .collect();
        took.sort_unstable();
        figures::tell(&format!(
            "{unit}: {} ms from start to READY, median of 5",
            took[2] / 1000
        ));
    }
}
