//! The store's folder: making a temporary file, making it durable, giving it its name, removing it. One place, so that
//! the order of a commit can be read here; the calls themselves are made by [`Sys`].
//!
//! The folder is `content/ab/<hash>`, `layer/ab/<hash>`, `partial/` (see `partial_files`), `tmp/`, and the file `lock`.
//! What is in `content/` and `layer/` was fsynced before it got that name; what is in `tmp/` means nothing after a crash.
//! Which of the named files count is for the database to say.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use p2p_proto::ContentHash;
use rustix::fs::FlockOperation;
use uuid::Uuid;

use super::{
    layer::{ChainingValue, Layer},
    sys::Sys,
};

/// The two kinds of named files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The bytes of a content.
    Content,
    /// Its chaining values, one after the other.
    Layer,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Content, Self::Layer];

    const fn folder(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Layer => "layer",
        }
    }
}

/// The store's folder, locked for as long as this lives.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    sys: Sys,
    /// Locked; the kernel frees that however the process ends.
    lock: File,
}

/// Why the folder could not be taken.
pub(super) enum Refused {
    InUse,
    MetadataLost,
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Disk {
    /// Makes the folder where it is missing, locks it, makes the folders inside. They are all made now and fsynced, so
    /// that a commit never has to wonder whether the folder that it renames into is itself durable.
    pub(super) fn open(root: &Path, sys: Sys) -> Result<Self, Refused> {
        // Only when the database is there did an earlier start come past the fsyncs below.
        let new = !root.join("metadata.db").try_exists()?;
        if let Some(parent) = root.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        sys.make_folder(root)?;
        // A file of its own: not every file system locks folders.
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(root.join("lock"))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Refused::InUse),
            Err(other) => return Err(Refused::Io(other.into())),
        }
        // Without its rows every file would be swept.
        if new && has_files(&root.join(Kind::Content.folder()))? {
            return Err(Refused::MetadataLost);
        }
        let disk = Self {
            root: root.to_owned(),
            sys,
            lock,
        };
        let sys = &disk.sys;
        sys.make_folder(&disk.temporary())?;
        sys.make_folder(&disk.partials())?;
        for kind in Kind::ALL {
            let top = root.join(kind.folder());
            sys.make_folder(&top)?;
            for shard in 0..=u8::MAX {
                sys.make_folder(&top.join(format!("{shard:02x}")))?;
            }
            sys.sync_folder(&top)?;
        }
        sys.sync_folder(root)?;
        if let Some(parent) = root
            .parent()
            .filter(|parent| new && !parent.as_os_str().is_empty())
        {
            sys.sync_folder(parent)?;
        }
        Ok(disk)
    }

    /// The calls that change files.
    pub(super) const fn sys(&self) -> &Sys {
        &self.sys
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Bytes that this daemon may still write on the file system.
    pub(super) fn free(&self) -> io::Result<u64> {
        free_bytes(&self.lock)
    }

    /// All bytes of the file system.
    pub(super) fn size(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.lock)?;
        Ok(stat.f_blocks.saturating_mul(stat.f_frsize))
    }

    fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(super) fn shard(&self, kind: Kind, hash: ContentHash) -> PathBuf {
        self.root
            .join(kind.folder())
            .join(format!("{:02x}", hash.as_bytes()[0]))
    }

    pub(super) fn named(&self, kind: Kind, hash: ContentHash) -> PathBuf {
        self.shard(kind, hash).join(hash.to_string())
    }

    /// Opens a named file to read.
    pub(super) fn open_named(&self, kind: Kind, hash: ContentHash) -> io::Result<File> {
        File::open(self.named(kind, hash))
    }

    /// An empty file in `tmp/`, removed again unless it is placed.
    pub(super) fn create_temporary(&self) -> io::Result<TempFile> {
        let path = self.temporary().join(Uuid::new_v4().to_string());
        Ok(TempFile::new(self.sys.create(&path)?, &self.sys, path, false))
    }

    /// Gives a file that was synced its name, durably. Replaces what had that name.
    pub(super) fn place(&self, temporary: &mut TempFile, kind: Kind, hash: ContentHash) -> io::Result<()> {
        let Some(path) = &temporary.path else {
            return Err(io::Error::other("placed already"));
        };
        self.sys.rename(path, &self.named(kind, hash))?;
        temporary.path = None;
        self.sys.sync_folder(&self.shard(kind, hash))
    }

    /// Whether the bytes of a content are there, as far as their number says.
    pub(super) fn has_content(&self, hash: ContentHash, size: u64) -> bool {
        let layer = Layer::group_count(size) * size_of::<ChainingValue>() as u64;
        let long = |kind| fs::metadata(self.named(kind, hash)).map(|meta| meta.len()).ok();
        long(Kind::Content) == Some(size) && (layer == 0 || long(Kind::Layer) == Some(layer))
    }

    /// Removes both files of a content; one that is not there is fine. Not fsynced: what a crash brings back is removed
    /// by the next `Store::open`.
    pub(super) fn remove_content(&self, hash: ContentHash) -> io::Result<()> {
        for kind in Kind::ALL {
            match self.sys.remove(&self.named(kind, hash)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes all that a crash left: everything in `tmp/`, and every named file and file in `partial/` that is not
    /// known. Returns how many.
    pub(super) fn sweep(
        &self,
        known: &dyn Fn(Kind, ContentHash) -> bool,
        known_partial: &dyn Fn(&str) -> bool,
    ) -> io::Result<u64> {
        let mut removed = 0;
        for entry in fs::read_dir(self.partials())? {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(known_partial) {
                self.sys.remove(&entry.path())?;
                removed += 1;
            }
        }
        for entry in fs::read_dir(self.temporary())? {
            self.sys.remove(&entry?.path())?;
            removed += 1;
        }
        for kind in Kind::ALL {
            for shard in 0..=u8::MAX {
                let folder = self.root.join(kind.folder()).join(format!("{shard:02x}"));
                for entry in fs::read_dir(folder)? {
                    let entry = entry?;
                    let hash = entry.file_name().to_str().and_then(|name| name.parse().ok());
                    if !hash.is_some_and(|hash| known(kind, hash)) {
                        self.sys.remove(&entry.path())?;
                        removed += 1;
                    }
                }
            }
        }
        Ok(removed)
    }
}

/// A file without a name that counts, or with one in `partial/`. Dropped, it is gone, unless it is kept.
#[derive(Debug)]
pub(super) struct TempFile {
    file: File,
    sys: Sys,
    /// None once it was placed.
    path: Option<PathBuf>,
    kept: bool,
}

impl TempFile {
    pub(super) fn new(file: File, sys: &Sys, path: PathBuf, kept: bool) -> Self {
        Self {
            file,
            sys: sys.clone(),
            path: Some(path),
            kept,
        }
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    /// Whether it stays when this is dropped: a row in the database knows it.
    pub(super) const fn keep(&mut self, kept: bool) {
        self.kept = kept;
    }

    pub(super) const fn is_kept(&self) -> bool {
        self.kept
    }

    /// Writes all bytes at `offset`.
    pub(super) fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.sys.write_at(&self.file, offset, bytes)
    }

    /// Puts bytes and length on the disk. After an error nothing is known of what is there, and asking again proves
    /// nothing: the file must go.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.sys.sync_file(&self.file)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if let Some(path) = self.path.take()
            && !self.kept
            && let Err(error) = self.sys.remove(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "a temporary file stays until the next start");
        }
    }
}

/// In one of its folders there is a file.
fn has_files(top: &Path) -> io::Result<bool> {
    let shards = match fs::read_dir(top) {
        Ok(shards) => shards,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    for shard in shards {
        if fs::read_dir(shard?.path())?.next().is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Bytes an ordinary user may still write where this file is.
pub(super) fn free_bytes(file: &File) -> io::Result<u64> {
    let stat = rustix::fs::fstatvfs(file)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
