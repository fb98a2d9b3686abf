//! Import of a file: its bytes are read once, into a temporary file that is a reflink of it or a copy, and hashed on the
//! way (a reflink: afterwards, from the clone). What is hashed is what is kept. A crash leaves a file in `tmp/`.

use std::{fs::File, os::fd::OwnedFd, os::unix::fs::MetadataExt, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{
    ProgressSink, Store, blocking,
    buffer::Buffer,
    commit::{Imported, Whole, commit},
    disk::{Disk, TempFile},
    error::{StoreError, is_full},
    layer::LayerBuilder,
    space::{Reservation, Space},
    sys::Sys,
};

impl Store {
    /// Takes the whole regular file into the store, durably. Stops soon after the caller is dropped.
    ///
    /// # Errors
    /// [`StoreError::NotRegular`]; [`StoreError::NoSpace`] before the first byte; [`StoreError::SourceChanged`] when
    /// somebody wrote to it meanwhile. Then nothing is kept.
    pub async fn import_file(&self, source: OwnedFd, progress: ProgressSink) -> Result<Imported, StoreError> {
        let cancelled = CancellationToken::new();
        let _guard = cancelled.clone().drop_guard();
        let (disk, space) = (self.inner.disk.clone(), self.inner.space.clone());
        let source = File::from(source);
        let whole = blocking(move || take(&disk, space, &source, &progress, &cancelled)).await?;
        self.finish(commit(self.inner.clone(), whole)).await
    }
}

fn take(
    disk: &Disk,
    space: Arc<Space>,
    source: &File,
    progress: &ProgressSink,
    cancelled: &CancellationToken,
) -> Result<Whole, StoreError> {
    let before = Stamp::of(source)?;
    let mut reservation = Reservation::new(space);
    reservation.promise(before.size)?;
    let file = disk
        .create_temporary()
        .map_err(reservation.io("make a temporary file"))?;
    let shared = before.size > 0
        && disk
            .sys()
            .reflink(file.file(), source)
            .map_err(reservation.io("reflink the file"))?;
    if !shared {
        reservation.claim_disk(before.size)?;
    }
    let mut pass = Pass {
        sys: disk.sys(),
        file,
        reservation,
        layer: LayerBuilder::new(),
        progress,
        cancelled,
    };
    if shared {
        // The clone is of one instant: if that was not the one we measured, somebody writes.
        before.check(source, pass.file.file())?;
        pass.hash_clone(before.size)?;
    } else {
        pass.copy(source, before.size)?;
        before.check(source, pass.file.file())?;
    }
    let Pass {
        file,
        reservation,
        layer,
        ..
    } = pass;
    Ok(Whole {
        file,
        layer: layer.finish(),
        reservation,
    })
}

struct Pass<'a> {
    sys: &'a Sys,
    file: TempFile,
    reservation: Reservation,
    layer: LayerBuilder,
    progress: &'a ProgressSink,
    cancelled: &'a CancellationToken,
}

impl Pass<'_> {
    fn hash_clone(&mut self, size: u64) -> Result<(), StoreError> {
        let mut buffer = Buffer::new();
        while self.layer.size() < size {
            let read = self
                .sys
                .read_full(self.file.file(), self.layer.size(), buffer.bytes_mut())
                .map_err(StoreError::io("read the clone"))?;
            if read == 0 {
                return Err(StoreError::SourceChanged);
            }
            self.count(&buffer.bytes()[..read])?;
        }
        Ok(())
    }

    fn copy(&mut self, source: &File, size: u64) -> Result<(), StoreError> {
        let mut buffer = Buffer::new();
        loop {
            let offset = self.layer.size();
            let read = self
                .sys
                .read_full(source, offset, buffer.bytes_mut())
                .map_err(StoreError::io("read the file"))?;
            if read == 0 {
                break;
            }
            let bytes = &buffer.bytes()[..read];
            // More than was promised is never written.
            if offset + read as u64 > size {
                return Err(StoreError::SourceChanged);
            }
            if let Err(error) = self.file.write_at(offset, bytes) {
                return Err(match is_full(&error) {
                    true => self.reservation.full(),
                    false => StoreError::Io {
                        doing: "write the copy",
                        source: error,
                    },
                });
            }
            self.reservation.wrote(read as u64);
            self.count(bytes)?;
        }
        Ok(())
    }

    fn count(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if self.cancelled.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        self.layer.push(bytes);
        (self.progress)(self.layer.size());
        Ok(())
    }
}

/// What tells that a file was written to.
#[derive(PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &File) -> Result<Self, StoreError> {
        let meta = file.metadata().map_err(StoreError::io("look at the file"))?;
        if !meta.is_file() {
            return Err(StoreError::NotRegular);
        }
        Ok(Self {
            size: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }

    fn check(&self, source: &File, copy: &File) -> Result<(), StoreError> {
        let copied = copy.metadata().map_err(StoreError::io("look at the copy"))?.len();
        if copied == self.size && Self::of(source)? == *self {
            Ok(())
        } else {
            Err(StoreError::SourceChanged)
        }
    }
}
