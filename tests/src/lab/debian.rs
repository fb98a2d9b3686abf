//! A machine that is a real Debian with a real systemd, in a container: `apt`, `systemctl`, `journalctl` and `sudo` are
//! the real ones. `tests/packages/roots.sh` makes its layers.

use std::{
    env, fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::check;

const BOOT: &str = include_str!("debian.sh");

/// What is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// A small Debian, with users `admin`, who has `sudo`, and `ana`.
    Plain,
    /// And rpm, with a database that knows what is there.
    Rpm,
    /// And cloud-init.
    Cloud,
}

impl Layer {
    /// The topmost first.
    const fn folders(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &["plain"],
            Self::Rpm => &["rpm", "plain"],
            Self::Cloud => &["cloud", "plain"],
        }
    }
}

/// Where the layers are.
fn layers() -> PathBuf {
    let given = env::var_os("P2P_DEBIAN").map(PathBuf::from);
    given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debian"))
}

/// The layers are there.
pub(super) fn available() -> bool {
    let there = layers().join("ready").exists();
    if !there {
        check::not_tested("a Debian needs systemd-container, debootstrap and tests/packages/roots.sh");
    }
    there
}

/// Not yet booted.
pub(super) fn command(
    folder: &Path,
    name: &str,
    hosts: &str,
    layer: Layer,
    prepare: impl FnOnce(&Path),
) -> Command {
    for made in ["upper/etc", "work", "root"] {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o755);
        builder.create(folder.join(made)).expect("a folder");
    }
    let files = folder.join("upper");
    fs::write(files.join("etc/hosts"), hosts).expect("a file");
    prepare(&files);
    let layers = layers().canonicalize().expect("the layers");
    let lower: Vec<String> = layer
        .folders()
        .iter()
        .map(|name| layers.join(name).display().to_string())
        .collect();
    let mut command = Command::new("unshare");
    command
        .args([
            "--net",
            "--mount",
            "--uts",
            "--ipc",
            "--pid",
            "--fork",
            "--kill-child",
        ])
        .args(["--propagation", "private", "sh", "-ec", BOOT, "sh"])
        .args([folder.as_os_str(), name.as_ref(), lower.join(":").as_ref()]);
    command
}

/// The only child of systemd-nspawn, which is the only child of the script that boots.
pub(super) fn first_process(outside: &str) -> Option<String> {
    child(&child(outside)?)
}

fn child(pid: &str) -> Option<String> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next().map(str::to_owned)
}

pub(super) fn home(user: &str) -> String {
    match user {
        "root" => "/root".to_owned(),
        user => format!("/home/{user}"),
    }
}
