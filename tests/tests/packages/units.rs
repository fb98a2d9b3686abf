//! The units as systemd sees them: nothing to complain of, and a sandbox that its own judge finds tight.

use p2p_tests::lab::Machine;

use crate::{figures, shelf};

/// The most exposure, in tenths.
const MOST: u32 = 15;

#[test]
fn systemd_has_nothing_to_complain_of() {
    let Some(lab) = shelf::machines(&["one"]) else {
        return;
    };
    let one = lab.machine("one");
    for (package, units) in [
        ("p2p-directory", &["p2p-directory.service"][..]),
        ("p2pd", &["p2pd.service", "p2pd@b.service", "p2pd.socket"]),
    ] {
        shelf::installs(one, package);
        for unit in units {
            let said = one.runs("root", &format!("systemd-analyze verify --man=yes {unit} 2>&1"));
            assert_eq!(said, "", "{unit}");
            if unit.ends_with(".service") {
                is_tight(one, unit);
            }
        }
        let size = one.runs(
            "root",
            &format!("dpkg-query --show --showformat '${{Installed-Size}}' {package}"),
        );
        let size: u32 = size.parse().expect("a size");
        figures::tell(&format!(
            "{package}: {}.{} MiB installed",
            size / 1024,
            size % 1024 * 10 / 1024
        ));
    }
    let enabled = one.runs(
        "root",
        "systemctl is-enabled p2pd p2p-directory; systemctl is-active p2pd p2p-directory",
    );
    assert_eq!(enabled, "enabled\nenabled\nactive\nactive\n");
    // Nothing that runs failed to start.
    assert_eq!(
        one.runs("root", "systemctl list-units --failed --no-legend --plain 'p2p*'"),
        ""
    );
}

fn is_tight(machine: &Machine, unit: &str) {
    let judged = machine.runs(
        "root",
        &format!("systemd-analyze security --no-pager --threshold={MOST} {unit}"),
    );
    let (_, level) = judged
        .split_once("Overall exposure level for ")
        .expect("a judgement");
    figures::tell(&format!("exposure of {}", level.trim()));
}
