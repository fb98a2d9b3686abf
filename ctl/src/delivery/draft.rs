//! A file that is being delivered: without a name in its folder where the file system can do that, else under a hidden
//! temporary name. It owns that name: dropped before it is placed, nothing is left. After a crash a hidden
//! `.NAME.p2pctl-` and eight hex digits may stay, which is never a whole file under its own name.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    path::PathBuf,
};

use p2p_proto::{Failure, FailureKind};
use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags},
    io::Errno,
};

use super::{Target, numbered, shortened};
use crate::{cli::OnConflict, exit::io_failure};

const PERMISSIONS: u32 = 0o666;

/// A file on its way to its name.
#[derive(Debug)]
pub(crate) struct Draft {
    target: Target,
    file: File,
    /// The temporary name, while there is one.
    hidden: Option<OsString>,
}

/// How a delivery ended well.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// The content lies here.
    At(PathBuf),
    /// Something came there meanwhile, and `--on-conflict skip` leaves it.
    Skipped(PathBuf),
}

/// Proof that a draft's bytes are all there and durable.
#[derive(Debug)]
pub(crate) struct Settled(());

impl Draft {
    /// An empty file in the target's folder, open for reading and writing, its mode as the umask has it.
    pub(crate) fn create(target: Target) -> Result<Self, Failure> {
        match unnamed(target.folder()) {
            Ok(Some(file)) => Ok(Self {
                target,
                file,
                hidden: None,
            }),
            Ok(None) => Self::create_hidden(target),
            Err(error) => Err(target.cannot_write(&error)),
        }
    }

    /// The same under a temporary name, where files cannot go without one.
    pub(super) fn create_hidden(target: Target) -> Result<Self, Failure> {
        let name = hidden_name(&target.name);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(PERMISSIONS);
        match rustix::fs::openat(target.folder(), &name, flags, mode) {
            Ok(file) => Ok(Self {
                target,
                file: file.into(),
                hidden: Some(name),
            }),
            Err(errno) => Err(target.cannot_write(&errno.into())),
        }
    }

    /// The open file, for the daemon to fill.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The slow work before [`Self::place`]: checks the size, makes the bytes durable. It may run on another thread
    /// and be abandoned there; the draft stays its caller's.
    pub(crate) fn settle(&self, size: u64) -> impl FnOnce() -> Result<Settled, Failure> + Send + use<> {
        let file = self.file.try_clone();
        let path = self.target.path();
        move || {
            let shown = path.display();
            let failed = |error: io::Error| io_failure(&format!("cannot write {shown}"), &error);
            let file = file.map_err(failed)?;
            let found = file.metadata().map_err(failed)?.len();
            if found != size {
                let message = format!("{shown} came with {found} bytes instead of {size} and was not placed");
                return Err(Failure::new(FailureKind::HashMismatch, message));
            }
            file.sync_all().map_err(failed)?;
            Ok(Settled(()))
        }
    }

    /// Gives the file its name and makes the name durable. Quick, and not to be interrupted.
    pub(crate) fn place(mut self, _settled: Settled, on_conflict: OnConflict) -> Result<Placed, Failure> {
        let placed = self.give_name(on_conflict)?;
        if let Placed::At(_) = placed {
            let synced = rustix::fs::fsync(self.target.folder());
            synced.map_err(|errno| self.target.cannot_write(&errno.into()))?;
        }
        Ok(placed)
    }

    fn give_name(&mut self, on_conflict: OnConflict) -> Result<Placed, Failure> {
        let name = self.target.name.clone();
        let path = self.target.path();
        if on_conflict == OnConflict::Overwrite {
            return match self.replace(&name) {
                Ok(()) => Ok(Placed::At(path)),
                Err(error) => Err(self.target.cannot_write(&error)),
            };
        }
        if self.name_if_free(&name)? {
            return Ok(Placed::At(path));
        }
        match on_conflict {
            OnConflict::Skip => Ok(Placed::Skipped(path)),
            OnConflict::Rename => {
                for other in numbered(&name) {
                    if self.name_if_free(&other)? {
                        return Ok(Placed::At(self.target.path_of(&other)));
                    }
                }
                Err(self.target.exists())
            }
            OnConflict::Fail | OnConflict::Overwrite => Err(self.target.exists()),
        }
    }

    /// False when the name is taken.
    fn name_if_free(&mut self, name: &OsStr) -> Result<bool, Failure> {
        let result = match self.hidden.clone() {
            None => self.link(name),
            Some(hidden) => self.rename_if_free(&hidden, name),
        };
        match result {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(self.target.cannot_write(&error)),
        }
    }

    fn link(&self, name: &OsStr) -> io::Result<()> {
        let from = fd_path(self.file.as_fd());
        let flags = AtFlags::SYMLINK_FOLLOW;
        Ok(rustix::fs::linkat(CWD, from, self.target.folder(), name, flags)?)
    }

    fn rename_if_free(&mut self, hidden: &OsStr, name: &OsStr) -> io::Result<()> {
        let folder = self.target.folder();
        match rustix::fs::renameat_with(folder, hidden, folder, name, RenameFlags::NOREPLACE) {
            // The file system cannot: take the name with an empty file, and rename over that.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rename_over_placeholder(folder, hidden, name)?;
            }
            result => result?,
        }
        self.hidden = None;
        Ok(())
    }

    /// Takes the name, also from a file or link that has it: readers see the old file or the new one.
    fn replace(&mut self, name: &OsStr) -> io::Result<()> {
        let hidden = match &self.hidden {
            Some(hidden) => hidden.clone(),
            None => {
                let hidden = hidden_name(name);
                self.link(&hidden)?;
                self.hidden.insert(hidden).clone()
            }
        };
        let folder = self.target.folder();
        rustix::fs::renameat(folder, &hidden, folder, name)?;
        self.hidden = None;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(hidden) = &self.hidden {
            // Nothing more can be done about a temporary file that does not go.
            let _ = rustix::fs::unlinkat(self.target.folder(), hidden, AtFlags::empty());
        }
    }
}

pub(super) fn rename_over_placeholder(
    folder: BorrowedFd<'_>,
    hidden: &OsStr,
    name: &OsStr,
) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    drop(rustix::fs::openat(
        folder,
        name,
        flags,
        Mode::from_raw_mode(PERMISSIONS),
    )?);
    rustix::fs::renameat(folder, hidden, folder, name).map_err(|errno| {
        let _ = rustix::fs::unlinkat(folder, name, AtFlags::empty());
        errno.into()
    })
}

/// A file without a name; `None` where the file system or the lack of /proc forbids it.
fn unnamed(folder: BorrowedFd<'_>) -> io::Result<Option<File>> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    match rustix::fs::openat(folder, ".", flags, Mode::from_raw_mode(PERMISSIONS)) {
        Ok(file) => {
            let named_later = rustix::fs::statat(CWD, fd_path(file.as_fd()), AtFlags::empty())
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
            Ok(named_later.then(|| file.into()))
        }
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT | Errno::NOSYS) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn fd_path(file: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// `.NAME.p2pctl-` and eight hex digits, within the longest name.
fn hidden_name(name: &OsStr) -> OsString {
    let random = uuid::Uuid::new_v4().simple().to_string();
    let mut hidden = OsString::from(".");
    hidden.push(shortened(name, 200));
    hidden.push(format!(".p2pctl-{}", &random[..8]));
    hidden
}
