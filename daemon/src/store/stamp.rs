//! What tells that a file was written to, or that it is the same one as before.

use std::{fs::File, os::unix::fs::MetadataExt};

use super::error::StoreError;

/// What tells that a file was written to.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Device and inode.
    file: (u64, u64),
    pub(super) size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(file: &File) -> Result<Self, StoreError> {
        let meta = file.metadata().map_err(StoreError::io("look at the file"))?;
        if !meta.is_file() {
            return Err(StoreError::NotRegular);
        }
        Ok(Self {
            file: (meta.dev(), meta.ino()),
            size: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }

    /// As the database writes it.
    pub(super) fn key(&self) -> String {
        let Self {
            file,
            size,
            modified,
            changed,
        } = self;
        format!(
            "{}:{}:{size}:{}.{:09}:{}.{:09}",
            file.0, file.1, modified.0, modified.1, changed.0, changed.1
        )
    }

    /// That the source is still so, and the copy as long.
    pub(super) fn check(&self, source: &File, copy: &File) -> Result<(), StoreError> {
        let copied = copy.metadata().map_err(StoreError::io("look at the copy"))?.len();
        if copied == self.size && Self::of(source)? == *self {
            Ok(())
        } else {
            Err(StoreError::SourceChanged)
        }
    }
}
