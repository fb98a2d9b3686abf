//! Rented machines: the user-data of `packaging/cloud`, run by a real cloud-init (NoCloud), ends in a peer that is logged in.

use std::{fs, path::Path, process::Command, time::Duration};

use p2p_tests::{
    lab::{Lab, Layer, Machine},
    wait,
};

use crate::shelf::{self, VERSION};

/// cloud-init is a program of many programs.
const FIRST_START: Duration = Duration::from_secs(90);

/// Fills the template in for a package that is in the administrator's home.
fn user_data(kind: &str, name: &str, more: &[&str]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/cloud");
    let package = fs::read_dir(shelf::folder())
        .expect("target/packages")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| {
            let file = path
                .file_name()
                .and_then(|file| file.to_str())
                .unwrap_or_default();
            file.starts_with(&format!("{name}_{VERSION}_")) && file.ends_with(".deb")
        })
        .expect("the package");
    let sum = Command::new("sha256sum")
        .arg(&package)
        .output()
        .expect("sha256sum");
    let sum = String::from_utf8(sum.stdout).expect("text");
    let output = Command::new(folder.join("render.sh"))
        .arg(kind)
        .arg(format!(
            "package=/home/admin/{}",
            package
                .file_name()
                .and_then(|file| file.to_str())
                .expect("a name")
        ))
        .arg(format!("sha256={}", sum.split(' ').next().expect("a sum")))
        .args(["account=lab", "password_command=cat /root/account-password"])
        .args(more)
        .output()
        .expect("render.sh");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// What a cloud gives a machine at its first start.
fn seed(files: &Path, name: &str, data: &str) {
    let folder = files.join("var/lib/cloud/seed/nocloud");
    fs::create_dir_all(&folder).expect("a folder");
    fs::create_dir_all(files.join("root")).expect("a folder");
    fs::write(folder.join("user-data"), data).expect("a file");
    fs::write(
        folder.join("meta-data"),
        format!("instance-id: {name}\nlocal-hostname: {name}\n"),
    )
    .expect("a file");
    // The machine has its network already, and no locale.
    fs::create_dir_all(files.join("etc/cloud/cloud.cfg.d")).expect("a folder");
    fs::write(
        files.join("etc/cloud/cloud.cfg.d/99-seed.cfg"),
        "datasource_list: [NoCloud]\nnetwork: {config: disabled}\nlocale: false\nssh_genkeytypes: []\n",
    )
    .expect("a file");
    fs::write(files.join("root/account-password"), "plum-orbit-lark-42-fern").expect("a file");
}

/// Waits until cloud-init has done all, without a complaint.
fn done(machine: &Machine) {
    let result = wait::until("cloud-init", FIRST_START, || {
        let output = machine
            .command("root", "cat /run/cloud-init/result.json")
            .output()
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    });
    let log = || machine.runs("root", "tail -40 /var/log/cloud-init-output.log");
    assert!(result.contains("\"errors\": []"), "{result}\n{}", log());
}

#[test]
fn user_data_ends_in_a_peer_that_is_logged_in() {
    let machines = [("dir", Layer::Cloud), ("ws1", Layer::Cloud)];
    let directory = user_data("directory", "p2p-directory", &["names=dir.lab"]);
    let lab = Lab::debian(&machines, |name, files| {
        shelf::stock(files);
        if name == "dir" {
            seed(files, name, &directory);
        }
    });
    let Some(lab) = lab else {
        return;
    };
    let (dir, ws1) = (lab.machine("dir"), lab.machine("ws1"));
    done(dir);
    // As a person reads it from the console and gives it to the peers.
    let fingerprint = dir.runs("root", "p2p-directory ca-fingerprint");
    let log = dir.runs("root", "cat /var/log/cloud-init-output.log");
    assert!(
        log.contains(&format!("p2p-directory: CA {}", fingerprint.trim())),
        "{log}"
    );

    let more = [
        "directory_url=https://dir.lab:7400",
        &format!("ca_fingerprint={}", fingerprint.trim()),
    ];
    seed(&ws1.path("/"), "ws1", &user_data("peer", "p2pd", &more));
    ws1.reboots();
    done(ws1);
    wait::until("the peer to be logged in", wait::SOON, || {
        ws1.runs("root", "p2pctl status")
            .contains("logged in as lab")
            .then_some(())
    });
    ws1.runs("root", "echo hello | p2pctl upload - --name hello");
    assert!(ws1.runs("root", "p2pctl search").contains("hello@1"));
    // The password is root's alone, and in no log.
    assert_eq!(
        ws1.runs("root", "stat -c '%U %a' /etc/p2pd/password"),
        "root 600\n"
    );
    let told = ws1.runs(
        "root",
        "journalctl --no-pager -o export; cat /var/log/cloud-init*.log",
    );
    assert!(!told.contains("plum-orbit-lark"), "a password is in a log");
}
