//! `p2pd --detach`: leaves the terminal, for hosts without systemd. The process forks before there is a runtime or a
//! thread, and the one that was called waits until the other one's listeners are up, or says why they are not.
//!
//! `runtime_dir/p2pd.pid` belongs to the process that runs: it has a lock on the file for as long as it lives, so what a
//! crash leaves is known for stale by being free, whatever number is in it.

use std::{
    fmt::Display,
    fs::File,
    io::{self, Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process,
};

use daemonize::{Daemonize, Outcome};
use p2p_service::{
    config::Sources,
    logging::{self, Place},
    notify, paths,
};
use rustix::fs::FlockOperation;

use crate::{Config, app, cli, config::LOG_VARIABLE};

/// Said by the one that runs when all of it is up; anything else is why not.
const UP: &str = "up";

/// The longest reason that is passed on, in bytes.
const MAX_REASON: u64 = 4096;

/// Why it did not leave the terminal.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A service manager wants the process that it started.
    #[error(
        "--detach is for hosts without systemd: under it the unit runs p2pd, and it stays in front; \
         systemctl start p2pd"
    )]
    Managed,
    /// There is one.
    #[error("p2pd runs already, as process {pid} ({})", file.display())]
    Runs {
        /// Its number.
        pid: String,
        /// The pid file.
        file: PathBuf,
    },
    /// A file or the process could not be had.
    #[error("{what}: {why}")]
    Failed {
        /// What.
        what: String,
        /// Why.
        why: String,
    },
    /// It ran and ended.
    #[error("{0}")]
    Ended(String),
}

impl Refused {
    /// 2 when it may not be asked for here, else 1.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Managed => 2,
            _ => 1,
        }
    }
}

fn failed(what: &dyn Display) -> impl FnOnce(io::Error) -> Refused {
    let what = what.to_string();
    move |why| Refused::Failed {
        what,
        why: why.to_string(),
    }
}

/// Leaves the terminal. Returns in the process that was called, with a line that says where the other one is and logs; the
/// other one runs until it is stopped, and never returns.
///
/// # Errors
/// Why it does not run.
pub fn run(config: Config, sources: Sources) -> Result<String, Refused> {
    if notify::is_managed() {
        return Err(Refused::Managed);
    }
    for (folder, mode) in [
        (&config.runtime_dir, app::runtime_mode()),
        (&config.state_dir, 0o700),
    ] {
        paths::create_private_dir(folder, mode).map_err(failed(&folder.display()))?;
    }
    let pid_file = PidFile::take(&config.runtime_dir.join("p2pd.pid"))?;
    let place = Place::journal_or(&config.state_dir.join("p2pd.log"));
    let (told, tell) = io::pipe().map_err(failed(&"a pipe"))?;
    // Relative paths go on to mean what they mean here.
    let here = std::env::current_dir().map_err(failed(&"the current folder"))?;
    match Daemonize::new().working_directory(here).umask(0o077).execute() {
        Outcome::Parent(Ok(_)) => {
            drop(tell);
            hear(told, &place, &pid_file.path)
        }
        Outcome::Parent(Err(error)) => Err(failed(&"cannot leave the terminal")(io::Error::other(
            error.to_string(),
        ))),
        Outcome::Child(Ok(_)) => {
            drop(told);
            process::exit(detached(config, sources, &place, pid_file, tell))
        }
        Outcome::Child(Err(error)) => {
            // Whoever reads the other end is gone, or says so.
            let _ = write!(&tell, "cannot leave the terminal: {error}");
            process::exit(1)
        }
    }
}

/// What the one that was called hears of the one that runs.
fn hear(told: io::PipeReader, place: &Place, pid_file: &Path) -> Result<String, Refused> {
    let mut said = String::new();
    let read = told.take(MAX_REASON).read_to_string(&mut said);
    let log = match place {
        Place::File(file) => file.display().to_string(),
        _ => "the journal: journalctl -t p2pd".to_owned(),
    };
    match (read, said.strip_prefix(UP)) {
        (Ok(_), Some(pid)) => Ok(format!(
            "p2pd runs as process {} ({}); it logs to {log}",
            pid.trim(),
            pid_file.display()
        )),
        (Ok(_), None) if !said.is_empty() => Err(Refused::Ended(said)),
        _ => Err(Refused::Ended(format!(
            "p2pd ended before it was up; its log: {log}"
        ))),
    }
}

/// The life of the one that runs; its exit code.
fn detached(
    config: Config,
    sources: Sources,
    place: &Place,
    mut pid_file: PidFile,
    mut tell: io::PipeWriter,
) -> i32 {
    let level = match logging::init(LOG_VARIABLE, &config.log.level, place) {
        Ok(level) => level,
        Err(error) => {
            let _ = write!(tell, "{error}");
            return 1;
        }
    };
    let mut tell = Some(tell);
    let ran = pid_file.write().map_err(anyhow::Error::from).and_then(|()| {
        cli::serve(config, sources, level, || {
            if let Some(mut tell) = tell.take() {
                // Nobody may be there to hear it.
                let _ = write!(tell, "{UP} {}", process::id());
            }
        })
    });
    pid_file.remove();
    match ran {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!("{error:#}");
            if let Some(mut tell) = tell {
                let _ = write!(tell, "{error:#}");
            }
            1
        }
    }
}

/// The file with the number of the process that runs, locked by it. The lock is of the open file: it passes through forks
/// and goes with the last of them.
#[derive(Debug)]
struct PidFile {
    file: File,
    path: PathBuf,
}

impl PidFile {
    /// The file, when no process has it.
    fn take(path: &Path) -> Result<Self, Refused> {
        let named = path.display().to_string();
        loop {
            let mut options = File::options();
            options
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .mode(0o644);
            let mut file = options.open(path).map_err(failed(&named))?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let mut pid = String::new();
                    let read = Read::by_ref(&mut file).take(32).read_to_string(&mut pid);
                    read.map_err(failed(&named))?;
                    let pid = match pid.trim() {
                        "" => "unknown (it is starting)".to_owned(),
                        pid => pid.to_owned(),
                    };
                    let file = path.to_owned();
                    return Err(Refused::Runs { pid, file });
                }
                Err(error) => return Err(failed(&named)(error.into())),
            }
            // Whoever had it may have taken the name away in between.
            let open = file.metadata().map_err(failed(&named))?;
            match std::fs::metadata(path) {
                Ok(there) if (there.dev(), there.ino()) == (open.dev(), open.ino()) => {
                    let path = path.to_owned();
                    return Ok(Self { file, path });
                }
                _ => continue,
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        writeln!(self.file, "{}", process::id())
    }

    /// Takes the name away while the lock still holds.
    fn remove(&self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!("{}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_file_is_taken_and_a_live_one_never() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p2pd.pid");
        std::fs::write(&path, "1\n").unwrap();
        let mut first = PidFile::take(&path).unwrap();
        first.write().unwrap();
        let own = process::id().to_string();
        assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), own);
        let refused = PidFile::take(&path).unwrap_err().to_string();
        assert!(refused.contains(&format!("as process {own} ")), "{refused}");
        first.remove();
        assert!(!path.exists());
        // Its name is free at once, though its lock is not.
        let second = PidFile::take(&path).unwrap();
        drop((first, second));
    }
}
