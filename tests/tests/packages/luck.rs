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
    wait::until("the port to be taken", wait::SOON, || {
        let listening = one.runs("root", "ss --listening --tcp --numeric");
        listening.contains(":7401").then_some(())
    });
    let said = own_lines(&shelf::installs(one, "p2pd"));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("Is it running? sudo systemctl status p2pd"),
        "{said:?}"
    );
    let log = one.runs(
        "root",
        "journalctl --sync; journalctl -u p2pd -p err -o cat --no-pager",
    );
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
    // As long as nothing has mended it, who installs is told so.
    let again = "sudo apt-get install -y --reinstall ./p2pd_*.deb 2>&1";
    let said = own_lines(&one.runs("admin", again));
    assert_eq!(said, ["p2pd does not run. Next: sudo systemctl status p2pd"]);
    fs::write(&config, right).expect("the configuration");
    assert_eq!(own_lines(&one.runs("admin", again)), [""; 0]);
    assert_eq!(state(one), "active");
}

#[test]
fn an_image_that_is_being_built_takes_them() {
    let Some(lab) = shelf::machines(&["one"]) else {
        return;
    };
    let one = lab.machine("one");
    // The same files without /proc, /run and a service manager.
    one.runs("root", "mount --bind / /mnt");
    for name in ["p2pd", "p2p-directory"] {
        // The second time is an upgrade.
        for _ in 0..2 {
            one.runs(
                "root",
                &format!("chroot /mnt sh -c 'dpkg -i /home/admin/{name}_*.deb' 2>&1"),
            );
        }
        let status = one.runs("root", &format!("dpkg-query -W -f '${{Status}}' {name}"));
        assert_eq!(status, "install ok installed");
    }
    one.runs("root", "umount /mnt");
    one.reboots();
    for unit in ["p2pd", "p2p-directory"] {
        one.runs("root", &format!("systemctl is-active {unit}"));
    }
}

#[test]
fn a_removal_that_is_given_up_starts_it_again() {
    let Some(lab) = shelf::machines(&["one"]) else {
        return;
    };
    let one = lab.machine("one");
    for name in ["p2pd", "p2p-directory"] {
        shelf::installs(one, name);
        // As dpkg calls them when a package that takes its place fails.
        let scripts = format!("/var/lib/dpkg/info/{name}");
        one.runs("root", &format!("{scripts}.prerm remove in-favour rival 1"));
        one.runs("root", &format!("! systemctl --quiet is-active {name}"));
        one.runs(
            "root",
            &format!("{scripts}.postinst abort-remove in-favour rival 1"),
        );
        one.runs("root", &format!("systemctl is-active {name}"));
    }
}
