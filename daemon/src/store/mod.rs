//! Bytes on this peer's disk, and what is known of them. Nothing here knows of networks, accounts or directories.
//!
//! # Who owns what
//!
//! The folder belongs to one daemon at a time: `disk` locks it and makes every system call that changes it. In it are
//! `content/ab/<hash>` (the bytes), `layer/ab/<hash>` (their chaining values; none up to 256 KiB), `tmp/` (unfinished
//! files) and `metadata.db`. `metadata` owns the database, and its one writing connection is also the right to give
//! or take names in the folder. A content exists when its row does: files without a row are waste, a row without files
//! is damage.
//!
//! `layer` is the mathematics: which bytes belong to a hash. Three ways lead in. `import` takes a file and
//! `stream` takes bytes that come one after the other; both hash what they write. `incoming` takes pieces from other
//! peers in any order, and writes none that the layer does not prove; `groups` is its memory of which are there. All
//! three end in `commit`. Two ways lead out: `content` is an open content to read from, `export` fills a user's
//! file. Callers see descriptors and readers, never a path.
//!
//! `holds` says which publications a content is kept for, `index_log` is what the directory is told of that, and
//! both change in one transaction. `space` promises room before the first byte is written; `claims` keeps a new
//! content alive until somebody holds it. These two live in memory and are made anew at each start.
//!
//! # What a crash leaves
//!
//! | it stops | on disk | the next start |
//! | --- | --- | --- |
//! | while bytes come in | a file in `tmp/` | removes it |
//! | after the fsync of the bytes, before the rename | the same, and perhaps the layer's | removes them |
//! | after the layer's rename or the content's, before the row | named files that no row knows | removes them |
//! | after the row, before a hold | a content that nobody holds | removes row and files |
//! | after the hold | all of it, durable; the log has the change | nothing to do |
//! | while a hold is dropped, before its transaction ends | all of it, still held | nothing to do |
//! | after that, before the files are removed | named files that no row knows | removes them |
//!
//! The order of a commit is: bytes and layer written, each fsynced; layer renamed, its folder fsynced; content renamed,
//! its folder fsynced; row committed with `synchronous=FULL`. Only then is anybody told. The 256 folders of each kind
//! are made and fsynced at the start, so none can vanish under a durable file. After a failed fsync the kernel may call
//! the lost pages clean, so nobody asks twice: that import or fetch is over, its file removed, and no other is touched.
//!
//! A commit, a hold or a drop that has begun runs to its end, also when its caller goes away; [`Store::close`] waits for
//! them.

mod buffer;
mod claims;
mod commit;
mod content;
mod disk;
mod error;
mod export;
mod groups;
mod holds;
mod import;
mod incoming;
mod index_log;
mod layer;
mod metadata;
mod space;
mod stream;
mod sys;

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use tokio_util::task::TaskTracker;

pub use self::{
    buffer::{BUFFER_LEN, Buffer},
    commit::Imported,
    content::Content,
    error::StoreError,
    holds::HeldFile,
    incoming::Incoming,
    index_log::LoggedChange,
    layer::{BadLayer, ChainingValue, GROUP, Layer, LayerBuilder},
    stream::StreamImport,
};
use self::{
    claims::{Claims, Fetching},
    content::OpenContents,
    disk::{Disk, Kind, Refused},
    metadata::Metadata,
    space::Space,
    sys::Sys,
};

/// The least that SQLite asks of the disk.
const DATABASE_PAGE: u64 = 4096;

/// Told how many bytes are done, after each buffer; called on a blocking thread.
pub type ProgressSink = Arc<dyn Fn(u64) + Send + Sync>;

/// Where the store is and how much it may take.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Its folder; made when missing.
    pub path: PathBuf,
    /// The most bytes of contents; None for no limit but the disk.
    pub max_size: Option<u64>,
    /// Bytes of the file system that are never filled.
    pub reserve_free: u64,
}

