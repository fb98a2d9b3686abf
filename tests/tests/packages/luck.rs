//! Installations that meet something: a port that is taken, a machine that starts nothing by itself, a service that failed.

use std::fs;

use p2p_tests::{lab::Machine, transcript, wait};

use crate::shelf;

fn state(machine: &Machine) -> String {
    let shown = machine.runs("root", "systemctl show --value --property ActiveState p2pd");
    shown.trim().to_owned()
}

/// What the package itself said.
fn own_lines(said: &str) -> Vec<String> {
    let said: Vec<String> = said.lines().map(str::to_owned).collect();
    let own = transcript::without_apt(&said);
    own.into_iter().map(str::to_owned).collect()
}

#[test]
fn a_port_that_is_taken_is_told_and_waited_for() {
    let Some(lab) = shelf::machines(&["one"]) else {
        return;
    };
    let one = lab.machine("one");
    one.runs(
        "root",
        "systemd-run --quiet --unit=taker systemd-socket-activate --listen=7401 /bin/cat",
    );
    let said = own_lines(&shelf::installs(one, "p2pd"));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("Is it running? sudo systemctl status p2pd"),
        "{said:?}"
    );
    let log = one.runs("root", "journalctl -u p2pd -p err -o cat --no-pager");
    assert!(
        log.contains("cannot listen on [::]:7401: Address already in use"),
        "{log}"
    );
    one.runs("root", "systemctl stop taker");
    wait::until("the port to be taken again", wait::SOON, || {
        (state(one) == "active").then_some(())
    });
}

#[test]
fn a_machine_that_starts_nothing_by_itself_is_told_how() {
    let Some(lab) = shelf::machines(&["one"]) else {
        return;
    };
    let one = lab.machine("one");
    one.runs(
        "root",
        "printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d",
    );
    let said = own_lines(&shelf::installs(one, "p2pd"));
    assert_eq!(
        said,
        ["p2pd is installed, and this machine lets nothing start by itself. Next: sudo systemctl start p2pd"]
    );
    assert_eq!(state(one), "inactive");
    // As it says.
    one.runs("admin", "sudo systemctl start p2pd");
    assert_eq!(state(one), "active");
}

#[test]
fn what_failed_is_started_by_the_package_that_mends_it() {
    let Some(lab) = shelf::machines(&["one"]) else {
        return;
    };
    let one = lab.machine("one");
    shelf::installs(one, "p2pd");
    let config = one.path("/etc/p2pd/p2pd.toml");
    let right = fs::read(&config).expect("the configuration");
    fs::write(&config, "wrong = 1\n").expect("the configuration");
    let restarted = one
        .command("root", "systemctl restart p2pd")
        .output()
        .expect("systemctl");
    assert!(!restarted.status.success());
    wait::until("it to give up", wait::SOON, || {
        (state(one) == "failed").then_some(())
    });
    fs::write(&config, right).expect("the configuration");
    one.runs("admin", "sudo apt-get install -y --reinstall ./p2pd_*.deb 2>&1");
    assert_eq!(state(one), "active");
}
