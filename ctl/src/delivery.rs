//! Where a download lands, and what happens when something is there already. The file itself is made and named by
//! `delivery/draft.rs`. Everything is done with the user's own rights, relative to one open folder, and never through
//! a symbolic link at the last component.

mod draft;

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

pub(crate) use draft::{Draft, Placed};
use p2p_proto::{ContentHash, Failure, FailureKind, FileName};
use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags},
    io::Errno,
};

use crate::{cli::OnConflict, exit::io_failure};

/// The longest name that Linux takes, in bytes.
const MAX_NAME: usize = 255;
const MAX_NUMBER: u32 = 9_999;

/// A place for a file: an open folder, and a name in it.
#[derive(Debug)]
pub(crate) struct Target {
    folder: OwnedFd,
    folder_path: PathBuf,
    name: OsString,
}

/// What lies at the target.
#[derive(Debug, PartialEq, Eq)]
enum Existing {
    Nothing,
    ThisContent,
    Other,
}

/// What to do before anything is fetched.
#[derive(Debug)]
pub(crate) enum Plan {
    /// Fetch and place it.
    Deliver(Target),
    /// The output stays as it is; that is success.
    Skip(PathBuf),
}

impl Target {
    /// The place that `-o` means: a folder takes the file under its own name; without `-o`, `./NAME`.
    pub(crate) fn choose(output: Option<&Path>, name: &FileName) -> Result<Self, Failure> {
        let (folder, name) = match output {
            None => (PathBuf::from("."), OsString::from(name.as_str())),
            Some(path) if path.as_os_str().is_empty() => {
                return Err(Failure::new(FailureKind::Usage, "the output cannot be empty"));
            }
            Some(path) if means_folder(path) => (path.to_owned(), OsString::from(name.as_str())),
            Some(path) => {
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                let Some(file) = path.file_name() else {
                    let message = format!("{} is no place for a file", path.display());
                    return Err(Failure::new(FailureKind::Usage, message));
                };
                (parent.unwrap_or(Path::new(".")).to_owned(), file.to_owned())
            }
        };
        Self::open(folder, name)
    }

    fn open(folder_path: PathBuf, name: OsString) -> Result<Self, Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&folder_path, flags, Mode::empty()).map_err(|errno| {
            let shown = folder_path.display();
            match errno {
                Errno::NOENT => Failure::new(FailureKind::Usage, format!("there is no folder {shown}"))
                    .hint(format!("To make it: mkdir -p {shown}")),
                Errno::NOTDIR => Failure::new(FailureKind::Usage, format!("{shown} is no folder")),
                errno => io_failure(&format!("cannot open the folder {shown}"), &errno.into()),
            }
        })?;
        Ok(Self {
            folder,
            folder_path,
            name,
        })
    }

    /// The path as the user would write it.
    pub(crate) fn path(&self) -> PathBuf {
        self.path_of(&self.name)
    }

    fn path_of(&self, name: &OsStr) -> PathBuf {
        self.folder_path.join(name)
    }

    /// Looks at what is there; hashes it when its size fits, which takes as long as reading it.
    pub(crate) fn plan(
        self,
        size: u64,
        hash: &ContentHash,
        on_conflict: OnConflict,
    ) -> Result<Plan, Failure> {
        match (self.existing(size, hash)?, on_conflict) {
            (Existing::Nothing, _) | (Existing::Other, OnConflict::Rename) => Ok(Plan::Deliver(self)),
            (Existing::ThisContent, _) | (Existing::Other, OnConflict::Skip) => Ok(Plan::Skip(self.path())),
            (Existing::Other, OnConflict::Fail) => Err(self.exists()),
            (Existing::Other, OnConflict::Overwrite) if self.is_folder()? => {
                let message = format!("{} is a folder and stays", self.path().display());
                Err(Failure::new(FailureKind::OutputExists, message).hint("Use --on-conflict rename or skip"))
            }
            (Existing::Other, OnConflict::Overwrite) => Ok(Plan::Deliver(self)),
        }
    }

    fn existing(&self, size: u64, hash: &ContentHash) -> Result<Existing, Failure> {
        let failed =
            |error: &io::Error| io_failure(&format!("cannot look at {}", self.path().display()), error);
        let Some(kind) = self.kind().map_err(|error| failed(&error))? else {
            return Ok(Existing::Nothing);
        };
        if kind != FileType::RegularFile {
            return Ok(Existing::Other);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::openat(&self.folder, &self.name, flags, Mode::empty()) else {
            return Ok(Existing::Other);
        };
        let file = File::from(file);
        let metadata = file.metadata().map_err(|error| failed(&error))?;
        if !metadata.is_file() || metadata.len() != size {
            return Ok(Existing::Other);
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file).map_err(|error| failed(&error))?;
        Ok(if ContentHash::from(hasher.finalize()) == *hash {
            Existing::ThisContent
        } else {
            Existing::Other
        })
    }

    fn kind(&self) -> io::Result<Option<FileType>> {
        match rustix::fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn is_folder(&self) -> Result<bool, Failure> {
        let kind = self.kind().map_err(|error| self.cannot_write(&error))?;
        Ok(kind == Some(FileType::Directory))
    }

    fn exists(&self) -> Failure {
        let message = format!("{} exists", self.path().display());
        Failure::new(FailureKind::OutputExists, message).hint("Use --on-conflict overwrite, rename or skip")
    }

    fn cannot_write(&self, error: &io::Error) -> Failure {
        io_failure(&format!("cannot write {}", self.path().display()), error)
    }

    fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

/// An existing folder (also behind a symbolic link), or a path that can be nothing else.
fn means_folder(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    let only_folder = bytes.ends_with(b"/") || bytes.ends_with(b"/.") || path.file_name().is_none();
    only_folder
        || rustix::fs::statat(CWD, path, AtFlags::empty())
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// `name (1).ext`, `name (2).ext`, …: names to try when the first one is taken.
fn numbered(name: &OsStr) -> impl Iterator<Item = OsString> {
    let path = Path::new(name);
    let stem = path.file_stem().unwrap_or(name).to_owned();
    let extension = path.extension().map(OsStr::to_owned);
    (1..=MAX_NUMBER).map(move |number| {
        let mut end = OsString::from(format!(" ({number})"));
        if let Some(extension) = &extension {
            end.push(".");
            end.push(extension);
        }
        let mut name = shortened(&stem, MAX_NAME.saturating_sub(end.len()));
        name.push(end);
        name
    })
}

/// At most so many bytes of a name, and no half characters.
fn shortened(name: &OsStr, bytes: usize) -> OsString {
    if name.len() <= bytes {
        return name.to_owned();
    }
    match name.to_str() {
        Some(text) => text[..text.floor_char_boundary(bytes)].into(),
        None => OsStr::from_bytes(&name.as_bytes()[..bytes]).to_owned(),
    }
}

#[cfg(test)]
mod tests;