/// What the store has and may still take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Complete contents.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that may still be stored.
    pub free_bytes: u64,
    /// The configured limit.
    pub max_bytes: Option<u64>,
    /// The folder.
    pub path: PathBuf,
}

/// The store; clones are handles to one. The folder is free for another daemon when the last handle is gone, those
/// inside an [`Incoming`] or a [`StreamImport`] too.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    disk: Arc<Disk>,
    space: Arc<Space>,
    metadata: Metadata,
    claims: Claims,
    fetching: Fetching,
    open_contents: OpenContents,
    /// What must not end half-way with its caller.
    tasks: TaskTracker,
}

impl Store {
    /// Makes or opens the store and removes what a crash left.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while another daemon has the folder; [`StoreError::Newer`]; those of the disk.
    pub async fn open(config: StoreConfig) -> Result<Self, StoreError> {
        Self::open_on(config, Sys::default()).await
    }

    /// The same with these system calls.
    async fn open_on(config: StoreConfig, sys: Sys) -> Result<Self, StoreError> {
        let StoreConfig {
            path,
            max_size,
            reserve_free,
        } = config;
        let disk = blocking(move || match Disk::open(&path, sys) {
            Ok(disk) => Ok(Arc::new(disk)),
            Err(Refused::InUse) => Err(StoreError::InUse { path }),
            Err(Refused::Io(source)) => Err(StoreError::Io {
                doing: "open the store's folder",
                source,
            }),
        })
        .await?;
        commits_next(disk.sys())?;
        let metadata = Metadata::open(disk.root()).await?;
        commits_next(disk.sys())?;
        let unheld = metadata.forget_all_unheld().await?;
        let contents: HashMap<_, _> = metadata.contents().await?.into_iter().collect();
        let stored = contents.values().sum();
        let sweeper = disk.clone();
        let swept = blocking(move || {
            let known = |kind, hash| {
                contents
                    .get(&hash)
                    .is_some_and(|&size| kind == Kind::Content || Layer::group_count(size) > 0)
            };
            sweeper
                .sweep(&known)
                .map_err(StoreError::io("remove what a crash left"))
        })
        .await?;
        if unheld + swept > 0 {
            tracing::info!(
                unheld,
                files = swept,
                "removed what an earlier run left unfinished"
            );
        }
        let space = Arc::new(Space::new(disk.clone(), max_size, reserve_free, stored));
        let inner = Inner {
            disk,
            space,
            metadata,
            claims: Claims::default(),
            fetching: Fetching::default(),
            open_contents: OpenContents::default(),
            tasks: TaskTracker::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// What the store has and may still take.
    ///
    /// # Errors
    /// Those of the database and the file system.
    pub async fn usage(&self) -> Result<Usage, StoreError> {
        let (files, bytes) = self.inner.metadata.totals().await?;
        let inner = self.inner.clone();
        let free_bytes = blocking(move || {
            inner
                .space
                .usable()
                .map_err(StoreError::io("measure the free space"))
        })
        .await?;
        let path = self.inner.disk.root().to_owned();
        Ok(Usage {
            files,
            bytes,
            free_bytes,
            max_bytes: self.inner.space.max_size(),
            path,
        })
    }

    /// Waits for the commits that run and ends the database's connections; what is called later fails.
    pub async fn close(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.inner.metadata.close().await;
    }

    /// Runs to its end what must not stop half-way because its caller went away.
    async fn finish<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner
            .tasks
            .spawn(task)
            .await
            .unwrap_or(Err(StoreError::Stopped))
    }
}

impl Inner {
    /// A transaction commits next.
    fn before_commit(&self) -> Result<(), StoreError> {
        let announced = self.disk.sys().before_commit();
        announced.map_err(self.space.io(DATABASE_PAGE, "write the store's metadata"))
    }
}

/// The same before there is an [`Inner`].
fn commits_next(sys: &Sys) -> Result<(), StoreError> {
    sys.before_commit()
        .map_err(StoreError::io("write the store's metadata"))
}

/// File work, on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(StoreError::Stopped))
}

#[cfg(test)]
mod tests;
