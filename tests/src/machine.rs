//! What a test does to the machine below a program: a disk that is small, a clock that jumps. Both are the test's own and
//! gone with it.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
    time::UNIX_EPOCH,
};

use crate::check;

/// A small disk: a tmpfs mounted on a folder.
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts one with so many bytes. None, said loudly, where this user may not mount.
    ///
    /// # Panics
    /// When the folder cannot be made; and where tests may not be left out.
    #[must_use]
    pub fn mount(folder: &Path, bytes: u64) -> Option<Self> {
        fs::create_dir_all(folder).expect("a folder");
        let size = format!("size={bytes},mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "p2p-tests"])
            .arg(folder)
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self {
                folder: folder.to_owned(),
            });
        }
        check::not_tested("a small disk needs root, to mount a tmpfs; run this test as root");
        None
    }

    /// Takes every byte that is left.
    ///
    /// # Panics
    /// When the disk does anything else than to get full.
    pub fn fill(&self) {
        let mut filler = File::create(self.filler()).expect("a file");
        // In large runs, and then what is left after the last of them.
        for run in [1 << 20, 4096, 1] {
            let zeros = vec![0; run];
            loop {
                match filler.write_all(&zeros) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                    Err(error) => panic!("a full disk: {error}"),
                }
            }
        }
    }

    /// Gives them back.
    ///
    /// # Panics
    /// When it was not filled.
    pub fn empty(&self) {
        fs::remove_file(self.filler()).expect("the filler");
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Who still has a file open there keeps it, and nobody else finds it.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}

/// The wall clock of the programs that run with [`Clock::environment`]: the machine's, moved by the test. Clocks that only
/// count are left alone.
pub struct Clock {
    file: PathBuf,
    library: PathBuf,
}

impl Clock {
    /// A clock that goes right so far. None, said loudly, where libfaketime is not installed.
    ///
    /// # Panics
    /// When its file cannot be written; and where tests may not be left out.
    #[must_use]
    pub fn new(file: &Path) -> Option<Self> {
        let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let found = folders
            .map(|folder| folder.path().join("faketime/libfaketime.so.1"))
            .find(|library| library.exists());
        let Some(library) = found else {
            check::not_tested("a clock that jumps needs libfaketime: apt-get install faketime");
            return None;
        };
        let clock = Self {
            file: file.to_owned(),
            library,
        };
        clock.goes_ahead_by(0);
        Some(clock)
    }

    /// From now on it is so many seconds ahead of the machine's.
    ///
    /// # Panics
    /// When its file cannot be written.
    pub fn goes_ahead_by(&self, seconds: u64) {
        self.goes(&format!("+{seconds}"));
    }

    /// From now on it goes on from this time, in seconds since 1970, that is over.
    ///
    /// # Panics
    /// When its file cannot be written, and for a time to come.
    pub fn goes_back_to(&self, time: u64) {
        let now = UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs();
        let ago = now.checked_sub(time).expect("a time that is over");
        self.goes(&format!("-{ago}"));
    }

    fn goes(&self, offset: &str) {
        // Replaced in one step: the programs read it whenever they look at the clock.
        let next = self.file.with_extension("next");
        fs::write(&next, format!("{offset}\n")).expect("the clock's file");
        fs::rename(&next, &self.file).expect("the clock's file");
    }

    /// What a program needs to go by it.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let of = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        [
            ("LD_PRELOAD", of(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", of(&self.file)),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}
