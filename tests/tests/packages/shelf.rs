//! The packages that were built, and machines that have them at hand.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
};

use p2p_tests::lab::{Lab, Layer, Machine};

/// Of the workspace.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The package that is upgraded from: what was built, under a lower number.
pub const PREVIOUS: &str = "0.0.9";

/// The administrator's id.
const ADMIN: u32 = 900;

/// Where `make packages` puts them.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/packages")
}

/// Machines where the administrator has every package in his home.
pub fn machines(names: &[&str]) -> Option<Lab> {
    let plain: Vec<_> = names.iter().map(|name| (*name, Layer::Plain)).collect();
    Lab::debian(&plain, |_, files| stock(files))
}

/// Puts every package into the administrator's home.
pub fn stock(files: &Path) {
    // A bar that is drawn over lines is no text.
    fs::create_dir_all(files.join("etc/apt/apt.conf.d")).expect("a folder");
    fs::write(
        files.join("etc/apt/apt.conf.d/99plain"),
        "Binary::apt::Dpkg::Progress-Fancy \"0\";\n",
    )
    .expect("a file");
    let home = files.join("home/admin");
    fs::create_dir_all(&home).expect("a folder");
    for (folder, mode) in [("home", 0o755), ("home/admin", 0o700)] {
        fs::set_permissions(files.join(folder), fs::Permissions::from_mode(mode)).expect("a folder");
    }
    chown(&home, Some(ADMIN), None).expect("a folder");
    for entry in fs::read_dir(folder()).expect("target/packages: make packages") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            fs::copy(&path, home.join(path.file_name().expect("a name"))).expect("a copy");
        }
    }
}

/// Machines with a directory on the first and a peer on each other, with the account `ana`; and its password.
pub fn network(names: &[&str]) -> Option<(Lab, String)> {
    let lab = machines(names)?;
    let directory = lab.machine(names[0]);
    installs(directory, "p2p-directory");
    let added = directory.runs("admin", "sudo p2p-directory admin user add ana");
    let password = added.split_whitespace().last().expect("a password").to_owned();
    for name in &names[1..] {
        installs(lab.machine(name), "p2pd");
        logs_in(lab.machine(name), names[0], &password);
    }
    Some((lab, password))
}

/// Installs the package; what apt and its scripts said.
pub fn installs(machine: &Machine, name: &str) -> String {
    machine.runs(
        "admin",
        &format!("sudo apt-get install -y ./{name}_{VERSION}_*.deb 2>&1"),
    )
}

/// Logs ana in.
pub fn logs_in(machine: &Machine, directory: &str, password: &str) {
    machine.runs("root", "usermod -aG p2pd ana");
    machine.runs(
        "ana",
        &format!(
            "printf %s '{password}' | p2pctl login --directory {directory}.lab --trust-on-first-use --password-stdin"
        ),
    );
}
