//! What can go wrong in the store. Nothing here owns state; what each failure leaves on disk is said where it happens.

use std::{io, path::PathBuf};

use p2p_proto::{ByteCount, ContentHash};

use super::layer::BadLayer;

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another daemon works in this folder.
    #[error("{} is in use by another p2pd", path.display())]
    InUse {
        /// The store's folder.
        path: PathBuf,
    },
    /// A later release wrote the metadata.
    #[error(
        "{} was written by a newer p2pd (format {found}; this one knows {known}): install the newer package again, or \
         restore a backup",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest one that this build reads.
        known: i64,
    },
    /// The folder cannot be made or written to.
    #[error("the store's folder {} cannot be used: {why}{}", path.display(), allowed(why))]
    Folder {
        /// The store's folder.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// There are contents, and no metadata that knows them: what is there is left as it is.
    #[error("{} has files and no metadata.db: put that back, or move the folder away", path.display())]
    MetadataLost {
        /// The store's folder.
        path: PathBuf,
    },
    /// The store's disk or its quota is full. Nothing, or nothing that stays, was written.
    #[error("{} needed in {}; {} usable", ByteCount(*needed), path.display(), ByteCount(*usable))]
    NoSpace {
        /// Bytes that were asked for.
        needed: u64,
        /// Bytes that may still be stored.
        usable: u64,
        /// The store's folder.
        path: PathBuf,
    },
    /// The file that the user passed is on a full disk.
    #[error("the output needs {}; its disk has {}", ByteCount(*needed), ByteCount(*usable))]
    OutputFull {
        /// Bytes to be written.
        needed: u64,
        /// Bytes that its file system has.
        usable: u64,
    },
    /// The passed descriptor is a folder, a pipe, a device or a socket.
    #[error("not a regular file")]
    NotRegular,
    /// The file to write into has bytes already.
    #[error("the output is not an empty file")]
    NotEmpty,
    /// The file was written to while it was read; nothing was kept.
    #[error("the file changed while it was read")]
    SourceChanged,
    /// This content is being fetched already.
    #[error("{hash} is being fetched already")]
    Busy {
        /// The content.
        hash: ContentHash,
    },
    /// Committed before every piece was verified.
    #[error("{missing} of the content's groups are missing")]
    Incomplete {
        /// Groups of 256 KiB that were not written.
        missing: u64,
    },
    /// A piece came before the layer that could verify it.
    #[error("no piece can be verified before the layer is set")]
    NoLayer,
    /// Two layers for one content, or the layer of another one.
    #[error("the layer is set already, or is another content's")]
    WrongLayer,
    /// A layer that does not merge to its hash.
    #[error(transparent)]
    BadLayer(#[from] BadLayer),
    /// What is on disk is not the content any more.
    #[error("the stored copy of {hash} is damaged")]
    Damaged {
        /// The content.
        hash: ContentHash,
    },
    /// The content is not in the store, or not all of it.
    #[error("{hash} is not in the store")]
    NotStored {
        /// The content.
        hash: ContentHash,
    },
    /// The publication does not say what the store knows of its content.
    #[error("the publication contradicts the stored content {hash}")]
    Mismatch {
        /// The content.
        hash: ContentHash,
    },
    /// An earlier write or fsync of this file failed, so nothing is known of its bytes.
    #[error("an earlier failure ended this transfer; start it again")]
    Poisoned,
    /// The one who asked went away.
    #[error("cancelled")]
    Cancelled,
    /// The daemon stops.
    #[error("the store is closing")]
    Stopped,
    /// The system refused.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried, as it reads after "cannot".
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// SQLite refused.
    #[error("the store's metadata: {0}")]
    Metadata(#[source] sqlx::Error),
    /// The metadata holds what no version of this program wrote.
    #[error("the store's metadata is corrupt: {0}")]
    Corrupt(&'static str),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolClosed => Self::Stopped,
            other => Self::Metadata(other),
        }
    }
}

impl StoreError {
    /// For `map_err`: names what was tried.
    pub(super) fn io(doing: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

/// True for "disk full" and "over the quota of the file system".
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// What a sandbox refuses looks like a disk that cannot be written to.
fn allowed(why: &io::Error) -> &'static str {
    match why.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "; it must belong to p2pd's user, and a unit needs ReadWritePaths= for it (sudo systemctl edit p2pd)"
        }
        _ => "",
    }
}
