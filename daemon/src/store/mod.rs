//! Bytes on this peer's disk, and what is known of them. Nothing here knows of networks, accounts or directories.
//!
//! # Who owns what
//!
//! The folder belongs to one daemon at a time: `disk` locks it and makes every system call that changes it. In it are
//! `content/ab/<hash>` (the bytes), `layer/ab/<hash>` (their chaining values; none up to 256 KiB), `partial/` (what is on
//! its way, see `partial_files`), `tmp/` (what no crash leaves) and `metadata.db`. `metadata` owns the database, and its
//! one writing connection is also the right to give or take names in the folder. A content exists when its row does: files
//! without a row are waste, a row without files is damage.
//!
//! `layer` is the mathematics: which bytes belong to a hash. Three ways lead in. `import` takes a file and
//! `stream` takes bytes that come one after the other; both hash what they write. `incoming` (see `begin`) takes pieces from other
//! peers in any order, and writes none that the layer does not prove; `groups` is its memory of which are there. All
//! three end in `commit`. Two ways lead out: `content` is an open content to read from, `export` fills a user's
//! file. `users` calls the files of users, which may hang. Callers see descriptors and readers, never a path.
//!
//! What takes long is kept as it grows: `checkpoint` makes a fetch durable, into a row of `partials`, and `cut_imports` an
//! import. What is whole is looked at again: `verify` reads a content back, `scrub` does that with all of them in turn, and
//! `damage` puts aside what is not good any more, as a partial that the next fetch heals.
//!
//! `holds` says which publications a content is kept for, `index_log` is what the directory is told of that, and
//! both change in one transaction. `publishing` keeps what the directory is asked to publish. What a content is brought
//! for is written in the transaction that makes it one, so that a crash leaves both or neither. `space` promises room before
//! the first byte is written; `claims` says who works on a partial. These two live in memory and are made anew at each
//! start, as `faults` is, which remembers what the disk refused.
//!
//! # What a crash leaves
//!
//! | it stops | on disk | the next start (`recover`) |
//! | --- | --- | --- |
//! | while bytes come in, before a checkpoint | files in `partial/` or `tmp/` | removes them |
//! | in a checkpoint, before its row | more bytes than the row before it says, or files without a row | keeps what the row says, removes the others |
//! | after a checkpoint's row | the files and a true row | keeps them; a fetch or import goes on there |
//! | in a commit, after the fsync of the bytes, before the rename | the same, and perhaps the layer in `tmp/` | the same |
//! | after the layer's rename or the content's, before the row | named files that no row knows | takes them back to `partial/` when a checkpoint speaks of them, or removes them |
//! | after the row | a content with its hold, or with its row in `publishing` | keeps it; the directory is asked again |
//! | after a failed publication, before it is given up | a content that nobody holds | removes row and files |
//! | after the hold | all of it, durable; the log has the change | nothing to do |
//! | while a hold is dropped, before its transaction ends | all of it, still held | nothing to do |
//! | after that, before the files are removed | named files that no row knows | removes them |
//! | after damage was found, before its transaction ends | all as it was, perhaps a layer without a row | removes that; the damage is found again |
//! | after that, before the files are put aside | a damaged content's files under `content/` | takes them to `partial/` |
//! | while it is healed | as in a fetch and its commit; damaged until the row | as there |
//!
//! The order of a commit is: bytes and layer written, each fsynced; layer renamed, its folder fsynced; content renamed,
//! its folder fsynced; one transaction, with `synchronous=FULL`, that has the content's row, the end of its partial's and
//! its damage's, and its holds that are complete again. Only then is anybody told. The order of a checkpoint is: bytes
//! fsynced; the first time the layer written and fsynced and `partial/` fsynced; the row. The 256 folders of each kind are
//! made and fsynced at the start, so none can vanish under a durable file. After a failed fsync the kernel may call the
//! lost pages clean, so nobody asks twice: that import or fetch is over, its files and rows removed, and no other is
//! touched.
//!
//! A commit, a checkpoint, a hold or a drop that has begun runs to its end, also when its caller goes away;
//! [`Store::close`] waits for them.

mod begin;
mod buffer;
mod checkpoint;
mod claims;
mod commit;
mod content;
mod cut_imports;
mod damage;
mod disk;
mod error;
mod export;
mod faults;
mod groups;
mod holds;
mod import;
mod incoming;
mod index_log;
mod layer;
mod locations;
mod metadata;
mod partial_files;
mod partials;
mod publishing;
mod recover;
mod scrub;
mod space;
mod stamp;
mod stream;
mod sys;
mod transfers;
mod users;
mod verify;

use std::{path::PathBuf, sync::Arc};

