//! Where a program's files are: as a system service under `/etc`, `/var/lib` and `/run`; by hand where the XDG base
//! directory specification says.

use std::{
    env, fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use directories::BaseDirs;
use rustix::fs::FlockOperation;

/// The files of one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The configuration; it may be missing.
    pub config_file: PathBuf,
    /// What must outlive a restart.
    pub state_dir: PathBuf,
    /// Sockets.
    pub runtime_dir: PathBuf,
    /// The program is the machine's, not a user's.
    pub system: bool,
}

/// The default files of `program`. A system service is what systemd's system manager gave a state directory, or what
/// root starts.
#[must_use]
pub fn default_paths(program: &str) -> Paths {
    let root = rustix::process::geteuid().is_root();
    if root || env::var_os("STATE_DIRECTORY").is_some() {
        let given = |variable: &str, default: &str| {
            // systemd separates several by colons; the first is ours.
            let list = env::var(variable).ok().filter(|list| !list.is_empty());
            let first = list.and_then(|list| list.split(':').next().map(PathBuf::from));
            first.unwrap_or_else(|| Path::new(default).join(program))
        };
        return Paths {
            config_file: given("CONFIGURATION_DIRECTORY", "/etc").join(format!("{program}.toml")),
            state_dir: given("STATE_DIRECTORY", "/var/lib"),
            runtime_dir: given("RUNTIME_DIRECTORY", "/run"),
            system: true,
        };
    }
    let uid = rustix::process::getuid().as_raw();
    let temporary = || env::temp_dir().join(format!("{program}-{uid}"));
    match BaseDirs::new() {
        Some(dirs) => Paths {
            config_file: dirs.config_dir().join(program).join(format!("{program}.toml")),
            state_dir: dirs.data_dir().join(program),
            runtime_dir: dirs.runtime_dir().map_or_else(temporary, |dir| dir.join(program)),
            system: false,
        },
        None => Paths {
            config_file: temporary().join(format!("{program}.toml")),
            state_dir: temporary().join("state"),
            runtime_dir: temporary(),
            system: false,
        },
    }
}

/// Makes the folder, and those above it, with this mode. One that exists must belong to this user or to root: a folder
/// in a shared place may have been put there by somebody else.
///
/// # Errors
/// Those of the file system; `PermissionDenied` for somebody else's folder.
pub fn create_private_dir(path: &Path, mode: u32) -> io::Result<()> {
    let is_new = !path.exists();
    fs::DirBuilder::new().recursive(true).mode(mode).create(path)?;
    let owner = fs::metadata(path)?.uid();
    let own = rustix::process::geteuid().as_raw();
    if owner == own || owner == 0 || own == 0 {
        // Whatever the caller's umask takes away.
        return match is_new {
            true => fs::set_permissions(path, fs::Permissions::from_mode(mode)),
            false => Ok(()),
        };
    }
    let message = format!("{} belongs to another user", path.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

/// Keeps a folder to this program for as long as the file is open: two programs on one state would each be right about
/// half of it. An empty `lock` stays in the folder.
///
/// # Errors
/// `ResourceBusy` when another one has it, those of the file system; each names the folder.
pub fn lock_dir(path: &Path, program: &str) -> io::Result<fs::File> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    // A file of its own: not every file system locks folders.
    let mut options = fs::OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    let file = options.open(path.join("lock")).map_err(named)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let message = format!("{} is in use by another {program}", path.display());
            Err(io::Error::new(io::ErrorKind::ResourceBusy, message))
        }
        Err(error) => Err(named(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_have_the_mode_whatever_the_umask_is() {
        let top = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let path = top.path().join("a/b");
        create_private_dir(&path, 0o700).unwrap();
        assert_eq!(mode(&path), 0o700);
        // One that is there stays as its owner made it.
        create_private_dir(&path, 0o755).unwrap();
        assert_eq!(mode(&path), 0o700);
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        let open = top.path().join("open");
        create_private_dir(&open, 0o755).unwrap();
        rustix::process::umask(before);
        assert_eq!(mode(&open), 0o755);
    }
}
