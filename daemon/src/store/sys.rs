//! The system calls that change files: the seam where faults are put in. All of the store's writes, fsyncs, renames and
//! removals go through a [`Sys`], each database commit is announced to it, and nothing else in the store changes a file.
//! In a release build it is nothing but those calls, [`Real`]; what the tests put before them is in `sys/faults.rs`.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::Path,
};

use rustix::{fs::FallocateFlags, io::Errno};

#[cfg(test)]
pub(super) mod faults;
#[cfg(test)]
pub(super) mod power;

#[cfg(test)]
pub(super) use faults::Sys;

/// What the store calls.
#[cfg(not(test))]
pub(super) type Sys = Real;

/// The calls. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct Real {}

impl Real {
    /// A new empty file, open to read and write, for this user only.
    pub(super) fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
    }

    /// A folder for this user only; one that is there is fine.
    pub(super) fn make_folder(&self, path: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// Gives a file another name; replaces what had it.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Removes a file.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    /// Puts bytes and length of a file on the disk. After an error nothing is known of what is there, and asking again
    /// proves nothing.
    pub(super) fn sync_file(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    /// Puts the names in a folder on the disk.
    pub(super) fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    /// One `pwrite`, repeated where the kernel took less.
    pub(super) fn write_at(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    /// Sets the length and takes the space for it. False where the file system cannot promise space: the file is sparse.
    pub(super) fn allocate(&self, file: &File, size: u64) -> io::Result<bool> {
        if size == 0 {
            return Ok(true);
        }
        loop {
            match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size) {
                Ok(()) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return file.set_len(size).map(|()| false),
                Err(other) => return Err(other.into()),
            }
        }
    }

    /// Sets the length.
    pub(super) fn set_len(&self, file: &File, size: u64) -> io::Result<()> {
        file.set_len(size)
    }

    /// Makes `target` share the bytes of `source`. False where the file system or the pair of files cannot.
    pub(super) fn reflink(&self, target: &File, source: &File) -> io::Result<bool> {
        match rustix::fs::ioctl_ficlone(target, source) {
            Ok(()) => Ok(true),
            Err(
                Errno::OPNOTSUPP | Errno::XDEV | Errno::INVAL | Errno::NOTTY | Errno::NOSYS | Errno::PERM,
            ) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }

    /// Fills as much of the buffer as the file has from `offset` on; less only at its end.
    pub(super) fn read_full(&self, file: &File, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match file.read_at(&mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// A transaction of the database commits next. That it is durable when it returns is SQLite's own promise.
    pub(super) fn before_commit(&self) -> io::Result<()> {
        Ok(())
    }
}