use p2p_proto::ContentHash;
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    buffer::{BUFFER_LEN, Buffer},
    commit::{Imported, Purpose},
    content::Content,
    damage::Damaged,
    error::StoreError,
    faults::Fault,
    holds::HeldFile,
    incoming::Incoming,
    index_log::LoggedChange,
    layer::{BadLayer, ChainingValue, GROUP, Layer, LayerBuilder},
    locations::AccountId,
    publishing::Unpublished,
    stream::StreamImport,
    transfers::TransferRow,
    verify::{Pace, Verdict},
};
use self::{
    checkpoint::CheckpointEvery,
    claims::{Fetching, Once},
    content::OpenContents,
    disk::{Disk, Refused},
    faults::Faults,
    metadata::Metadata,
    recover::{Recovered, recover},
    space::Space,
    sys::Sys,
};
use crate::events::{Bus, Teller};

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
    /// Contents of which a part is kept: fetches that were cut or go on, and what is good of damaged contents.
    pub partial_files: u64,
    /// Bytes that may still be stored.
    pub free_bytes: u64,
    /// The configured limit.
    pub max_bytes: Option<u64>,
    /// The folder.
    pub path: PathBuf,
    /// Bytes of the file system that may still be filled, whatever the limit is.
    pub disk_free: u64,
    /// All bytes of the file system.
    pub disk_size: u64,
    /// Bytes that the limit still allows.
    pub quota_left: Option<u64>,
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
    fetching: Fetching,
    /// Sources of which an import has the checkpoints.
    importing: Once<String>,
    /// Contents that are being verified because somebody doubts them.
    doubted: Once<ContentHash>,
    open_contents: OpenContents,
    faults: Faults,
    /// Rises with each content that is found damaged.
    damage: watch::Sender<u64>,
    /// A content was registered.
    arrived: Notify,
    teller: Teller,
    checkpoint_every: CheckpointEvery,
    runtime: Handle,
    /// The store closes.
    stopping: CancellationToken,
    /// What must not end half-way with its caller.
    tasks: TaskTracker,
}

impl Store {
    /// Makes or opens the store and removes what a crash left.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while another daemon has the folder; [`StoreError::Newer`]; [`StoreError::MetadataLost`];
    /// [`StoreError::Folder`]; those of the disk.
    pub async fn open(config: StoreConfig) -> Result<Self, StoreError> {
        Self::open_on(config, Sys::default()).await
    }

    /// The same with these system calls.
    async fn open_on(config: StoreConfig, sys: Sys) -> Result<Self, StoreError> {
        Self::open_with(config, sys, CheckpointEvery::default()).await
    }

    /// The same with checkpoints at other times.
    async fn open_with(
        config: StoreConfig,
        sys: Sys,
        checkpoint_every: CheckpointEvery,
    ) -> Result<Self, StoreError> {
        let StoreConfig {
            path,
            max_size,
            reserve_free,
        } = config;
        let disk = blocking(move || match Disk::open(&path, sys) {
            Ok(disk) => Ok(Arc::new(disk)),
            Err(Refused::InUse) => Err(StoreError::InUse { path }),
            Err(Refused::MetadataLost) => Err(StoreError::MetadataLost { path }),
            Err(Refused::Io(why)) => Err(StoreError::Folder { path, why }),
        })
        .await?;
        commits_next(disk.sys())?;
        let metadata = Metadata::open(disk.root()).await?;
        let Recovered { stored, partial } = recover(&disk, &metadata).await?;
        let space = Arc::new(Space::new(disk.clone(), max_size, reserve_free, stored, partial));
        let inner = Inner {
            disk,
            space,
            metadata,
            fetching: Fetching::default(),
            importing: Once::default(),
            doubted: Once::default(),
            open_contents: OpenContents::default(),
            faults: Faults::default(),
            damage: watch::Sender::new(0),
            arrived: Notify::new(),
            teller: Teller::default(),
            checkpoint_every,
            runtime: Handle::current(),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// From now on it tells what is stored, dropped, damaged and healed.
    pub fn tells(&self, bus: Bus) {
        self.inner.teller.tells(bus);
    }

    /// What the store has and may still take.
    ///
    /// # Errors
    /// Those of the database and the file system.
    pub async fn usage(&self) -> Result<Usage, StoreError> {
        let (files, bytes) = self.inner.metadata.totals().await?;
        let mut reader = self.inner.metadata.reader().acquire().await?;
        let partial_files = partials::count(&mut reader).await?;
        drop(reader);
        let inner = self.inner.clone();
        let room = blocking(move || {
            let room = inner.space.room();
            room.map_err(StoreError::io("measure the free space"))
        })
        .await?;
        let path = self.inner.disk.root().to_owned();
        Ok(Usage {
            files,
            bytes,
            partial_files,
            free_bytes: room.disk_free.min(room.quota_left.unwrap_or(u64::MAX)),
            max_bytes: self.inner.space.max_size(),
            path,
            disk_free: room.disk_free,
            disk_size: room.disk_size,
            quota_left: room.quota_left,
        })
    }

    /// The database answers a question that takes no time: whoever writes is not waited for, however much he has to do.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn answers(&self) -> Result<(), StoreError> {
        self.inner.metadata.answers().await
    }

    /// Other limits from now on: the most bytes of contents, and the bytes of the file system that are never filled. What is
    /// stored stays, and what was begun may end.
    pub fn set_limits(&self, max_size: Option<u64>, reserve_free: u64) {
        self.inner.space.set_bounds(max_size, reserve_free);
    }

    /// Ends the imports that run, at their last checkpoint, waits for commits and checkpoints, and ends the database's
    /// connections; what is called later fails.
    pub async fn close(&self) {
        self.inner.stopping.cancel();
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
