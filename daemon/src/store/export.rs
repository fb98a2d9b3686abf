//! Export: a stored content into an empty file that the user passed. Every byte is checked against the layer on its
//! way. Nothing of the store changes, and a crash leaves the user's file for the tool that made it.

use std::{fs::File, io};

use p2p_proto::ContentHash;
use tokio_util::sync::CancellationToken;

use super::{
    ProgressSink, Store,
    buffer::{BUFFER_LEN, Buffer},
    content::Content,
    disk::free_bytes,
    error::{StoreError, is_full},
    sys::Sys,
    users::calling,
};
use crate::user_file::UserFile;

impl Store {
    /// Writes the whole content into the empty regular file and returns its size in bytes. Making that file durable is
    /// its owner's part. Stops soon after the caller is dropped.
    ///
    /// # Errors
    /// [`StoreError::NotStored`]; [`StoreError::NotRegular`]; [`StoreError::NotEmpty`]; [`StoreError::OutputFull`];
    /// [`StoreError::Damaged`] when the stored bytes are not the content any more. Then the file is left empty.
    pub async fn export(
        &self,
        hash: ContentHash,
        target: UserFile,
        progress: ProgressSink,
    ) -> Result<u64, StoreError> {
        let Some(content) = self.content(hash).await? else {
            return Err(self.absence(hash).await?);
        };
        let cancelled = CancellationToken::new();
        let _guard = cancelled.clone().drop_guard();
        let sys = self.inner.disk.sys().clone();
        let output = target.clone();
        let written = calling(&self.inner, &target, move || {
            let target = output.file();
            check_target(target)?;
            let written = write(&sys, &content, target, &progress, &cancelled);
            if written.is_err()
                && let Err(error) = sys.set_len(target, 0)
            {
                tracing::info!(%error, "cannot empty the output again");
            }
            written
        })
        .await;
        if let Err(error @ (StoreError::Damaged { .. } | StoreError::Io { doing: READ, .. })) = &written {
            self.inner.faults.note(Some(hash), error);
            self.doubt(hash);
        }
        written
    }
}

/// What is tried when it is the store's own disk that fails.
const READ: &str = "read the content";

/// Refuses what is not an empty regular file, or would not let us write where we want: the kernel ignores the offset of
/// a `pwrite` into a file that is open for appending.
pub(super) fn check_target(target: &File) -> Result<(), StoreError> {
    let flags = rustix::fs::fcntl_getfl(target)
        .map_err(|errno| StoreError::io("look at the output")(errno.into()))?;
    if flags.contains(rustix::fs::OFlags::APPEND) {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "it is open for appending");
        return Err(StoreError::Io {
            doing: "write to the output",
            source,
        });
    }
    let meta = target.metadata().map_err(StoreError::io("look at the output"))?;
    match (meta.is_file(), meta.len()) {
        (false, _) => Err(StoreError::NotRegular),
        (true, 0) => Ok(()),
        (true, _) => Err(StoreError::NotEmpty),
    }
}

fn write(
    sys: &Sys,
    content: &Content,
    target: &File,
    progress: &ProgressSink,
    cancelled: &CancellationToken,
) -> Result<u64, StoreError> {
    let damaged = StoreError::Damaged { hash: content.hash() };
    let size = content.size();
    let shared = size > 0
        && sys
            .reflink(target, content.file())
            .map_err(refused(target, size, "reflink the output"))?;
    let mut buffer = Buffer::new();
    let mut done = 0;
    while done < size {
        let want = (size - done).min(BUFFER_LEN as u64) as usize;
        let bytes = &mut buffer.bytes_mut()[..want];
        // The target may be open for writing only, and a clone has the same blocks.
        let read = sys
            .read_full(content.file(), done, bytes)
            .map_err(StoreError::io(READ))?;
        if read < want || !content.layer().verify(done, bytes) {
            return Err(damaged);
        }
        if !shared {
            sys.write_at(target, done, bytes)
                .map_err(refused(target, size, "write the output"))?;
        }
        done += want as u64;
        progress(done);
        if cancelled.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
    }
    Ok(size)
}

/// For `map_err`: names what was tried, or the user's full disk.
fn refused(target: &File, needed: u64, doing: &'static str) -> impl Fn(io::Error) -> StoreError {
    move |source| match is_full(&source) {
        true => StoreError::OutputFull {
            needed,
            usable: free_bytes(target).unwrap_or(0),
        },
        false => StoreError::Io { doing, source },
    }
}
