//! The rpm packages, in a database of rpm on a machine with a real systemd. That machine is a Debian, whose packages rpm
//! does not know: a package without files says that what they need is there. `--force-debian` is what rpm wants to hear from Debian.

use p2p_tests::lab::{Lab, Layer, Machine};

use crate::shelf::{self, VERSION};

/// Installs a package that has nothing and provides what those need.
fn has_what_they_need(machine: &Machine) {
    machine.runs(
        "root",
        "cd /home/admin && { printf 'Name: debian\\nVersion: 12\\nRelease: 1\\nSummary: s\\nLicense: l\\nBuildArch: noarch\\n'; \
         rpm -qp --requires *.rpm 2>/dev/null | grep -v '^rpmlib' | sort -u | sed 's/^/Provides: /'; \
         printf '%%description\\nd\\n%%files\\n'; } >debian.spec && rpmbuild --quiet -bb debian.spec --define '_rpmdir /root' \
         && rpm --force-debian --install /root/noarch/debian-12-1.noarch.rpm",
    );
}

#[test]
fn rpms_install_run_upgrade_and_go() {
    let machines = [("dir", Layer::Rpm), ("ws1", Layer::Rpm)];
    let Some(lab) = Lab::debian(&machines, |_, files| shelf::stock(files)) else {
        return;
    };
    let (dir, ws1) = (lab.machine("dir"), lab.machine("ws1"));
    for (machine, name) in [(dir, "p2p-directory"), (ws1, "p2pd")] {
        has_what_they_need(machine);
        // Policy of these machines: services are off until somebody says so, but for the directory.
        machine.runs(
            "root",
            "mkdir -p /etc/systemd/system-preset && \
             printf 'enable p2p-directory.service\\ndisable *\\n' >/etc/systemd/system-preset/99.preset",
        );
        let said = machine.runs(
            "admin",
            &format!("sudo rpm --force-debian --install {name}-{VERSION}-*.rpm 2>&1"),
        );
        assert!(
            said.starts_with(&format!("Next: sudo systemctl enable --now {name}; ")),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
        let state = machine
            .command("root", &format!("systemctl is-enabled {name}"))
            .output()
            .expect("systemctl");
        let preset = if name == "p2pd" { "disabled\n" } else { "enabled\n" };
        assert_eq!(state.stdout, preset.as_bytes(), "preset only, never forced on");
        machine.runs("root", &format!("! systemctl --quiet is-active {name}"));
        machine.runs("admin", &format!("sudo systemctl enable --now {name} 2>&1"));
        // All files are as the package has them; configuration is not replaced.
        assert_eq!(machine.runs("root", &format!("rpm --verify {name}")), "");
        let config = machine.runs("root", &format!("rpm --query --configfiles {name}"));
        assert_eq!(config, format!("/etc/{name}/{name}.toml\n"));
        machine.runs("root", &format!("echo >>/etc/{name}/{name}.toml '# mine'"));
    }
    let added = dir.runs("admin", "sudo p2p-directory admin user add ana");
    shelf::logs_in(ws1, "dir", added.split_whitespace().last().expect("a password"));
    ws1.runs("ana", "echo hello | p2pctl upload - --name hello");

    // The same version again is what an upgrade does: the new scripts, then those of the old one.
    let starts = || {
        let log = ws1.runs("root", "journalctl --sync; journalctl -u p2pd -o cat");
        log.lines().filter(|line| line.contains(" runs as peer ")).count()
    };
    let before = starts();
    ws1.runs(
        "admin",
        &format!("sudo rpm --force-debian --upgrade --replacepkgs --replacefiles p2pd-{VERSION}-*.rpm 2>&1"),
    );
    assert_eq!(starts(), before + 1, "an upgrade starts anew what runs, once");
    assert!(ws1.runs("root", "cat /etc/p2pd/p2pd.toml").contains("# mine"));
    assert_eq!(ws1.runs("ana", "p2pctl download hello -o -"), "hello\n");

    ws1.runs("admin", "sudo rpm --force-debian --erase p2pd 2>&1");
    assert!(
        !ws1.path("/usr/bin/p2pd").exists() && !ws1.path("/usr/lib/systemd/system/p2pd.service").exists()
    );
    let gone = ws1
        .command("root", "systemctl is-active p2pd")
        .output()
        .expect("systemctl");
    assert_eq!(gone.stdout, b"inactive\n");
    assert!(!ws1.path("/usr/share/doc/p2pd").exists() && !ws1.path("/usr/share/licenses/p2pd").exists());
    // Its state is not the package's.
    assert!(ws1.path("/var/lib/p2pd").exists() && ws1.path("/etc/p2pd/p2pd.toml.rpmsave").exists());
    dir.runs("admin", "sudo rpm --force-debian --erase p2p-directory 2>&1");
    let left = dir.runs(
        "root",
        "systemctl is-active p2p-directory; ls -d /etc/systemd/system/*.wants/p2p* 2>&1; true",
    );
    assert!(
        left.starts_with("inactive\n") && left.contains("No such file"),
        "{left}"
    );
    assert!(dir.path("/var/lib/p2p-directory/directory.db").exists());
}
