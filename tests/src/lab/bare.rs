//! A machine that has the host's programs and what is in `target/debug`, and nothing that starts or installs any: quick,
//! and enough where a package is not what is looked at.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use crate::process::program;

/// The users that every machine has, with their ids; its administrator is root by another name, so that `sudo` is easy.
const USERS: [(&str, u32); 5] = [
    ("root", 0),
    ("admin", 0),
    ("p2pd", 991),
    ("p2p-directory", 992),
    ("ana", 1000),
];

/// Makes a machine's files, and becomes its first process.
const BOOT: &str = include_str!("boot.sh");

/// What becomes root's without a password.
const SUDO: &str = "#!/bin/sh\nSUDO_USER=admin exec \"$@\"\n";

/// Stands for a package until there are some.
const APT: &str = include_str!("apt.sh");

/// Not yet booted.
pub(super) fn command(folder: &Path, name: &str, hosts: &str) -> Command {
    make_files(folder, hosts);
    let mut command = Command::new("unshare");
    command
        .args(["--net", "--mount", "--uts", "--pid", "--fork", "--kill-child"])
        .args(["--propagation", "private", "sh", "-ec", BOOT, "sh"])
        .args([folder.as_os_str(), name.as_ref()])
        .env("BIN", program("p2pd").parent().expect("a folder"));
    command
}

pub(super) fn home(user: &str) -> String {
    match user {
        "root" => "/root".to_owned(),
        "ana" => "/home/ana".to_owned(),
        _ => "/tmp".to_owned(),
    }
}

/// What a machine has before it is booted.
fn make_files(files: &Path, hosts: &str) {
    let folders = [
        "usr",
        "proc",
        "dev",
        "sys",
        "etc/p2pd",
        "etc/p2p-directory",
        "run",
        "tmp",
        "root",
        "home/ana",
        "data",
        "var/lib",
        "var/log",
        "tools",
    ];
    for folder in folders {
        fs::create_dir_all(files.join(folder)).expect("a folder");
    }
    for open in ["", "etc", "run", "home", "var", "var/lib"] {
        fs::set_permissions(files.join(open), fs::Permissions::from_mode(0o755)).expect("a folder");
    }
    fs::set_permissions(files.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("a folder");
    let lines = |line: &dyn Fn(&str, u32) -> String| -> String {
        USERS.iter().map(|(name, id)| line(name, *id)).collect()
    };
    let write = |name: &str, text: &str, mode: u32| {
        fs::write(files.join(name), text).expect("a file");
        fs::set_permissions(files.join(name), fs::Permissions::from_mode(mode)).expect("a file");
    };
    let account = |name: &str, id: u32| format!("{name}:x:{id}:{id}::{}:/bin/sh\n", home(name));
    write("etc/passwd", &lines(&account), 0o644);
    write(
        "etc/group",
        &lines(&|name, id| format!("{name}:x:{id}:\n")),
        0o644,
    );
    write("etc/hosts", hosts, 0o644);
    write(
        "etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files\n",
        0o644,
    );
    write("tools/sudo", SUDO, 0o755);
    write("tools/apt", APT, 0o755);
}
